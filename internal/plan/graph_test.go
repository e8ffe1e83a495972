package plan

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func graphOf(n int, edges [][2]int) *precedence {
	g := newPrecedence(n)
	for _, e := range edges {
		g.add(e[0], e[1])
	}
	g.tidy()
	return g
}

func TestCyclesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		n     int
		edges [][2]int
		want  [][]int
	}{
		"a chain has none":                 {3, [][2]int{{0, 1}, {1, 2}}, nil},
		"one that comes before itself":     {2, [][2]int{{1, 1}, {0, 1}}, [][]int{{1}}},
		"two that come before each other":  {3, [][2]int{{2, 0}, {0, 2}, {0, 1}}, [][]int{{0, 2}}},
		"two cycles that meet in a bridge": {5, [][2]int{{0, 1}, {1, 0}, {1, 2}, {2, 3}, {3, 4}, {4, 2}}, [][]int{{0, 1}, {2, 3, 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := graphOf(c.n, c.edges).cycles(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("cycles = %v, want %v", got, c.want)
			}
		})
	}
}

// Two nodes are in one cycle exactly when each reaches the other; without cycles, levels rise along every edge.
func TestCyclesAndLevelsAgreeWithReachability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "n")
		g := newPrecedence(n)
		for range rapid.IntRange(0, 16).Draw(t, "edges") {
			g.add(rapid.IntRange(0, n-1).Draw(t, "first"), rapid.IntRange(0, n-1).Draw(t, "then"))
		}
		g.tidy()
		in := make([]int, n)
		for i, set := range g.cycles() {
			for _, a := range set {
				in[a] = i + 1
			}
		}
		strictly := func(a int) []bool { // by one edge at least
			next := make([]int, 0, n)
			for _, b := range g.after[a] {
				next = append(next, int(b))
			}
			return g.reach(next)
		}
		for a := range n {
			if from := strictly(a); from[a] != (in[a] > 0) {
				t.Fatalf("node %d: comes before itself %v, in a cycle %v", a, from[a], in[a] > 0)
			}
			for b := range n {
				if mutual := strictly(a)[b] && strictly(b)[a]; a != b && mutual != (in[a] > 0 && in[a] == in[b]) {
					t.Fatalf("nodes %d and %d: before each other %v, cycles %d and %d", a, b, mutual, in[a], in[b])
				}
			}
		}
		blocked := make([]bool, n)
		var stuck []int
		for a := range n {
			if in[a] > 0 {
				stuck = append(stuck, a)
			}
		}
		copy(blocked, g.reach(stuck))
		level := g.levels(func(a int) bool { return !blocked[a] })
		for a := range n {
			for _, b := range g.after[a] {
				if !blocked[a] && !blocked[b] && level[b] <= level[a] {
					t.Fatalf("%d before %d, but levels %d and %d", a, b, level[a], level[b])
				}
			}
		}
	})
}
