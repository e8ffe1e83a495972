package plan

import "slices"

// precedence is a graph over numbered nodes: an edge says that one comes before another.
type precedence struct {
	after [][]int32 // after[a] are the nodes that come after a
}

func newPrecedence(n int) *precedence { return &precedence{after: make([][]int32, n)} }

// add says that first comes before then. A node may come before itself: then there is no order for it.
func (g *precedence) add(first, then int) {
	g.after[first] = append(g.after[first], int32(then))
}

// has reports whether one comes before the other.
func (g *precedence) has(first, then int) bool { return slices.Contains(g.after[first], int32(then)) }

// remove takes an edge away, and reports whether there was one.
func (g *precedence) remove(first, then int) bool {
	had := len(g.after[first])
	g.after[first] = slices.DeleteFunc(g.after[first], func(t int32) bool { return int(t) == then })
	return len(g.after[first]) < had
}

// tidy sorts edges and drops doubles, so that results do not depend on the order of additions.
func (g *precedence) tidy() {
	for i := range g.after {
		slices.Sort(g.after[i])
		g.after[i] = slices.Compact(g.after[i])
	}
}

// reach returns every node that comes after one of the given, those included.
func (g *precedence) reach(from []int) []bool {
	seen := make([]bool, len(g.after))
	var todo []int32
	for _, f := range from {
		if !seen[f] {
			seen[f] = true
			todo = append(todo, int32(f))
		}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, next := range g.after[at] {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return seen
}

// cycles returns the sets of nodes that come before each other, and single ones that come before themselves, each sorted, in the
// order of their least node (Tarjan's algorithm, without recursion: chains of calls can be long).
func (g *precedence) cycles() [][]int {
	n := len(g.after)
	index, low := make([]int32, n), make([]int32, n)
	onStack := make([]bool, n)
	var stack []int32
	var out [][]int
	next := int32(1) // 0 stands for not visited
	type frame struct{ node, edge int32 }
	for root := range n {
		if index[root] != 0 {
			continue
		}
		work := []frame{{int32(root), 0}}
		for len(work) > 0 {
			f := &work[len(work)-1]
			v := f.node
			if f.edge == 0 {
				index[v], low[v] = next, next
				next++
				stack, onStack[v] = append(stack, v), true
			}
			if int(f.edge) < len(g.after[v]) {
				to := g.after[v][f.edge]
				f.edge++
				switch {
				case index[to] == 0:
					work = append(work, frame{to, 0})
				case onStack[to]:
					low[v] = min(low[v], index[to])
				}
				continue
			}
			work = work[:len(work)-1]
			if len(work) > 0 {
				parent := work[len(work)-1].node
				low[parent] = min(low[parent], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			var set []int
			for {
				top := stack[len(stack)-1]
				stack, onStack[top] = stack[:len(stack)-1], false
				set = append(set, int(top))
				if top == v {
					break
				}
			}
			if len(set) > 1 || slices.Contains(g.after[v], v) {
				slices.Sort(set)
				out = append(out, set)
			}
		}
	}
	slices.SortFunc(out, func(a, b []int) int { return a[0] - b[0] })
	return out
}

// levels numbers the nodes for which keep holds so that every one has a higher number than those before it, from 0. The nodes kept
// must have no cycle.
func (g *precedence) levels(keep func(int) bool) []int {
	n := len(g.after)
	level, waiting := make([]int, n), make([]int, n)
	for a := range n {
		if keep(a) {
			for _, b := range g.after[a] {
				waiting[b]++
			}
		}
	}
	var ready []int
	for a := range n {
		if keep(a) && waiting[a] == 0 {
			ready = append(ready, a)
		}
	}
	for len(ready) > 0 {
		a := ready[0]
		ready = ready[1:]
		for _, b := range g.after[a] {
			level[b] = max(level[b], level[a]+1)
			if waiting[b]--; waiting[b] == 0 && keep(int(b)) {
				ready = append(ready, int(b))
			}
		}
	}
	return level
}
