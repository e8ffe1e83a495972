package audit

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

const (
	// gentleRounds is how often a workload that differs is raised by one step only; after that it keeps its sidecar.
	gentleRounds = 3
	// partsPerComparison lets a comparison use several cores; more parts than cores even out.
	partsPerComparison = 8
	// mostDifferences are kept for one workload: one explains, the others are of the same sort or come back once it is solved.
	mostDifferences = 3
)

// shown is what comparing the state that the verdicts lead to with today's showed.
type shown struct {
	// raised are calls that would be decided otherwise in the mode before the one that a workload has now, by destination.
	raised map[mesh.Ref][]authz.Divergence
	// differ are calls that are decided otherwise all the same, at destinations that do not move: their callers do.
	differ map[mesh.Ref][]authz.Divergence
	// enforced are calls that a policy with targetRefs refuses once the waypoint is on the way: it was written for that.
	enforced map[mesh.Ref][]authz.Divergence
	// plaintext are calls between members of the mesh that STRICT refuses because one side has no HBONE, or calls pods by name.
	plaintext map[mesh.Ref][]authz.Divergence
	// named are calls by pod address that a DENY refuses because it sees now who calls.
	named map[mesh.Ref][]authz.Divergence
	// rules is what the rules alone said of workloads that the comparison raised.
	rules map[mesh.Ref]Verdict
	// guarded are workloads whose way past the waypoint the end state closes.
	guarded map[mesh.Ref]bool
	// ways are the ways past a waypoint: open today to an ambient workload, and past the one that a workload moves behind.
	ways map[mesh.Ref][]mesh.WayRound
	// past are the calls that go such a way in the end state and that the guard there refuses.
	past map[mesh.Ref][]authz.Divergence
	// unasked are workloads whose move could not be supposed, so that nothing shows that they can go without their sidecar.
	unasked map[mesh.Ref]error
	// omitted says what differs between the two states and was not compared.
	omitted []string
}

func newShown() *shown {
	calls := func() map[mesh.Ref][]authz.Divergence { return map[mesh.Ref][]authz.Divergence{} }
	return &shown{raised: calls(), differ: calls(), enforced: calls(), plaintext: calls(), named: calls(), past: calls(),
		rules: map[mesh.Ref]Verdict{}, guarded: map[mesh.Ref]bool{}, unasked: map[mesh.Ref]error{}}
}

// consult raises verdicts until the state in which everybody is in their verdict's mode refuses and admits what today's does.
// Verdicts are those of the rules, by application workload, and are changed. Ambient workloads do not move; what differs at them,
// or at one that keeps its sidecar, is due to callers that do, and is kept to be told.
func consult(m *mesh.Mesh, o Options, verdicts map[mesh.Ref]Verdict) *shown {
	s := newShown()
	ready := readied(m)
	s.ways = ready.WaysRound()
	var prover *authz.Prover
	for round := 0; ; round++ {
		end, after := s.suppose(m, verdicts)
		if after == nil || !decides(m) {
			return s
		}
		if prover == nil {
			before := mesh.AuthzWorld(ready)
			prover = authz.NewProver(&before)
		}
		clear(s.differ)
		for _, d := range s.compare(m, prover, o, end, after, verdicts) {
			if ref := destinationOf(&d); len(s.differ[ref]) < mostDifferences {
				s.differ[ref] = append(s.differ[ref], d)
			}
		}
		if !s.raise(m, verdicts, round) {
			for ref := range end.Guards {
				s.guarded[ref] = true
			}
			s.goRound(m)
			return s
		}
	}
}

// decides reports whether anything in a mesh decides calls: without it no mode can differ.
func decides(m *mesh.Mesh) bool {
	a := &m.Authorization
	return len(a.Authorization)+len(a.Authentication)+len(a.Peer)+len(m.Waypoints) > 0 || slices.ContainsFunc(m.Workloads, func(w *mesh.Workload) bool {
		return w.Has(mesh.StrictMTLS) || w.Has(mesh.DisabledMTLS)
	})
}

