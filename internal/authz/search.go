package authz

import (
	"encoding/binary"
	"slices"
	"sort"
)

// search finds the regions in which the two sides of a problem differ.
type search struct {
	p      *problem
	bounds bounds
	// assign is the class of each variable on the way down.
	assign []int
	seen   map[string]bool
	nodes  int
	// leaf is told about each region, with the classes of its variables and the
	// decisions; it returns false to stop.
	leaf func(assign []int, verdicts [3]Decision) bool
	stop bool
	// large says that a bound was reached; bytes is the memory of the states in seen.
	large bool
	bytes int
}

// The sides of a problem: the two worlds, and the first world as it would be if the
// caller's identity were seen wherever the caller has one.
const (
	sideBefore = iota
	sideAfter
	sideNamed
)

// differ says whether two decisions are to be reported: anything that cannot be told
// afterwards is, unless it is denied either way.
func differ(before, after Decision) bool {
	return before != after || after == DecisionUnknown
}

func (s *search) run() {
	s.assign = make([]int, len(s.p.vars))
	s.seen = map[string]bool{}
	s.visit(0, s.p.sides)
}

// settle simplifies a side from variable v on: cubes without open literals decide.
func (s *search) settle(st sideState, v int) sideState {
	if st.verdict != "" {
		return st
	}
	for _, id := range st.deny {
		if s.decided(id, v) {
			return sideState{verdict: Deny}
		}
	}
	allows := st.allows[:0:0]
	for _, set := range st.allows {
		if len(set) == 0 {
			return sideState{verdict: Deny}
		}
		if !slices.ContainsFunc(set, func(id int32) bool { return s.decided(id, v) }) {
			allows = append(allows, set)
		}
	}
	st.allows = allows
	if len(st.deny) == 0 && len(st.allows) == 0 {
		st.verdict = Allow
		if st.unknown {
			st.verdict = DecisionUnknown
		}
	}
	return st
}

// decided says that a cube which is still alive asks nothing of variable v and later.
func (s *search) decided(id int32, v int) bool {
	lits := s.p.cubes[id]
	return len(lits) == 0 || lits[len(lits)-1].v < v
}

func (s *search) visit(v int, sides [3]sideState) {
	if s.stop {
		return
	}
	if s.nodes++; s.nodes > s.bounds.nodes || s.bytes > s.bounds.bytes {
		s.stop, s.large = true, true
		return
	}
	for i := range sides {
		sides[i] = s.settle(sides[i], v)
	}
	before, after := &sides[sideBefore], &sides[sideAfter]
	if before.verdict != "" && after.verdict != "" {
		if !differ(before.verdict, after.verdict) {
			return
		}
		if sides[sideNamed].verdict != "" {
			s.stop = !s.leaf(s.assign, [3]Decision{before.verdict, after.verdict, sides[sideNamed].verdict})
			return
		}
	} else if before.same(after) {
		return
	}
	next, ok := s.nextVariable(&sides, v)
	if !ok {
		return
	}
	key := stateKey(next, &sides)
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	s.bytes += len(key)
	s.branch(next, sides)
	s.assign[next] = 0
}

// same says that both sides ask the same of the rest of the request.
func (a *sideState) same(b *sideState) bool {
	if a.verdict != "" || b.verdict != "" || a.unknown || b.unknown {
		return false
	}
	if !slices.Equal(a.deny, b.deny) || len(a.allows) != len(b.allows) {
		return false
	}
	x, y := sortedLists(a.allows), sortedLists(b.allows)
	for i := range x {
		if !slices.Equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

func sortedLists(l [][]int32) [][]int32 {
	out := slices.Clone(l)
	sort.Slice(out, func(i, j int) bool { return slices.Compare(out[i], out[j]) < 0 })
	return out
}

// nextVariable finds the first variable from v on that a live cube asks about.
func (s *search) nextVariable(sides *[3]sideState, v int) (int, bool) {
	best := -1
	s.each(sides, func(id int32) {
		for _, l := range s.p.cubes[id] {
			if l.v >= v {
				if best < 0 || l.v < best {
					best = l.v
				}
				return
			}
		}
	})
	return best, best >= 0
}

func (s *search) each(sides *[3]sideState, f func(int32)) {
	for i := range sides {
		for _, id := range sides[i].deny {
			f(id)
		}
		for _, set := range sides[i].allows {
			for _, id := range set {
				f(id)
			}
		}
	}
}

// branch goes through the classes of a variable, once per set of cubes that survive.
func (s *search) branch(v int, sides [3]sideState) {
	asks := map[int32]bitset{}
	s.each(&sides, func(id int32) {
		for _, l := range s.p.cubes[id] {
			if l.v == v {
				asks[id] = l.mask
			}
		}
	})
	ids := make([]int32, 0, len(asks))
	for id := range asks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	tried := map[string]bool{}
	sig := newBitset(len(ids))
	for c := range s.p.vars[v].classes {
		clear(sig)
		for i, id := range ids {
			if asks[id].has(c) {
				sig.set(i)
			}
		}
		k := sig.key()
		if tried[k] {
			continue
		}
		tried[k] = true
		s.assign[v] = c
		child := [3]sideState{sides[0].restrict(asks, c), sides[1].restrict(asks, c), sides[2].restrict(asks, c)}
		s.visit(v+1, child)
		if s.stop {
			return
		}
	}
}

// restrict drops the cubes that a class contradicts.
func (a *sideState) restrict(asks map[int32]bitset, c int) sideState {
	if a.verdict != "" {
		return *a
	}
	alive := func(ids []int32) []int32 {
		out := make([]int32, 0, len(ids))
		for _, id := range ids {
			if m, ok := asks[id]; !ok || m.has(c) {
				out = append(out, id)
			}
		}
		return out
	}
	b := sideState{unknown: a.unknown, deny: alive(a.deny), allows: make([][]int32, len(a.allows))}
	for i, set := range a.allows {
		b.allows[i] = alive(set)
	}
	return b
}

func stateKey(v int, sides *[3]sideState) string {
	var b []byte
	put := func(n int32) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	put(int32(v))
	for i := range sides {
		b = append(b, sides[i].verdict...)
		put(-1)
		for _, id := range sides[i].deny {
			put(id)
		}
		for _, set := range sides[i].allows {
			put(-2)
			for _, id := range set {
				put(id)
			}
		}
	}
	return string(b)
}
