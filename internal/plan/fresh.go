package plan

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Reproof says whether a live mesh, in which a plan is under way, would be weaker than it was at the start.
type Reproof struct {
	// Weaker are calls that were refused at the start and would pass, in words; none where the proof holds.
	Weaker []string
	// Scenarios and Regions say how much was compared.
	Scenarios, Regions int
}

// Reprove compares the start of a plan with a live state to which further edits are supposed: nothing may be weaker. The start is
// the live state with every edit that was made taken back, so that what others have changed meanwhile counts on both sides: it is the
// old data plane under the policies of today. Back are the edits that take back what was made, the latest first; next are those that
// are about to be written, with the pods of every workload that they restart old and new side by side. It is an
// error where a state cannot be supposed.
func Reprove(live *snapshot.Snapshot, back, next []Edit, each func(n int, do func(int))) (Reproof, error) {
	if each == nil {
		each = func(n int, do func(int)) {
			for i := range n {
				do(i)
			}
		}
	}
	first, err := change(live, back)
	if err != nil {
		return Reproof{}, fmt.Errorf("suppose the start: %w", err)
	}
	now := mesh.Build(live, mesh.Assume{})
	start := mesh.Build(first, mesh.Assume{Restarted: restartedBy(back)})
	p := newStates(live, start, each)
	for _, w := range mesh.AuthzWorld(now).Workloads {
		p.bindings[w.Ref] = w.Waypoint // old pods are those that run now
	}
	after, err := change(live, next)
	if err != nil {
		return Reproof{}, fmt.Errorf("suppose the next step: %w", err)
	}
	assume := mesh.Assume{Old: map[mesh.Ref][]mesh.PodSet{}}
	for _, r := range restartedBy(next) {
		if w := now.Workload(r.Kind, r.Namespace, r.Name); w != nil {
			assume.Old[r] = w.Sets
		}
	}
	world := p.world(mesh.Build(after, assume))
	r := p.compareWorld(&world, everyPort)
	out := Reproof{Scenarios: r.Stats.Scenarios, Regions: r.Stats.Regions}
	ambient := map[authz.Pods]bool{}
	for i := range world.Workloads {
		if w := &world.Workloads[i]; w.Mode == authz.ModeAmbient {
			ambient[w.Pods()] = true
		}
	}
	for i := range r.Divergences {
		d := &r.Divergences[i]
		if d.Kind == authz.Weaker && (ambient[d.Request.To.Workload] || calledBySomebody(d)) {
			out.Weaker = append(out.Weaker, weakerText(d))
		}
	}
	return out, nil
}

// restartedBy lists the workloads whose pods edits make anew.
func restartedBy(edits []Edit) []mesh.Ref {
	var out []mesh.Ref
	for _, e := range edits {
		if e.Verb == Template || e.Verb == Recreate {
			out = append(out, e.Object)
		}
	}
	return out
}

// calledBySomebody reports whether somebody who exists makes the calls of a divergence, or it is at new pods, which have to be closed
// to whoever bears an identity tomorrow. An identity that only policies name calls nobody's old pods: they are about to go.
func calledBySomebody(d *authz.Divergence) bool {
	if isNew(d.Request.To.Workload) {
		return true
	}
	for c := range d.Callers.All() {
		if c.Workload != nil || c.Principal == "" {
			return true
		}
	}
	return false
}
