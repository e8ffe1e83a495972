package packing

import (
	"slices"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// Drain lets what scales the nodes remove them where pods run now. cluster-autoscaler takes a node whose requests are below half of what it can
// allocate (the larger of CPU and memory, DaemonSets included); Karpenter any whose pods fit elsewhere. Every pod on it must be allowed to go and fit on a
// node that stays. Nodes are tried from the emptiest on, again after each removal. Nodes that nothing scales stay.
func Drain(c terms.Cluster, change terms.Change) Draining {
	s := newSettled(c, change)
	return newDrainer(c, s.p, s.nodes, s.bins).run()
}

// settled is a cluster with its pods where they run.
type settled struct {
	p     *packer
	items []*item
	nodes []*corev1.Node
	bins  map[string]*bin
}

// newSettled puts every pod on its node, as large as it is after the change, and planned waypoints wherever they fit.
func newSettled(c terms.Cluster, change terms.Change) settled {
	p, items, _ := prepare(c, change)
	g := p.grouping
	s := settled{p: p, items: items, bins: map[string]*bin{}}
	daemons := map[string]room{}
	daemonPods := map[string]int{}
	for _, pod := range c.Pods {
		if node := pod.Object.Spec.NodeName; perNode(pod.Object) && !pod.Finished() && node != "" {
			r, old := g.scarce.ofPod(pod, change), daemons[node]
			daemons[node] = room{old.Plus(r.Resources), plus(old.more, r.more)}
			daemonPods[node]++
		}
	}
	s.nodes = append([]*corev1.Node(nil), c.Nodes...)
	sort.Slice(s.nodes, func(i, j int) bool { return s.nodes[i].Name < s.nodes[j].Name })
	extraOn := newAmbient(c, change)
	for _, n := range s.nodes {
		extra, extraPods := extraOn.on(n)
		whole := g.scarce.of(n.Status.Allocatable, true).minus(daemons[n.Name])
		whole.Resources = whole.Minus(extra)
		b := &bin{group: g.of[n.Name], kind: g.kindOf[n.Name], host: n.Name, labels: n.Labels, zones: p.zoneBit[n.Labels[corev1.LabelTopologyZone]],
			free: whole.minus(room{}), whole: whole, alloc: allocatable(n), hourly: c.Hourly[n.Name], slots: maxPods(n) - daemonPods[n.Name] - extraPods}
		s.bins[n.Name] = b
		p.bins = append(p.bins, b)
	}
	for _, it := range items {
		if b := s.bins[it.node]; b != nil {
			p.commit(it, b, b.zones)
		}
	}
	for _, it := range items {
		if it.node != "" || it.waits {
			continue
		}
		for _, b := range p.bins { // a planned waypoint: wherever it fits
			if z, ok := p.fits(it, b); ok {
				p.commit(it, b, z)
				break
			}
		}
	}
	return s
}

type drainer struct {
	p       *packer
	nodes   map[string]*corev1.Node
	order   []*bin
	pods    map[string]*corev1.Pod // by namespace/name
	budgets []budget
	held    map[*item]string // why a pod may not be evicted by cluster-autoscaler, empty where it may
	unmade  map[*item]string // the same for Karpenter
	gone    map[*bin]bool
	out     Draining
}

type budget struct {
	namespace string
	selector  labels.Selector
	allowed   int32
}

func newDrainer(c terms.Cluster, p *packer, nodes []*corev1.Node, bins map[string]*bin) *drainer {
	d := &drainer{p: p, nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}, gone: map[*bin]bool{}, held: map[*item]string{}, unmade: map[*item]string{}}
	for _, n := range nodes {
		d.nodes[n.Name] = n
		d.order = append(d.order, bins[n.Name])
	}
	for _, pod := range c.Pods {
		d.pods[pod.Object.Namespace+"/"+pod.Object.Name] = pod.Object
	}
	for _, b := range c.Budgets {
		d.budgets = append(d.budgets, budgetOf(b, c.Pods))
	}
	return d
}

func budgetOf(b *policyv1.PodDisruptionBudget, pods []terms.Pod) budget {
	sel, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		sel = labels.Nothing()
	}
	out := budget{b.Namespace, sel, b.Status.DisruptionsAllowed}
	if b.Status.ObservedGeneration != 0 || b.Status.ExpectedPods != 0 || b.Status.DisruptionsAllowed != 0 || len(b.Status.Conditions) > 0 {
		return out
	}
	// From manifests: nothing has worked out the status, so it is done here as the disruption controller does it.
	healthy := 0
	for _, p := range pods {
		if p.Object.Namespace == b.Namespace && !p.Finished() && !p.Waiting() && sel.Matches(labels.Set(p.Object.Labels)) {
			healthy++
		}
	}
	must := healthy // a budget that states neither allows none
	switch {
	case b.Spec.MaxUnavailable != nil:
		n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, healthy, true)
		if err != nil {
			n = 0
		}
		must = healthy - n
	case b.Spec.MinAvailable != nil:
		n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, healthy, true)
		if err != nil {
			n = healthy
		}
		must = n
	}
	out.allowed = int32(max(healthy-must, 0))
	return out
}

