package packing

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeGroup is a set of nodes that no pod can tell apart but by their size: one pool, the same taints, architecture and operating system, and the same
// value of every label that a pod of the cluster selects by.
type NodeGroup struct {
	Name string
	Rule terms.Rule
	// Count is how many nodes it has now.
	Count  int
	Zones  []string
	Labels map[string]string // those that all its nodes share, without host name and zone
	// ZoneLabels are those that all its nodes in a zone share; a cloud's volumes may name the zone by a label of their own.
	ZoneLabels map[string]map[string]string
	Taints     []corev1.Taint
	// Kinds are its sizes of node, the one that is opened first leading.
	Kinds []Kind

	cache map[string]*corev1.Node
}

// Kind is a size of node in a group.
type Kind struct {
	InstanceType string
	Count        int
	// Room is what the smallest node of the kind can allocate, MaxPods for how many pods.
	Room    room
	MaxPods int
	// Daemons is what DaemonSet and static pods hold on each node, after the change; DaemonPods their number.
	Daemons    room
	DaemonPods int
	// Hourly is the mean price of its nodes, 0 where no node of it has one.
	Hourly float64
}

// room is what a node has or a pod needs: CPU and memory, and more of what is scarce in this cluster, in the order of scarce.names.
type room struct {
	terms.Resources
	more []int64
}

func (r room) minus(o room) room {
	out := room{r.Resources.Minus(o.Resources), slices.Clone(r.more)}
	for i, v := range o.more {
		out.more[i] -= v
	}
	return out
}

func (r room) holds(o room) bool {
	if o.CPUMilli > r.CPUMilli || o.MemoryBytes > r.MemoryBytes {
		return false
	}
	for i, v := range o.more {
		if v > 0 && v > r.more[i] {
			return false
		}
	}
	return true
}

// scarce names the resources beside CPU and memory that some pod requests: GPUs and other extended resources, huge pages, ephemeral storage.
type scarce struct{ names []corev1.ResourceName }

func scarceOf(c terms.Cluster) scarce {
	seen := map[corev1.ResourceName]bool{}
	for _, p := range c.Pods {
		for _, list := range [][]corev1.Container{p.Object.Spec.Containers, p.Object.Spec.InitContainers} {
			for i := range list {
				for name := range list[i].Resources.Requests {
					if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
						seen[name] = true
					}
				}
			}
		}
	}
	return scarce{slices.Sorted(maps.Keys(seen))}
}

// unlimited stands for ephemeral storage that a node does not state.
const unlimited = int64(1) << 62

func (s scarce) of(list corev1.ResourceList, node bool) room {
	out := room{Resources: terms.ResourcesOf(list)}
	if len(s.names) == 0 {
		return out
	}
	out.more = make([]int64, len(s.names))
	for i, name := range s.names {
		q, ok := list[name]
		switch {
		case ok:
			out.more[i] = q.Value()
		case node && name == corev1.ResourceEphemeralStorage:
			out.more[i] = unlimited
		}
	}
	return out
}

// ofPod is what a pod needs once the change is made.
func (s scarce) ofPod(p terms.Pod, change terms.Change) room { return s.of(change.List(p), false) }

// template is a node of the group in a zone, for matching selectors.
func (g *NodeGroup) template(zone string) *corev1.Node {
	if n := g.cache[zone]; n != nil {
		return n
	}
	l := maps.Clone(g.ZoneLabels[zone])
	if l == nil {
		l = map[string]string{}
	}
	if zone != "" {
		l[corev1.LabelTopologyZone] = zone
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: g.Name, Labels: l}}
	if g.cache == nil {
		g.cache = map[string]*corev1.Node{}
	}
	g.cache[zone] = n
	return n
}

// selectedBy are the labels of nodes that pods select by, but for zone and host name, which are treated by themselves.
func selectedBy(c terms.Cluster) []string {
	seen := map[string]bool{}
	for _, p := range c.Pods {
		spec := &p.Object.Spec
		for k := range spec.NodeSelector {
			seen[k] = true
		}
		if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil || spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil || perNode(p.Object) {
			continue
		}
		for _, t := range spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			for _, e := range t.MatchExpressions {
				seen[e.Key] = true
			}
		}
	}
	delete(seen, corev1.LabelTopologyZone)
	delete(seen, corev1.LabelFailureDomainBetaZone)
	delete(seen, corev1.LabelHostname)
	return slices.Sorted(maps.Keys(seen))
}

