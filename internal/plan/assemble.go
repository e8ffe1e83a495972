package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// assemble puts what was found into waves and words.
func (b *search) assemble(o Options, c *candidates, found *order, moving bool) (*Plan, error) {
	reads := basis(b.start)
	p := &Plan{Reads: reads, Fingerprint: fingerprint(reads), Done: c.done, Stays: c.stays, Accepted: b.accepted, Proof: b.proof, Limits: b.limits()}
	for _, n := range found.needs {
		p.Needs = append(p.Needs, *n)
	}
	for _, n := range found.dropped {
		p.Dropped = append(p.Dropped, *n)
	}
	retire := b.retirement(p)
	for _, v := range b.y.movers {
		if len(v.why) > 0 {
			p.Stays = append(p.Stays, b.stayOf(v))
		}
	}
	slices.SortFunc(p.Stays, func(x, y Stay) int { return x.Workload.Compare(y.Workload) })
	sortNeeds(p.Needs)
	sortNeeds(p.Dropped)
	if !moving {
		return p, nil
	}
	w := &stepWriter{search: b, standing: map[mesh.Ref]snapshot.Object{}}
	p.Waves = append(p.Waves, w.preparation()...)
	waves, err := b.waves(o, found.graph)
	if err != nil {
		return nil, err
	}
	for i, members := range waves {
		wave := Wave{Name: fmt.Sprintf("move-%d", i+1), Purpose: movePurpose(i, len(members))}
		for _, at := range members {
			wave.Steps = append(wave.Steps, w.move(b.movers[at], found.askedOf(at)))
		}
		p.Waves = append(p.Waves, wave)
	}
	if wave := w.retirement(retire); len(wave.Steps) > 0 {
		p.Waves = append(p.Waves, wave)
	}
	return p, w.err
}

func movePurpose(i, n int) string {
	switch {
	case i == 0:
		return fmt.Sprintf("%s whose callers need nothing, or have nothing to lose", count(n, "workload"))
	default:
		return fmt.Sprintf("%s whose callers have moved by now", count(n, "workload"))
	}
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func sortNeeds(list []Need) {
	slices.SortStableFunc(list, func(a, b Need) int {
		return cmp.Or(a.Then.Subject.Compare(b.Then.Subject), cmp.Compare(a.Then.Kind, b.Then.Kind),
			evidenceRank[b.Evidence]-evidenceRank[a.Evidence], a.First.Subject.Compare(b.First.Subject), cmp.Compare(a.Words, b.Words))
	})
}

// stepWriter makes steps, each with the undo that brings back what stands when it is taken.
type stepWriter struct {
	*search
	standing map[mesh.Ref]snapshot.Object // what earlier steps made of objects, nil where they removed one
	err      error                        // the first step that could not be made
}

func (w *stepWriter) step(kind StepKind, e Edit, why string, gates ...Gate) Step {
	old, touched := w.standing[e.Object]
	if !touched {
		old = find(w.snap, e.Object)
	}
	after, err := e.result(old)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("step %s: %w", stepID(kind, e.Object), err)
	}
	w.standing[e.Object] = after
	undo := e.undo(old)
	s := Step{ID: stepID(kind, e.Object), Kind: kind, Subject: e.Object, Why: why, Edit: e, Undo: undo, UndoKind: UndoAtOnce, Gates: gates}
	if e.Verb == Template || e.Verb == Recreate {
		s.Restarts, s.UndoKind = true, UndoByRestart
	}
	return s
}

// stepID names a step by what it does to which object.
func stepID(kind StepKind, r mesh.Ref) string {
	return strings.ToLower(string(kind) + "-" + strings.Trim(r.Namespace+"-"+r.Kind+"-"+r.Name, "-"))
}

