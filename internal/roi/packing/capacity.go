package packing

import (
	"math"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// BreakEven is how many meshed pods a node must carry for ambient's DaemonSets to cost no more than the sidecars they
// replace. Zero means that it cannot be said (no sidecar requests to compare with).
type BreakEven struct {
	CPU    int `json:"cpuPodsPerNode"`
	Memory int `json:"memoryPodsPerNode"`
	// Now is the mean number of pods per node that leave their sidecar.
	Now float64 `json:"nowPodsPerNode"`
}

// BreakEvenPods divides what a node pays by what a sidecar requests, rounded up. With the charts' defaults of Istio 1.23
// and later it gives 3 pods for CPU and 5 for memory.
func BreakEvenPods(perNode, sidecar terms.Resources) BreakEven {
	up := func(a, b int64) int {
		if b <= 0 {
			return 0
		}
		return int(math.Ceil(float64(a) / float64(b)))
	}
	return BreakEven{CPU: up(perNode.CPUMilli, sidecar.CPUMilli), Memory: up(perNode.MemoryBytes, sidecar.MemoryBytes)}
}

// Headroom is how many more pods of the median application shape the present nodes would hold.
type Headroom struct {
	Shape       terms.Resources `json:"shapeWithoutSidecar"`
	Before      int             `json:"podsBefore"`
	After       int             `json:"podsAfter"`
	MoreThanNow int             `json:"morePods"`
}

// MorePods counts, on the nodes as they are filled now, how many further median pods fit before the change (with a sidecar) and after
// it (without). Placement rules are not applied: the count is an upper bound.
func MorePods(c terms.Cluster, change terms.Change) Headroom {
	var with, less []terms.Resources
	used := map[string]terms.Resources{}
	usedAfter := map[string]terms.Resources{}
	slots := map[string]int{}
	for _, p := range c.Pods {
		node := p.Object.Spec.NodeName
		if p.Finished() || node == "" {
			continue
		}
		r := terms.Requests(p.Object)
		a := r
		if change.Takes(p) {
			a = terms.RequestsWithoutSidecar(p.Object)
			with, less = append(with, r), append(less, a)
		}
		used[node] = used[node].Plus(r)
		usedAfter[node] = usedAfter[node].Plus(a)
		slots[node]++
	}
	if len(with) == 0 {
		return Headroom{}
	}
	shape, shapeAfter := Median(with), Median(less)
	extraOn := newAmbient(c, change)
	h := Headroom{Shape: shapeAfter}
	for _, n := range c.Nodes {
		a := allocatable(n)
		if n.Spec.Unschedulable || tainted(n) {
			continue
		}
		extra, extraPods := extraOn.on(n)
		left := maxPods(n) - slots[n.Name]
		h.Before += fitCount(a.Minus(used[n.Name]), shape, left)
		h.After += fitCount(a.Minus(usedAfter[n.Name]).Minus(extra), shapeAfter, left-extraPods)
	}
	h.MoreThanNow = h.After - h.Before
	return h
}

func tainted(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return true
		}
	}
	return false
}

func fitCount(free, shape terms.Resources, slots int) int {
	n := int64(max(slots, 0))
	if shape.CPUMilli > 0 {
		n = min(n, max(free.CPUMilli, 0)/shape.CPUMilli)
	}
	if shape.MemoryBytes > 0 {
		n = min(n, max(free.MemoryBytes, 0)/shape.MemoryBytes)
	}
	return int(n)
}

// Median takes the medians of CPU and of memory.
func Median(in []terms.Resources) terms.Resources {
	cpu := make([]int64, len(in))
	mem := make([]int64, len(in))
	for i, r := range in {
		cpu[i], mem[i] = r.CPUMilli, r.MemoryBytes
	}
	sort.Slice(cpu, func(i, j int) bool { return cpu[i] < cpu[j] })
	sort.Slice(mem, func(i, j int) bool { return mem[i] < mem[j] })
	return terms.Resources{CPUMilli: cpu[len(cpu)/2], MemoryBytes: mem[len(mem)/2]}
}
