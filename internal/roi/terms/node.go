package terms

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Rule is what decides whether a node that is not needed goes away.
type Rule string

// Rules. A node has one; a cluster may have several.
const (
	// ByKarpenter deletes a node whose pods fit elsewhere, and replaces it where a cheaper one does.
	ByKarpenter Rule = "karpenter"
	// ByAutoscaler removes a node that is less than half full and whose pods fit elsewhere.
	ByAutoscaler Rule = "cluster-autoscaler"
	// ByHand is a node that nothing scales: it goes when somebody empties it.
	ByHand Rule = "by hand"
	// Fixed is a node of the control plane: no pod of an application decides how many there are.
	Fixed Rule = "fixed"
	// PerPod is no machine: one pod has it, or every pod is billed by its requests (Fargate, virtual nodes, GKE Autopilot).
	PerPod Rule = "billed per pod"
)

// PoolLabels name a node group, by provider; the first one present counts.
var PoolLabels = []string{
	"karpenter.sh/nodepool",
	"eks.amazonaws.com/nodegroup",
	"cloud.google.com/gke-nodepool",
	"kubernetes.azure.com/agentpool",
	"node.kubernetes.io/instancegroup",
	"kops.k8s.io/instancegroup",
}

// PoolOf is the node group's name, empty where no label says it.
func PoolOf(n *corev1.Node) string {
	for _, l := range PoolLabels {
		if v := n.Labels[l]; v != "" {
			return v
		}
	}
	return ""
}

// RuleOf is the rule by which the node goes. A group of a managed provider is scaled by cluster-autoscaler unless Karpenter made the node; elsewhere one must
// have been seen.
func RuleOf(n *corev1.Node, autoscaler bool) Rule {
	switch {
	case perPodNode(n) || autopilotNode(n):
		return PerPod
	case controlPlane(n):
		return Fixed
	case n.Labels["karpenter.sh/nodepool"] != "" || n.Labels["karpenter.sh/provisioner-name"] != "":
		return ByKarpenter
	case PoolOf(n) != "" || autoscaler:
		return ByAutoscaler
	}
	return ByHand
}

// perPodNode reports whether the node stands for pods that run somewhere else: AWS Fargate, or a virtual kubelet (Azure Container Instances and others).
// No DaemonSet runs there.
func perPodNode(n *corev1.Node) bool {
	if n.Labels["eks.amazonaws.com/compute-type"] == "fargate" || n.Labels["type"] == "virtual-kubelet" || n.Labels["kubernetes.azure.com/virtual-node"] == "true" {
		return true
	}
	for _, t := range n.Spec.Taints {
		if t.Key == "virtual-kubelet.io/provider" || t.Key == "azure.com/aci" || t.Key == "eks.amazonaws.com/compute-type" && t.Value == "fargate" {
			return true
		}
	}
	return strings.HasPrefix(n.Name, "fargate-") || strings.HasPrefix(n.Name, "virtual-node-aci")
}

// autopilotNode recognises GKE Autopilot by the name that it gives its nodes. DaemonSets run there; the bill is for the requests of pods.
func autopilotNode(n *corev1.Node) bool { return strings.HasPrefix(n.Name, "gk3-") }

func controlPlane(n *corev1.Node) bool {
	for _, l := range []string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd"} {
		if _, ok := n.Labels[l]; ok {
			return true
		}
	}
	return false
}

// Windows reports whether the node runs Windows: neither sidecars nor ztunnel do.
func Windows(n *corev1.Node) bool {
	return n.Labels[corev1.LabelOSStable] == "windows" || n.Status.NodeInfo.OperatingSystem == "windows"
}

// Uncaptured is why ambient cannot capture pods on the node, empty where it can.
func Uncaptured(n *corev1.Node) string {
	switch {
	case perPodNode(n):
		return "no DaemonSet runs on Fargate or a virtual node, so no ztunnel"
	case Windows(n):
		return "ztunnel does not run on Windows"
	}
	return ""
}
