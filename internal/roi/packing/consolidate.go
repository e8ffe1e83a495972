package packing

import (
	"slices"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// mostCandidates is how many nodes Karpenter considers at once (MaxParallelConsolidation in pkg/controllers/disruption/multinodeconsolidation.go).
const mostCandidates = 100

// consolidate takes one step of Karpenter's consolidation that replaces: the largest number of nodes, those with the fewest pods first, that go together with one cheaper node at most in their place, found by halves;
// failing that, one node by a cheaper one. It reports whether there was one. Nodes that go without a replacement are the caller's.
func (d *drainer) consolidate() bool {
	for g := range d.p.groups {
		// A pool of one kind has nothing cheaper to offer.
		if d.p.groups[g].Rule != terms.ByKarpenter || len(d.p.groups[g].Kinds) < 2 || !slices.ContainsFunc(d.p.groups[g].Kinds, func(k Kind) bool { return k.Hourly > 0 }) {
			continue
		}
		var list []*bin
		for _, b := range d.order {
			if b.group == g && !d.gone[b] && b.hourly > 0 && b.labels["karpenter.sh/capacity-type"] != "spot" && !d.cordoned(b) &&
				!slices.ContainsFunc(b.members, func(it *item) bool { return it.pinned || d.mayEvict(it, terms.ByKarpenter) != "" }) {
				list = append(list, b)
			}
		}
		sort.SliceStable(list, func(i, j int) bool { return list[i].pods < list[j].pods })
		found := 0
		for low, high := 2, min(mostCandidates, len(list)); low <= high; {
			mid := (low + high) / 2
			if d.replace(list[:mid], true) {
				found, low = mid, mid+1
			} else {
				high = mid - 1
			}
		}
		if found > 0 {
			return d.replace(list[:found], false)
		}
		for i := range list {
			if d.replace(list[i:i+1], false) {
				return true
			}
		}
	}
	return false
}

// replace moves the pods of some nodes of one pool to the others and to one new node, the cheapest that will do and cheaper than they are, or reports that this is not possible. try only looks.
func (d *drainer) replace(set []*bin, try bool) bool {
	limit, need := 0.0, terms.Resources{}
	pods := 0
	for _, b := range set {
		limit += b.hourly
		need = need.Plus(b.whole.Minus(b.free.Resources))
		pods += len(b.members)
	}
	if pods == 0 {
		return false // nothing to place: the caller removes it
	}
	kinds := d.p.groups[set[0].group].Kinds
	free := terms.Resources{}
	for _, b := range d.order {
		if !d.gone[b] && !slices.Contains(set, b) && !d.cordoned(b) && d.p.groups[b.group].Rule != terms.PerPod {
			free = free.Plus(terms.Resources{CPUMilli: max(b.free.CPUMilli, 0), MemoryBytes: max(b.free.MemoryBytes, 0)})
		}
	}
	order := make([]int, 0, len(kinds))
	for k := range kinds {
		whole := kinds[k].Room.Minus(kinds[k].Daemons.Resources)
		if kinds[k].Hourly > 0 && kinds[k].Hourly < limit-1e-9 && free.CPUMilli+whole.CPUMilli >= need.CPUMilli && free.MemoryBytes+whole.MemoryBytes >= need.MemoryBytes {
			order = append(order, k)
		}
	}
	sort.SliceStable(order, func(i, j int) bool { return kinds[order[i]].Hourly < kinds[order[j]].Hourly })
	for _, k := range order {
		if len(set) > 1 && slices.ContainsFunc(set, func(b *bin) bool { return b.kind == k }) {
			// Were the cheapest that will do of a type among them, deleting the others would be as good: Karpenter refuses (filterOutSameInstanceType).
			if d.onto(set, k, true) {
				return false
			}
			continue
		}
		if d.onto(set, k, try) {
			return true
		}
	}
	return false
}

// onto moves the pods of the nodes to the others and a new one of the kind, or puts all back.
func (d *drainer) onto(set []*bin, kind int, try bool) bool {
	type kept struct {
		members []*item
		free    room
		slots   int
		pods    int
		ports   map[hostPort]bool
	}
	var was []kept
	var items []*item
	for _, b := range set {
		was = append(was, kept{b.members, b.free, b.slots, b.pods, b.ports})
		items = append(items, d.p.remove(b)...)
		d.gone[b] = true
	}
	d.p.nextHost++
	fresh := d.p.newBin(set[0].group, kind)
	fresh.zones = set[0].zones
	d.order = append(d.order, fresh)
	sort.Slice(items, func(i, j int) bool { return items[i].name < items[j].name })
	sortBySize(items)
	moved := make([]*bin, 0, len(items))
	for _, it := range items {
		to := d.elsewhere(it)
		if to == nil {
			break
		}
		moved = append(moved, to)
	}
	if len(moved) == len(items) && !try {
		d.p.bins = append(d.p.bins, fresh)
		return true
	}
	for i, to := range moved {
		d.p.takeBack(items[i], to)
	}
	d.order = d.order[:len(d.order)-1]
	d.p.nextHost--
	for i, b := range set {
		d.gone[b] = false
		b.members, b.free, b.slots, b.pods, b.ports = was[i].members, was[i].free, was[i].slots, was[i].pods, was[i].ports
		for _, it := range b.members {
			d.p.count(it, b, +1)
		}
	}
	return len(moved) == len(items)
}
