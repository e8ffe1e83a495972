package authz

import (
	"math/bits"
	"slices"
)

// A region is a box of requests: the classes that each variable of a problem may still take.
// Regions are never changed, only copied.
type region []bitset

// boxes answers one question about a problem: does a region hold a request that none of some cubes
// matches? Unlike the search, which follows every cube of both worlds at once, it is told which cubes
// matter, drops those that cannot meet the region, and guesses only where several attributes of one
// cube could each rule it out.
type boxes struct {
	p *problem
	// full is the region of all requests.
	full region
	// steps counts the words of masks looked at; beyond max the answer is given up and large is set.
	steps, max int
	large      bool
}

func newBoxes(p *problem, max int) *boxes {
	b := &boxes{p: p, full: make(region, len(p.vars)), max: max}
	for v := range p.vars {
		b.full[v] = invert(newBitset(len(p.vars[v].classes)), len(p.vars[v].classes))
	}
	return b
}

func (b *boxes) step(n int) bool {
	if b.steps += n; b.steps > b.max {
		b.large = true
	}
	return !b.large
}

// narrow gives the part of a region that a cube matches; ok is false when there is none.
func (b *boxes) narrow(r region, id int32) (out region, ok bool) {
	lits := b.p.cubes[id]
	b.step(len(r))
	out = slices.Clone(r)
	for _, l := range lits {
		b.step(len(l.mask))
		both := out[l.v].and(l.mask)
		if both.empty() {
			return nil, false
		}
		out[l.v] = both
	}
	return out, true
}

// meeting lists the cubes that match some of a region; covered says that one matches all of it.
func (b *boxes) meeting(r region, ids []int32) (out []int32, covered bool) {
	out = make([]int32, 0, len(ids))
next:
	for _, id := range ids {
		open := false
		b.step(1)
		for _, l := range b.p.cubes[id] {
			b.step(len(l.mask))
			switch r[l.v].against(l.mask) {
			case apart:
				continue next
			case partly:
				open = true
			}
		}
		if !open {
			return nil, true
		}
		out = append(out, id)
	}
	return out, false
}

// find gives a request of the region that none of the cubes matches, as the class of each variable; nil
// when there is none, or when the bound is reached.
func (b *boxes) find(r region, ids []int32) []int {
	for b.step(1) {
		var covered bool
		if ids, covered = b.meeting(r, ids); covered || b.large {
			return nil
		}
		if len(ids) == 0 {
			return r.first()
		}
		next, changed := b.forced(r, ids)
		if next == nil {
			return nil
		}
		if !changed {
			next, changed = b.undominated(r, ids)
		}
		if !changed {
			return b.guess(r, ids)
		}
		r = next
	}
	return nil
}

// forced rules out what a cube with one open literal leaves: that literal must fail. The region is nil
// when nothing is left.
func (b *boxes) forced(r region, ids []int32) (out region, changed bool) {
	out = r
	for _, id := range ids {
		open, n := b.open(out, id)
		switch n {
		case 0: // matches nothing any more, or all that is left
			if open != nil {
				return nil, true
			}
		case 1:
			if !changed {
				out, changed = slices.Clone(out), true
			}
			out[open.v] = out[open.v].minus(open.mask)
		}
	}
	return out, changed
}

var everywhere = &lit{v: -1}

// open counts the literals of a cube that hold for a part of the region only, and gives the last of
// them. Where there are none, it gives everywhere when the cube matches the whole region and nil when it
// matches none of it.
func (b *boxes) open(r region, id int32) (last *lit, n int) {
	lits := b.p.cubes[id]
	last = everywhere
	for i := range lits {
		b.step(len(lits[i].mask))
		switch r[lits[i].v].against(lits[i].mask) {
		case apart:
			return nil, 0
		case partly:
			last = &lits[i]
			n++
		}
	}
	return last, n
}

// undominated drops classes of which another is never worse: one that no further cube matches.
func (b *boxes) undominated(r region, ids []int32) (out region, changed bool) {
	asking := map[int][]bitset{}
	for _, id := range ids {
		for _, l := range b.p.cubes[id] {
			if r[l.v].against(l.mask) == partly {
				asking[l.v] = append(asking[l.v], l.mask)
			}
		}
	}
	out = r
	for v, masks := range asking {
		kept := b.best(r[v], masks)
		if kept.count() < r[v].count() {
			if !changed {
				out, changed = slices.Clone(out), true
			}
			out[v] = kept
		}
	}
	return out, changed
}

// best keeps one class for each smallest set of masks that hold it.
func (b *boxes) best(classes bitset, masks []bitset) bitset {
	type candidate struct {
		class int
		held  bitset
		n     int
	}
	var list []candidate
	seen := map[string]bool{}
	for w := range classes {
		for rest := classes[w]; rest != 0; rest &= rest - 1 {
			c := w<<6 + bits.TrailingZeros64(rest)
			held := newBitset(len(masks))
			for i, m := range masks {
				if m.has(c) {
					held.set(i)
				}
			}
			b.step(len(masks))
			if k := held.key(); !seen[k] {
				seen[k] = true
				list = append(list, candidate{c, held, held.count()})
			}
		}
	}
	slices.SortStableFunc(list, func(x, y candidate) int { return x.n - y.n })
	out := newBitset(len(classes) * 64)
	var kept []bitset
	for _, c := range list {
		if !slices.ContainsFunc(kept, func(k bitset) bool { return k.minus(c.held).empty() }) {
			kept = append(kept, c.held)
			out.set(c.class)
		}
		b.step(len(kept))
	}
	return out
}

// guess takes the cube with the fewest open literals and tries each of them as the first that fails.
func (b *boxes) guess(r region, ids []int32) []int {
	best, fewest := ids[0], len(b.p.vars)+1
	for _, id := range ids {
		if _, n := b.open(r, id); n < fewest {
			best, fewest = id, n
		}
	}
	held := r
	for _, l := range b.p.cubes[best] {
		if held[l.v].against(l.mask) != partly {
			continue
		}
		fails := slices.Clone(held)
		fails[l.v] = held[l.v].minus(l.mask)
		if found := b.find(fails, ids); found != nil || b.large {
			return found
		}
		held = slices.Clone(held)
		held[l.v] = held[l.v].and(l.mask)
	}
	return nil
}

// first takes the first class that each variable may have: those that read well come first.
func (r region) first() []int {
	out := make([]int, len(r))
	for v, classes := range r {
		for w, word := range classes {
			if word != 0 {
				out[v] = w<<6 + bits.TrailingZeros64(word)
				break
			}
		}
	}
	return out
}
