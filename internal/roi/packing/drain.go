package packing

import (
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// UtilizationThreshold is cluster-autoscaler's default --scale-down-utilization-threshold.
const UtilizationThreshold = 0.5

// Blocker is why a node stays although it is below the threshold.
type Blocker struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// Draining is the outcome of letting an autoscaler remove nodes one by one.
type Draining struct {
	// Removed are the nodes that go, in order.
	Removed []string `json:"removed"`
	// Blocked are nodes below the threshold that stay, and why.
	Blocked []Blocker `json:"blocked,omitempty"`
	// Above counts nodes that stay because they are half full or more.
	Above int `json:"above"`
}

// Drain applies cluster-autoscaler's rule where pods run now: a node goes if its requests are below half of what it can allocate
// (the larger of CPU and memory, DaemonSets included) and every pod on it may be evicted and fits elsewhere.
// Other nodes keep their pods. Nodes are tried from the emptiest on, again after each removal.
func Drain(c terms.Cluster, change terms.Change) Draining {
	groups, of := NodeGroups(c)
	p, items, _ := prepare(c, change, groups, of)
	bins := map[string]*bin{}
	daemons := map[string]terms.Resources{}
	daemonPods := map[string]int{}
	for _, pod := range c.Pods {
		if perNode(pod.Object) && !pod.Finished() {
			daemons[pod.Object.Spec.NodeName] = daemons[pod.Object.Spec.NodeName].Plus(terms.Requests(pod.Object))
			daemonPods[pod.Object.Spec.NodeName]++
		}
	}
	nodes := append([]*corev1.Node(nil), c.Nodes...)
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	for _, n := range nodes {
		g := of[n.Name]
		extra, extraPods := AmbientExtra(groups[g], change)
		b := &bin{group: g, host: n.Name, labels: n.Labels, zones: p.zoneBit[n.Labels[corev1.LabelTopologyZone]],
			free:  allocatable(n).Minus(daemons[n.Name]).Minus(extra),
			slots: maxPods(n) - daemonPods[n.Name] - extraPods}
		bins[n.Name] = b
		p.bins = append(p.bins, b)
	}
	for _, it := range items {
		if b := bins[it.node]; b != nil {
			p.commit(it, b, b.zones)
			continue
		}
		for _, b := range p.bins { // a planned waypoint: wherever it fits
			if z, ok := p.fits(it, b); ok {
				p.commit(it, b, z)
				break
			}
		}
	}
	return newDrainer(c, p, nodes, bins).run()
}

// AmbientExtra is what ambient's DaemonSets add to a node of the group.
func AmbientExtra(g NodeGroup, change terms.Change) (terms.Resources, int) {
	var r terms.Resources
	n := 0
	if len(change.Leaves) == 0 {
		return r, 0
	}
	if !g.HasZtunnel {
		r, n = r.Plus(change.Ztunnel), n+1
	}
	if !g.HasCNI {
		r, n = r.Plus(change.CNI), n+1
	}
	return r, n
}

type drainer struct {
	p       *packer
	nodes   map[string]*corev1.Node
	order   []*bin
	pods    map[string]*corev1.Pod // by namespace/name
	budgets []budget
	gone    map[*bin]bool
	out     Draining
}

type budget struct {
	namespace string
	selector  labels.Selector
	allowed   int32
}

func newDrainer(c terms.Cluster, p *packer, nodes []*corev1.Node, bins map[string]*bin) *drainer {
	d := &drainer{p: p, nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}, gone: map[*bin]bool{}}
	for _, n := range nodes {
		d.nodes[n.Name] = n
		d.order = append(d.order, bins[n.Name])
	}
	for _, pod := range c.Pods {
		d.pods[pod.Object.Namespace+"/"+pod.Object.Name] = pod.Object
	}
	for _, b := range c.Budgets {
		d.budgets = append(d.budgets, budgetOf(b))
	}
	return d
}

func budgetOf(b *policyv1.PodDisruptionBudget) budget {
	sel, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		sel = labels.Nothing()
	}
	return budget{b.Namespace, sel, b.Status.DisruptionsAllowed}
}