// preparation gives the waves before the first pod moves. Nothing of the first has an effect on a call until the last is there,
// and that has none on callers with sidecars. Where calls go through a waypoint already, the copies come before all that changes what
// arrives behind it.
func (w *stepWriter) preparation() []Wave {
	open := Wave{Name: "open", Purpose: "waypoints that are in use let pass what they let pass today, while they get their policies one by one"}
	prepare := Wave{Name: "prepare", Purpose: "objects that change no call yet"}
	admit := Wave{Name: "admit", Purpose: "calls that go through a waypoint already, now that it enforces the copies"}
	bind := Wave{Name: "bind", Purpose: "Services get their waypoints; callers with sidecars go on as before"}
	inUse := w.boundAtStart()
	for _, e := range w.prep.opens {
		open.Steps = append(open.Steps, w.step(KindCopy, e, "the first ALLOW at a waypoint refuses what only the next one admits: until all are there, this one admits it",
			Gate{Check: GateAccepted, Object: e.Object, Expect: "WaypointAccepted is True, and every waypoint proxy has it"}))
	}
	for _, g := range w.prep.groups() {
		wave := &prepare
		switch {
		case g.kind == KindBind:
			wave = &bind
		case inUse && (g.kind == KindRestart || g.kind == KindAdmit || g.kind == KindExempt):
			wave = &admit
		}
		for _, e := range g.edits {
			wave.Steps = append(wave.Steps, w.prepareStep(g.kind, e))
		}
	}
	shut := Wave{Name: "shut", Purpose: "waypoints that are in use enforce all of their policies from now on"}
	for _, e := range w.prep.opens {
		shut.Steps = append(shut.Steps, w.step(KindRetire, Edit{Verb: Delete, Object: e.Object}, "every copy is there"))
	}
	return slices.DeleteFunc([]Wave{open, prepare, shut, admit, bind}, func(x Wave) bool { return len(x.Steps) == 0 })
}

// boundAtStart reports whether calls to somebody who moves may go through a waypoint before anything is bound.
func (w *stepWriter) boundAtStart() bool {
	return slices.ContainsFunc(w.y.movers, func(v *mover) bool {
		return len(v.why) == 0 && (v.w.Waypoint.Bound || slices.ContainsFunc(v.w.Services, func(s *mesh.Service) bool { return s.Waypoint.Bound }))
	})
}

func (w *stepWriter) prepareStep(kind StepKind, e Edit) Step {
	switch kind {
	case KindWaypoint:
		return w.step(kind, e, "calls that need more than ztunnel go through this waypoint",
			Gate{Check: GateProgrammed, Object: e.Object, Expect: "it has an address and a ready pod"})
	case KindCopy:
		return w.step(kind, e, "the waypoint enforces what the sidecar enforces today",
			Gate{Check: GateAccepted, Object: e.Object, Expect: "WaypointAccepted is True once its Service is bound; before that AncestorNotBound is right"})
	case KindAdmit:
		return w.step(kind, e, "an ALLOW policy applies to these pods, and what the waypoint forwards has the waypoint's identity",
			Gate{Check: GateAccepted, Object: e.Object, Expect: "ZtunnelAccepted is True"})
	case KindExempt:
		return w.step(kind, e, "the waypoint judges by the copy; without the exemption this DENY refuses what the waypoint forwards",
			Gate{Check: GateAccepted, Object: e.Object, Expect: "ZtunnelAccepted is as before"})
	case KindGuard:
		return w.step(kind, e, "ambient pods take calls from their waypoint alone: whoever goes past it is refused, not let in; pods with sidecars are not selected",
			Gate{Check: GateAccepted, Object: e.Object, Expect: "ZtunnelAccepted is True, and every ztunnel has it, before the first ambient pod"})
	case KindClose:
		return w.step(kind, e, "an old pod does not see the address of a new one, which a policy asks for: they refuse each other until all have moved",
			Gate{Check: GateAccepted, Object: e.Object, Expect: "ZtunnelAccepted is True, and every sidecar has it"})
	case KindRestart:
		return w.step(kind, e, "its sidecar listens on HBONE from now on: without, calls of ambient callers arrive in plaintext",
			Gate{Check: GateRolledOut, Object: e.Object, Expect: "every wanted pod is new and ready"})
	}
	why := "ambient callers go through the waypoint; callers with sidecars do not look at this label"
	if e.Labels[mesh.LabelIngressUseWaypoint] != nil {
		why += "; gateways go through it as well, also while its pods have sidecars"
	}
	return w.step(kind, e, why, Gate{Check: GateBound, Object: e.Object, Expect: "condition istio.io/WaypointBound is True"})
}