// readied is the mesh with every waypoint at work. That one is not is a finding of its own (SS801), and must not make two states
// differ.
func readied(m *mesh.Mesh) *mesh.Mesh {
	if len(m.Waypoints) == 0 {
		return m
	}
	return mesh.Build(m.Snapshot, mesh.Assume{Ready: m.ReadyWaypoints()})
}

// suppose makes the state in which everybody with a sidecar is in their verdict's mode. Those that keep it listen on HBONE by then.
// A workload whose move cannot be supposed keeps its sidecar, and says why. The mesh is nil when nobody moves.
func (s *shown) suppose(m *mesh.Mesh, verdicts map[mesh.Ref]Verdict) (enrol.State, *mesh.Mesh) {
	for {
		to := targets(m, verdicts)
		if to == nil {
			return enrol.State{}, nil
		}
		end, err := enrol.End(m, to, true)
		var after *mesh.Mesh
		if err == nil {
			end.Assume.Ready = append(end.Assume.Ready, m.ReadyWaypoints()...)
			after, err = end.Build(m)
		}
		stays := map[mesh.Ref]error{}
		for ref, target := range to {
			switch {
			case target == enrol.Sidecar:
			case err == nil:
				if why := enrol.Arrived(after, ref, mesh.Ambient); why != nil {
					stays[ref] = why
				}
			default:
				if why := alone(m, ref, target); why != nil {
					stays[ref] = why
				}
			}
		}
		if err == nil && len(stays) == 0 {
			return end, after
		}
		if len(stays) == 0 { // each could move, and not all of them together
			for ref, target := range to {
				if target != enrol.Sidecar {
					stays[ref] = err
				}
			}
		}
		for ref, why := range stays {
			s.keep(verdicts, ref, why)
		}
	}
}

// targets are where workloads go; nil when none moves.
func targets(m *mesh.Mesh, verdicts map[mesh.Ref]Verdict) map[mesh.Ref]enrol.Target {
	to := map[mesh.Ref]enrol.Target{}
	moves := false
	for _, w := range m.Workloads {
		verdict, judged := verdicts[w.Ref]
		switch {
		case !judged || w.Mode != mesh.Sidecar:
		case verdict == VerdictAmbient || verdict == VerdictWaypoint:
			to[w.Ref], moves = enrol.Target(verdict), true
		case !w.Proxy.HBONE && w.Template != nil:
			to[w.Ref] = enrol.Sidecar
		}
	}
	if !moves {
		return nil
	}
	return to
}

// alone says why the move of one workload cannot be supposed, with nobody else's.
func alone(m *mesh.Mesh, ref mesh.Ref, target enrol.Target) error {
	end, err := enrol.End(m, map[mesh.Ref]enrol.Target{ref: target}, true)
	if err == nil {
		_, err = end.Build(m)
	}
	return err
}

// keep lets a workload keep its sidecar because its move could not be supposed.
func (s *shown) keep(verdicts map[mesh.Ref]Verdict, ref mesh.Ref, why error) {
	s.unasked[ref] = why
	if _, done := s.rules[ref]; !done {
		s.rules[ref] = verdicts[ref]
	}
	verdicts[ref] = VerdictSidecar
}

