//go:build lab

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

func scenarios(t *testing.T) []*scenario.Scenario {
	t.Helper()
	var all []*scenario.Scenario
	for _, name := range scenario.Names() {
		s, err := scenario.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// narrow are the scenarios that are loaded side by side.
func narrow(t *testing.T) []*scenario.Scenario {
	t.Helper()
	return slices.DeleteFunc(scenarios(t), func(s *scenario.Scenario) bool { return s.Mesh.Wide })
}

// The scenarios say what the real istiod reports about every policy, Service and Gateway in them.
func TestIstiodReportsWhatTheScenariosSay(t *testing.T) {
	for _, s := range narrow(t) {
		t.Run(s.Name, func(t *testing.T) {
			ctx, client := use(t)
			conditionsHold(ctx, t, client, s)
		})
	}
}

func conditionsHold(ctx context.Context, t *testing.T, client *cluster.Client, s *scenario.Scenario) {
	t.Helper()
	for _, want := range s.Conditions {
		eventually(ctx, t, func(ctx context.Context) error { return hasCondition(ctx, client, want) })
	}
}

// A scenario that the whole mesh feels is loaded by itself and held to all that the others are.
func TestWideScenarios(t *testing.T) {
	for _, s := range scenarios(t) {
		if !s.Mesh.Wide {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			ctx, client := use(t)
			loadWide(ctx, t, client, s)
			conditionsHold(ctx, t, client, s)
			modesHold(ctx, t, client, s)
			attachmentsAgree(ctx, t, client)
			claimsHold(t, audit(ctx, t, "--kubeconfig", shared.Kubeconfig), s)
			archive := snapshotOf(ctx, t)
			for _, q := range s.Questions {
				answersHold(ctx, t, archive, q)
			}
		})
	}
}

var resources = map[string]schema.GroupVersionResource{
	"AuthorizationPolicy": {Group: "security.istio.io", Version: "v1", Resource: "authorizationpolicies"},
	"Gateway":             {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	"Service":             {Version: "v1", Resource: "services"},
}

func hasCondition(ctx context.Context, client *cluster.Client, want scenario.Condition) error {
	resource, ok := resources[want.Kind]
	if !ok {
		return fmt.Errorf("no conditions are read from kind %s", want.Kind)
	}
	object, err := client.Dynamic.Resource(resource).Namespace(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return err
	}
	found := scenario.Condition{Kind: want.Kind, Namespace: want.Namespace, Name: want.Name, Type: want.Type, Status: "absent"}
	for _, c := range conditions {
		condition := c.(map[string]any)
		if condition["type"] == want.Type {
			found.Status, found.Reason = condition["status"].(string), condition["reason"].(string)
		}
	}
	found.Optional = want.Optional
	if found != want && !(want.Optional && found.Status == "absent") {
		return fmt.Errorf("want %s, istiod says %s", want, found)
	}
	return nil
}

func TestPodsGetTheDataPlaneThatTheScenariosSay(t *testing.T) {
	for _, s := range narrow(t) {
		t.Run(s.Name, func(t *testing.T) {
			ctx, client := use(t)
			modesHold(ctx, t, client, s)
		})
	}
}

func modesHold(ctx context.Context, t *testing.T, client *cluster.Client, s *scenario.Scenario) {
	t.Helper()
	for _, want := range s.Modes {
		eventually(ctx, t, func(ctx context.Context) error { return podsHaveMode(ctx, client, want) })
	}
}

func podsHaveMode(ctx context.Context, client *cluster.Client, want scenario.Mode) error {
	ns, workload, _ := strings.Cut(want.Workload, "/")
	pods, err := client.Kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	seen := 0
	for _, pod := range pods.Items {
		if !strings.HasPrefix(pod.Name, workload+"-") {
			continue
		}
		seen++
		if mode := podMode(&pod); mode != want.Mode {
			return fmt.Errorf("pod %s/%s: want %s, have %s", ns, pod.Name, want.Mode, mode)
		}
	}
	if seen == 0 {
		return fmt.Errorf("%s has no pods", want.Workload)
	}
	return nil
}

// podMode reads the truth off a pod: an injected proxy, or the mark of istio-cni.
func podMode(pod *corev1.Pod) string {
	switch {
	case pod.Annotations["sidecar.istio.io/status"] != "":
		return "sidecar"
	case pod.Annotations["ambient.istio.io/redirection"] == "enabled":
		return "ambient"
	}
	return "none"
}

func TestPaymentsIsAsLargeAsItsNameSays(t *testing.T) {
	ctx, client := use(t)
	s, err := scenario.Load("payments-400")
	if err != nil {
		t.Fatal(err)
	}
	services, injected, native := 0, 0, 0
	for _, ns := range s.OwnNamespaces() {
		svc, err := client.Kube.CoreV1().Services(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		services += len(svc.Items)
		pods, err := client.Kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			if podMode(&pod) == "sidecar" {
				injected++
			}
			for _, c := range pod.Spec.InitContainers {
				if c.Name == "istio-proxy" && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
					native++
				}
			}
		}
	}
	if services != 400 || injected != 2000 || native != 1800 {
		t.Errorf("services %d, injected pods %d, of which native %d; want 400, 2000, 1800", services, injected, native)
	}
	nodes, err := client.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "topology.kubernetes.io/zone"})
	if err != nil {
		t.Fatal(err)
	}
	zones := map[string]int{}
	for _, n := range nodes.Items {
		zones[n.Labels["topology.kubernetes.io/zone"]]++
	}
	if len(nodes.Items) < 40 || len(zones) != 3 {
		t.Errorf("%d nodes in zones %v; want 40 or more in three", len(nodes.Items), zones)
	}
}