func (w *stepWriter) move(v *mover, uncalled []mesh.Ref) Step {
	s := w.step(KindMove, w.y.moveEdit(v), "its next pods have no sidecar and are captured by ztunnel")
	for _, r := range uncalled {
		s.Gates = append(s.Gates, Gate{Check: GateNoCalls, Object: r, Before: true,
			Expect: "over the soak time the sidecar of " + v.w.Ref.String() + " has made no call to it: it would refuse one from an ambient pod"})
	}
	if v.through() {
		s.Gates = append(s.Gates, Gate{Check: GateOnlyVia, Object: v.w.Ref, Before: true,
			Expect: "over the soak time its own sidecar has seen calls from nobody but the waypoint" + exceptWords(v.except)})
	}
	s.Gates = append(s.Gates,
		Gate{Check: GateRolledOut, Object: v.w.Ref, Expect: "every wanted pod is new and ready"},
		Gate{Check: GateNoOld, Object: v.w.Ref, Expect: "no pod of it has a sidecar any more"})
	return s
}

func exceptWords(list []exception) string {
	if len(list) == 0 {
		return ""
	}
	return " and those that the guard leaves alone"
}

// retirement is the last wave: policies that waypoints have taken over, and tokens that nobody behind them reads any more.
func (w *stepWriter) retirement(retire []*mesh.Policy) Wave {
	wave := Wave{Name: "retire", Purpose: "policies that waypoints have taken over, or that were for the way only"}
	gone := map[mesh.Ref]bool{}
	// Who is let in goes before who is refused: with the ALLOW gone and the DENY there fewer calls pass than with both, and not the
	// other way round.
	retire = slices.Clone(retire)
	slices.SortStableFunc(retire, func(a, b *mesh.Policy) int { return boolRank(a.Action == actionAllow, b.Action == actionAllow) })
	for _, pol := range retire {
		gone[pol.Ref] = true
		wave.Steps = append(wave.Steps, w.step(KindRetire, Edit{Verb: Delete, Object: pol.Ref}, "a waypoint enforces its copy for everybody it applied to",
			Gate{Check: GateNoOld, Object: pol.Ref, Before: true, Expect: "no pod that it selects has a sidecar"}))
	}
	for _, e := range w.prep.closes {
		wave.Steps = append(wave.Steps, w.step(KindRetire, Edit{Verb: Delete, Object: e.Object}, "no pod of it has a sidecar any more: they may call each other again"))
	}
	for _, e := range w.prep.copies {
		if back, ok := w.unforwarded(e, gone); ok {
			wave.Steps = append(wave.Steps, w.step(KindRetire, back, "no sidecar behind the waypoint reads the token any more",
				Gate{Check: GateAccepted, Object: e.Object, Expect: "WaypointAccepted is True"}))
		}
	}
	return wave
}

