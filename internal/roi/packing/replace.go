package packing

import (
	"cmp"
	"hash/fnv"
	"slices"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// Packing is the outcome of packing every pod onto new nodes of the groups they run in.
type Packing struct {
	// Nodes is how many nodes that takes.
	Nodes int `json:"nodes"`
	// Low and High are the fewest and the most nodes over equally good orders.
	Low  int `json:"low"`
	High int `json:"high"`
	// ByGroup is the same per node group, in the order of Groups.
	ByGroup []GroupCount `json:"byGroup"`
	// Unplaced are pods that no node of their group can take; the nodes they run on now are kept and counted.
	Unplaced []string `json:"unplaced,omitempty"`
	// Pending counts pods that have no node now and are left out.
	Pending int `json:"pending,omitempty"`
	// VolumesUnknown counts pods with volumes that were not read; they stay in the zone where they run.
	VolumesUnknown int `json:"volumesUnknown,omitempty"`
	// Binding is the resource that decides how many nodes are needed: cpu, memory, pods, or placement rules.
	Binding string `json:"binding"`
	// Full is each resource's share of allocatable that the packed pods hold.
	Full map[string]float64 `json:"full"`
}

// GroupCount is the nodes of one group.
type GroupCount struct {
	Group        string `json:"group"`
	InstanceType string `json:"instanceType"`
	Now          int    `json:"now"`
	Nodes        int    `json:"nodes"`
}

// orders is how many orders of equal pods and equal zones Replace tries: enough that the median of a cluster whose outcome moves by
// six nodes is known to about half a node. Very large clusters take long and move little.
func orders(pods int) int {
	if pods <= 10_000 {
		return 15
	}
	return 3
}

// Replace packs all pods afresh, as if every node of a group were replaced: pods by falling CPU, then memory, each on the
// open node with the fewest pods that admits it, a new node where none does. That is Karpenter's way. Where pods or zones are equal the choice is
// arbitrary and moves the outcome, usually by a node or two, for Karpenter too; so it packs in several orders and gives the median, with the range.
// It assumes that a node goes as soon as it is empty; Drain says what an autoscaler that only removes half-empty nodes would do.
func Replace(c terms.Cluster, change terms.Change) Packing {
	r := newReplacement(c, change)
	all := make([]Packing, orders(len(r.items)))
	for i := range all {
		seed := uint64(i + 1)
		r.shuffle(seed)
		all[i] = r.pack(seed)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Nodes < all[j].Nodes })
	out := all[len(all)/2]
	out.Low, out.High = all[0].Nodes, all[len(all)-1].Nodes
	return out
}

// ReplaceInOrder packs once, with equal pods in the order in which Karpenter takes them: by creation time, then by UID. Only the choice between
// equally good zones is then arbitrary.
func ReplaceInOrder(c terms.Cluster, change terms.Change) Packing {
	r := newReplacement(c, change)
	sort.Slice(r.items, func(i, j int) bool {
		a, b := r.items[i], r.items[j]
		switch {
		case !a.born.Equal(b.born):
			return a.born.Before(b.born)
		case a.uid != b.uid:
			return a.uid < b.uid
		}
		return a.name < b.name
	})
	sortBySize(r.items)
	out := r.pack(0)
	out.Low, out.High = out.Nodes, out.Nodes
	return out
}

// replacement is a cluster made ready to be packed again and again.
type replacement struct {
	p      *packer
	groups []NodeGroup
	items  []*item
	left   leftOut
}

func newReplacement(c terms.Cluster, change terms.Change) *replacement {
	groups, of := NodeGroups(c)
	addAmbient(groups, change)
	p, items, left := prepare(c, change, groups, of)
	return &replacement{p, groups, items, left}
}

