package packing

import (
	"maps"
	"sort"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// poolLabels name a node group, by provider; the first one present counts.
var poolLabels = []string{
	"karpenter.sh/nodepool",
	"eks.amazonaws.com/nodegroup",
	"cloud.google.com/gke-nodepool",
	"kubernetes.azure.com/agentpool",
	"node.kubernetes.io/instancegroup",
	"kops.k8s.io/instancegroup",
}

// NodeGroup is a set of equal nodes: what a new node of it would look like.
type NodeGroup struct {
	Name         string
	InstanceType string
	// Count is how many nodes it has now.
	Count  int
	Zones  []string
	Labels map[string]string // those that all its nodes share, without host name and zone
	// ZoneLabels are those that all its nodes in a zone share; a cloud's volumes may name the zone by a label of their own.
	ZoneLabels  map[string]map[string]string
	Taints      []corev1.Taint
	Allocatable terms.Resources // the smallest of its nodes
	MaxPods     int
	// Daemons is what DaemonSet and static pods hold on each node; DaemonPods their number.
	Daemons    terms.Resources
	DaemonPods int
	// HasZtunnel and HasCNI tell that ambient's DaemonSets are among them already.
	HasZtunnel, HasCNI bool

	cache map[string]*corev1.Node
}

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

// groupKey tells groups apart: pool, instance type and taints.
func groupKey(n *corev1.Node) string {
	pool := ""
	for _, l := range poolLabels {
		if v := n.Labels[l]; v != "" {
			pool = v
			break
		}
	}
	parts := []string{pool, n.Labels[corev1.LabelInstanceTypeStable]}
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

// NodeGroups splits the cluster's nodes into groups and says which group each node is in. Control-plane nodes take part like
// any other: whether pods may use them is for their taints to say.
func NodeGroups(c terms.Cluster) ([]NodeGroup, map[string]int) {
	index := map[string]int{}
	var groups []NodeGroup
	of := map[string]int{}
	zonesOf := []map[string]bool{}
	nodes := append([]*corev1.Node(nil), c.Nodes...)
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	for _, n := range nodes {
		k := groupKey(n)
		i, ok := index[k]
		if !ok {
			i = len(groups)
			index[k] = i
			groups = append(groups, NodeGroup{Name: k, InstanceType: n.Labels[corev1.LabelInstanceTypeStable],
				Labels: ownLabels(n), ZoneLabels: map[string]map[string]string{}, Allocatable: allocatable(n), MaxPods: maxPods(n)})
			for _, t := range n.Spec.Taints {
				if permanent(t) {
					groups[i].Taints = append(groups[i].Taints, t)
				}
			}
			zonesOf = append(zonesOf, map[string]bool{})
		}
		g := &groups[i]
		g.Count++
		of[n.Name] = i
		zone := n.Labels[corev1.LabelTopologyZone]
		if !zonesOf[i][zone] {
			zonesOf[i][zone], g.ZoneLabels[zone] = true, ownLabels(n)
		}
		a := allocatable(n)
		g.Allocatable = terms.Resources{CPUMilli: min(g.Allocatable.CPUMilli, a.CPUMilli), MemoryBytes: min(g.Allocatable.MemoryBytes, a.MemoryBytes)}
		g.MaxPods = min(g.MaxPods, maxPods(n))
		keepShared(g.Labels, n.Labels)
		keepShared(g.ZoneLabels[zone], n.Labels)
	}
	for i := range groups {
		for z := range zonesOf[i] {
			groups[i].Zones = append(groups[i].Zones, z)
		}
		sort.Strings(groups[i].Zones)
	}
	addDaemons(c, groups, of)
	return groups, of
}

// addDaemons gives every group the DaemonSets seen on any of its nodes, at their largest. A DaemonSet that runs on some nodes only
// counts on all: that errs towards more nodes.
func addDaemons(c terms.Cluster, groups []NodeGroup, of map[string]int) {
	type key struct {
		group int
		owner string
	}
	largest := map[key]terms.Resources{}
	for _, p := range c.Pods {
		if p.Finished() || !perNode(p.Object) {
			continue
		}
		r := terms.Requests(p.Object)
		for g := range groups {
			// A DaemonSet known from manifests alone has pods without a node: it counts everywhere.
			if at, placed := of[p.Object.Spec.NodeName]; placed && at != g || !placed && p.Object.Spec.NodeName != "" {
				continue
			}
			k := key{g, ownerName(p.Object)}
			old := largest[k]
			largest[k] = terms.Resources{CPUMilli: max(r.CPUMilli, old.CPUMilli), MemoryBytes: max(r.MemoryBytes, old.MemoryBytes)}
			groups[g].HasZtunnel = groups[g].HasZtunnel || p.Role == terms.Ztunnel
			groups[g].HasCNI = groups[g].HasCNI || p.Role == terms.CNI
		}
	}
	for k, r := range largest {
		groups[k.group].Daemons = groups[k.group].Daemons.Plus(r)
		groups[k.group].DaemonPods++
	}
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
