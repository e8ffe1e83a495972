package migrate

import (
	"fmt"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/verify"
)

// failed decides what a failed gate leads to, by which side is healthy.
func (m *machine) failed(s plan.Step, why Reason, against verify.Side) {
	switch outcome(s, verify.SidesOf(&m.evidence.Evidence, s.Subject, false), against) {
	case Undo:
		m.undo = append(m.undo, s.ID)
		m.hold(m.now, why)
	case Halt:
		why.Text += ": the new pods are the healthy ones, so it is not rolled back"
		m.halts = append(m.halts, why)
	default:
		m.hold(m.now, why)
	}
}

// outcome is undo, halt or hold for a failure. Only one that speaks against the new side undoes: where the new pods are the only healthy
// ones, going back would take away what works; where neither or both are healthy, a person decides.
func outcome(s plan.Step, sides verify.Sides, against verify.Side) Kind {
	switch {
	case against != verify.New:
		if s.Restarts && sides.OldReady == 0 && sides.New > 0 && sides.NewReady == sides.New {
			return Halt
		}
		return Hold
	case s.UndoKind == plan.UndoNone:
		return Hold
	case !s.Restarts:
		return Undo
	case sides.Old > 0 && sides.OldReady == 0:
		return Hold // the old pods that are left are no better
	}
	return Undo
}

// UndoEdit is the edit that takes a step back: to what was recorded before it, not to what the plan thought. It is false where there is
// nothing to take back: somebody else made the change, or the step was never taken.
func UndoEdit(s plan.Step, b *Before) (plan.Edit, bool, error) {
	if b == nil || b.Theirs {
		return plan.Edit{}, false, nil
	}
	switch s.Edit.Verb {
	case plan.Label, plan.Template, plan.Recreate:
		return plan.Edit{Verb: s.Edit.Verb, Object: s.Edit.Object, Labels: b.Labels, Annotations: b.Annotations}, true, nil
	}
	if b.Absent {
		return plan.Edit{Verb: plan.Delete, Object: s.Edit.Object}, s.Edit.Verb != plan.Delete, nil
	}
	o, err := plan.Decode(s.Edit.Object, b.Object)
	if err != nil {
		return plan.Edit{}, false, fmt.Errorf("what stood before step %s: %w", s.ID, err)
	}
	verb := plan.Replace
	if s.Edit.Verb == plan.Delete {
		verb = plan.Create
	}
	return plan.Edit{Verb: verb, Object: s.Edit.Object, Put: o}, true, nil
}

// Back lists the edits that turn the mesh back into its start, the latest first: what stood before each step that was taken. Where somebody
// else made the change, it is what the plan saw.
func Back(p *Plan, g *Progress) ([]plan.Edit, error) {
	var out []plan.Edit
	for i := len(p.Waves) - 1; i >= 0; i-- {
		for _, s := range slices.Backward(p.Waves[i].Steps) {
			x := g.Steps[s.ID]
			if !x.State.Taken() {
				continue
			}
			if x.Before == nil || x.Before.Theirs {
				out = append(out, s.Undo)
				continue
			}
			e, ok, err := UndoEdit(s, x.Before)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// rollback takes steps back wave by wave, the latest first: a callee has its sidecars again before its callers have theirs, and what
// was prepared goes when nobody needs it any more.
func (m *machine) rollback() Action {
	for i := len(m.plan.Waves) - 1; i >= 0; i-- {
		var back []plan.Step
		left := false
		for _, s := range slices.Backward(m.plan.Waves[i].Steps) {
			p := m.progress.Steps[s.ID]
			if !p.State.Taken() {
				continue
			}
			left = true
			if p.State == Reverted || p.State == Undoing && p.Conflict != nil {
				m.undoing(s)
			} else {
				back = append(back, s)
			}
		}
		if left {
			return m.takeBack(i, back)
		}
	}
	return Action{Kind: Done, Why: []Reason{{Text: "everything is as it was before"}}}
}

func (m *machine) takeBack(wave int, back []plan.Step) Action {
	out := Action{Wave: wave, Marks: m.marks}
	if len(m.halts) > 0 {
		out.Kind, out.Why = Halt, m.halts
		return out
	}
	if len(back) == 0 {
		m.settle(&out)
		return out
	}
	if !m.progress.leaves(verify.Proof) {
		var edits []plan.Edit
		for _, s := range back {
			e, ok, err := UndoEdit(s, m.progress.Steps[s.ID].Before)
			if err != nil {
				m.hold(m.now, Reason{Step: s.ID, Object: s.Subject, Text: err.Error()})
				m.settle(&out)
				return out
			}
			if ok {
				edits = append(edits, e)
			}
		}
		if why := m.prove(edits); why != nil {
			why.Text += "; to go back all the same: sidestep rollback --without-gate Proof"
			m.hold(m.now, *why)
			m.settle(&out)
			return out
		}
	}
	out.Kind, out.Why = Undo, m.holds
	for _, s := range back {
		out.Steps = append(out.Steps, s.ID)
	}
	return out
}

// undoing looks after a step that is being taken back.
func (m *machine) undoing(s plan.Step) {
	p := m.progress.Steps[s.ID]
	if p.State == Undoing {
		if p.Conflict != nil {
			m.hold(p.Since, Reason{Step: s.ID, Object: s.Subject, Text: p.Conflict.Text, Patch: p.Conflict.Patch})
		} else {
			m.undo = append(m.undo, s.ID)
		}
		return
	}
	if s.Restarts {
		sides := verify.SidesOf(&m.evidence.Evidence, s.Subject, true)
		r := verify.Check(plan.GateRolledOut, &m.evidence.Evidence, verify.Subject{Object: s.Subject, Workload: s.Subject, Step: string(s.Kind), Back: true})
		why := Reason{Step: s.ID, Gate: plan.GateRolledOut, Object: s.Subject, Text: "going back: " + first(r.Why)}
		g, _ := verify.Lookup(plan.GateRolledOut)
		until := p.Since.Add(g.Deadline)
		switch {
		case r.Verdict == verify.Pass:
		case r.Verdict == verify.Inconclusive && m.now.Before(until):
			m.wait(p.Since, until, why)
			return
		case sides.OldReady > 0 && sides.NewReady == 0:
			why.Text += ": the pods that were to go are the healthy ones, so nothing more is taken back"
			m.halts = append(m.halts, why)
			return
		default:
			m.hold(p.Since, why)
			return
		}
	}
	p.State, p.Since, p.Steady = Undone, m.now, time.Time{}
	m.mark(s.ID, p)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// object is what the mesh has of the object of an edit.
func (m *machine) object(e plan.Edit) snapshot.Object {
	if m.evidence.Mesh == nil {
		return nil
	}
	return plan.Find(m.evidence.Mesh.Snapshot, e.Object)
}
