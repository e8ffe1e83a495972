package controller

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/verify"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// carrier carries plans out for Migrations in mode Enforce, as sidestep apply does and with the same record in the cluster: the two
// can go on with what the other began. A cluster has one record, so one Migration is carried out at a time.
type carrier struct {
	engine  *engine
	planner *planner
	writer  *live.Writer
	log     *slog.Logger
	now     func() time.Time
	wake    chan struct{}

	mu     sync.Mutex
	wanted map[string]*v1alpha1.Migration
	done   map[string]*duty.Carried
}

// How long it waits between two looks while something is under way, and before it asks again for a record where there was none.
const (
	betweenLooks = 5 * time.Second
	betweenAsks  = time.Minute
)

// want asks for a Migration to be carried out, or with false not to be, and returns what it has come to.
func (c *carrier) want(mig *v1alpha1.Migration, wanted bool) *duty.Carried {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !wanted {
		delete(c.wanted, mig.Name)
		delete(c.done, mig.Name)
		return nil
	}
	c.wanted[mig.Name] = mig.DeepCopy()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return c.done[mig.Name]
}

// forget drops a Migration that is gone. What is under way stays as it is, which is safe at every step; sidestep status shows it, and
// sidestep apply or a new Migration goes on with it.
func (c *carrier) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.wanted, name)
	delete(c.done, name)
}

// Start carries out until ctx ends.
func (c *carrier) Start(ctx context.Context) error {
	next := time.Hour
	for {
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.wake:
			timer.Stop()
		case <-timer.C:
		}
		next = c.round(ctx)
	}
}

// round looks at every Migration that is to be carried out, and returns when to look again though nothing changed.
func (c *carrier) round(ctx context.Context) time.Duration {
	c.mu.Lock()
	var all []*v1alpha1.Migration
	for _, m := range c.wanted {
		all = append(all, m)
	}
	c.mu.Unlock()
	next := time.Hour
	for _, mig := range all {
		p := c.planner.want(mig, true)
		if p == nil || p.plan == nil || c.engine.current.Load() == nil {
			continue // its plan wakes the Reconcile, and that wakes us
		}
		came, again := c.carry(ctx, mig, p)
		next = min(next, again)
		c.mu.Lock()
		had := c.done[mig.Name]
		if _, still := c.wanted[mig.Name]; still {
			c.done[mig.Name] = came
		}
		c.mu.Unlock()
		if !equality.Semantic.DeepEqual(had, came) {
			c.engine.announce()
		}
	}
	return next
}

// who is the name under which a Migration's wishes stand in the record.
func who(mig *v1alpha1.Migration) string { return "Migration " + mig.Name }

// carry does what is to be done now for one Migration.
func (c *carrier) carry(ctx context.Context, mig *v1alpha1.Migration, p *planned) (*duty.Carried, time.Duration) {
	rec, err := c.writer.ReadRecord(ctx)
	finished := err == nil && rec.Wish != migrate.Rollback && over(rec)
	approved := duty.LeadingApproved(&mig.Spec, p.numbers.Hash, p.numbers.Waves)
	switch {
	case errors.Is(err, live.ErrNoMigration), finished && len(p.plan.Waves) > 0 && rec.Plan.ID != p.plan.ID:
		if len(p.plan.Waves) == 0 {
			return &duty.Carried{Reason: "Idle", Message: "There is nothing to move."}, time.Hour
		}
		if approved == 0 {
			return &duty.Carried{Reason: "AwaitingApproval", Stuck: true, Message: "Plan " + p.numbers.Hash + " waits for approval of wave " +
				p.numbers.Waves[0].Name + ": read it and add its hash to spec.approvals, or set spec.review."}, betweenAsks
		}
		return c.begin(ctx, mig, p, rec, approved)
	case err != nil:
		return c.failed(err)
	case finished:
		return &duty.Carried{Reason: "Done", Message: "Plan " + rec.Plan.ID + " is carried out, and there is nothing more to move."}, time.Hour
	}
	return c.drive(ctx, mig, rec)
}

// over reports whether every step of a record needs nothing more.
func over(rec *live.Record) bool {
	for _, w := range rec.Plan.Waves {
		for _, s := range w.Steps {
			if st := rec.State(s.ID); st != migrate.Passed && st != migrate.Skipped {
				return false
			}
		}
	}
	return true
}

// begin records a plan. What an earlier one recorded ends: it is carried out.
func (c *carrier) begin(ctx context.Context, mig *v1alpha1.Migration, p *planned, old *live.Record, waves int) (*duty.Carried, time.Duration) {
	if old != nil {
		if err := c.writer.End(ctx, old); err != nil {
			return c.failed(err)
		}
	}
	g := migrate.Progress{Until: waves, MaxPods: int(mig.Spec.Strategy.MaxPods), Soak: 5 * time.Minute}
	if s := mig.Spec.Gates.Soak; s != nil {
		g.Soak = s.Duration
	}
	if mig.Spec.Gates.Prometheus == nil {
		g.LeaveOut(verify.OnMetrics(), who(mig), c.now())
	}
	g.Wished(migrate.Run, who(mig), c.now())
	root := c.engine.current.Load().mesh.Settings.RootNamespace
	if _, err := c.writer.Begin(ctx, root, p.plan, g); err != nil {
		return c.failed(err)
	}
	c.log.Info("began to carry a plan out", "migration", mig.Name, "plan", p.plan.ID, "waves", waves)
	return &duty.Carried{Reason: "Applying", Message: "Plan " + p.plan.ID + " has begun."}, 0
}

