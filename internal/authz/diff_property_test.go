package authz

import (
	"cmp"
	"fmt"
	"math/rand"
	"sort"
	"testing"
)

// ask answers a request in a model, from a caller of a comparison.
func ask(m *model, k callerKind, t target, id identity, r Request) Decision {
	r.Protocol = effective(t, r.Protocol)
	p := m.route(k, t, r.Protocol)
	a := m.follow(&p, &r, id, nil)
	return a.Decision
}

// askAfter is ask in the second world.
func (d *comparison) askAfter(pair callerPair, u target, id identity, r Request) Decision {
	if pair.narrows(u) {
		return DecisionUnknown
	}
	return ask(d.worlds[1], pair.after, u, id, r)
}

// checkDiff holds Diff to both of its promises on one pair of worlds: every request that
// it names is told apart, and where it names none of a sort (which decision becomes
// which) for the callers of one pair of modes, one way to address one port and one
// protocol, no random request is of that sort; samples of them, spread over all such
// places.
func checkDiff(before, after World, g gen, samples int) error {
	d := NewProver(&before).comparison(&after, Options{})
	for _, dv := range d.run(0, 1).Divergences {
		if err := d.confirm(dv); err != nil {
			return err
		}
	}
	all := d.scenarios()
	for _, s := range all {
		for i := 0; i <= samples/len(all); i++ {
			list := d.callers.lists[s.pair].list
			c := list[g.c.Intn(len(list))]
			r := Request{Protocol: s.proto}
			g.attributes(&r)
			g.direct(&r, pick(g, &before, &after))
			if known := knownAddresses(placePod, s.t, s.u); len(known) > 0 {
				r.PodIP = known[0].String()
			}
			b, a := ask(d.worlds[0], s.pair.before, s.t, c.ids[0], r), d.askAfter(s.pair, s.u, c.ids[1], r)
			if b != a && !s.found[string(b)+">"+string(a)] {
				r.To = s.t.destination()
				return fmt.Errorf("Diff finds no such thing, but %s -> %s for %s of %q: %s", b, a, s.pair.words(), c.ids[0].principal, r.words())
			}
		}
	}
	return nil
}

type scenario struct {
	pair  callerPair
	t, u  target
	proto Protocol
	// found are the pairs of decisions that Diff reports.
	found map[string]bool
}

// scenarios lists them all, with what Diff finds in each.
func (d *comparison) scenarios() []scenario {
	var out []scenario
	for _, c := range d.same.pairs {
		before, after := d.ways(c)
		for _, t := range before {
			u, ok := sameTarget(t, after)
			if !ok {
				continue
			}
			for _, proto := range bothProtocols(t, u) {
				for _, pair := range d.callers.pairs {
					if pair.before.role == RoleGateway && t.addressing == ByPodIP {
						continue
					}
					d.result, d.groups, d.causes = Result{}, map[groupKey]int{}, map[groupKey]int{}
					d.scenario(pair, t, u, proto)
					s := scenario{pair, t, u, proto, map[string]bool{}}
					for _, dv := range d.result.Divergences {
						s.found[string(dv.Before.Decision)+">"+string(dv.After.Decision)] = true
					}
					out = append(out, s)
				}
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return fmt.Sprint(out[i].t.destination(), out[i].pair, out[i].proto) < fmt.Sprint(out[j].t.destination(), out[j].pair, out[j].proto)
	})
	return out
}

// confirm asks both worlds the request of a divergence anew.
func (d *comparison) confirm(dv Divergence) error {
	if dv.After.Decision == DecisionUnknown && dv.Before.Decision != DecisionUnknown && dv.After.Hops == nil && dv.After.Route == "" {
		return fmt.Errorf("too large: %s", dv.Words)
	}
	for _, c := range d.same.pairs {
		if c.after.Pods() != dv.Request.To.Workload {
			continue
		}
		before, after := d.ways(c)
		for _, t := range before {
			to := t.destination()
			if to.Workload = c.after.Pods(); to != dv.Request.To {
				continue
			}
			u, ok := sameTarget(t, after)
			if !ok {
				continue
			}
			if err, ok := d.confirmAt(dv, t, u); ok {
				return err
			}
		}
	}
	return fmt.Errorf("cannot be confirmed: %s: %s -> %s (%s)", dv.Words, dv.Before.Decision, dv.After.Decision, dv.After.Why)
}

// confirmAt reports false when no caller gets those answers there.
func (d *comparison) confirmAt(dv Divergence, t, u target) (err error, ok bool) {
	for _, pair := range d.callers.pairs {
		from := dv.Request.From
		if pair.before.mode != from.Mode || (from.ModeAfter != "" && pair.after.mode != from.ModeAfter) {
			continue
		}
		ids := [2]identity{makeIdentity(from.Principal), makeIdentity(cmp.Or(from.PrincipalAfter, from.Principal))}
		if ask(d.worlds[0], pair.before, t, ids[0], dv.Request) == dv.Before.Decision && d.askAfter(pair, u, ids[1], dv.Request) == dv.After.Decision {
			if !differ(dv.Before.Decision, dv.After.Decision) {
				return fmt.Errorf("no difference: %s", dv.Words), true
			}
			return nil, true
		}
	}
	return nil, false
}

// TestDiffIsRight is the bounded run of FuzzDiff: pairs of worlds made from seeds.
func TestDiffIsRight(t *testing.T) {
	pairs, equivalent := 400, 0
	for seed := 0; seed < pairs; seed++ {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		before := g.world()
		after := g.change(before)
		samples := 1_000
		if seed < 50 {
			samples = 10_000
		}
		if err := checkDiff(before, after, g, samples); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if Diff(&before, &after, Options{}).Equivalent {
			equivalent++
		}
	}
	if equivalent < pairs/20 || equivalent > pairs*19/20 {
		t.Errorf("%d of %d pairs are equivalent: the generator tests one side only", equivalent, pairs)
	}
	t.Logf("%d of %d pairs equivalent", equivalent, pairs)
}
