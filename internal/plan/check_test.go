package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// checkPlan proves a plan on its steps alone, prefix by prefix: whatever led to them, after each of them, with old and new pods of
// every workload touched so far side by side, nothing is weaker than the start and nobody lacks a proxy; with those of the waves
// before gone, no call that counts is refused; and undoing in reverse restores the start.
func checkPlan(t testing.TB, s *snapshot.Snapshot, p *Plan, o Options) {
	t.Helper()
	if err := safe(s, p, o); err != nil {
		t.Error(err)
	}
	if err := undone(s, p); err != nil {
		t.Error(err)
	}
}

// safe walks the prefixes of a plan.
func safe(s *snapshot.Snapshot, p *Plan, o Options) error {
	start := mesh.Build(s, mesh.Assume{})
	st := newStates(s, start, func(n int, do func(int)) {
		for i := range n {
			do(i)
		}
	})
	who := newCallers(start, o.Calls)
	q := supposed{at: map[mesh.Ref]stage{}}
	// first are those that security itself needs to have moved before others do.
	first := map[mesh.Ref]bool{}
	for _, n := range p.Needs {
		if n.Evidence == Always {
			first[n.First.Subject] = true
		}
	}
	apart := supposed{at: map[mesh.Ref]stage{}} // all that moved so far, mixed
	for _, w := range p.Waves {
		for _, step := range w.Steps {
			switch step.Kind {
			case KindMove:
				q.at[step.Subject], apart.at[step.Subject] = mixed, mixed
			case KindWaypoint:
				q.ready = append(q.ready, step.Subject)
			case KindRestart:
				q.restarted = append(q.restarted, step.Subject)
			}
			q.edits = append(q.edits, step.Edit)
			where := fmt.Sprintf("wave %s, after %s", w.Name, step.ID)
			if err := st.safePrefix(q, who, p.Accepted, where); err != nil {
				return err
			}
			apart.edits, apart.ready, apart.restarted = q.edits, q.ready, q.restarted
			if step.Kind == KindRetire || maps.Equal(q.at, apart.at) {
				continue // it waits until the old pods are gone; or it was looked at just now
			}
			if err := st.notWeaker(apart, where+", old pods kept"); err != nil {
				return err
			}
		}
		for r := range q.at {
			q.at[r] = moved
			if first[r] {
				apart.at[r] = moved
			}
		}
	}
	return nil
}

// notWeaker compares one state with the start.
func (p *states) notWeaker(q supposed, where string) error {
	m, err := p.mesh(q)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	world := p.world(m)
	return p.worldNotWeaker(&world, q, where)
}

func (p *states) worldNotWeaker(world *authz.World, q supposed, where string) error {
	r := p.compareWorld(world, everyPort)
	for i := range r.Divergences {
		if d := &r.Divergences[i]; d.Kind == authz.Weaker && borne(d, q) {
			return fmt.Errorf("%s: weaker than the start: %s", where, weakerText(d))
		}
	}
	return nil
}

// borne reports whether somebody who exists makes the calls of a divergence, or it is at pods after the move, which have to be closed
// to whoever bears an identity tomorrow. An identity that only policies name calls nobody's old pods: they are about to go, and who
// takes the identity meanwhile is no part of the plan.
func borne(d *authz.Divergence, q supposed) bool {
	if q.at[refOf(d.Request.To.Workload)] != atStart && isNew(d.Request.To.Workload) {
		return true
	}
	for c := range d.Callers.All() {
		if c.Workload != nil || c.Principal == "" {
			return true
		}
	}
	return false
}

func (p *states) safePrefix(q supposed, who *callers, accepted []Acceptance, where string) error {
	m, err := p.mesh(q)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, w := range m.Workloads {
		was := p.start.Workload(w.Kind, w.Namespace, w.Name)
		for _, set := range w.Sets {
			if was != nil && was.Mode != mesh.None && set.Mode == mesh.None {
				return fmt.Errorf("%s: pods of %s have neither a sidecar nor ztunnel", where, w.Ref)
			}
		}
	}
	world := p.world(m)
	r := p.compareWorld(&world, declared)
	if err := p.worldNotWeaker(&world, q, where); err != nil {
		return err
	}
	b := newSearch(p, &synthesis{}, who)
	for _, e := range b.edges(&r) {
		toNew := e.toNew || q.at[p.start.Workloads[e.to].Ref] == moved
		for from := -1; from < len(p.start.Workloads); from++ {
			if from >= 0 && !e.from.has(from) || from == outside && !e.outside {
				continue
			}
			evidence := who.of(from, e.to, e.bits, e.port)
			if !who.kept(evidence, from, e.to, e.bits) || from != outside && evidence == Possible && !toNew && (e.fromNew || q.at[p.start.Workloads[from].Ref] == moved) ||
				taken(accepted, p.start.Workloads[e.to]) || from != outside && taken(accepted, p.start.Workloads[from]) {
				continue
			}
			caller := "outside"
			if from >= 0 {
				caller = p.start.Workloads[from].Ref.String()
			}
			return fmt.Errorf("%s: a call that counts (%s) is refused, from %s: %s: %s", where, evidence, caller, e.example.Words, e.example.After.Why)
		}
	}
	return nil
}

// taken reports whether a person accepted that calls to or by a workload are refused.
func taken(accepted []Acceptance, w *mesh.Workload) bool {
	for _, a := range accepted {
		if a.Namespace == w.Namespace && a.Name == w.Name {
			return true
		}
	}
	return false
}

// undone takes every step and gives each up at once: what stands then has to be what stood before it. So whatever prefix was taken,
// undoing it in reverse goes back by the states that were proved, and ends at the start.
func undone(s *snapshot.Snapshot, p *Plan) error {
	before := objectsOf(s)
	for _, step := range p.Steps() {
		next, err := change(s, []Edit{step.Edit})
		if err != nil {
			return fmt.Errorf("%s: %w", step.ID, err)
		}
		back, err := change(next, []Edit{step.Undo})
		if err != nil {
			return fmt.Errorf("undo of %s: %w", step.ID, err)
		}
		if err := sameObjects(before, objectsOf(back)); err != nil {
			return fmt.Errorf("undo of %s: %w", step.ID, err)
		}
		s, before = next, objectsOf(next)
	}
	return nil
}

func sameObjects(want, got map[string]string) error {
	for name, text := range want {
		if got[name] != text {
			return fmt.Errorf("%s is\n%s\nand was\n%s", name, got[name], text)
		}
	}
	for name := range got {
		if want[name] == "" {
			return fmt.Errorf("%s is left", name)
		}
	}
	return nil
}

func objectsOf(s *snapshot.Snapshot) map[string]string {
	out := map[string]string{}
	for o := range s.Objects() {
		info, _ := snapshot.InfoOf(o)
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		out[info.Kind.Kind+" "+o.GetNamespace()+"/"+o.GetName()] = string(text)
	}
	return out
}
