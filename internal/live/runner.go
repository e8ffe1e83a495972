package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/verify"
)

// Runner carries a recorded migration out, a Tick at a time. It keeps nothing between ticks that the cluster does not have, so
// that another one can go on at any point.
type Runner struct {
	Writer *Writer
	// Collect reads the mesh, as new as it is.
	Collect func(ctx context.Context) (*snapshot.Snapshot, error)
	// Prom answers metrics; nil where there is no server to ask.
	Prom *Prom
	// Now is the clock.
	Now func() time.Time
	// Each runs do(0) to do(n-1), side by side if it can; nil for one after the other.
	Each func(n int, do func(int))
}

// Tick is what one look at the cluster led to.
type Tick struct {
	migrate.Action
	Record *Record
	// Taken and TakenBack are the steps that were written.
	Taken, TakenBack []string
	// Over says that the migration was taken back as a whole and its record removed.
	Over bool
}

// batch is how many steps are recorded and written together.
const batch = 50

// Tick reads the record and the mesh, asks what to do, and does it: what is about to be written is recorded first. An error
// leaves everything in a state from which the next Tick goes on; ErrStale means that somebody else wrote at the same time.
func (r *Runner) Tick(ctx context.Context) (*Tick, error) {
	rec, err := r.Writer.ReadRecord(ctx)
	if err != nil {
		return nil, err
	}
	return r.tick(ctx, rec)
}

func (r *Runner) tick(ctx context.Context, rec *Record) (*Tick, error) {
	a, snap, err := r.look(ctx, rec)
	if err != nil {
		return nil, err
	}
	out := &Tick{Action: a, Record: rec}
	if len(a.Marks) > 0 {
		var ids []string
		for _, m := range a.Marks {
			rec.Steps[m.Step] = m.Progress
			ids = append(ids, m.Step)
		}
		if err := r.Writer.SaveSteps(ctx, rec, ids...); err != nil {
			return out, err
		}
	}
	switch a.Kind {
	case migrate.Apply:
		for some := range slices.Chunk(a.Steps, batch) {
			taken, err := r.take(ctx, rec, snap, some)
			out.Taken = append(out.Taken, taken...)
			if err != nil {
				return out, err
			}
		}
	case migrate.Undo:
		for some := range slices.Chunk(a.Steps, batch) {
			back, err := r.takeBack(ctx, rec, some, a.Why)
			out.TakenBack = append(out.TakenBack, back...)
			if err != nil {
				return out, err
			}
		}
	case migrate.Done:
		if rec.Wish == migrate.Rollback {
			out.Over = true
			return out, r.Writer.End(ctx, rec)
		}
	}
	return out, nil
}

// Look says what Tick would do, and writes nothing.
func (r *Runner) Look(ctx context.Context) (*Tick, error) {
	rec, err := r.Writer.ReadRecord(ctx)
	if err != nil {
		return nil, err
	}
	a, _, err := r.look(ctx, rec)
	return &Tick{Action: a, Record: rec}, err
}

func (r *Runner) look(ctx context.Context, rec *Record) (migrate.Action, *snapshot.Snapshot, error) {
	snap, err := r.Collect(ctx)
	if err != nil {
		return migrate.Action{}, nil, err
	}
	now := r.Now()
	e, err := r.evidence(ctx, rec, snap, now)
	if err != nil {
		return migrate.Action{}, nil, err
	}
	return migrate.Next(rec.Plan, &rec.Progress, e, now), snap, nil
}

// evidence gathers what the gates look at.
func (r *Runner) evidence(ctx context.Context, rec *Record, snap *snapshot.Snapshot, now time.Time) (*migrate.Evidence, error) {
	back, err := migrate.Back(rec.Plan, &rec.Progress)
	if err != nil {
		return nil, err
	}
	e := &migrate.Evidence{Evidence: verify.Evidence{At: now, Mesh: mesh.Build(snap, mesh.Assume{})}}
	r.measure(ctx, rec, e)
	e.Prove = func(next []plan.Edit) (plan.Reproof, error) { return plan.Reprove(snap, back, next, r.Each) }
	return e, nil
}

// leastWindow is what metrics are asked over where the soak time is shorter: rates need several scrapes.
const leastWindow = 5 * time.Minute