// compare lists what the end state decides otherwise and nothing explains.
func (s *shown) compare(m *mesh.Mesh, prover *authz.Prover, o Options, end enrol.State, after *mesh.Mesh, verdicts map[mesh.Ref]Verdict) []authz.Divergence {
	world := mesh.AuthzWorld(after)
	opts := authz.Options{PerScenario: 1, EachService: true, Destinations: func(p authz.Pods) bool { _, judged := verdicts[refOfPods(p)]; return judged }}
	parts := prover.Parts(&world, opts, partsPerComparison)
	results := make([]authz.Result, len(parts))
	o.each(len(parts), func(i int) { results[i] = parts[i]() })
	for _, told := range []map[mesh.Ref][]authz.Divergence{s.enforced, s.plaintext, s.named, s.past} {
		clear(told)
	}
	var out []authz.Divergence
	all := authz.Merge(opts, results...)
	s.omitted = all.Omitted
	for _, d := range all.Divergences {
		ref := destinationOf(&d)
		w := m.Workload(ref.Kind, ref.Namespace, ref.Name)
		ambient := w != nil && w.Mode == mesh.Ambient
		moves := !ambient && (verdicts[ref] == VerdictAmbient || verdicts[ref] == VerdictWaypoint)
		switch {
		case d.Kind == authz.Authenticated:
		case end.Guarded(d):
			if d.Request.To.Service != "" { // calls to pod addresses are anybody's, and nobody's in particular
				s.past[ref] = append(s.past[ref], d)
			}
		case addressSeen(m, &d) || noLongerRound(m, &d):
		case moves && identitySeen(m, &d):
			s.named[ref] = append(s.named[ref], d)
		case (moves || ambient) && writtenForWaypoint(m, &d): // SS222 tells it at an ambient workload
			s.enforced[ref] = append(s.enforced[ref], d)
		case moves && inPlaintext(m, &d) && !forGood(m, &d):
			s.plaintext[ref] = append(s.plaintext[ref], d)
		default:
			out = append(out, d)
		}
	}
	return out
}

// goRound sorts the calls that would pass the waypoints of the end state by.
func (s *shown) goRound(m *mesh.Mesh) {
	if s.ways == nil {
		s.ways = map[mesh.Ref][]mesh.WayRound{}
	}
	for _, w := range m.Workloads {
		if calls := s.past[w.Ref]; len(calls) > 0 && w.Mode == mesh.Sidecar {
			s.ways[w.Ref] = m.Ways(w, calls)
		}
	}
}

// raise gives workloads that differ the next costlier mode, and reports whether any could be raised.
func (s *shown) raise(m *mesh.Mesh, verdicts map[mesh.Ref]Verdict, round int) bool {
	some := false
	for _, w := range m.Workloads {
		verdict := verdicts[w.Ref]
		if len(s.differ[w.Ref]) == 0 || w.Mode != mesh.Sidecar || verdict != VerdictAmbient && verdict != VerdictWaypoint {
			continue
		}
		if _, done := s.rules[w.Ref]; !done {
			s.rules[w.Ref] = verdict
		}
		s.raised[w.Ref] = s.differ[w.Ref]
		verdicts[w.Ref] = VerdictSidecar
		if verdict == VerdictAmbient && round < gentleRounds {
			verdicts[w.Ref] = VerdictWaypoint
		}
		some = true
	}
	return some
}

// identitySeen reports whether a call is refused only because its caller is known now. A sidecar that addresses a pod directly
// speaks plaintext, so that a DENY of the caller did not match; it is the same DENY that refuses.
func identitySeen(today *mesh.Mesh, d *authz.Divergence) bool {
	if d.Kind != authz.Stricter || d.Request.To.Addressing == authz.ByService || d.After.By != authz.PointZtunnel || len(d.Before.Hops) == 0 || len(d.After.Hops) == 0 {
		return false
	}
	was, is := d.Before.Hops[len(d.Before.Hops)-1], d.After.Hops[len(d.After.Hops)-1]
	p := policyNamed(today, d.After.Policy)
	return was.Principal == "" && is.Principal != "" && p != nil && p.Action == string(authz.ActionDeny)
}

