package packing

import (
	"math/rand/v2"
	"slices"
	"sort"
	"strings"

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
	times := settlings(len(c.Pods), few)
	fleet := 0.0
	for _, n := range c.Nodes { // in order, so that equal input gives equal sums
		fleet += c.Hourly[n.Name]
	}
	var before, after, net []end
	for seed := range out.Runs {
		b, a := scaled(c, terms.Change{}, change, times, uint64(seed+1)), scaled(c, change, change, times, uint64(seed+1))
		// Nor is credited what the restarts would add: a fleet of today's size is what is paid for today.
		b.nodes = min(b.nodes, len(c.Nodes))
		if out.Priced {
			b.perHour = min(b.perHour, fleet)
		}
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
	out.Low, out.High = widened(out.Low, out.High)
	slices.SortStableFunc(net, byPrice)
	out.PerHour = net[len(net)/2].perHour
	out.PerHourLow = slices.MinFunc(before, byPrice).perHour - slices.MaxFunc(after, byPrice).perHour
	out.PerHourHigh = slices.MaxFunc(before, byPrice).perHour - slices.MinFunc(after, byPrice).perHour
	one, _ := terms.Ratio(fleet, float64(len(c.Hourly)))
	more := chance*(out.PerHourHigh-out.PerHourLow) + one
	out.PerHourLow, out.PerHourHigh = max(out.PerHourLow-more, min(out.PerHourLow, 0)), out.PerHourHigh+more
	return out
}

// chance is how much of its width a range of a few orders is too narrow for the next one, on either side: eight draws span 2.85 standard deviations in the mean, and nineteen of twenty further ones lie
// within 4.2.
const chance = 0.25

// widened makes a range of nodes from those of some orders: by chance, and by a node on either side, since which node is emptied last is for another scheduler to choose. What the orders do not show below
// nothing stays there.
func widened(low, high int) (int, int) {
	more := int(chance*float64(high-low)) + 1
	return max(low-more, min(low, 0)), high + more
}

type endState struct {
	nodes   int
	perHour float64
	blocked []Blocker
}

// settlings is how often the autoscalers act while a change is rolled out: after every workload in a small cluster, less often in a large one, where one workload moves little.
func settlings(pods int, few bool) int {
	switch {
	case few:
		return 2
	case pods <= 2_000:
		return 40
	case pods <= 5_000:
		return 8
	}
	return 2
}

// scaled restarts what moves of the change, with the pods as large as in state, and lets the autoscalers work between.
func scaled(c terms.Cluster, state, moves terms.Change, times int, seed uint64) endState {
	s := newSettled(c, state)
	rng := rand.New(rand.NewPCG(seed, 17))
	restarted := map[string]bool{}
	for _, p := range c.Pods {
		if moves.Takes(p) && !p.Finished() && !perNode(p.Object) {
			restarted[p.Object.Namespace+"/"+p.Object.Name] = true
		}
	}
	d := newDrainer(c, s.p, s.nodes, s.bins)
	s.restart(rng, restarted, d, times)
	end := endState{blocked: d.run().Blocked}
	for _, b := range s.p.bins {
		end.nodes++
		end.perHour += b.hourly
	}
	return end
}

// restart rolls workload by workload in a random order, and adds nodes for pods that fit nowhere.
func (s *settled) restart(rng *rand.Rand, restarted map[string]bool, d *drainer, times int) {
	at := make(map[*item]*bin, len(s.items))
	for _, b := range s.p.bins {
		for _, it := range b.members {
			at[it] = b
		}
	}
	by := map[string][]*item{}
	for _, it := range s.items {
		if restarted[it.name] && at[it] != nil && it.zone == ^zones(0) { // pods with volumes start again where their volume is
			by[it.workload] = append(by[it.workload], it)
		}
	}
	names := make([]string, 0, len(by))
	for w := range by {
		names = append(names, w)
	}
	sort.Strings(names)
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	every := max(1, (len(names)+times-1)/times)
	for i, w := range names {
		s.roll(rng, by[w])
		if (i+1)%every == 0 {
			d.run()
		}
	}
}

// roll makes the pods of a workload anew, a quarter at a time: a Deployment's new ones first (maxSurge is 25% by default, and a terminating pod holds its place until it is gone), a
// StatefulSet's old ones first.
func (s *settled) roll(rng *rand.Rand, pods []*item) {
	rng.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
	at, on := map[*item]*bin{}, map[*bin]int{}
	for _, b := range s.p.bins {
		for _, it := range b.members {
			if it.workload == pods[0].workload {
				at[it] = b
				on[b]++
			}
		}
	}
	surge := !strings.Contains(pods[0].workload, "/StatefulSet/")
	for step := (len(pods) + 3) / 4; len(pods) > 0; pods = pods[min(step, len(pods)):] {
		batch := pods[:min(step, len(pods))]
		leave := func() {
			for _, it := range batch {
				s.p.takeBack(it, at[it])
				on[at[it]]--
			}
		}
		if !surge {
			leave()
		}
		var waiting []*item
		for _, it := range batch {
			to, z := s.schedule(it, on, rng)
			if to == nil {
				waiting = append(waiting, it)
				continue
			}
			s.p.commit(it, to, z)
			on[to]++
		}
		for len(waiting) > 0 { // nodes are made for all that wait together, and the scheduler places them
			s.add(waiting)
			var left []*item
			for _, it := range waiting {
				to, z := s.schedule(it, on, rng)
				if to == nil {
					left = append(left, it)
					continue
				}
				s.p.commit(it, to, z)
				on[to]++
			}
			if len(left) == len(waiting) { // none of the kinds admits the first: it gets what its node now has
				b := at[left[0]]
				s.p.commit(left[0], b, b.zones)
				on[b]++
				left = left[1:]
			}
			waiting = left
		}
		if surge {
			leave()
		}
	}
}

// add makes a node of the first pod's group. Karpenter packs what waits on one node of any kind until no kind holds more, and takes the cheapest that holds that much
// (scheduling.NodeClaim); elsewhere a group has the kind of its nodes.
func (s *settled) add(waiting []*item) {
	g := &s.p.groups[waiting[0].group]
	kind, most := -1, 0
	for i, k := range g.Kinds {
		free, n := k.Room.minus(k.Daemons), 0
		for _, it := range waiting {
			if it.group == waiting[0].group && free.holds(it.need) && n < k.MaxPods-k.DaemonPods {
				free, n = free.minus(it.need), n+1
			}
			if n > 0 && g.Rule != terms.ByKarpenter {
				break
			}
		}
		if n > most || n == most && n > 0 && k.Hourly < g.Kinds[kind].Hourly {
			kind, most = i, n
		}
	}
	if kind < 0 {
		kind = 0
	}
	s.p.nextHost++
	b := s.p.newBin(waiting[0].group, kind)
	b.zones = waiting[0].zone & s.p.admits(waiting[0].shape, waiting[0].group)
	if names := s.p.names(b.zones); len(names) > 1 {
		b.zones = s.p.zoneBit[names[s.p.choose(len(names))]]
	}
	s.p.bins = append(s.p.bins, b)
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
