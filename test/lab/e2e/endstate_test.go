//go:build lab && roi

package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// moveToEndState does what the audit's verdicts allow, all at once: enrols the scenario's namespaces, gives waypoints
// to services that need one, keeps the sidecars that must stay, and starts every pod anew.
func moveToEndState(ctx context.Context, t *testing.T, client *cluster.Client, s *scenario.Scenario) {
	t.Helper()
	own, waypoints := map[string]bool{}, map[string]bool{}
	for _, ns := range s.OwnNamespaces() {
		own[ns] = true
	}
	for _, w := range audit(ctx, t, "--kubeconfig", shared.Kubeconfig).Workloads {
		if !own[w.Namespace] || w.Mode != "sidecar" {
			continue
		}
		switch w.Verdict {
		case "sidecar":
			keepSidecar(ctx, t, client, w)
		case "waypoint":
			waypoints[w.Namespace] = true
			patch := []byte(`{"metadata":{"labels":{"istio.io/use-waypoint":"waypoint"}}}`)
			if _, err := client.Kube.CoreV1().Services(w.Namespace).Patch(ctx, w.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for ns := range waypoints {
		applyWaypoint(ctx, t, client, ns)
	}
	now := int64(0)
	for ns := range own {
		for key, value := range map[string]any{"istio.io/dataplane-mode": "ambient", "istio-injection": nil, "istio.io/rev": nil} {
			if err := patchLabel(ctx, client, ns, key, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.Kube.CoreV1().Pods(ns).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// keepSidecar asks for injection in the pod template, since the namespace's label goes.
func keepSidecar(ctx context.Context, t *testing.T, client *cluster.Client, w auditWorkload) {
	t.Helper()
	patch := []byte(`{"spec":{"template":{"metadata":{"labels":{"sidecar.istio.io/inject":"true"}}}}}`)
	var err error
	switch w.Kind {
	case "Deployment":
		_, err = client.Kube.AppsV1().Deployments(w.Namespace).Patch(ctx, w.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	case "StatefulSet":
		_, err = client.Kube.AppsV1().StatefulSets(w.Namespace).Patch(ctx, w.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func applyWaypoint(ctx context.Context, t *testing.T, client *cluster.Client, ns string) {
	t.Helper()
	objects, err := cluster.Parse("waypoint", fmt.Appendf(nil, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: %s, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners:
  - {name: mesh, port: 15008, protocol: HBONE}
`, ns))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Apply(ctx, "lab-end-state", objects); err != nil {
		t.Fatal(err)
	}
}

// shrink takes nodes away as an autoscaler would: as long as the real scheduler finds room elsewhere for every pod. It
// begins with one fewer than expected, all at once, which empty lets go of their pods, and goes on node by node. It returns
// how many went.
func shrink(ctx context.Context, t *testing.T, client *cluster.Client, expected int, empty func(cordoned []string)) int {
	t.Helper()
	nodes := emptiestNodes(ctx, t, client)
	gone := max(0, expected-1)
	for _, node := range nodes[:gone] {
		cordon(ctx, t, client, node, true)
	}
	empty(nodes[:gone])
	for ; !fits(ctx, t, client) && gone > 0; gone-- {
		cordon(ctx, t, client, nodes[gone-1], false)
	}
	for ; gone < len(nodes); gone++ {
		cordon(ctx, t, client, nodes[gone], true)
		deletePods(ctx, t, client, nodes[gone:gone+1], false)
		if !fits(ctx, t, client) {
			cordon(ctx, t, client, nodes[gone], false)
			break
		}
	}
	if !fits(ctx, t, client) {
		t.Error("pods wait for a node though the last one was opened again")
	}
	for _, node := range nodes[:gone] {
		if err := client.Kube.CoreV1().Nodes().Delete(ctx, node, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	deletePods(ctx, t, client, nodes[:gone], true) // the pod collector would take a minute
	return gone
}

// emptiestNodes are the scenario's nodes, those with the fewest pods first.
func emptiestNodes(ctx context.Context, t *testing.T, client *cluster.Client) []string {
	t.Helper()
	nodes, err := client.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: corev1.LabelInstanceTypeStable + "=m6i.4xlarge"})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := client.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]int{}
	for _, pod := range pods.Items {
		on[pod.Spec.NodeName]++
	}
	var names []string
	for _, n := range nodes.Items {
		names = append(names, n.Name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(on[a], on[b]), cmp.Compare(a, b)) })
	return names
}

func cordon(ctx context.Context, t *testing.T, client *cluster.Client, node string, on bool) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, on)
	if _, err := client.Kube.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// deletePods deletes the pods of nodes, those of DaemonSets too or not.
func deletePods(ctx context.Context, t *testing.T, client *cluster.Client, nodes []string, daemons bool) {
	t.Helper()
	now := int64(0)
	for _, node := range nodes {
		pods, err := client.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			if owner := metav1.GetControllerOf(&pod); !daemons && owner != nil && owner.Kind == "DaemonSet" {
				continue
			}
			if err := client.Kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
	}
}

// patience is how long the scheduler may leave a pod without a node before that counts as its last word. It tries again with
// a pause of ten seconds at most when something changed.
const patience = 15 * time.Second

// fits waits until every workload has its pods and the scheduler has decided on each of them, and tells whether all have a node.
func fits(ctx context.Context, t *testing.T, client *cluster.Client) bool {
	t.Helper()
	want := wantedPods(ctx, t, client)
	refused, seen, since := 0, "", time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // 2,000 pods at once, on a machine with other work
	defer cancel()
	err := cluster.Poll(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		pods, err := client.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		have, onTheirWay := 0, 0
		refused = 0
		for _, pod := range pods.Items {
			owner := metav1.GetControllerOf(&pod)
			if owner == nil || owner.Kind != "ReplicaSet" && owner.Kind != "StatefulSet" || pod.DeletionTimestamp != nil {
				continue
			}
			switch {
			case pod.Status.Phase == corev1.PodRunning:
				have++
			case slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
			}):
				refused++
			default:
				onTheirWay++
			}
		}
		if have >= want && refused == 0 && onTheirWay == 0 {
			return nil
		}
		now := fmt.Sprintf("of %d pods %d run, %d have no node, %d are on their way", want, have, refused, onTheirWay)
		if now != seen {
			seen, since = now, time.Now()
		}
		if refused > 0 && onTheirWay == 0 && time.Since(since) > patience {
			return nil
		}
		return errors.New(now)
	})
	if err != nil {
		t.Fatal(err)
	}
	return refused == 0
}

// wantedPods is how many pods Deployments and StatefulSets ask for.
func wantedPods(ctx context.Context, t *testing.T, client *cluster.Client) int {
	t.Helper()
	deployments, err := client.Kube.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sets, err := client.Kube.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range deployments.Items {
		n += int(*d.Spec.Replicas)
	}
	for _, s := range sets.Items {
		n += int(*s.Spec.Replicas)
	}
	return n
}
