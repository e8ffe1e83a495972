package endstate

import "sort"

// groupScaler is cluster-autoscaler with its defaults: one group of one type; a node below half of its requests, DaemonSets included, goes when its pods fit on the others.
type groupScaler struct{ kind machine }

func (groupScaler) label() (string, string) { return "eks.amazonaws.com/nodegroup", "workers" }

func (s groupScaler) provide(c *cluster, waiting []*pod) {
	// As many nodes as the waiting pods need when they are packed in their order (the estimator of cluster-autoscaler is first fit decreasing).
	c.fill(waiting, func([]*pod) machine { return s.kind })
}

func (s groupScaler) settle(c *cluster) {
	for again := true; again; {
		again = false
		order := append([]*node(nil), c.nodes...)
		sort.SliceStable(order, func(i, j int) bool { return order[i].share() < order[j].share() })
		for _, n := range order {
			if n.share() < 0.5 && !n.held() && c.fitElsewhere([]*node{n}, nil) {
				c.evict([]*node{n})
				again = true
				break
			}
		}
	}
}

// held reports whether a pod forbids that the node goes.
func (n *node) held() bool {
	for _, p := range n.pods {
		if p.w != nil && p.w.stuck {
			return true
		}
	}
	return false
}

// fill makes nodes for pods, packed by size, of the type that choose gives for what is left.
func (c *cluster) fill(waiting []*pod, choose func([]*pod) machine) {
	left := append([]*pod(nil), waiting...)
	sort.SliceStable(left, func(i, j int) bool { return left[i].need.cpu > left[j].need.cpu })
	for len(left) > 0 {
		n := c.add(choose(left))
		free, slots := n.free(), n.kind.pods-len(n.pods)
		var rest []*pod
		for _, p := range left {
			if free.holds(p.need) && slots > 0 {
				free, slots = free.minus(p.need), slots-1
			} else {
				rest = append(rest, p)
			}
		}
		if len(rest) == len(left) {
			panic("a pod is larger than the node that was chosen for it")
		}
		left = rest
	}
}

// fitElsewhere reports whether the pods of some nodes fit on the others, and on one further machine where there is one; nothing is moved.
func (c *cluster) fitElsewhere(gone []*node, further *machine) bool {
	type room struct {
		free  size
		slots int
	}
	var rooms []room
	for _, n := range c.nodes {
		leaves := false
		for _, g := range gone {
			leaves = leaves || g == n
		}
		if !leaves {
			rooms = append(rooms, room{n.free(), n.kind.pods - len(n.pods)})
		}
	}
	if further != nil {
		x := room{further.room.minus(daemonBase), further.pods - 1}
		if c.ambient {
			for _, d := range ambient {
				x.free, x.slots = x.free.minus(d.need), x.slots-1
			}
		}
		rooms = append(rooms, x)
	}
	var pods []*pod
	for _, g := range gone {
		for _, p := range g.pods {
			if p.daemon == "" {
				pods = append(pods, p)
			}
		}
	}
	sort.SliceStable(pods, func(i, j int) bool { return pods[i].need.cpu > pods[j].need.cpu })
	for _, p := range pods {
		placed := false
		for i := range rooms {
			if rooms[i].free.holds(p.need) && rooms[i].slots > 0 {
				rooms[i].free, rooms[i].slots, placed = rooms[i].free.minus(p.need), rooms[i].slots-1, true
				break
			}
		}
		if !placed {
			return false
		}
	}
	return true
}

// evict removes nodes; the scheduler places their pods again.
func (c *cluster) evict(gone []*node) {
	var pods []*pod
	for _, g := range gone {
		c.drop(g)
		for _, p := range append([]*pod(nil), g.pods...) {
			if p.daemon == "" {
				c.unbind(p)
				pods = append(pods, p)
			}
		}
	}
	c.place(pods)
}

// pool is Karpenter with one NodePool of several types, cheapest first: it deletes nodes whose pods fit elsewhere, and replaces one node or several by one that is cheaper.
type pool struct{ kinds []machine }

func (pool) label() (string, string) { return "karpenter.sh/nodepool", "default" }

func (s pool) provide(c *cluster, waiting []*pod) {
	c.fill(waiting, func(left []*pod) machine {
		// The cheapest type of those that hold as many of what is left as the largest does.
		best, held := machine{}, -1
		for _, k := range s.kinds {
			free, slots, n := k.room.minus(daemonBase), k.pods-1, 0
			if c.ambient {
				for _, d := range ambient {
					free, slots = free.minus(d.need), slots-1
				}
			}
			for _, p := range left {
				if free.holds(p.need) && slots > 0 {
					free, slots, n = free.minus(p.need), slots-1, n+1
				}
			}
			if n > held || n == held && k.price < best.price {
				best, held = k, n
			}
		}
		return best
	})
}

// candidates are nodes in the order of what it costs to disrupt them: the number of their pods.
func (s pool) candidates(c *cluster) []*node {
	out := append([]*node(nil), c.nodes...)
	sort.SliceStable(out, func(i, j int) bool { return len(out[i].pods) < len(out[j].pods) })
	return out
}

func (s pool) settle(c *cluster) {
	for range 400 {
		if !s.consolidate(c) {
			return
		}
	}
}

// consolidate takes one step: several nodes at once, else one.
func (s pool) consolidate(c *cluster) bool {
	order := s.candidates(c)
	// Karpenter looks for the largest number of first candidates, by halves.
	low, high := 1, min(100, len(order))-1
	var found []*node
	var by *machine
	for low <= high {
		mid := (low + high) / 2
		if m, ok := s.replacement(c, order[:mid+1]); ok {
			found, by, low = order[:mid+1], m, mid+1
		} else {
			high = mid - 1
		}
	}
	if found == nil {
		for _, n := range order {
			if m, ok := s.replacement(c, []*node{n}); ok {
				found, by = []*node{n}, m
				break
			}
		}
	}
	if found == nil {
		return false
	}
	gone := append([]*node(nil), found...)
	if by != nil {
		c.add(*by)
	}
	c.evict(gone)
	return true
}

// replacement is what nodes can be replaced by: nothing, or one machine that is cheaper than they are together. For several nodes it may not be of a type among them: deleting the others would do.
func (s pool) replacement(c *cluster, gone []*node) (*machine, bool) {
	if c.fitElsewhere(gone, nil) {
		return nil, true
	}
	sum := 0.0
	among := map[string]bool{}
	for _, n := range gone {
		sum += n.kind.price
		among[n.kind.name] = true
	}
	for i, k := range s.kinds { // from the cheapest up
		if k.price < sum && c.fitElsewhere(gone, &s.kinds[i]) {
			return &s.kinds[i], len(gone) == 1 || !among[k.name]
		}
	}
	return nil, false
}