// unforwarded gives a copied RequestAuthentication the forwarding of its original back, once that is gone.
func (w *stepWriter) unforwarded(e Edit, gone map[mesh.Ref]bool) (Edit, bool) {
	c, ok := e.Put.(*securityv1.RequestAuthentication)
	if !ok {
		return Edit{}, false
	}
	for r := range gone {
		of, ok := find(w.snap, r).(*securityv1.RequestAuthentication)
		if !ok || c.Annotations[annotationCopyOf] != of.Namespace+"/"+of.Name {
			continue
		}
		out, changed := c.DeepCopy(), false
		for i, rule := range out.Spec.JwtRules {
			if want := of.Spec.GetJwtRules()[i].GetForwardOriginalToken(); rule.ForwardOriginalToken != want {
				rule.ForwardOriginalToken, changed = want, true
			}
		}
		return Edit{Verb: Replace, Object: e.Object, Put: out}, changed
	}
	return Edit{}, false
}

// retirement says which policies may go in the end: those that nobody needs to get in who is there by then. Whoever moves calls from
// new pods by then; whoever stays, a gateway or a caller outside calls as before. With one policy of a destination those others stay that
// reach it, since what was looked at is the state in which all are gone.
func (b *search) retirement(p *Plan) []*mesh.Policy {
	before := map[edgeKey]*edge{}
	for _, e := range b.edges(&b.mixed) {
		before[e.key()] = e
	}
	kept := map[mesh.Ref]bool{}
	for _, e := range b.edges(&b.retired) {
		if !b.moves(e.to) {
			continue
		}
		old := before[e.key()]
		see := func(from int) {
			if old != nil && old.holds(from) {
				return // refused already, so that an order or an acceptance has taken it up
			}
			evidence := b.who.of(from, e.to, e.bits, e.port)
			if !b.who.kept(evidence, from, e.to, e.bits) {
				return
			}
			b.retireAfter(p, e, from, evidence, kept)
		}
		for from := range b.start.Workloads {
			if e.from.has(from) {
				see(from)
			}
		}
		if e.outside {
			see(outside)
		}
	}
	for more := true; more; {
		more = false
		for i, w := range b.start.Workloads {
			if b.moves(i) && slices.ContainsFunc(w.Policies, func(pol *mesh.Policy) bool { return kept[pol.Ref] }) {
				for _, pol := range b.retire {
					if !kept[pol.Ref] && slices.Contains(w.Policies, pol) {
						kept[pol.Ref], more = true, true
					}
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(b.retire), func(pol *mesh.Policy) bool { return kept[pol.Ref] })
}

// retireAfter makes the policies that let a caller in wait until its last sidecar is gone, and keeps them where that never is.
func (b *search) retireAfter(p *Plan, e *edge, from int, evidence Evidence, kept map[mesh.Ref]bool) {
	caller, stays := mesh.Ref{Kind: "Caller", Name: "outside the mesh"}, "goes past the waypoint"
	if from != outside {
		caller = b.start.Workloads[from].Ref
		if b.start.Workloads[from].Mode == mesh.Sidecar && !b.moves(from) {
			stays = "keeps its sidecar"
		}
	}
	for _, pol := range b.retire {
		if !slices.Contains(b.start.Workloads[e.to].Policies, pol) {
			continue
		}
		if (e.fromNew || !b.moves(from)) && !kept[pol.Ref] {
			kept[pol.Ref] = true
			p.Notes = append(p.Notes, fmt.Sprintf("%s stays: %s %s and is let in by it", pol.Ref, caller, stays))
		}
		if from != outside && !e.fromNew {
			p.Needs = append(p.Needs, Need{First: Event{Kind: MoveEnd, Subject: caller}, Then: Event{Kind: Retire, Subject: pol.Ref}, Reason: ReasonRetire,
				Evidence: evidence, Request: e.example.Request, Words: wordsFrom(e.example.Words, caller), Before: e.example.Before, After: e.example.After})
		}
	}
}

// holds reports whether a caller, or the outside, is among those of an edge.
func (e *edge) holds(from int) bool {
	if from == outside {
		return e.outside
	}
	return e.from.has(from)
}

func (e *edge) key() edgeKey {
	return edgeKey{to: e.to, toNew: e.toNew, fromNew: e.fromNew, headless: e.headless, bits: e.bits, port: e.port}
}