// shuffle puts items in the order of packing, equal ones by a hash of seed and name.
func (r *replacement) shuffle(seed uint64) {
	rank := make(map[*item]uint64, len(r.items))
	for _, it := range r.items {
		h := fnv.New64a()
		h.Write([]byte(it.name))
		rank[it] = scatter(h.Sum64() ^ scatter(seed)) // FNV alone keeps names that end alike close together
	}
	sort.Slice(r.items, func(i, j int) bool {
		a, b := rank[r.items[i]], rank[r.items[j]]
		if a == b {
			return r.items[i].name < r.items[j].name
		}
		return a < b
	})
	sortBySize(r.items)
}

// pack places the items in their present order.
func (r *replacement) pack(seed uint64) Packing {
	r.p.reset(seed)
	out := Packing{Pending: r.left.pending, VolumesUnknown: r.left.volumes, ByGroup: make([]GroupCount, len(r.groups))}
	kept := map[string]int{}
	for _, it := range r.p.placeAll(r.items) {
		out.Unplaced = append(out.Unplaced, it.name)
		if it.node != "" {
			kept[it.node] = it.group
		}
	}
	sort.Strings(out.Unplaced)
	for i, g := range r.groups {
		out.ByGroup[i] = GroupCount{Group: g.Name, InstanceType: g.InstanceType, Now: g.Count}
	}
	for _, b := range r.p.bins {
		out.ByGroup[b.group].Nodes++
	}
	for _, g := range kept {
		out.ByGroup[g].Nodes++
	}
	for _, g := range out.ByGroup {
		out.Nodes += g.Nodes
	}
	out.Binding, out.Full = binding(r.groups, r.items, out.ByGroup)
	return out
}

// placeAll places items, coming back to those that wait for another (affinity, spread) as long as a round gets any further. It returns
// those that nothing takes.
func (p *packer) placeAll(items []*item) []*item {
	queue := append([]*item(nil), items...)
	lastLen := map[*item]int{}
	for len(queue) > 0 {
		it := queue[0]
		if lastLen[it] == len(queue) {
			if !p.settle() {
				return queue
			}
			clear(lastLen) // what waits for a pod in its zone may find one now
		}
		queue = queue[1:]
		if !p.place(it) {
			queue = append(queue, it)
			lastLen[it] = len(queue)
		}
	}
	return nil
}

// addAmbient adds ztunnel and istio-cni to every group that lacks them, once anything leaves its sidecar.
func addAmbient(groups []NodeGroup, change terms.Change) {
	if len(change.Leaves) == 0 {
		return
	}
	for i := range groups {
		g := &groups[i]
		if !g.HasZtunnel {
			g.Daemons = g.Daemons.Plus(change.Ztunnel)
			g.DaemonPods++
		}
		if !g.HasCNI {
			g.Daemons = g.Daemons.Plus(change.CNI)
			g.DaemonPods++
		}
	}
}

// leftOut counts pods that are not simulated, or not as they are.
type leftOut struct {
	pending int // without a node
	volumes int // with volumes that were not read
}

// prepare interns shapes, makes the items (pods that are placed, waypoints that the change adds) and an empty packer.
func prepare(c terms.Cluster, change terms.Change, groups []NodeGroup, of map[string]int) (*packer, []*item, leftOut) {
	p := &packer{groups: groups, zoneBit: map[string]zones{}, shapes: newShapes(c.NamespaceLabels), allowed: map[*shape][]zones{}}
	for _, g := range groups {
		for _, z := range g.Zones {
			if _, ok := p.zoneBit[z]; !ok && len(p.zoneNames) < 64 {
				p.zoneBit[z] = 1 << len(p.zoneNames)
				p.zoneNames = append(p.zoneNames, z)
			}
		}
	}
	nodeZone := map[string]string{}
	for _, n := range c.Nodes {
		nodeZone[n.Name] = n.Labels[corev1.LabelTopologyZone]
	}
	var left leftOut
	volumes := newVolumes(c)
	items := make([]*item, 0, len(c.Pods))
	for _, pod := range c.Pods {
		if pod.Finished() || perNode(pod.Object) {
			continue
		}
		g, ok := of[pod.Object.Spec.NodeName]
		if !ok {
			left.pending++
			continue
		}
		it := &item{shape: p.shapes.of(pod.Object), need: change.After(pod), group: g,
			name: pod.Object.Namespace + "/" + pod.Object.Name, node: pod.Object.Spec.NodeName,
			born: pod.Object.CreationTimestamp.Time, uid: string(pod.Object.UID)}
		var known bool
		if it.zone, known = volumes.zonesOf(pod.Object, p, p.zoneBit[nodeZone[it.node]]); !known {
			left.volumes++
		}
		items = append(items, it)
	}
	items = append(items, p.waypointItems(change)...)
	p.shapes.link()
	return p, items, left
}