// groupKey tells groups apart. Sizes are no part of it: a pool may have several, and a pod takes any of them.
func groupKey(n *corev1.Node, selected []string, rule terms.Rule) string {
	parts := []string{terms.PoolOf(n)}
	if rule != terms.ByKarpenter && rule != terms.ByHand { // a group of cluster-autoscaler has nodes of one kind
		parts = append(parts, n.Labels[corev1.LabelInstanceTypeStable])
	}
	for _, l := range []string{corev1.LabelArchStable, corev1.LabelOSStable} {
		if v := n.Labels[l]; v != "" && v != "amd64" && v != "linux" {
			parts = append(parts, v)
		}
	}
	if rule == terms.Fixed || rule == terms.PerPod {
		parts = append(parts, string(rule))
	}
	for _, l := range selected {
		if v := n.Labels[l]; v != "" && v != n.Name && l != corev1.LabelArchStable && l != corev1.LabelOSStable {
			parts = append(parts, l+"="+v)
		}
	}
	var taints []string
	for _, t := range n.Spec.Taints {
		if permanent(t) {
			taints = append(taints, t.Key+"="+t.Value+":"+string(t.Effect))
		}
	}
	sort.Strings(taints)
	return strings.Join(append(parts, taints...), "/")
}

// permanent tells a taint of the node's kind from one of its momentary state.
func permanent(t corev1.Taint) bool {
	return !strings.HasPrefix(t.Key, "node.kubernetes.io/") && !strings.HasPrefix(t.Key, "node.cloudprovider.kubernetes.io/") &&
		t.Key != "karpenter.sh/disrupted" && t.Key != "ToBeDeletedByClusterAutoscaler" && t.Key != "DeletionCandidateOfClusterAutoscaler"
}

// grouping is a cluster's nodes in groups, and each node's group and kind.
type grouping struct {
	groups []NodeGroup
	of     map[string]int
	kindOf map[string]int
	scarce scarce
}

// groupNodes splits the cluster's nodes into groups and kinds. Whether pods may use the control plane's nodes is for their taints to say.
func groupNodes(c terms.Cluster, change terms.Change) grouping {
	g := grouping{of: map[string]int{}, kindOf: map[string]int{}, scarce: scarceOf(c)}
	index := map[string]int{}
	selected := selectedBy(c)
	members := [][]*corev1.Node{}
	nodes := append([]*corev1.Node(nil), c.Nodes...)
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	for _, n := range nodes {
		rule := terms.RuleOf(n, c.Autoscaler)
		k := groupKey(n, selected, rule)
		i, ok := index[k]
		if !ok {
			i = len(g.groups)
			index[k] = i
			ng := NodeGroup{Name: k, Rule: rule, Labels: ownLabels(n), ZoneLabels: map[string]map[string]string{}}
			for _, t := range n.Spec.Taints {
				if permanent(t) {
					ng.Taints = append(ng.Taints, t)
				}
			}
			g.groups, members = append(g.groups, ng), append(members, nil)
		}
		ng := &g.groups[i]
		ng.Count++
		g.of[n.Name] = i
		members[i] = append(members[i], n)
		zone := n.Labels[corev1.LabelTopologyZone]
		if _, seen := ng.ZoneLabels[zone]; !seen {
			ng.ZoneLabels[zone] = ownLabels(n)
			ng.Zones = append(ng.Zones, zone)
		}
		keepShared(ng.Labels, n.Labels)
		keepShared(ng.ZoneLabels[zone], n.Labels)
	}
	for i := range g.groups {
		sort.Strings(g.groups[i].Zones)
		g.addKinds(i, members[i], c.Hourly)
	}
	g.addDaemons(c, change)
	return g
}

