package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// optionsOf are those of a plan at random: calls with cycles or none observed, budgets, and a canary.
func optionsOf(r *rand.Rand, t testing.TB) Options {
	var o Options
	if r.IntN(3) > 0 {
		o.Calls = generatedCalls(r, t)
	}
	if r.IntN(6) == 0 {
		o.Canary = []string{"app", "cli"}[r.IntN(2)]
	}
	if r.IntN(6) == 0 {
		o.MaxNamespaces = 1
	}
	if r.IntN(6) == 0 {
		o.MaxPods = 1 + r.IntN(2)
	}
	return o
}

func generatedCalls(r *rand.Rand, t testing.TB) *CallGraph {
	var b strings.Builder
	all := []string{"app/a", "app/b", "app/c", "app/d", "two/a", "cli/x", "ext/e", "edge/gw", "outside"}
	for range 1 + r.IntN(8) {
		fmt.Fprintf(&b, "%s %s", all[r.IntN(len(all))], all[r.IntN(5)])
		if r.IntN(6) == 0 {
			b.WriteString([]string{" 9100", " 8080", " 8081"}[r.IntN(3)])
		}
		b.WriteString("\n")
	}
	return callsOf(t, b.String())
}

// shuffled is a plan with the steps of each wave in another order: everything in a wave may be under way at once.
func shuffled(r *rand.Rand, p *Plan) *Plan {
	out := *p
	out.Waves = slices.Clone(p.Waves)
	for i := range out.Waves {
		steps := slices.Clone(out.Waves[i].Steps)
		r.Shuffle(len(steps), func(a, b int) { steps[a], steps[b] = steps[b], steps[a] })
		out.Waves[i].Steps = steps
	}
	return &out
}

// takenFrom accepts what a plan offers to accept, for one workload that stays.
func takenFrom(r *rand.Rand, p *Plan) []Acceptance {
	if len(p.Stays) == 0 {
		return nil
	}
	s := p.Stays[r.IntN(len(p.Stays))]
	var out []Acceptance
	for _, c := range s.Choices {
		if c.Accept != "" {
			if a, err := ParseAcceptance(c.Accept); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}
