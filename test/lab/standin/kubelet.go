package standin

// Stands in for: kubelets, where kwok's simulated ones cannot be told to go
// wrong: nodes that stop reporting, pods whose readiness probe fails.
//
// Differs: a node that is "down" says so itself (condition Ready=False), where a
// dead kubelet would fall silent and become Unknown after the grace period of the
// controller manager (40 s). What follows is real: taints, pods marked not ready, eviction.

import (
	"context"
	"log"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
)

// KubeletFault lists what is not ready.
type KubeletFault struct {
	NodesDown []string `json:"nodesDown"`
	// WaypointsNotReady are Gateways, as namespace/name, whose pods fail their readiness probe.
	WaypointsNotReady []string `json:"waypointsNotReady"`
}

// Kubelet is the stand-in.
type Kubelet struct {
	World   *World
	Control *Control

	// What this stand-in has broken and must mend again.
	pods  map[string]bool // namespace/name
	nodes map[string]bool
}

// Run brings reality to the faults, again and again: pods that a fault hits may appear at any time.
func (k *Kubelet) Run(ctx context.Context) {
	k.pods, k.nodes = map[string]bool{}, map[string]bool{}
	for {
		f := k.Control.Faults().Kubelet
		if len(f.NodesDown)+len(f.WaypointsNotReady)+len(k.pods)+len(k.nodes) > 0 {
			k.readyNodes(ctx, f)
			k.readyPods(ctx, f)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.Control.Changed():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (k *Kubelet) readyNodes(ctx context.Context, f KubeletFault) {
	nodes, err := k.World.Nodes.List(k8slabels.Everything())
	if err != nil {
		return
	}
	for _, node := range nodes {
		down := slices.Contains(f.NodesDown, node.Name)
		if !down && !k.nodes[node.Name] {
			continue
		}
		updated := node.DeepCopy()
		if !setNodeReady(updated, !down) {
			continue
		}
		if _, err := k.World.Client.Kube.CoreV1().Nodes().UpdateStatus(ctx, updated, metav1.UpdateOptions{FieldManager: "kubelet"}); err != nil {
			log.Printf("kubelet: node %s: %v", node.Name, err)
			continue
		}
		k.nodes[node.Name] = down
		if !down {
			delete(k.nodes, node.Name)
		}
	}
}

func setNodeReady(node *corev1.Node, ready bool) bool {
	status, reason := corev1.ConditionTrue, "KubeletReady"
	if !ready {
		status, reason = corev1.ConditionFalse, "NodeDownInLab"
	}
	for i := range node.Status.Conditions {
		c := &node.Status.Conditions[i]
		if c.Type == corev1.NodeReady && c.Status != status {
			c.Status, c.Reason, c.LastTransitionTime = status, reason, metav1.Now()
			return true
		}
	}
	return false
}

func (k *Kubelet) readyPods(ctx context.Context, f KubeletFault) {
	pods, err := k.World.Pods.List(k8slabels.Everything())
	if err != nil {
		return
	}
	for _, pod := range pods {
		name := pod.Namespace + "/" + pod.Name
		gateway, isGateway := pod.Labels[labelGatewayName]
		hit := isGateway && slices.Contains(f.WaypointsNotReady, pod.Namespace+"/"+gateway)
		if !hit && !k.pods[name] || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		updated := pod.DeepCopy()
		if setPodReady(updated, !hit) {
			if _, err := k.World.Client.Kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{FieldManager: "kubelet"}); err != nil {
				log.Printf("kubelet: pod %s: %v", name, err)
				continue
			}
		}
		k.pods[name] = hit
		if !hit {
			delete(k.pods, name)
		}
	}
}

func setPodReady(pod *corev1.Pod, ready bool) (changed bool) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if (c.Type == corev1.PodReady || c.Type == corev1.ContainersReady) && c.Status != status {
			c.Status, c.LastTransitionTime, changed = status, metav1.Now(), true
		}
	}
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].Ready = ready
	}
	return changed
}