// measure asks for metrics over the last minutes, and over as long just before the wave began.
func (r *Runner) measure(ctx context.Context, rec *Record, e *migrate.Evidence) {
	if r.Prom == nil {
		none := metric.Dump{Failed: "no server was given to ask: see --prometheus"}
		e.Metrics, e.Baseline = none, none
		return
	}
	window := max(rec.Soak, leastWindow)
	ask := func(end time.Time) metric.Dump {
		return r.Prom.Collect(ctx, metric.Params{Start: end.Add(-window), End: end}, metric.Migration())
	}
	e.Metrics = ask(e.At)
	e.WaveBegan = migrate.WaveBegan(rec.Plan, &rec.Progress)
	if e.WaveBegan.IsZero() {
		e.Baseline = metric.Dump{Failed: "nothing of the wave has been written yet"}
		return
	}
	e.Baseline = ask(e.WaveBegan)
}

// take writes steps: what stood before and that they are about to be written is recorded first.
func (r *Runner) take(ctx context.Context, rec *Record, snap *snapshot.Snapshot, ids []string) ([]string, error) {
	standing := map[string]*Standing{}
	var steps []plan.Step
	for _, id := range ids {
		s, _, ok := rec.Plan.Step(id)
		if !ok {
			return nil, fmt.Errorf("the plan has no step %s", id)
		}
		st, err := r.Writer.Look(ctx, s.Edit)
		if err != nil {
			return nil, err
		}
		if !st.Is(plan.Find(snap, s.Edit.Object)) {
			return nil, fmt.Errorf("%w: %s", ErrStale, s.Edit.Object)
		}
		p := rec.Steps[id]
		if p.Before == nil {
			if p.Before, err = st.Before(s); err != nil {
				return nil, err
			}
		}
		p.State, p.Since, p.Conflict, p.Why = migrate.Writing, r.Now(), nil, ""
		if p.Began.IsZero() {
			p.Began = p.Since
		}
		rec.Steps[id], standing[id] = p, st
		steps = append(steps, s)
	}
	if err := r.Writer.SaveSteps(ctx, rec, ids...); err != nil {
		return nil, err
	}
	var taken []string
	var failed error
	for _, s := range steps {
		p := rec.Steps[s.ID]
		err := r.Writer.Write(ctx, standing[s.ID], s.Edit, false, p.Before, false)
		var conflict *ConflictError
		switch {
		case err == nil:
			p.State, p.Since = migrate.Written, r.Now()
			taken = append(taken, s.ID)
		case errors.As(err, &conflict):
			p = migrate.StepProgress{Since: r.Now(), Conflict: &conflict.Conflict}
		default:
			failed = err
		}
		rec.Steps[s.ID] = p
		if failed != nil {
			break // a later step may need this one
		}
	}
	return taken, errors.Join(failed, r.Writer.SaveSteps(ctx, rec, ids...))
}

// takeBack undoes steps.
func (r *Runner) takeBack(ctx context.Context, rec *Record, ids []string, why []migrate.Reason) ([]string, error) {
	for _, id := range ids {
		p := rec.Steps[id]
		p.State, p.Since, p.Steady, p.Conflict = migrate.Undoing, r.Now(), time.Time{}, nil
		for _, w := range why {
			if w.Step == id && p.Why == "" {
				p.Why = w.Gate + ": " + w.Text
			}
		}
		rec.Steps[id] = p
	}
	if err := r.Writer.SaveSteps(ctx, rec, ids...); err != nil {
		return nil, err
	}
	var back []string
	var failed error
	for _, id := range ids {
		s, _, ok := rec.Plan.Step(id)
		if !ok {
			return back, fmt.Errorf("the plan has no step %s", id)
		}
		p := rec.Steps[id]
		err := r.undo(ctx, s, p.Before)
		var conflict *ConflictError
		switch {
		case err == nil:
			p.State, p.Since = migrate.Reverted, r.Now()
			back = append(back, id)
		case errors.As(err, &conflict):
			p.Conflict = &conflict.Conflict
		default:
			failed = err
		}
		rec.Steps[id] = p
		if failed != nil {
			break
		}
	}
	return back, errors.Join(failed, r.Writer.SaveSteps(ctx, rec, ids...))
}

func (r *Runner) undo(ctx context.Context, s plan.Step, before *migrate.Before) error {
	e, ok, err := migrate.UndoEdit(s, before)
	if err != nil || !ok {
		return err
	}
	st, err := r.Writer.Look(ctx, e)
	if err != nil {
		return err
	}
	if e.Verb == plan.Replace && !st.InEffect(e) && !st.InEffect(s.Edit) {
		return &ConflictError{migrate.Conflict{Text: e.Object.String() + " is neither what it was before nor what Sidestep made of it: somebody has changed it since", Patch: migrate.Patch(e)}}
	}
	return r.Writer.Write(ctx, st, e, true, before, false)
}
