package plan

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// search looks for a preparation with which every workload that may move can have old and new pods side by side, all at once,
// and nothing is weaker than the start. The answer to a call depends on the caller's kind, the destination's pods, its Services
// and its waypoint, and that state holds every such combination: nothing weaker there means nothing weaker in any order, nor on
// the way back. What would be refused there is what the order has to avoid.
type search struct {
	*states
	y   *synthesis
	who *callers
	// index finds workloads by their place in Mesh.Workloads; movers are those at the same places, nil for others.
	index  map[mesh.Ref]int
	movers []*mover
	// before are orders that security itself needs: [0] before [1], whoever calls.
	before map[[2]int]finding
	prep   *preparation
	// mixed is the comparison with the state in which all are under way, mixedWorld that state.
	mixed      authz.Result
	mixedWorld authz.World
	// retire are the policies that go in the end, retired the comparison with the state in which they are gone.
	retire  []*mesh.Policy
	retired authz.Result
	// fresh are those whom this round gave a guard: what else is weaker at them, it may close.
	fresh map[*mover]bool
	// offered are the divergences that a person takes, accepted those of them that something rests on.
	offered, accepted []Acceptance
	// noCalls says why no calls were observed, where that was tried.
	noCalls string
}

// moves reports whether the workload at a place is still meant to move.
func (b *search) moves(i int) bool { return i >= 0 && b.movers[i] != nil && len(b.movers[i].why) == 0 }

// finding is a divergence with the places of its two ends.
type finding struct {
	authz.Divergence
	from, to int
}

func newSearch(p *states, y *synthesis, who *callers) *search {
	out := &search{states: p, y: y, who: who, index: map[mesh.Ref]int{}, before: map[[2]int]finding{}, movers: make([]*mover, len(p.start.Workloads))}
	for i, w := range p.start.Workloads {
		out.index[w.Ref], out.movers[i] = i, y.byRef[w.Ref]
	}
	return out
}

// mostRounds bounds the search. Every round but the last asks for one more thing somewhere, and each workload has few to ask for.
const mostRounds = 12

// settle repeats preparation and comparison until nothing is weaker at the ports that are declared and nothing more can be prepared;
// whoever stays weaker keeps the sidecar. The other ports are looked at once the order stands; see verify.
func (b *search) settle() error {
	for range mostRounds {
		b.prep = b.y.prepare()
		m, err := b.mesh(b.supposed(mixed, nil))
		if err != nil {
			return err
		}
		b.mixedWorld = b.world(m)
		b.mixed = b.compareWorld(&b.mixedWorld, declared)
		if !b.learn(b.mixed) {
			return nil
		}
	}
	return fmt.Errorf("no preparation was found in %d rounds; please report it", mostRounds)
}

// supposed is a state in which all that is prepared is there and every mover has come equally far.
func (b *search) supposed(at stage, more []Edit) supposed {
	q := supposed{at: map[mesh.Ref]stage{}, restarted: sortedRefs(b.y.restart)}
	for _, g := range b.prep.groups() {
		q.edits = append(q.edits, g.edits...)
	}
	for _, e := range b.prep.gateways {
		q.ready = append(q.ready, e.Object)
	}
	if at != atStart {
		for _, v := range b.y.movers {
			if len(v.why) == 0 {
				q.edits = append(q.edits, b.y.moveEdit(v))
				q.at[v.w.Ref] = at
			}
		}
	}
	q.edits = append(q.edits, more...)
	return q
}

// learn draws from a comparison what else has to be prepared, and reports whether there was anything.
func (b *search) learn(r authz.Result) bool {
	changed := false
	b.fresh = map[*mover]bool{}
	for i := range r.Divergences {
		d := &r.Divergences[i]
		switch d.Kind {
		case authz.Weaker:
			changed = b.close(d) || changed
		case authz.Stricter:
			changed = b.open(d) || changed
		}
	}
	return changed
}

// closeAll sees to it that nothing is weaker, and reports whether that took anything, or asks for another order.
func (b *search) closeAll(r authz.Result) bool {
	changed, before := false, len(b.before)
	b.fresh = map[*mover]bool{}
	for i := range r.Divergences {
		if d := &r.Divergences[i]; d.Kind == authz.Weaker {
			changed = b.close(d) || changed
		}
	}
	return changed || len(b.before) > before
}

// close sees to it that what is weaker is not.
func (b *search) close(d *authz.Divergence) bool {
	to := d.Request.To.Workload
	at, known := b.index[refOf(to)]
	if !known {
		return b.giveUp(d, nil)
	}
	v := b.movers[at]
	if v != nil && len(v.why) > 0 {
		v = nil // it stays as it was
	}
	if v != nil && isNew(to) {
		if b.fresh[v] || b.withdraw(v, d) {
			return true
		}
		if v.verdict == audit.VerdictWaypoint && !v.guard && d.After.Decision == authz.Allow {
			v.guard, b.fresh[v] = true, true
			return true
		}
		v.stay(Because{Code: CodeWeaker, Text: weakerText(d)})
		return true
	}
	return b.orderCallers(d, at, v)
}

