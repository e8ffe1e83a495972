package authz

// Deciding a scenario rule by rule. The search of a scenario can meet more states than it may keep:
// rules that ask many independent things let it forget nothing. Each sort of difference (denied and then
// allowed, say) is then split: every way for one world to allow a request is one ALLOW rule at each point
// that has such, every way for the other to deny it is one DENY rule or one point whose ALLOW rules all
// fail. Each combination is a region of requests, the conjunction of its rules, with a list of rules that
// must not match; whether a request is left is asked on its own. The union of the regions is all of the
// difference, so that nothing is sampled, and nothing is found twice that matters: a sort is left as soon
// as enough of its divergences are known.

// bounds limit the work on one scenario. What exceeds them is never sampled: a scenario that is too much
// for the search is split, and one that is too much for that is unknown, which counts as weaker.
type bounds struct {
	// nodes and bytes bound the search: the regions visited and the memory of those seen.
	nodes, bytes int
	// steps bounds the split, in words of class sets looked at.
	steps int
}

// usualBounds let either part take a few seconds at the most.
var usualBounds = bounds{nodes: 1 << 17, bytes: 64 << 20, steps: 1 << 31}

// space is where the rules of a scenario are decided: over the classes of its problem, or, where those
// could not be enumerated, over the patterns of few rules at a time.
type space[R any] interface {
	// all is the region of every request.
	all() R
	// narrow gives the part of a region that a cube matches; ok is false when it has none.
	narrow(r R, cube int32) (out R, ok bool)
	// meeting lists the cubes that may match some of a region; covered says that one matches all of it.
	meeting(r R, cubes []int32) (out []int32, covered bool)
	// witness looks for a request of the region that none of the cubes matches.
	witness(r R, cubes []int32) (*problem, []int)
	// exhausted says that the bound is reached, so that nothing found means nothing.
	exhausted() bool
}

// split enumerates the regions of a scenario.
type split[R any] struct {
	space space[R]
	sides [3]sideState
	leaf  leaf
}

// leaf is told about a region in which two worlds differ: its problem, the class of each variable, and what
// each side decides. It says how to go on.
type leaf func(p *problem, assign []int, verdicts [3]Decision) more

// more is what a leaf still wants.
type more uint8

const (
	goOn more = iota
	// otherSorts leaves this sort of difference.
	otherSorts
	// nothing ends the whole scenario.
	nothing
)

// wanted is what a side must do with the requests looked for.
type wanted uint8

const (
	anything wanted = iota
	passes
	refuses
)

// run goes through every sort of difference; it reports false when the bound was reached.
func (s *split[R]) run() bool {
	sorts := [][3]wanted{{refuses, passes, refuses}, {refuses, passes, passes}, {passes, refuses, anything}}
	if differ(s.sides[sideBefore].passed(), s.sides[sideAfter].passed()) {
		sorts = append(sorts, [3]wanted{passes, passes, anything})
	}
	for _, sort := range sorts {
		var verdicts [3]Decision
		var ways []way
		var without []int32
		possible := true
		for i := range s.sides {
			verdicts[i] = Deny
			if sort[i] == passes {
				verdicts[i] = s.sides[i].passed()
			}
			w, none, ok := s.sides[i].ways(sort[i])
			ways, without, possible = append(ways, w...), append(without, none...), possible && ok
		}
		if possible && s.choose(s.space.all(), nil, ways, without, verdicts) == nothing {
			break
		}
	}
	return !s.space.exhausted()
}

// passed is what a side answers when nothing denies.
func (a *sideState) passed() Decision {
	switch {
	case a.verdict != "":
		return a.verdict
	case a.unknown:
		return DecisionUnknown
	}
	return Allow
}

// way is a choice: one of the cubes must match, or, as a further alternative, none of a point's.
type way struct {
	cubes []int32
	// points are sets of which none may match.
	points [][]int32
}

// ways lists what must be chosen for a side to do as it should, and the cubes that must not match.
func (a *sideState) ways(f wanted) (ways []way, without []int32, possible bool) {
	switch {
	case f == anything:
		return nil, nil, true
	case a.verdict != "":
		return nil, nil, (a.verdict == Deny) == (f == refuses)
	case f == refuses:
		return []way{{cubes: a.deny, points: a.allows}}, nil, true
	}
	for _, set := range a.allows {
		ways = append(ways, way{cubes: set})
	}
	return ways, a.deny, true
}

// choose goes through the choices that are left. Those chosen match all of the region.
func (s *split[R]) choose(r R, chosen []int32, ways []way, without []int32, verdicts [3]Decision) more {
	without, covered := s.space.meeting(r, without)
	switch {
	case s.space.exhausted():
		return nothing
	case covered:
		return goOn
	case len(ways) == 0:
		if p, assign := s.space.witness(r, without); assign != nil {
			return s.leaf(p, assign, verdicts)
		}
		return goOn
	}
	avoid := setOf(without)
	for _, id := range ways[0].cubes {
		if avoid[id] {
			continue
		}
		if narrower, ok := s.space.narrow(r, id); ok {
			if m := s.choose(narrower, append(chosen, id), ways[1:], without, verdicts); m != goOn {
				return m
			}
		}
	}
	matched := setOf(chosen)
	for _, set := range ways[0].points {
		if anyIn(matched, set) {
			continue // some rule of the point matches the whole region
		}
		all := append(append(make([]int32, 0, len(without)+len(set)), without...), set...)
		if m := s.choose(r, chosen, ways[1:], sortedSet(all), verdicts); m != goOn {
			return m
		}
	}
	return goOn
}

func setOf(ids []int32) map[int32]bool {
	out := make(map[int32]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out
}

func anyIn(set map[int32]bool, ids []int32) bool {
	for _, id := range ids {
		if set[id] {
			return true
		}
	}
	return false
}

// classSpace decides over the classes of a problem.
type classSpace struct{ *boxes }

func (c classSpace) all() region     { return c.full }
func (c classSpace) exhausted() bool { return c.large }
func (c classSpace) witness(r region, cubes []int32) (*problem, []int) {
	return c.p, c.find(r, cubes)
}

// splitProblem decides a problem rule by rule; it reports false when that is too much as well.
func splitProblem(p *problem, max int, f leaf) bool {
	s := split[region]{space: classSpace{newBoxes(p, max)}, sides: p.sides, leaf: f}
	return s.run()
}