// waypointItems are the pods of planned waypoints. They go to the largest group without taints, where such a Deployment
// would mostly land.
func (p *packer) waypointItems(change terms.Change) []*item {
	target := -1
	for i, g := range p.groups {
		if len(g.Taints) == 0 && (target < 0 || g.Count > p.groups[target].Count) {
			target = i
		}
	}
	if target < 0 {
		if len(p.groups) == 0 {
			return nil
		}
		target = 0
	}
	var out []*item
	for _, w := range change.Waypoints {
		pod := &corev1.Pod{}
		pod.Namespace = w.Namespace
		pod.Labels = map[string]string{"sidestep.dev/planned-waypoint": w.Namespace}
		if len(p.groups[target].Taints) > 0 {
			pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}
		sh := p.shapes.of(pod)
		for i := range w.Replicas {
			out = append(out, &item{shape: sh, need: w.Each, group: target, zone: ^zones(0),
				name: w.Namespace + "/planned-waypoint-" + itoa(i)})
		}
	}
	return out
}

// sortBySize sorts by falling CPU, then memory; equal items keep their order.
func sortBySize(items []*item) {
	slices.SortStableFunc(items, func(a, b *item) int {
		if by := cmp.Compare(b.need.CPUMilli, a.need.CPUMilli); by != 0 {
			return by
		}
		return cmp.Compare(b.need.MemoryBytes, a.need.MemoryBytes)
	})
}

// binding names the resource whose total alone needs the most nodes. When packing needs clearly more nodes than any total, rules and
// odd sizes decide, and saying "cpu" would mislead.
func binding(groups []NodeGroup, items []*item, counts []GroupCount) (string, map[string]float64) {
	type sums struct{ cpu, mem, pods float64 }
	need := make([]sums, len(groups))
	for _, it := range items {
		need[it.group].cpu += float64(it.need.CPUMilli)
		need[it.group].mem += float64(it.need.MemoryBytes)
		need[it.group].pods++
	}
	var all, have sums
	for i, g := range groups {
		n := float64(counts[i].Nodes)
		all.cpu, all.mem, all.pods = all.cpu+need[i].cpu, all.mem+need[i].mem, all.pods+need[i].pods
		have.cpu += n * float64(g.Allocatable.CPUMilli-g.Daemons.CPUMilli)
		have.mem += n * float64(g.Allocatable.MemoryBytes-g.Daemons.MemoryBytes)
		have.pods += n * float64(g.MaxPods-g.DaemonPods)
	}
	full := map[string]float64{}
	best, name := 0.0, "nothing"
	for _, r := range []struct {
		name       string
		need, have float64
	}{{"cpu", all.cpu, have.cpu}, {"memory", all.mem, have.mem}, {"pods", all.pods, have.pods}} {
		q, ok := terms.Ratio(r.need, r.have)
		if !ok {
			continue
		}
		full[r.name] = q
		if q > best {
			best, name = q, r.name
		}
	}
	if best > 0 && best < 0.8 {
		name = "placement rules and pod sizes"
	}
	return name, full
}
