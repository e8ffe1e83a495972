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
}
