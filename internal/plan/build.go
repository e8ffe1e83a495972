// Package plan finds an order of small changes that takes a mesh from sidecars to ambient mode and waypoints. The order is found,
// not written down: the model of package authz compares the start with the state in which every workload has old and new pods at
// once, what is weaker there asks for preparation, what is refused there for an order. Pure.
package plan

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Options of a plan.
type Options struct {
	// Calls is what was observed; nil where nothing was.
	Calls *CallGraph
	// NoCalls says why there are none, where somebody was asked for them.
	NoCalls string
	// Accept are divergences that a person takes.
	Accept []Acceptance
	// Canary is a namespace whose workloads move before the others, as far as their needs allow; empty for none.
	Canary string
	// MaxNamespaces and MaxPods bound what moves in one wave; 0 means no bound.
	MaxNamespaces, MaxPods int
	// Only says which namespaces may be touched; nil for all.
	Only func(namespace string) bool
	// Each runs do(0) to do(n-1), side by side if it can; nil for one after the other.
	Each func(n int, do func(int))
}

// Build plans the move of every workload that a verdict lets go.
func Build(s *snapshot.Snapshot, o Options) (*Plan, error) {
	if o.Each == nil {
		o.Each = oneByOne
	}
	start := mesh.Build(s, mesh.Assume{})
	c := candidatesOf(start, audit.Run(start, audit.Options{Each: o.Each}), o.Only)
	if err := checkOptions(start, o); err != nil {
		return nil, err
	}
	y := newSynthesis(start, c.movers)
	y.checkBackends()
	who := newCallers(start, o.Calls)
	b := newSearch(newStates(s, start, o.Each), y, who)
	b.offered, b.noCalls = o.Accept, o.NoCalls
	var found *order
	for {
		if err := b.settle(); err != nil {
			return nil, err
		}
		found = b.newOrder()
		found.add(b.edges(&b.mixed))
		moving := b.moving()
		found.resolve()
		if b.moving() < moving {
			continue // who stays needs no preparation, and calls as before
		}
		changed, err := b.verify()
		if err != nil {
			return nil, err
		}
		if !changed {
			break
		}
	}
	return b.assemble(o, c, found, b.moving() > 0)
}

// moving counts the workloads that are still meant to move.
func (b *search) moving() int {
	n := 0
	for i := range b.movers {
		if b.moves(i) {
			n++
		}
	}
	return n
}

func checkOptions(m *mesh.Mesh, o Options) error {
	if o.MaxNamespaces < 0 || o.MaxPods < 0 {
		return fmt.Errorf("a budget of less than one workload per wave moves nothing: give 1 or more, or none")
	}
	if o.Canary != "" && !slices.ContainsFunc(m.Workloads, func(w *mesh.Workload) bool { return w.Namespace == o.Canary && w.Role == mesh.Application }) {
		return fmt.Errorf("canary namespace %s: no workload is there", o.Canary)
	}
	return nil
}

// candidates are the workloads of a mesh, by what a plan can do with them.
type candidates struct {
	movers []*mover
	stays  []Stay
	done   int
}

func candidatesOf(m *mesh.Mesh, r *audit.Result, only func(string) bool) *candidates {
	c := &candidates{}
	for i := range r.Workloads {
		x := &r.Workloads[i]
		switch {
		case x.Workload.Mode == mesh.Ambient:
			c.done++
		case x.Workload.Mode == mesh.Sidecar:
			c.judge(m, x, only)
		}
	}
	return c
}

func (c *candidates) judge(m *mesh.Mesh, x *audit.WorkloadResult, only func(string) bool) {
	w := x.Workload
	verdict := x.Verdict
	if x.Override.Costlier(verdict) {
		verdict = x.Override
	}
	stay := func(because []Because, choices ...Choice) {
		c.stays = append(c.stays, Stay{Workload: w.Ref, Because: because, Choices: choices})
	}
	o := find(m.Snapshot, w.Ref)
	switch {
	case verdict == audit.VerdictSidecar:
		because, choices := verdictReasons(x)
		stay(because, choices...)
	case only != nil && !only(w.Namespace):
		stay([]Because{{CodeScope, "its namespace was left out of this plan"}}, Choice{Name: "include", Text: "plan without -n, or with this namespace as well", Price: "none"})
	case o == nil:
		stay([]Because{{CodeOwner, "its object was not read, so its pod template cannot be changed"}},
			Choice{Name: "label", Text: "add the labels of the move to the template that makes its pods, where its owner keeps it", Price: "one change by its owner"})
	case templateOf(o) == nil:
		stay([]Because{{CodeTemplate, "a " + w.Kind + " has no pod template that can be changed"}},
			Choice{Name: "recreate", Text: "create it anew with the labels of the move", Price: "it is interrupted once"})
	default:
		c.movers = append(c.movers, &mover{w: w, verdict: verdict})
	}
}

// verdictReasons are the findings for which a workload keeps its sidecar, with their ways out.
func verdictReasons(x *audit.WorkloadResult) ([]Because, []Choice) {
	var because []Because
	var choices []Choice
	for _, f := range x.Findings {
		if f.Requires != audit.VerdictSidecar {
			continue
		}
		because = append(because, Because{f.Code, f.Message})
		if c := (Choice{Name: "remedy " + f.Code, Text: f.Remedy, Price: "a change by its owner"}); f.Remedy != "" && !slices.Contains(choices, c) {
			choices = append(choices, c)
		}
	}
	if x.Override == audit.VerdictSidecar {
		because = append(because, Because{"override", "its owner asked for the sidecar with annotation " + mesh.AnnotationMode})
	}
	return because, choices
}