func (d *drainer) run() Draining {
	for progress := true; progress; {
		progress = false
		d.out.Blocked, d.out.Above = nil, 0
		sort.SliceStable(d.order, func(i, j int) bool { return d.utilization(d.order[i]) < d.utilization(d.order[j]) })
		for _, b := range d.order {
			if d.gone[b] {
				continue
			}
			if d.utilization(b) >= UtilizationThreshold {
				d.out.Above++
				continue
			}
			if why := d.tryRemove(b); why != "" {
				d.out.Blocked = append(d.out.Blocked, Blocker{b.host, why})
				continue
			}
			d.out.Removed = append(d.out.Removed, b.host)
			progress = true
		}
	}
	return d.out
}

func (d *drainer) utilization(b *bin) float64 {
	a := allocatable(d.nodes[b.host])
	cpu, ok1 := terms.Ratio(float64(a.CPUMilli-b.free.CPUMilli), float64(a.CPUMilli))
	mem, ok2 := terms.Ratio(float64(a.MemoryBytes-b.free.MemoryBytes), float64(a.MemoryBytes))
	if !ok1 || !ok2 {
		return 1 // a node that states no capacity is never called removable
	}
	return max(cpu, mem)
}

// tryRemove moves a node's pods elsewhere, or puts all back and says why it cannot.
func (d *drainer) tryRemove(b *bin) string {
	if d.nodes[b.host].Spec.Unschedulable {
		return "it is cordoned already"
	}
	for _, it := range b.members {
		if why := d.mayEvict(it); why != "" {
			return why
		}
	}
	free, slots, ports := b.free, b.slots, b.ports
	members := d.p.remove(b)
	d.gone[b] = true
	sorted := append([]*item(nil), members...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].name < sorted[j].name })
	sortBySize(sorted)
	var moved []struct {
		it *item
		to *bin
	}
	for _, it := range sorted {
		to := d.elsewhere(it)
		if to == nil {
			for _, m := range moved {
				d.takeBack(m.it, m.to)
			}
			d.gone[b] = false
			b.members, b.free, b.slots, b.ports = members, free, slots, ports
			for _, m := range members {
				d.p.count(m, b, +1)
			}
			return it.name + " fits on no other node"
		}
		moved = append(moved, struct {
			it *item
			to *bin
		}{it, to})
	}
	return ""
}

// elsewhere places an evicted pod on any node that remains; the scheduler may use any group.
func (d *drainer) elsewhere(it *item) *bin {
	for _, b := range d.order {
		if d.gone[b] || d.nodes[b.host].Spec.Unschedulable {
			continue
		}
		if z, ok := d.p.fits(it, b); ok {
			d.p.commit(it, b, z)
			return b
		}
	}
	return nil
}

func (d *drainer) takeBack(it *item, b *bin) {
	d.p.count(it, b, -1)
	b.free = b.free.Plus(it.need)
	b.slots++
	b.pods--
	for i, m := range b.members {
		if m == it {
			b.members = append(b.members[:i], b.members[i+1:]...)
			break
		}
	}
	for _, hp := range it.shape.ports {
		delete(b.ports, hp)
	}
}

// mayEvict applies cluster-autoscaler's defaults for pods that hold a node.
func (d *drainer) mayEvict(it *item) string {
	pod := d.pods[it.name]
	if pod == nil { // a planned waypoint
		return ""
	}
	switch pod.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] {
	case "true":
		return ""
	case "false":
		return it.name + " is annotated safe-to-evict=false"
	}
	if pod.Annotations["karpenter.sh/do-not-disrupt"] == "true" {
		return it.name + " is annotated do-not-disrupt"
	}
	if metav1.GetControllerOf(pod) == nil {
		return it.name + " has no controller that would make it again"
	}
	for _, v := range pod.Spec.Volumes {
		if v.HostPath != nil || v.EmptyDir != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory && !injectedVolume(v.Name) {
			return it.name + " has local storage (" + v.Name + ")"
		}
	}
	covered := false
	for _, b := range d.budgets {
		if b.namespace == pod.Namespace && b.selector.Matches(labels.Set(pod.Labels)) {
			covered = true
			if b.allowed <= 0 {
				return it.name + " is held by a PodDisruptionBudget that allows none"
			}
		}
	}
	if pod.Namespace == metav1.NamespaceSystem && !covered {
		return it.name + " is in kube-system without a PodDisruptionBudget"
	}
	return ""
}

// injectedVolume names the emptyDir volumes that sidecar injection adds; they hold nothing worth keeping and the annotation
// istiod sets (safe-to-evict-local-volumes) exempts them.
func injectedVolume(name string) bool {
	switch name {
	case "istio-data", "istio-envoy", "workload-socket", "workload-certs", "credential-socket":
		return true
	}
	return false
}
