package endstate

import (
	"fmt"
	"math/rand/v2"
)

// Types of a cloud with list prices per hour (AWS us-east-1), less what the system keeps.
var (
	large    = machine{"m6i.large", size{1930, 6900}, 29, 0.096}
	xlarge   = machine{"m6i.xlarge", size{3920, 14300}, 58, 0.192}
	twice    = machine{"m6i.2xlarge", size{7910, 29800}, 58, 0.384}
	fourfold = machine{"m6i.4xlarge", size{15890, 58500}, 110, 0.768}
	compute  = machine{"c6i.2xlarge", size{7910, 14000}, 58, 0.34}
)

// scenario is a kind of cluster.
type scenario struct {
	name   string
	scaler scaler
	hpas   bool
	held   bool // every node has a pod that may not be evicted
}

var scenarios = []scenario{
	{"cluster-autoscaler, its default rule", groupScaler{twice}, false, false},
	{"Karpenter, one type", pool{[]machine{twice}}, false, false},
	{"Karpenter, five types", pool{[]machine{large, xlarge, compute, twice, fourfold} /* by price */}, false, false},
	{"Karpenter, autoscalers by CPU on half", pool{[]machine{twice}}, true, false},
}

// held is a cluster of which the rule makes little: every node has a pod that forbids its eviction, as a cache on local storage does.
var held = scenario{"cluster-autoscaler, a pod on every node that may not be evicted", groupScaler{twice}, false, true}

// build makes a cluster of forty to sixty nodes that has lived for a while.
func (s scenario) build(seed uint64) *cluster {
	rng := rand.New(rand.NewPCG(seed, 41))
	c := &cluster{rng: rng, scaler: s.scaler}
	pods := 0
	for i := 0; pods < 640+int(seed)*40; i++ {
		w := &workload{namespace: fmt.Sprintf("team-%d", i%8), name: fmt.Sprintf("app-%02d", i), replicas: 2 + rng.IntN(18), meshed: i%8 != 7,
			app: size{[]int{50, 100, 150, 200, 250, 300, 500, 750}[rng.IntN(8)], []int{128, 200, 256, 384, 512, 1024}[rng.IntN(6)]}}
		if s.hpas && i%2 == 0 {
			// What they use is such that the autoscaler stands near so many replicas, sidecars included.
			w.autoscaled, w.target, w.idle = true, 50+10*rng.IntN(4), 3+5*rng.Float64()
			asks := float64(w.app.cpu)
			if w.meshed {
				asks += float64(sidecar.cpu)
				w.carried = float64(w.replicas) * (5 + 20*rng.Float64())
			} else {
				w.idle = 0
			}
			w.load = asks*float64(w.replicas)*float64(w.target)/100 - w.carried - w.idle*float64(w.replicas)
			w.replicas = w.wants()
		}
		pods += w.replicas
		c.workloads = append(c.workloads, w)
	}
	for range 4 {
		c.add(c.initial())
	}
	for _, i := range rng.Perm(len(c.workloads)) {
		c.scale(c.workloads[i])
	}
	s.scaler.settle(c)
	// Releases and scaling: a cluster is never as it was packed.
	for range 30 {
		w := c.workloads[rng.IntN(len(c.workloads))]
		if !w.autoscaled && rng.IntN(2) == 0 {
			w.replicas = max(2, w.replicas+rng.IntN(7)-3)
			c.scale(w)
		} else {
			c.roll(w)
		}
		s.scaler.settle(c)
	}
	if s.held {
		w := &workload{namespace: "team-7", name: "cache", app: size{20, 64}, replicas: len(c.nodes), stuck: true}
		c.workloads = append(c.workloads, w)
		for _, n := range c.nodes {
			c.bind(c.newPod(w), n)
		}
	}
	return c
}

func (c *cluster) initial() machine {
	switch s := c.scaler.(type) {
	case groupScaler:
		return s.kind
	case pool:
		return s.kinds[len(s.kinds)/2]
	}
	panic("no such scaler")
}

// end is what a cluster came to.
type end struct {
	nodes    int
	requests size
	price    float64
}

// migrate rolls every meshed workload in a random order, without its sidecar where the move is real, with it where only the rollouts are played; autoscalers act after each.
func (c *cluster) migrate(seed uint64, real bool) end {
	x := c.clone(seed)
	if real {
		x.enable()
	}
	for _, i := range x.rng.Perm(len(x.workloads)) {
		w := x.workloads[i]
		if !w.meshed {
			continue
		}
		w.moved = real
		x.roll(w)
		if n := w.wants(); n != w.replicas {
			w.replicas = n
			x.scale(w)
		}
		x.scaler.settle(x)
	}
	return end{len(x.nodes), x.requests(len(c.nodes)), x.price()}
}

// realised is the difference that the move makes to the same rollouts with sidecars kept; billed is what the price per hour falls by against today.
func (c *cluster) realised(seed uint64) (nodes int, requests size, price, billed float64) {
	kept, moved := c.migrate(seed, false), c.migrate(seed, true)
	return kept.nodes - moved.nodes, kept.requests.minus(moved.requests), kept.price - moved.price, c.price() - moved.price
}