// verify proves what the search did not look at: that nothing is weaker at ports that nobody declares, that preparation alone changes
// nothing, that nothing is weaker when all have moved, nor when the old policies are gone. Who does not pass keeps the sidecar. It
// reports whether that changed what is prepared, or the order.
func (b *search) verify() (changed bool, err error) {
	if b.closeAll(b.compareWorld(&b.mixedWorld, everyPort)) {
		return true, nil
	}
	moving := b.moving()
	m, err := b.mesh(b.supposed(atStart, nil))
	if err != nil {
		return false, err
	}
	world := b.world(m)
	for _, d := range b.compareWorld(&world, everyPort).Divergences {
		if d.Kind == authz.Weaker && !b.keepDeaf(&d, &changed) {
			b.refuseDestination(&d, "preparing it would let a call pass")
		}
	}
	prepared := b.compareWorld(&world, declared)
	for _, e := range b.edges(&prepared) {
		if b.made(e) {
			b.refuseDestination(&e.example, "preparing it would refuse a call")
		}
	}
	all, err := b.compare(b.supposed(moved, nil), everyPort)
	if err != nil {
		return false, err
	}
	for i := range all.Divergences {
		if d := &all.Divergences[i]; d.Kind == authz.Weaker {
			b.refuseDestination(d, "once all have moved it would be weaker")
		}
	}
	err = b.proveRetirement()
	return changed || b.moving() < moving, err
}

// keepDeaf gives up the restart of a sidecar that would listen on HBONE then, where that lets calls pass which arrive without an
// identity today and are refused. It reports whether that is what the divergence is about.
func (b *search) keepDeaf(d *authz.Divergence, changed *bool) bool {
	r := refOf(d.Request.To.Workload)
	if b.y.deaf[r] {
		return true
	}
	if b.y.restart[r] == nil || !plaintext(&d.Before) {
		return false
	}
	delete(b.y.restart, r)
	b.y.deaf[r], *changed = true, true
	return true
}

// made reports whether somebody is known to make the calls of an edge.
func (b *search) made(e *edge) bool {
	for from := range b.start.Workloads {
		if e.from.has(from) && b.who.kept(b.who.of(from, e.to, e.bits, e.port), from, e.to, e.bits) {
			return true
		}
	}
	return e.outside && b.who.kept(b.who.of(outside, e.to, e.bits, e.port), outside, e.to, e.bits)
}

// refuseDestination keeps the sidecar of a destination or, where it does not move, of those that share a Service or a waypoint with it.
// Where nobody does, everybody stays for whom something is prepared: what is not understood is not planned.
func (b *search) refuseDestination(d *authz.Divergence, why string) {
	because := Because{CodeWeaker, why + ": " + weakerText(d)}
	if d.Kind == authz.Stricter {
		because = Because{CodeRefused, fmt.Sprintf("%s: %s: %s", why, d.Words, d.After.Why)}
	}
	at, ok := b.index[refOf(d.Request.To.Workload)]
	if ok && b.moves(at) {
		b.movers[at].stay(because)
		return
	}
	keep := func(concerned func(v *mover) bool) bool {
		found := false
		for _, v := range b.y.movers {
			if len(v.why) == 0 && concerned(v) {
				v.stay(because)
				found = true
			}
		}
		return found
	}
	near := func(v *mover) bool {
		return slices.ContainsFunc(v.services, func(s *mesh.Service) bool { return b.shares(s, b.start.Workloads[at]) })
	}
	if ok && (keep(near) || b.movers[at] != nil) {
		return // what stays already is asked again in the next round
	}
	if !keep((*mover).through) {
		keep(func(*mover) bool { return true })
	}
}

// shares reports whether a workload is behind a Service or behind the waypoint of one.
func (b *search) shares(s *mesh.Service, w *mesh.Workload) bool {
	return slices.ContainsFunc(w.Services, func(t *mesh.Service) bool {
		at, bound := b.y.bound[t.Ref]
		return t == s || bound && at == b.y.bound[s.Ref]
	})
}

// proveRetirement keeps those old policies without which something would be weaker, even while callers still have sidecars.
func (b *search) proveRetirement() error {
	b.retire = b.y.retirable(b.prep)
	for len(b.retire) > 0 {
		var edits []Edit
		for _, pol := range b.retire {
			edits = append(edits, Edit{Verb: Delete, Object: pol.Ref})
		}
		r, err := b.compare(b.supposed(mixed, edits), authz.Options{PerScenario: 1, EveryWay: true, Destinations: isNew})
		if err != nil {
			return err
		}
		b.retired = r
		needed := map[mesh.Ref]bool{}
		for i := range r.Divergences {
			d := &r.Divergences[i]
			if at, ok := b.index[refOf(d.Request.To.Workload)]; ok && d.Kind == authz.Weaker {
				for _, pol := range b.start.Workloads[at].Policies {
					needed[pol.Ref] = true
				}
			}
		}
		kept := slices.DeleteFunc(slices.Clone(b.retire), func(p *mesh.Policy) bool { return needed[p.Ref] })
		if len(kept) == len(b.retire) {
			return nil
		}
		b.retire = kept
	}
	return nil
}