// addressSeen reports whether a call is admitted only because its caller's address is seen again. A sidecar that an ambient caller
// reaches through HBONE sees an internal address, so that an ALLOW by ipBlocks admits nobody there (SS225 says so); at ztunnel it
// is the same ALLOW that admits.
func addressSeen(today *mesh.Mesh, d *authz.Divergence) bool {
	if d.Kind != authz.Weaker || d.Request.SourceIP == "" || d.Request.From.Mode != authz.ModeAmbient || d.Before.By != authz.PointServerSidecar || d.After.By != authz.PointZtunnel {
		return false
	}
	p := policyNamed(today, d.After.Policy)
	return p != nil && p.Action == string(authz.ActionAllow) && p.Scope != mesh.ByTargetRefs
}

// noLongerRound reports whether a call is admitted only because it no longer goes round the waypoint: a policy at the pods that names
// the waypoint's identity keeps out whoever does, and the caller, once it is ambient, passes the waypoint.
func noLongerRound(today *mesh.Mesh, d *authz.Divergence) bool {
	through := func(h authz.Hop) bool { return h.Point == authz.PointWaypoint }
	i := slices.IndexFunc(d.After.Hops, through)
	if d.Kind != authz.Weaker || d.Before.By != authz.PointZtunnel || i < 0 || slices.ContainsFunc(d.Before.Hops, through) {
		return false
	}
	where := d.After.Hops[i].Where
	waypoint := today.Waypoint(mesh.Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: where.Namespace, Name: where.Name})
	w := today.Workload(d.Request.To.Workload.Kind, d.Request.To.Workload.Namespace, d.Request.To.Workload.Name)
	return waypoint != nil && w != nil && slices.ContainsFunc(w.Policies, func(p *mesh.Policy) bool {
		compiled := today.CompiledPolicy(p)
		return p.Scope != mesh.ByTargetRefs && !p.DryRun && compiled != nil && namesPrincipal(compiled, waypoint.Principal)
	})
}

// writtenForWaypoint reports whether it is a policy with targetRefs that refuses a call and that is there today (SS221): whoever
// wrote it meant it for calls through the waypoint.
func writtenForWaypoint(today *mesh.Mesh, d *authz.Divergence) bool {
	if d.Kind != authz.Stricter || d.After.By != authz.PointWaypoint {
		return false
	}
	p := policyNamed(today, d.After.Policy)
	return p != nil && p.Scope == mesh.ByTargetRefs
}

// inPlaintext reports whether STRICT refuses a call of a member of the mesh: no policy is lost, but the two sides no longer have
// mTLS in common. That ends when the one is restarted for HBONE, or when the caller moves as well, and so has to come first.
func inPlaintext(today *mesh.Mesh, d *authz.Divergence) bool {
	return d.Kind == authz.Stricter && d.Request.From.Principal != "" && slices.ContainsFunc(today.Policies, func(p *mesh.Policy) bool {
		return p.Kind == "PeerAuthentication" && p.Namespace+"/"+p.Name == d.After.Policy
	})
}

// forGood reports whether somebody makes a call in plaintext who will never do otherwise: what runs its own agent or a gRPC library
// in place of a proxy can neither become ambient nor send HBONE to pods that it calls by name.
func forGood(today *mesh.Mesh, d *authz.Divergence) bool {
	for c := range d.Callers.All() {
		if c.Workload == nil {
			continue
		}
		w := today.Workload(c.Workload.Kind, c.Workload.Namespace, c.Workload.Name)
		if w != nil && w.Role == mesh.Application && (w.Has(mesh.ProxylessGRPC) || w.Mode == mesh.Sidecar && enrol.Refused(w, mesh.Ambient) != nil) {
			return true
		}
	}
	return false
}

func policyNamed(m *mesh.Mesh, name string) *mesh.Policy {
	for _, p := range m.Policies {
		if p.Kind == kindAuthorizationPolicy.Kind && p.Namespace+"/"+p.Name == name {
			return p
		}
	}
	return nil
}

func destinationOf(d *authz.Divergence) mesh.Ref { return refOfPods(d.Request.To.Workload) }

func refOfPods(p authz.Pods) mesh.Ref {
	return mesh.Ref{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name}
}