func (d *drainer) run() Draining {
	d.order = slices.DeleteFunc(append([]*bin(nil), d.p.bins...), func(b *bin) bool { return d.gone[b] })
	for progress := true; progress; {
		progress = d.consolidate()
		d.out.Blocked, d.out.Above = nil, 0
		sort.SliceStable(d.order, func(i, j int) bool { return d.utilization(d.order[i]) < d.utilization(d.order[j]) })
		for _, b := range d.order {
			rule := d.p.groups[b.group].Rule
			if d.gone[b] || rule == terms.Fixed || rule == terms.PerPod || rule == terms.ByHand {
				continue
			}
			if rule == terms.ByAutoscaler && d.utilization(b) >= UtilizationThreshold {
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
	d.p.bins = slices.DeleteFunc(d.p.bins, func(b *bin) bool { return d.gone[b] })
	return d.out
}

func (d *drainer) utilization(b *bin) float64 {
	a := b.alloc
	cpu, ok1 := terms.Ratio(float64(a.CPUMilli-b.free.CPUMilli), float64(a.CPUMilli))
	mem, ok2 := terms.Ratio(float64(a.MemoryBytes-b.free.MemoryBytes), float64(a.MemoryBytes))
	if !ok1 || !ok2 {
		return 1 // a node that states no capacity is never called removable
	}
	return max(cpu, mem)
}

// tryRemove moves a node's pods elsewhere, or puts all back and says why it cannot.
func (d *drainer) tryRemove(b *bin) string {
	if d.cordoned(b) {
		return "it is cordoned already"
	}
	for _, it := range b.members {
		if why := d.mayEvict(it, d.p.groups[b.group].Rule); why != "" {
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
				d.p.takeBack(m.it, m.to)
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

// cordoned reports whether the node takes no pods; one that was added does.
func (d *drainer) cordoned(b *bin) bool {
	return d.nodes[b.host] != nil && d.nodes[b.host].Spec.Unschedulable
}

// elsewhere places an evicted pod on any node that remains; the scheduler may use any group.
func (d *drainer) elsewhere(it *item) *bin {
	for _, b := range d.order {
		if d.gone[b] || d.cordoned(b) || d.p.groups[b.group].Rule == terms.PerPod {
			continue
		}
		if z, ok := d.p.fits(it, b); ok {
			d.p.commit(it, b, z)
			return b
		}
	}
	return nil
}

// takeBack takes a pod off a node.
func (p *packer) takeBack(it *item, b *bin) {
	p.count(it, b, -1)
	b.take(it.need, -1)
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

// mayEvict is why a pod holds its node, by the defaults of what scales the nodes.
func (d *drainer) mayEvict(it *item, rule terms.Rule) string {
	known, decide := d.held, d.heldByAutoscaler
	if rule == terms.ByKarpenter {
		known, decide = d.unmade, d.heldByKarpenter
	}
	why, ok := known[it]
	if !ok {
		why = decide(it)
		known[it] = why
	}
	return why
}

func (d *drainer) heldByKarpenter(it *item) string {
	pod := d.pods[it.name]
	if pod == nil { // a planned waypoint
		return ""
	}
	if pod.Annotations["karpenter.sh/do-not-disrupt"] == "true" || pod.Annotations["karpenter.sh/do-not-evict"] == "true" {
		return it.name + " is annotated do-not-disrupt"
	}
	why, _ := d.heldByBudget(it, pod)
	return why
}

func (d *drainer) heldByAutoscaler(it *item) string {
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
	if metav1.GetControllerOf(pod) == nil {
		return it.name + " has no controller that would make it again"
	}
	for _, v := range pod.Spec.Volumes {
		if v.HostPath != nil || v.EmptyDir != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory && !injectedVolume(v.Name) {
			return it.name + " has local storage (" + v.Name + ")"
		}
	}
	why, covered := d.heldByBudget(it, pod)
	if why == "" && pod.Namespace == metav1.NamespaceSystem && !covered {
		why = it.name + " is in kube-system without a PodDisruptionBudget"
	}
	return why
}

func (d *drainer) heldByBudget(it *item, pod *corev1.Pod) (why string, covered bool) {
	for _, b := range d.budgets {
		if b.namespace == pod.Namespace && b.selector.Matches(labels.Set(pod.Labels)) {
			covered = true
			if b.allowed <= 0 {
				return it.name + " is held by a PodDisruptionBudget that allows none", true
			}
		}
	}
	return "", covered
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