// drive goes on with what is recorded: a look at what the watches show and, where there is something to write, at the cluster itself.
func (c *carrier) drive(ctx context.Context, mig *v1alpha1.Migration, rec *live.Record) (*duty.Carried, time.Duration) {
	if rec.Who == who(mig) {
		waves := make([]duty.Wave, len(rec.Plan.Waves))
		for i, w := range rec.Plan.Waves {
			waves[i].Name = w.Name
		}
		until := duty.LeadingApproved(&mig.Spec, rec.Plan.ID, waves)
		if until == 0 {
			return &duty.Carried{Reason: "AwaitingApproval", Stuck: true, Message: "The approval of plan " + rec.Plan.ID + ", which is under way, was taken back."}, betweenAsks
		}
		if until != rec.Until {
			if _, err := c.writer.Change(ctx, func(r *live.Record) ([]string, error) { r.Until = until; return nil, nil }); err != nil {
				return c.failed(err)
			}
		}
	} else if other := strings.TrimPrefix(rec.Who, "Migration "); other != rec.Who {
		return &duty.Carried{Reason: "Waiting", Message: "Plan " + rec.Plan.ID + " of Migration " + other + " is under way: a cluster carries out one at a time."}, betweenAsks
	}
	s := c.engine.current.Load()
	runner := &live.Runner{Writer: c.writer, Now: c.now, Each: onEveryCore,
		Collect: func(context.Context) (*snapshot.Snapshot, error) { return s.mesh.Snapshot, nil }}
	if at := mig.Spec.Gates.Prometheus; at != nil {
		var err error
		if runner.Prom, err = live.NewProm(live.PromConfig{URL: at.URL, Tenant: at.Tenant}); err != nil {
			return c.failed(err)
		}
		defer runner.Prom.CloseIdle()
	}
	tick, err := runner.Look(ctx)
	if err == nil && (tick.Kind == migrate.Apply || tick.Kind == migrate.Undo || len(tick.Marks) > 0 || tick.Kind == migrate.Done) {
		// What is written is decided on the cluster as it is, not as the watches have it.
		runner.Collect = func(ctx context.Context) (*snapshot.Snapshot, error) {
			return live.Collect(ctx, c.engine.cluster, live.Options{})
		}
		tick, err = runner.Tick(ctx)
	}
	if err != nil {
		return c.failed(err)
	}
	return came(tick), betweenLooks
}

// failed is what an error has come to; it is tried again.
func (c *carrier) failed(err error) (*duty.Carried, time.Duration) {
	if errors.Is(err, live.ErrStale) {
		return &duty.Carried{Reason: "Waiting", Message: "The mesh changed while it was looked at."}, time.Second
	}
	c.log.Error("carry a plan out", "error", err)
	return &duty.Carried{Reason: "Failing", Stuck: true, Message: err.Error()}, betweenLooks
}

// came words what a tick has come to.
func came(t *live.Tick) *duty.Carried {
	out := &duty.Carried{Reason: map[migrate.Kind]string{
		migrate.Apply: "Applying", migrate.Wait: "Waiting", migrate.Hold: "Held", migrate.Undo: "Undoing", migrate.Halt: "Halted", migrate.Done: "Done",
	}[t.Kind], Stuck: t.Kind == migrate.Hold || t.Kind == migrate.Halt}
	var words []string
	for _, w := range t.Why {
		text := w.Text
		if w.Step != "" {
			text = w.Step + ": " + text
		}
		words = append(words, text)
		if w.Patch != "" {
			o := v1alpha1.ObjectReference{Group: w.Object.Group, Kind: w.Object.Kind, Namespace: w.Object.Namespace, Name: w.Object.Name}
			out.Held = append(out.Held, v1alpha1.Hold{Object: o, Message: w.Text, Patch: w.Patch, Since: metav1.NewTime(t.Since.UTC().Truncate(time.Second))})
		}
	}
	out.Message = "Plan " + t.Record.Plan.ID
	if t.Wave < len(t.Record.Plan.Waves) {
		out.Message += ", wave " + t.Record.Plan.Waves[t.Wave].Name
	}
	if len(words) > 0 {
		out.Message += ": " + strings.Join(words[:min(len(words), 3)], "; ")
	}
	if !t.Until.IsZero() {
		out.Message += " (until " + t.Until.UTC().Format(time.RFC3339) + ")"
	}
	return out
}