// bucket is how far nodes of one kind may differ in what they can allocate: the kernel of the same machine leaves a little more or less.
const bucket = 0.03

// addKinds sorts a group's nodes into kinds: by instance type, then by what they can allocate. RKE2, k3s and kubeadm give nodes of every size the same
// type or none.
func (g *grouping) addKinds(group int, nodes []*corev1.Node, hourly map[string]float64) {
	ng := &g.groups[group]
	sorted := append([]*corev1.Node(nil), nodes...)
	slices.SortStableFunc(sorted, func(a, b *corev1.Node) int {
		if by := strings.Compare(a.Labels[corev1.LabelInstanceTypeStable], b.Labels[corev1.LabelInstanceTypeStable]); by != 0 {
			return by
		}
		ra, rb := allocatable(a), allocatable(b)
		if ra.CPUMilli != rb.CPUMilli {
			return int(rb.CPUMilli - ra.CPUMilli)
		}
		return strings.Compare(a.Name, b.Name)
	})
	type build struct {
		kind          Kind
		largest       room
		price, priced float64
		nodes         []string
	}
	var kinds []*build
	for _, n := range sorted {
		r, pods := g.scarce.of(n.Status.Allocatable, true), maxPods(n)
		var k *build
		for _, old := range kinds {
			if old.kind.InstanceType == n.Labels[corev1.LabelInstanceTypeStable] && near(r, old.largest) && pods == old.kind.MaxPods {
				k = old
				break
			}
		}
		if k == nil {
			k = &build{kind: Kind{InstanceType: n.Labels[corev1.LabelInstanceTypeStable], Room: r, MaxPods: pods}, largest: r}
			kinds = append(kinds, k)
		}
		k.kind.Count++
		k.kind.Room = smaller(k.kind.Room, r)
		k.nodes = append(k.nodes, n.Name)
		if p, ok := hourly[n.Name]; ok {
			k.price, k.priced = k.price+p, k.priced+1
		}
	}
	priced := true
	for _, k := range kinds {
		k.kind.Hourly, _ = terms.Ratio(k.price, k.priced)
		priced = priced && k.kind.Hourly > 0
	}
	slices.SortStableFunc(kinds, func(a, b *build) int { return firstOpened(a.kind, b.kind, priced) })
	for i, k := range kinds {
		ng.Kinds = append(ng.Kinds, k.kind)
		for _, name := range k.nodes {
			g.kindOf[name] = i
		}
	}
}

// firstOpened orders kinds: the cheapest core first where every kind has a price, the largest node where not or where they cost the same.
func firstOpened(a, b Kind, priced bool) int {
	if priced {
		x, _ := terms.Ratio(a.Hourly, float64(a.Room.CPUMilli))
		y, _ := terms.Ratio(b.Hourly, float64(b.Room.CPUMilli))
		if d := x - y; d < -0.01*y {
			return -1
		} else if d > 0.01*y {
			return 1
		}
	}
	if a.Room.CPUMilli != b.Room.CPUMilli {
		if a.Room.CPUMilli > b.Room.CPUMilli {
			return -1
		}
		return 1
	}
	switch {
	case a.Room.MemoryBytes > b.Room.MemoryBytes:
		return -1
	case a.Room.MemoryBytes < b.Room.MemoryBytes:
		return 1
	}
	return strings.Compare(a.InstanceType, b.InstanceType)
}

func near(a, b room) bool {
	close := func(x, y int64) bool {
		lo, hi := min(x, y), max(x, y)
		return float64(hi-lo) <= bucket*float64(hi)
	}
	if !close(a.CPUMilli, b.CPUMilli) || !close(a.MemoryBytes, b.MemoryBytes) {
		return false
	}
	for i := range a.more {
		if !close(a.more[i], b.more[i]) {
			return false
		}
	}
	return true
}

func smaller(a, b room) room {
	out := room{terms.Resources{CPUMilli: min(a.CPUMilli, b.CPUMilli), MemoryBytes: min(a.MemoryBytes, b.MemoryBytes)}, slices.Clone(a.more)}
	for i := range out.more {
		out.more[i] = min(a.more[i], b.more[i])
	}
	return out
}

