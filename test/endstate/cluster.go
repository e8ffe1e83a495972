package endstate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// size is CPU in millicores and memory in MiB.
type size struct{ cpu, mem int }

func (a size) plus(b size) size  { return size{a.cpu + b.cpu, a.mem + b.mem} }
func (a size) minus(b size) size { return size{a.cpu - b.cpu, a.mem - b.mem} }
func (a size) holds(b size) bool { return a.cpu >= b.cpu && a.mem >= b.mem }
func (a size) times(n int) size  { return size{a.cpu * n, a.mem * n} }

// machine is a type of node: what pods can be given of it, how many, and its price per hour.
type machine struct {
	name  string
	room  size
	pods  int
	price float64
}

type node struct {
	name string
	kind machine
	zone string
	pods []*pod
	used size
}

func (n *node) free() size { return n.kind.room.minus(n.used) }

func (n *node) fits(p size) bool { return n.free().holds(p) && len(n.pods) < n.kind.pods }

func (n *node) share() float64 {
	return math.Max(float64(n.used.cpu)/float64(n.kind.room.cpu), float64(n.used.mem)/float64(n.kind.room.mem))
}

type pod struct {
	w       *workload // nil for pods of DaemonSets
	daemon  string
	need    size
	sidecar bool
	on      *node
	serial  int
}

// workload is a Deployment.
type workload struct {
	namespace, name string
	app             size
	replicas        int
	meshed          bool
	// autoscaled has an autoscaler by CPU utilisation of target per cent; load is what its applications use together and idle, carried what its sidecars use each and together, in millicores.
	autoscaled bool
	target     int
	load, idle float64
	carried    float64
	pods       []*pod
	moved      bool
	stuck      bool // may not be evicted
}

var sidecar, daemonBase = size{100, 128}, size{150, 250}

// What ambient puts on each node: ztunnel and istio-cni by Istio's charts.
var ambient = []pod{{daemon: "ztunnel", need: size{200, 512}}, {daemon: "istio-cni-node", need: size{100, 100}}}

func (w *workload) size(with bool) size {
	if with {
		return w.app.plus(sidecar)
	}
	return w.app
}

// wants is how many replicas the autoscaler asks for: usage over requests, sidecars included where there are any, against the target, with a tolerance of a tenth.
func (w *workload) wants() int {
	if !w.autoscaled {
		return w.replicas
	}
	n := w.replicas
	for range 20 {
		use, asks := w.load, float64(w.app.cpu*n)
		if w.meshed && !w.moved {
			use, asks = use+w.carried+w.idle*float64(n), asks+float64(sidecar.cpu*n)
		}
		ratio := use / asks * 100 / float64(w.target)
		if math.Abs(ratio-1) <= 0.1 {
			return n
		}
		next := max(2, int(math.Ceil(ratio*float64(n)-1e-9)))
		if next == n {
			return n
		}
		n = next
	}
	return n
}

// scaler adds and removes nodes.
type scaler interface {
	// provide makes nodes for pods that fit nowhere; they are placed by the caller.
	provide(c *cluster, waiting []*pod)
	// settle removes and replaces nodes until nothing changes.
	settle(c *cluster)
	label() (key, value string)
}

type cluster struct {
	rng       *rand.Rand
	nodes     []*node
	workloads []*workload
	scaler    scaler
	ambient   bool
	made      int
	serial    int
}

func (c *cluster) add(kind machine) *node {
	n := &node{name: fmt.Sprintf("node-%03d", c.made), kind: kind, zone: string(rune('a' + c.made%3))}
	c.made++
	c.daemon(n, pod{daemon: "base", need: daemonBase})
	if c.ambient {
		for _, d := range ambient {
			c.daemon(n, d)
		}
	}
	c.nodes = append(c.nodes, n)
	return n
}

func (c *cluster) daemon(n *node, d pod) {
	p := d
	c.bind(&p, n)
}

func (c *cluster) bind(p *pod, n *node) {
	p.on = n
	n.pods = append(n.pods, p)
	n.used = n.used.plus(p.need)
}

func (c *cluster) unbind(p *pod) {
	n := p.on
	for i, x := range n.pods {
		if x == p {
			n.pods = append(n.pods[:i:i], n.pods[i+1:]...)
			break
		}
	}
	n.used = n.used.minus(p.need)
	p.on = nil
}

func (c *cluster) drop(gone *node) {
	for i, n := range c.nodes {
		if n == gone {
			c.nodes = append(c.nodes[:i:i], c.nodes[i+1:]...)
			return
		}
	}
}

// schedule places a pod as kube-scheduler's default plugins score: free room (LeastAllocated, weight 1), evenness of CPU and memory (1), and few pods of the same workload on the host and in
// the zone (PodTopologySpread's default constraints, weight 2). Equal nodes are chosen from by chance.
func (c *cluster) schedule(p *pod) bool {
	var fit []*node
	zones := map[string]int{}
	if p.w != nil {
		for _, x := range p.w.pods {
			if x.on != nil {
				zones[x.on.zone]++
			}
		}
	}
	crowd := map[*node]float64{}
	least, most := math.Inf(1), 0.0
	for _, n := range c.nodes {
		if !n.fits(p.need) {
			continue
		}
		here := 0
		for _, x := range n.pods {
			if x.w != nil && x.w == p.w {
				here++
			}
		}
		// The weight of a constraint grows with the logarithm of how many domains there are.
		s := float64(here)*math.Log(float64(len(c.nodes)+2)) + float64(zones[n.zone])*math.Log(5)
		crowd[n] = s
		least, most = math.Min(least, s), math.Max(most, s)
		fit = append(fit, n)
	}
	var best *node
	score, ties := -1.0, 0
	for _, n := range fit {
		left := n.free().minus(p.need)
		cpu, mem := float64(left.cpu)/float64(n.kind.room.cpu), float64(left.mem)/float64(n.kind.room.mem)
		spread := 100.0
		if most > 0 {
			spread = 100 * (most + least - crowd[n]) / most
		}
		s := math.Floor(100*(cpu+mem)/2) + math.Floor(100*(1-math.Abs(cpu-mem)/2)) + 2*math.Floor(spread)
		switch {
		case s > score:
			best, score, ties = n, s, 1
		case s == score:
			if ties++; c.rng.IntN(ties) == 0 {
				best = n
			}
		}
	}
	if best == nil {
		return false
	}
	c.bind(p, best)
	return true
}