// orderCallers makes callers wait until a destination that is weaker towards ambient callers has no sidecar any more.
func (b *search) orderCallers(d *authz.Divergence, at int, v *mover) bool {
	changed := false
	for c := range d.Callers.All() {
		from, ok := b.place(c)
		if !ok {
			continue // nobody bears the identity, or nobody can move with it
		}
		k := b.movers[from]
		switch {
		case k == nil || len(k.why) > 0 || c.ModeAfter == "":
			// It calls as before: the destination itself is weaker.
			if v != nil {
				v.stay(Because{Code: CodeWeaker, Text: weakerText(d)})
				changed = true
			}
		case v == nil:
			k.stay(Because{Code: CodeWeaker, Text: weakerText(d)})
			changed = true
		case from == at:
			// Its own new pods call its old ones. Unless they do, that can be refused while both are there.
			if v.closed && !b.fresh[v] || b.who.kept(b.who.of(at, at, byService, 0), at, at, byService) {
				v.stay(Because{Code: CodeWeaker, Text: weakerText(d)})
			}
			v.closed, b.fresh[v], changed = true, true, true
		default:
			if _, done := b.before[[2]int{at, from}]; !done {
				b.before[[2]int{at, from}] = finding{*d, from, at}
			}
		}
	}
	return changed
}

// giveUp keeps the callers' sidecars, where a destination is weaker that is no workload of the mesh.
func (b *search) giveUp(d *authz.Divergence, _ *mover) bool {
	changed := false
	for c := range d.Callers.All() {
		if from, ok := b.place(c); ok {
			if k := b.movers[from]; k != nil && len(k.why) == 0 {
				k.stay(Because{Code: CodeWeaker, Text: weakerText(d)})
				changed = true
			}
		}
	}
	return changed
}

// place returns the place of a caller that is a workload.
func (b *search) place(c authz.Caller) (int, bool) {
	if c.Workload == nil {
		return 0, false
	}
	i, ok := b.index[refOf(*c.Workload)]
	return i, ok
}

// open prepares for calls that would be refused although they take the right way.
func (b *search) open(d *authz.Divergence) bool {
	to, ok := b.index[refOf(d.Request.To.Workload)]
	if !ok {
		return false
	}
	if b.learnHBONE(d, to) {
		return true
	}
	v := b.movers[to]
	if v == nil || len(v.why) > 0 || !v.through() {
		return false
	}
	if passedWaypoint(&d.After) && (d.After.By == authz.PointZtunnel || d.After.By == authz.PointServerSidecar) {
		for _, pol := range v.w.Policies {
			if pol.Kind == kindPolicy && pol.Action == actionDeny && pol.Scope != mesh.ByTargetRefs && pol.Namespace+"/"+pol.Name == d.After.Policy && !b.y.exempt[pol.Ref] {
				b.y.exempt[pol.Ref] = true
				return true
			}
		}
		return false
	}
	return b.except(d, to, v) || b.throughIngress(d, v)
}

// except lets callers to a pod's address past the guard at a port, where somebody is known to call there. If that port needs the
// guard, the next comparison says so, and the exception is withdrawn for good.
func (b *search) except(d *authz.Divergence, to int, v *mover) bool {
	port := d.Request.To.Port
	if !v.guard || d.Request.To.Addressing != authz.ByPodIP || !isNew(d.Request.To.Workload) || d.After.By != authz.PointZtunnel || v.noException[port] {
		return false
	}
	x := exception{port: strconv.Itoa(int(port))}
	if slices.Contains(v.except, x) {
		return false
	}
	for c := range d.Callers.All() {
		from, ok := b.place(c)
		if !ok {
			if c.Principal != "" {
				continue
			}
			from = outside
		}
		if b.who.kept(b.who.of(from, to, byPodIP, port), from, to, byPodIP) {
			v.except = append(v.except, x)
			return true
		}
	}
	return false
}

// withdraw takes an exception back that lets calls pass which are refused today.
func (b *search) withdraw(v *mover, d *authz.Divergence) bool {
	port := d.Request.To.Port
	i := slices.Index(v.except, exception{port: strconv.Itoa(int(port))})
	if i < 0 {
		return v.noException[port] && b.fresh[v]
	}
	v.except = slices.Delete(v.except, i, i+1)
	if v.noException == nil {
		v.noException = map[uint16]bool{}
	}
	v.noException[port], b.fresh[v] = true, true
	return true
}

// throughIngress leads the calls of gateways through the waypoint.
func (b *search) throughIngress(d *authz.Divergence, v *mover) bool {
	if b.start.Settings.NoIngressWaypoints || d.Request.To.Addressing != authz.ByService || !isNew(d.Request.To.Workload) {
		return false
	}
	gateway := false
	for c := range d.Callers.All() {
		if from, ok := b.place(c); ok && b.start.Workloads[from].Role == mesh.Gateway {
			gateway = true
			break
		}
	}
	if !gateway {
		return false
	}
	for _, s := range v.services {
		if s.Namespace+"/"+s.Name == d.Request.To.Service && !s.IngressUseWaypoint && !b.y.ingress[s.Ref] {
			b.y.ingress[s.Ref] = true
			return true
		}
	}
	return false
}

// passedWaypoint reports whether a waypoint saw the call.
func passedWaypoint(a *authz.Answer) bool {
	return slices.ContainsFunc(a.Hops, func(h authz.Hop) bool { return h.Point == authz.PointWaypoint })
}

// refOf turns a name of package authz into one of mesh.
func refOf(p authz.Pods) mesh.Ref {
	return mesh.Ref{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name}
}

// isNew reports whether a set of pods is what a restart made.
func isNew(p authz.Pods) bool { return p.Set == string(mesh.New) }

func weakerText(d *authz.Divergence) string {
	return fmt.Sprintf("%s: refused today (%s), and %s afterwards (%s)", d.Words, d.Before.Why, d.After.Decision, d.After.Why)
}