// addDaemons gives every kind the DaemonSets seen on any of its nodes, at their largest, as they are after the change, and those that ambient needs. A
// DaemonSet that runs on some nodes only counts on all of the kind: that errs towards more nodes.
func (g *grouping) addDaemons(c terms.Cluster, change terms.Change) {
	type key struct {
		group, kind int
		owner       string
	}
	largest := map[key]room{}
	for _, p := range c.Pods {
		if p.Finished() || !perNode(p.Object) {
			continue
		}
		r := g.scarce.ofPod(p, change)
		add := func(group, kind int) {
			k := key{group, kind, ownerName(p.Object)}
			old, ok := largest[k]
			if !ok {
				largest[k] = r
				return
			}
			for i := range r.more {
				r.more[i] = max(r.more[i], old.more[i])
			}
			largest[k] = room{terms.Resources{CPUMilli: max(r.CPUMilli, old.CPUMilli), MemoryBytes: max(r.MemoryBytes, old.MemoryBytes)}, r.more}
		}
		switch at, placed := g.of[p.Object.Spec.NodeName]; {
		case placed:
			add(at, g.kindOf[p.Object.Spec.NodeName])
		case p.Object.Spec.NodeName == "" && !p.Waiting(): // a DaemonSet known from manifests alone: it counts everywhere
			for i := range g.groups {
				for k := range g.groups[i].Kinds {
					add(i, k)
				}
			}
		}
	}
	for k, r := range largest {
		kind := &g.groups[k.group].Kinds[k.kind]
		kind.Daemons.Resources = kind.Daemons.Plus(r.Resources)
		kind.Daemons.more = plus(kind.Daemons.more, r.more)
		kind.DaemonPods++
	}
	extra := newAmbient(c, change)
	most := map[[2]int]bool{}
	for _, n := range c.Nodes {
		at := [2]int{g.of[n.Name], g.kindOf[n.Name]}
		r, pods := extra.on(n)
		if pods == 0 || most[at] {
			continue
		}
		most[at] = true
		kind := &g.groups[at[0]].Kinds[at[1]]
		kind.Daemons.Resources = kind.Daemons.Plus(r)
		kind.DaemonPods += pods
	}
}

func plus(a, b []int64) []int64 {
	if a == nil {
		return slices.Clone(b)
	}
	for i, v := range b {
		a[i] += v
	}
	return a
}

// perNode tells pods that come with a node (DaemonSet and static pods) from those that are placed.
func perNode(pod *corev1.Pod) bool {
	for _, o := range pod.OwnerReferences {
		if o.Controller != nil && *o.Controller && (o.Kind == "DaemonSet" || o.Kind == "Node") {
			return true
		}
	}
	return false
}

// ownerName identifies a DaemonSet across its pods; a static pod is named after its node, so the node's name is cut off.
func ownerName(pod *corev1.Pod) string {
	for _, o := range pod.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			if o.Kind == "Node" {
				return pod.Namespace + "/static/" + strings.TrimSuffix(pod.Name, "-"+o.Name)
			}
			return pod.Namespace + "/" + o.Kind + "/" + o.Name
		}
	}
	return pod.Namespace + "/" + pod.Name
}

func allocatable(n *corev1.Node) terms.Resources { return terms.ResourcesOf(n.Status.Allocatable) }

func maxPods(n *corev1.Node) int {
	if p := n.Status.Allocatable.Pods().Value(); p > 0 {
		return int(p)
	}
	return 110 // the kubelet's default
}

// ownLabels are the labels of a node that a new one of its group may have too: not zone, host name, or another label with the node's name.
func ownLabels(n *corev1.Node) map[string]string {
	out := make(map[string]string, len(n.Labels))
	for k, v := range n.Labels {
		if k != corev1.LabelHostname && k != corev1.LabelTopologyZone && v != n.Name {
			out[k] = v
		}
	}
	return out
}

// keepShared removes from labels what other has not.
func keepShared(labels, other map[string]string) {
	maps.DeleteFunc(labels, func(k, v string) bool { return other[k] != v })
}
