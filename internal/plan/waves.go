package plan

import (
	"fmt"
	"slices"
)

// waves puts the workloads that move into an order that respects the graph: each wave holds those for whom nobody is left to wait
// for, within the budgets. Those that the canary namespace needs, and it, go first.
func (b *search) waves(o Options, g *precedence) ([][]int, error) {
	waiting := make([]int, len(b.movers))
	left := 0
	for i := range b.movers {
		if !b.moves(i) {
			continue
		}
		left++
		if pods := b.start.Workloads[i].Replicas; o.MaxPods > 0 && pods > o.MaxPods {
			return nil, fmt.Errorf("at most %d pods per wave: %s alone has %d, and a workload moves as a whole; the least that is possible is %d",
				o.MaxPods, b.start.Workloads[i].Ref, pods, b.mostPods())
		}
		for _, next := range g.after[i] {
			waiting[next]++
		}
	}
	first := b.canaries(o.Canary, g)
	done := make([]bool, len(b.movers))
	var out [][]int
	for left > 0 {
		var ready, early []int
		for i := range b.movers {
			if b.moves(i) && !done[i] && waiting[i] == 0 {
				ready = append(ready, i)
				if first[i] {
					early = append(early, i)
				}
			}
		}
		if len(early) > 0 {
			ready = early
		}
		if len(ready) == 0 {
			return nil, fmt.Errorf("the order has a cycle that was not found; please report it")
		}
		wave := b.within(o, ready)
		for _, i := range wave {
			done[i] = true
			left--
			for _, next := range g.after[i] {
				waiting[next]--
			}
		}
		out = append(out, wave)
	}
	return out, nil
}

// mostPods is the size of the largest workload that moves.
func (b *search) mostPods() int {
	most := 0
	for i := range b.movers {
		if b.moves(i) {
			most = max(most, b.start.Workloads[i].Replicas)
		}
	}
	return most
}

// canaries marks the workloads of the canary namespace and whoever has to move before them.
func (b *search) canaries(namespace string, g *precedence) []bool {
	out := make([]bool, len(b.movers))
	if namespace == "" {
		return out
	}
	before := newPrecedence(len(b.movers))
	var own []int
	for i := range b.movers {
		if !b.moves(i) {
			continue
		}
		for _, next := range g.after[i] {
			before.add(int(next), i)
		}
		if b.start.Workloads[i].Namespace == namespace {
			own = append(own, i)
		}
	}
	return before.reach(own)
}

// within takes from those that are ready as many as the budgets of one wave allow, namespace by namespace.
func (b *search) within(o Options, ready []int) []int {
	var out []int
	var namespaces []string
	pods := 0
	for _, i := range ready { // in the order of the mesh: by namespace
		w := b.start.Workloads[i]
		if !slices.Contains(namespaces, w.Namespace) {
			if o.MaxNamespaces > 0 && len(namespaces) == o.MaxNamespaces {
				break
			}
			namespaces = append(namespaces, w.Namespace)
		}
		if o.MaxPods > 0 && pods+w.Replicas > o.MaxPods && len(out) > 0 {
			continue
		}
		pods += w.Replicas
		out = append(out, i)
	}
	return out
}
