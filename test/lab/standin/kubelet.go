package standin

// Stands in for: kubelets, where kwok's simulated ones cannot be told to go
// wrong: nodes that stop reporting, pods whose readiness probe fails, and (clock.go) the times they report.
//
// Differs: a node that is "down" says so itself (condition Ready=False), where a
// dead kubelet would fall silent and become Unknown after the grace period of the
// controller manager (40 s). What follows is real: taints, pods marked not ready, eviction.

import (
	"context"
	"log"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
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
	// moved is by how much this stand-in has moved the times of a pod's conditions.
	moved map[types.UID]Duration
}

// Run brings reality to the faults, again and again: pods that a fault hits may appear at any time.
func (k *Kubelet) Run(ctx context.Context) {
	k.pods, k.nodes, k.moved = map[string]bool{}, map[string]bool{}, map[types.UID]Duration{}
	for {
		faults := k.Control.Faults()
		f := faults.Kubelet
		if len(f.NodesDown)+len(f.WaypointsNotReady)+len(k.pods)+len(k.nodes) > 0 {
			k.readyNodes(ctx, f)
			k.readyPods(ctx, f)
		}
		if len(faults.Clock.Nodes)+len(k.moved) > 0 {
			k.readyTimes(ctx, faults.Clock)
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

// readyTimes moves the times of conditions, which are those of a kubelet's clock, on nodes whose clock is wrong.
func (k *Kubelet) readyTimes(ctx context.Context, f ClockFault) {
	pods, err := k.World.Pods.List(k8slabels.Everything())
	if err != nil {
		return
	}
	there := map[types.UID]bool{}
	for _, pod := range pods {
		there[pod.UID] = true
		want := Duration(0)
		if slices.Contains(f.Nodes, pod.Spec.NodeName) {
			want = f.Node
		}
		by := time.Duration(want - k.moved[pod.UID])
		if by == 0 || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		updated := pod.DeepCopy()
		for i := range updated.Status.Conditions {
			c := &updated.Status.Conditions[i]
			c.LastTransitionTime = metav1.NewTime(c.LastTransitionTime.Add(by))
		}
		if _, err := k.World.Client.Kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{FieldManager: "kubelet"}); err != nil {
			log.Printf("kubelet: pod %s/%s: %v", pod.Namespace, pod.Name, err)
			continue
		}
		k.moved[pod.UID] = want
		if want == 0 {
			delete(k.moved, pod.UID)
		}
	}
	maps.DeleteFunc(k.moved, func(uid types.UID, _ Duration) bool { return !there[uid] })
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
