package authz

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// decide finds the regions of a scenario: by searching all rules at once, or, where that is too much, rule
// by rule. It reports false when that is too much as well.
func (d *comparison) decide(sides [3]side, env *environment, f *finding, found leaf) bool {
	key, many := "", manyRules(&sides)
	if many {
		key = scenarioKey(&sides, env)
		if r := d.splits[key]; r != nil {
			d.noteSplit(f, r.what)
			return r.replay(found)
		}
	}
	prob := newProblem(sides, env)
	what := prob.tooLarge
	if what == "" {
		s := search{p: prob, bounds: d.bounds, leaf: func(assign []int, verdicts [3]Decision) bool {
			// The search meets all sorts of differences mixed, so that it goes on for the others.
			return found(prob, assign, verdicts) != nothing
		}}
		s.run()
		d.regions += s.nodes
		if !s.large {
			return true
		}
		what = "rules"
	}
	d.noteSplit(f, what)
	r := &splitResult{what: what}
	if many {
		d.splits[key] = r
	}
	if prob.tooLarge != "" {
		r.done = splitPatterns(sides, env, d.bounds.steps, r.remember(found))
	} else {
		r.done = splitProblem(prob, d.bounds.steps, r.remember(found))
	}
	return r.done
}

func (d *comparison) noteSplit(f *finding, what string) {
	d.result.Stats.Split++
	d.note("%s: its %s have too many combinations to be taken at once; it was decided rule by rule", f.target.destination().words(), what)
}

// splitResult is what came of a split, for other scenarios that ask the same.
type splitResult struct {
	// what there was too much of.
	what  string
	done  bool
	found []splitRegion
}

type splitRegion struct {
	p        *problem
	assign   []int
	verdicts [3]Decision
}

func (r *splitResult) remember(f leaf) leaf {
	return func(p *problem, assign []int, verdicts [3]Decision) more {
		r.found = append(r.found, splitRegion{p, slices.Clone(assign), verdicts})
		return f(p, assign, verdicts)
	}
}

func (r *splitResult) replay(f leaf) bool {
	for _, x := range r.found {
		if f(x.p, x.assign, x.verdicts) == nothing {
			break
		}
	}
	return r.done
}

// manyRules says whether a scenario may be too much for the search, so that it is worth to be known again.
func manyRules(sides *[3]side) bool {
	const many = 20
	n := 0
	for i := range sides {
		n += len(sides[i].deny)
		for _, set := range sides[i].allows {
			n += len(set)
		}
	}
	return n >= many
}

// scenarioKey identifies what a scenario asks, with the values that its targets are known to have.
func scenarioKey(sides *[3]side, env *environment) string {
	h := sha256.New()
	asked := map[variableKey]bool{}
	cube := func(lits []pending) {
		for i := range lits {
			if k := lits[i].key; !asked[k] {
				asked[k] = true
				fmt.Fprintf(h, "%q", env.preferred(k.attr.kind))
				if k.attr.kind == attrDestIP {
					fmt.Fprint(h, env.known(k.place))
				}
			}
			fmt.Fprintf(h, "%q,", lits[i].content())
		}
		fmt.Fprint(h, ";")
	}
	for i := range sides {
		s := &sides[i]
		fmt.Fprintf(h, "side %q %v %q:", s.verdict, s.unknown, s.words)
		for _, c := range s.deny {
			cube(c)
		}
		for _, set := range s.allows {
			fmt.Fprint(h, "allow:")
			for _, c := range set {
				cube(c)
			}
		}
	}
	return string(h.Sum(nil))
}
