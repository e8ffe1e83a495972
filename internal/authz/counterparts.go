package authz

import (
	"sort"
)

// counterpart is a set of pods before a change, and what serves and calls in its place afterwards.
type counterpart struct {
	before, after *Workload
}

// pods names them as they are called after the change.
func (c counterpart) pods() *Pods {
	p := c.after.Pods()
	return &p
}

// correspondence says which pods of two states stand for each other.
type correspondence struct {
	// pairs are sorted by the pods of the second state.
	pairs []counterpart
	// appeared and vanished are in one of the states only.
	appeared, vanished []*Workload
}

// correspond pairs the pods of two states. What a caller says in from comes first (a workload that was given another name,
// a set that took the place of another). Sets of one workload correspond by name; where one state has a set that
// the other lacks, all of the workload's sets there may have stood in its place, or stand in it now. So in the
// middle of a restart the old pods and the new ones are each compared with the start, and with several old sorts of
// pods each with each.
func correspond(before, after *model, from map[Pods]Pods) *correspondence {
	c := &correspondence{}
	taken := map[Pods]bool{}
	add := func(wb, wa *Workload) {
		c.pairs = append(c.pairs, counterpart{wb, wa})
		taken[wb.Pods()] = true
	}
	placed := map[Pods]bool{}
	for _, wa := range after.sortedWorkloads() {
		p := wa.Pods()
		if was, ok := from[p]; ok {
			if wb := before.workloads[was]; wb != nil {
				add(wb, wa)
				placed[p] = true
			}
			continue
		}
		if wb := before.workloads[p]; wb != nil {
			add(wb, wa)
			placed[p] = true
		}
	}
	for _, wa := range after.sortedWorkloads() {
		if placed[wa.Pods()] {
			continue
		}
		for _, wb := range before.sets[wa.Ref] {
			add(wb, wa)
			placed[wa.Pods()] = true
		}
		if !placed[wa.Pods()] {
			c.appeared = append(c.appeared, wa)
		}
	}
	for _, wb := range before.sortedWorkloads() {
		if taken[wb.Pods()] {
			continue
		}
		sets := after.sets[wb.Ref]
		for _, wa := range sets {
			c.pairs = append(c.pairs, counterpart{wb, wa})
		}
		if len(sets) == 0 {
			c.vanished = append(c.vanished, wb)
		}
	}
	sort.SliceStable(c.pairs, func(i, j int) bool {
		a, b := c.pairs[i], c.pairs[j]
		if x, y := a.after.Pods(), b.after.Pods(); x != y {
			return lessPods(x, y)
		}
		return a.before.Set < b.before.Set
	})
	return c
}