// place schedules pods, and asks for nodes for those that fit nowhere.
func (c *cluster) place(pods []*pod) {
	for range 20 {
		var waiting []*pod
		for _, p := range pods {
			if !c.schedule(p) {
				waiting = append(waiting, p)
			}
		}
		if len(waiting) == 0 {
			return
		}
		c.scaler.provide(c, waiting)
		pods = waiting
	}
	panic("pods fit on no node that can be made")
}

func (c *cluster) newPod(w *workload) *pod {
	c.serial++
	with := w.meshed && !w.moved
	p := &pod{w: w, need: w.size(with), sidecar: with, serial: c.serial}
	w.pods = append(w.pods, p)
	return p
}

func (c *cluster) remove(p *pod) {
	c.unbind(p)
	for i, x := range p.w.pods {
		if x == p {
			p.w.pods = append(p.w.pods[:i:i], p.w.pods[i+1:]...)
			return
		}
	}
}

// scale brings a workload to its replicas; what goes is from the fullest hosts of the workload first, as ReplicaSets choose.
func (c *cluster) scale(w *workload) {
	var made []*pod
	for len(w.pods) < w.replicas {
		made = append(made, c.newPod(w))
	}
	c.place(made)
	for len(w.pods) > w.replicas {
		on := map[*node]int{}
		for _, p := range w.pods {
			on[p.on]++
		}
		sort.SliceStable(w.pods, func(i, j int) bool { return on[w.pods[i].on] > on[w.pods[j].on] })
		c.remove(w.pods[0])
	}
}

// roll makes a workload's pods anew, a quarter at a time, new ones first.
func (c *cluster) roll(w *workload) {
	old := append([]*pod(nil), w.pods...)
	c.rng.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
	step := (len(old) + 3) / 4
	for len(old) > 0 {
		n := min(step, len(old))
		var made []*pod
		for range n {
			made = append(made, c.newPod(w))
		}
		c.place(made)
		for _, p := range old[:n] {
			c.remove(p)
		}
		old = old[n:]
	}
}

// enable puts ambient's DaemonSets on every node; they are node-critical, so where there is no room for them other pods have to go.
func (c *cluster) enable() {
	c.ambient = true
	var evicted []*pod
	for _, n := range append([]*node(nil), c.nodes...) {
		for _, d := range ambient {
			for !n.fits(d.need) {
				p := n.victim(d.need)
				c.unbind(p)
				evicted = append(evicted, p)
			}
			c.daemon(n, d)
		}
	}
	c.place(evicted)
}

// victim is the pod that preemption takes: the smallest that makes room by itself, else the largest, since it spares as many as it can.
func (n *node) victim(need size) *pod {
	var alone, largest *pod
	for _, p := range n.pods {
		if p.daemon != "" || p.w.stuck { // what may not be evicted has a priority above the others
			continue
		}
		if n.free().plus(p.need).holds(need) && (alone == nil || p.need.cpu < alone.need.cpu) {
			alone = p
		}
		if largest == nil || p.need.cpu > largest.need.cpu {
			largest = p
		}
	}
	if alone != nil {
		return alone
	}
	return largest
}

func (c *cluster) price() (sum float64) {
	for _, n := range c.nodes {
		sum += n.kind.price
	}
	return sum
}

// requests are those of the workloads' pods, and of ambient on so many nodes: requests that are freed are counted before any node goes.
func (c *cluster) requests(nodes int) (sum size) {
	for _, w := range c.workloads {
		for _, p := range w.pods {
			sum = sum.plus(p.need)
		}
	}
	if c.ambient {
		for _, d := range ambient {
			sum = sum.plus(d.need.times(nodes))
		}
	}
	return sum
}

// clone copies everything, with dice of its own.
func (c *cluster) clone(seed uint64) *cluster {
	out := &cluster{rng: rand.New(rand.NewPCG(seed, 99)), scaler: c.scaler, ambient: c.ambient, made: c.made, serial: c.serial}
	nodes := map[*node]*node{}
	for _, n := range c.nodes {
		x := &node{name: n.name, kind: n.kind, zone: n.zone, used: n.used}
		nodes[n] = x
		out.nodes = append(out.nodes, x)
	}
	pods := map[*pod]*pod{}
	for _, w := range c.workloads {
		x := *w
		x.pods = nil
		for _, p := range w.pods {
			q := *p
			q.w, q.on = &x, nodes[p.on]
			pods[p] = &q
			x.pods = append(x.pods, &q)
		}
		out.workloads = append(out.workloads, &x)
	}
	for _, n := range c.nodes {
		for _, p := range n.pods {
			q := pods[p]
			if q == nil {
				d := *p
				d.on = nodes[n]
				q = &d
			}
			nodes[n].pods = append(nodes[n].pods, q)
		}
	}
	return out
}
