package packing

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"sort"
	"strings"

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
	// Waiting counts pods that no node has room for today and that find none in the packing either.
	Waiting int `json:"waiting,omitempty"`
	// VolumesUnknown counts pods with volumes that were not read; they stay in the zone where they run.
	VolumesUnknown int `json:"volumesUnknown,omitempty"`
	// Binding is the resource that decides how many nodes are needed: cpu, memory, pods, or placement rules.
	Binding string `json:"binding"`
	// Full is each resource's share of allocatable that the packed pods hold.
	Full map[string]float64 `json:"full"`
}

// Within is the packing with at most so many nodes: pods that run on them today fit, however well a heuristic packs them.
func (p Packing) Within(nodes int) Packing {
	if p.Nodes > nodes {
		p.Nodes = nodes
		p.ByGroup = slices.Clone(p.ByGroup)
		for i := range p.ByGroup {
			p.ByGroup[i].Nodes = p.ByGroup[i].Now
		}
	}
	p.Low, p.High = min(p.Low, p.Nodes), max(min(p.High, nodes), p.Nodes)
	return p
}

// GroupCount is the nodes of one kind of one group.
type GroupCount struct {
	Group        string `json:"group"`
	InstanceType string `json:"instanceType"`
	Now          int    `json:"now"`
	Nodes        int    `json:"nodes"`
	// Hourly is the mean price of its nodes; 0 where none has one.
	Hourly float64 `json:"-"`
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
	return r.packs(orders(len(r.items)))
}

// ReplaceFew is Replace in three orders only, for a quick answer about part of a change.
func ReplaceFew(c terms.Cluster, change terms.Change) Packing {
	return newReplacement(c, change).packs(3)
}

func (r *replacement) packs(orders int) Packing {
	all := make([]Packing, orders)
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
	p     *packer
	items []*item
	waits []*item // pods that no node has room for today
	fixed []int   // nodes of each group that stay whatever happens
	left  leftOut
}

func newReplacement(c terms.Cluster, change terms.Change) *replacement {
	p, items, left := prepare(c, change)
	r := &replacement{p: p, left: left, fixed: make([]int, len(p.groups))}
	for i, g := range p.groups {
		if g.Rule == terms.Fixed || g.Rule == terms.PerPod {
			r.fixed[i] = g.Count
		}
	}
	for _, it := range items {
		switch {
		case r.fixed[it.group] > 0 && !it.waits:
		case it.waits:
			r.waits = append(r.waits, it)
		default:
			r.items = append(r.items, it)
		}
	}
	return r
}

