package terms

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// Pod is one pod with what the mesh model says about it.
type Pod struct {
	Object *corev1.Pod
	Role   Role
	// Sidecar is how its proxy sits; NoSidecar for every role but Application.
	Sidecar Sidecar
	Mode    Mode
	// Workload is namespace/kind/name of what made the pod.
	Workload string
	// Uncaptured is why ambient cannot take the pod in where it runs (a node without DaemonSets, or Windows); empty where it can.
	Uncaptured string
	// Wave is the wave of a plan the workload is in; empty without a plan.
	Wave string
}

// Finished tells whether the pod has stopped for good: it holds no resources.
func (p Pod) Finished() bool {
	return p.Object.Status.Phase == corev1.PodSucceeded || p.Object.Status.Phase == corev1.PodFailed
}

// Cluster is the state that is packed and priced. Pods that are finished are ignored everywhere.
type Cluster struct {
	Pods    []Pod
	Nodes   []*corev1.Node
	Budgets []*policyv1.PodDisruptionBudget
	// Claims and Volumes tie pods to zones.
	Claims  []*corev1.PersistentVolumeClaim
	Volumes []*corev1.PersistentVolume
	// NamespaceLabels resolve namespaceSelector in affinity terms.
	NamespaceLabels map[string]map[string]string
	// Hourly is the price per hour of nodes, by name, where it is known: which of several sizes goes first depends on it.
	Hourly map[string]float64
	// Autoscaler reports that a cluster-autoscaler runs in the cluster.
	Autoscaler bool
}

// Waiting reports whether the pod has been made and no node has room for it: it holds nothing yet, and takes what becomes free.
func (p Pod) Waiting() bool {
	return p.Object.Status.Phase == corev1.PodPending && p.Object.Spec.NodeName == ""
}
