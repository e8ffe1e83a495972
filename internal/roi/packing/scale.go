package packing

import (
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Scaling is what the nodes' autoscalers make of a change: pods that change are made anew and placed by the scheduler, then nodes go by each one's rule. It is
// net of the same restarts with sidecars kept, so that what a restart alone would settle is not credited to the change.
type Scaling struct {
	// Rules are those that apply, with the number of nodes under each.
	Rules map[terms.Rule]int `json:"rules"`
	// Nodes is the median over restarts in different orders; Low and High the least and the most.
	Nodes int `json:"nodes"`
	Low   int `json:"low"`
	High  int `json:"high"`
	// PerHour is the price of what goes or becomes cheaper; Priced reports whether every node has a price.
	PerHour     float64 `json:"-"`
	PerHourLow  float64 `json:"-"`
	PerHourHigh float64 `json:"-"`
	Priced      bool    `json:"priced"`
	Runs        int     `json:"runs"`
	// Blocked are nodes that could go by their size and are held, in the median run.
	Blocked []Blocker `json:"blocked,omitempty"`
}

// RulesOf counts nodes by the rule that removes them.
func RulesOf(c terms.Cluster) map[terms.Rule]int {
	out := map[terms.Rule]int{}
	for _, n := range c.Nodes {
		out[terms.RuleOf(n, c.Autoscaler)]++
	}
	return out
}

// runs is how many orders of restart are tried.
func runs(pods int) int {
	switch {
	case pods <= 2_000:
		return 8
	case pods <= 5_000:
		return 4
	}
	return 2
}

// Scale simulates. few tries two orders only, for a quick answer about part of a change.
func Scale(c terms.Cluster, change terms.Change, few bool) Scaling {
	out := Scaling{Rules: RulesOf(c), Priced: len(c.Hourly) == len(c.Nodes) && len(c.Nodes) > 0, Runs: runs(len(c.Pods))}
	if few {
		out.Runs = min(out.Runs, 2)
	}
	if change.Empty() {
		return out
	}
	type end struct {
		nodes   int
		perHour float64
		blocked []Blocker
	}
	var before, after, net []end
	for seed := range out.Runs {
		b, a := scaled(c, terms.Change{}, change, uint64(seed+1)), scaled(c, change, change, uint64(seed+1))
		before, after = append(before, end{b.nodes, b.perHour, nil}), append(after, end{a.nodes, a.perHour, a.blocked})
		net = append(net, end{b.nodes - a.nodes, b.perHour - a.perHour, a.blocked})
	}
	sort.SliceStable(net, func(i, j int) bool { return net[i].nodes < net[j].nodes })
	out.Nodes, out.Blocked = net[len(net)/2].nodes, net[len(net)/2].blocked
	byNodes := func(a, b end) int { return a.nodes - b.nodes }
	out.Low = slices.MinFunc(before, byNodes).nodes - slices.MaxFunc(after, byNodes).nodes
	out.High = slices.MaxFunc(before, byNodes).nodes - slices.MinFunc(after, byNodes).nodes
	byPrice := func(a, b end) int {
		switch {
		case a.perHour < b.perHour:
			return -1
		case a.perHour > b.perHour:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(net, byPrice)
	out.PerHour = net[len(net)/2].perHour
	out.PerHourLow = slices.MinFunc(before, byPrice).perHour - slices.MaxFunc(after, byPrice).perHour
	out.PerHourHigh = slices.MaxFunc(before, byPrice).perHour - slices.MinFunc(after, byPrice).perHour
	return out
}

type endState struct {
	nodes   int
	perHour float64
	blocked []Blocker
}

// scaled restarts what moves of the change, with the pods as large as in state, and lets the autoscalers work.
func scaled(c terms.Cluster, state, moves terms.Change, seed uint64) endState {
	s := newSettled(c, state)
	rng := rand.New(rand.NewPCG(seed, 17))
	restarted := map[string]bool{}
	for _, p := range c.Pods {
		if moves.Takes(p) && !p.Finished() && !perNode(p.Object) {
			restarted[p.Object.Namespace+"/"+p.Object.Name] = true
		}
	}
	added := s.restart(rng, restarted)
	d := newDrainer(c, s.p, s.nodes, s.bins)
	out := d.run()
	end := endState{nodes: len(s.nodes) - len(out.Removed) + added, blocked: out.Blocked}
	gone := map[string]bool{}
	for _, n := range out.Removed {
		gone[n] = true
	}
	for _, n := range s.nodes {
		if !gone[n.Name] {
			end.perHour += c.Hourly[n.Name]
		}
	}
	for i := range added {
		end.perHour += s.p.groups[s.p.bins[len(s.p.bins)-1-i].group].Kinds[s.p.bins[len(s.p.bins)-1-i].kind].Hourly
	}
	end.perHour -= s.cheaperKinds(c, gone)
	return end
}

// restart rolls workload by workload in a random order, and counts the nodes that have to be added for pods that fit nowhere.
func (s *settled) restart(rng *rand.Rand, restarted map[string]bool) (added int) {
	by := map[string][]*item{}
	for _, it := range s.items {
		if restarted[it.name] {
			by[it.workload] = append(by[it.workload], it)
		}
	}
	names := make([]string, 0, len(by))
	for w := range by {
		names = append(names, w)
	}
	sort.Strings(names)
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, w := range names {
		rng.Shuffle(len(by[w]), func(i, j int) { by[w][i], by[w][j] = by[w][j], by[w][i] })
		on := map[*bin]int{}
		for _, it := range by[w] {
			on[s.bins[it.node]]++
		}
		for _, it := range by[w] {
			from := s.bins[it.node]
			if from == nil || it.zone != ^zones(0) { // pods with volumes start again where their volume is
				continue
			}
			s.p.takeBack(it, from)
			on[from]--
			to, z := s.schedule(it, on, rng)
			if to == nil {
				if z, ok := s.p.fits(it, from); ok {
					to = from
					s.p.commit(it, from, z)
				} else {
					to = s.add(it)
					added++
				}
			} else {
				s.p.commit(it, to, z)
			}
			on[to]++
		}
	}
	return added
}

// add makes a node of the pod's group for a pod that fits nowhere.
func (s *settled) add(it *item) *bin {
	k := 0
	for i, kind := range s.p.groups[it.group].Kinds {
		if kind.Room.minus(kind.Daemons).holds(it.need) {
			k = i
			break
		}
	}
	s.p.nextHost++
	b := s.p.newBin(it.group, k)
	b.zones = it.zone & s.p.admits(it.shape, it.group)
	s.p.bins = append(s.p.bins, b)
	s.p.commit(it, b, b.zones)
	return b
}

// schedule picks a node as kube-scheduler does by default: of those that fit, the one with most free (NodeResourcesFit, LeastAllocated), less for every pod of the
// workload that is there already (PodTopologySpread's default constraints); equals by chance.
func (s *settled) schedule(it *item, on map[*bin]int, rng *rand.Rand) (best *bin, in zones) {
	score, ties := -1e9, 0
	for _, b := range s.p.bins {
		rule := s.p.groups[b.group].Rule
		if rule == terms.PerPod || rule == terms.Fixed && b.group != it.group {
			continue
		}
		if !b.free.holds(it.need) || b.slots <= 0 {
			continue
		}
		cpu, _ := terms.Ratio(float64(b.free.CPUMilli-it.need.CPUMilli), float64(b.whole.CPUMilli))
		mem, _ := terms.Ratio(float64(b.free.MemoryBytes-it.need.MemoryBytes), float64(b.whole.MemoryBytes))
		x := (cpu+mem)/2 - 0.5*float64(on[b])
		if x < score-1e-9 {
			continue
		}
		z, ok := s.p.fits(it, b)
		if !ok {
			continue
		}
		if x > score+1e-9 {
			score, ties, best, in = x, 1, b, z
			continue
		}
		if ties++; rng.IntN(ties) == 0 {
			best, in = b, z
		}
	}
	return best, in
}

// cheaperKinds is what Karpenter saves by replacing a node with a cheaper kind of its pool that holds the same pods.
func (s *settled) cheaperKinds(c terms.Cluster, gone map[string]bool) float64 {
	saved := 0.0
	for _, n := range s.nodes {
		b := s.bins[n.Name]
		g := &s.p.groups[b.group]
		price, ok := c.Hourly[n.Name]
		if gone[n.Name] || !ok || g.Rule != terms.ByKarpenter || n.Labels["karpenter.sh/capacity-type"] == "spot" {
			continue
		}
		used := b.whole.minus(b.free)
		best := price
		for _, k := range g.Kinds {
			if k.Hourly > 0 && k.Hourly < best && k.Room.minus(k.Daemons).holds(used) && b.pods <= k.MaxPods-k.DaemonPods && !s.heldFast(b) {
				best = k.Hourly
			}
		}
		saved += price - best
	}
	return saved
}

// heldFast reports whether a pod on the node forbids that it is replaced.
func (s *settled) heldFast(b *bin) bool {
	return slices.ContainsFunc(b.members, func(it *item) bool { return it.pinned })
}