// shuffle puts items in the order of packing, equal ones by a hash of seed and name.
func (r *replacement) shuffle(seed uint64) {
	for _, list := range [][]*item{r.items, r.waits} {
		rank := make(map[*item]uint64, len(list))
		for _, it := range list {
			rank[it] = scatter(hashOf(it.name) ^ scatter(seed)) // FNV alone keeps names that end alike close together
		}
		sort.Slice(list, func(i, j int) bool {
			a, b := rank[list[i]], rank[list[j]]
			if a == b {
				return list[i].name < list[j].name
			}
			return a < b
		})
		sortBySize(list)
	}
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// pack places the items in their present order, then those that wait for room on the nodes that there are.
func (r *replacement) pack(seed uint64) Packing {
	r.p.reset(seed)
	out := Packing{Pending: r.left.pending, VolumesUnknown: r.left.volumes}
	kept := map[string]*item{}
	for _, it := range r.p.placeAll(r.items) {
		out.Unplaced = append(out.Unplaced, it.name)
		if it.node != "" {
			kept[it.node] = it
		}
	}
	sort.Strings(out.Unplaced)
	r.p.economise()
	now := 0
	for i, g := range r.p.groups {
		now += g.Count - r.fixed[i]
	}
	if len(r.waits) > 0 {
		r.p.most = max(now, len(r.p.bins))
		out.Waiting = len(r.p.placeAll(r.waits))
	}
	at := map[[2]int]int{}
	for i, g := range r.p.groups {
		for k, kind := range g.Kinds {
			at[[2]int{i, k}] = len(out.ByGroup)
			count := GroupCount{Group: g.Name, InstanceType: kind.InstanceType, Now: kind.Count, Hourly: kind.Hourly}
			if r.fixed[i] > 0 {
				count.Nodes = kind.Count
			}
			out.ByGroup = append(out.ByGroup, count)
		}
	}
	for _, b := range r.p.bins {
		out.ByGroup[at[[2]int{b.group, b.kind}]].Nodes++
	}
	for _, it := range kept {
		out.ByGroup[at[[2]int{it.group, it.kind}]].Nodes++
	}
	for _, g := range out.ByGroup {
		out.Nodes += g.Nodes
	}
	if out.Waiting > 0 { // room that is freed is taken at once
		out.Nodes = max(out.Nodes, now)
		for i := range out.ByGroup {
			out.ByGroup[i].Nodes = max(out.ByGroup[i].Nodes, out.ByGroup[i].Now)
		}
	}
	out.Binding, out.Full = binding(r.items, r.p.bins)
	return out
}

// economise moves what fills only part of a node to a cheaper or smaller kind of the same group, where one holds it: the last node that is opened is
// seldom full.
func (p *packer) economise() {
	order := append([]*bin(nil), p.bins...)
	slices.SortStableFunc(order, func(a, b *bin) int {
		return cmp.Compare(a.whole.CPUMilli-a.free.CPUMilli, b.whole.CPUMilli-b.free.CPUMilli)
	})
	for _, b := range order {
		g := &p.groups[b.group]
		used := b.whole.minus(b.free)
		for k := len(g.Kinds) - 1; k >= 0; k-- {
			kind := &g.Kinds[k]
			if k == b.kind || g.Rule != terms.ByKarpenter && p.opened[b.group][k] >= kind.Count {
				continue
			}
			whole := kind.Room.minus(kind.Daemons)
			if !cheaper(*kind, g.Kinds[b.kind]) || !whole.holds(used) || b.pods > kind.MaxPods-kind.DaemonPods {
				continue
			}
			p.opened[b.group][b.kind]--
			p.opened[b.group][k]++
			b.kind, b.whole, b.free, b.slots = k, whole, whole.minus(used), kind.MaxPods-kind.DaemonPods-b.pods
			break
		}
	}
}

// cheaper compares kinds by price, by size where the price is not known.
func cheaper(a, b Kind) bool {
	if a.Hourly > 0 && b.Hourly > 0 && a.Hourly != b.Hourly {
		return a.Hourly < b.Hourly
	}
	return a.Room.CPUMilli < b.Room.CPUMilli
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

// leftOut counts pods that are not simulated, or not as they are.
type leftOut struct {
	pending int // without a node
	volumes int // with volumes that were not read
}

// prepare interns shapes, makes the items (pods that are placed or wait, waypoints that the change adds) and an empty packer.
func prepare(c terms.Cluster, change terms.Change) (*packer, []*item, leftOut) {
	g := groupNodes(c, change)
	p := &packer{grouping: g, zoneBit: map[string]zones{}, shapes: newShapes(c.NamespaceLabels), allowed: map[*shape][]zones{}}
	for _, ng := range p.groups {
		for _, z := range ng.Zones {
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
		at, ok := g.of[pod.Object.Spec.NodeName]
		it := &item{shape: p.shapes.of(pod.Object), need: g.scarce.ofPod(pod, change), group: at, kind: g.kindOf[pod.Object.Spec.NodeName],
			name: pod.Object.Namespace + "/" + pod.Object.Name, node: pod.Object.Spec.NodeName,
			born: pod.Object.CreationTimestamp.Time, uid: string(pod.Object.UID), workload: pod.Workload,
			pinned: pod.Object.Annotations["karpenter.sh/do-not-disrupt"] == "true"}
		if !ok {
			left.pending++
			if at = p.largestFor(it.shape); at < 0 || !pod.Waiting() {
				continue
			}
			it.group, it.waits, it.node, it.zone = at, true, "", ^zones(0)
			items = append(items, it)
			continue
		}
		var known bool
		if it.zone, known = volumes.zonesOf(pod.Object, p, p.zoneBit[nodeZone[it.node]]); !known {
			left.volumes++
		}
		items = append(items, it)
	}
	items = append(items, p.waypointItems(change)...)
	items = append(items, moreItems(items, change)...)
	for _, it := range items { // what a waypoint or a waiting pod does not state of scarce resources is nothing
		if it.need.more == nil && len(g.scarce.names) > 0 {
			it.need.more = make([]int64, len(g.scarce.names))
		}
	}
	p.shapes.link()
	return p, items, left
}

// moreItems are the pods that autoscalers add, each like one that there is.
func moreItems(items []*item, change terms.Change) []*item {
	if len(change.More) == 0 {
		return nil
	}
	by := map[string][]*item{}
	for _, it := range items {
		if change.More[it.workload] > 0 && !it.waits {
			by[it.workload] = append(by[it.workload], it)
		}
	}
	var out []*item
	for _, w := range slices.Sorted(maps.Keys(by)) {
		for i := range change.More[w] {
			it := *by[w][i%len(by[w])]
			it.name, it.node, it.uid, it.zone, it.added = it.name+"-more-"+itoa(i), "", "", ^zones(0), true
			out = append(out, &it)
		}
	}
	return out
}

// largestFor is the group with the most nodes of those that admit the shape, -1 for none.
func (p *packer) largestFor(sh *shape) int {
	best := -1
	for i := range p.groups {
		if p.admits(sh, i) != 0 && p.groups[i].Rule != terms.PerPod && (best < 0 || p.groups[i].Count > p.groups[best].Count) {
			best = i
		}
	}
	return best
}

// waypointItems are the pods of planned waypoints. They go to the largest group without taints, where such a Deployment
// would mostly land.
func (p *packer) waypointItems(change terms.Change) []*item {
	target := -1
	for i, g := range p.groups {
		if len(g.Taints) == 0 && g.Rule != terms.PerPod && g.Rule != terms.Fixed && !strings.Contains(g.Name, "windows") && (target < 0 || g.Count > p.groups[target].Count) {
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
			out = append(out, &item{shape: sh, need: room{Resources: w.Each}, group: target, zone: ^zones(0),
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
func binding(items []*item, bins []*bin) (string, map[string]float64) {
	var need, have struct{ cpu, mem, pods float64 }
	for _, it := range items {
		need.cpu += float64(it.need.CPUMilli)
		need.mem += float64(it.need.MemoryBytes)
		need.pods++
	}
	for _, b := range bins {
		have.cpu += float64(b.whole.CPUMilli)
		have.mem += float64(b.whole.MemoryBytes)
		have.pods += float64(b.slots + b.pods)
	}
	full := map[string]float64{}
	best, name := 0.0, "nothing"
	for _, r := range []struct {
		name       string
		need, have float64
	}{{"cpu", need.cpu, have.cpu}, {"memory", need.mem, have.mem}, {"pods", need.pods, have.pods}} {
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
