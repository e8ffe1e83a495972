//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

// setFaults sets faults in the shared lab and takes them back when the test ends.
func setFaults(ctx context.Context, t *testing.T, f standin.Faults) {
	t.Helper()
	t.Cleanup(func() {
		if err := shared.SetFaults(context.WithoutCancel(ctx), standin.Faults{}); err != nil {
			t.Error(err)
		}
	})
	if err := shared.SetFaults(ctx, f); err != nil {
		t.Fatal(err)
	}
}

// healthy takes all faults back, in the middle of a test.
func healthy(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := shared.SetFaults(ctx, standin.Faults{}); err != nil {
		t.Fatal(err)
	}
}

func TestAPIFaultsHitTheProgramUnderTestAndNobodyElse(t *testing.T) {
	ctx, direct := use(t)
	proxied, err := cluster.Connect(shared.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	list := func(ctx context.Context, c *cluster.Client, kind string) error {
		_, err := c.Dynamic.Resource(resources[kind]).List(ctx, metav1.ListOptions{})
		return err
	}
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{ErrorRate: 1, ErrorCode: http.StatusForbidden, Resources: []string{"authorizationpolicies"}}})
	if err := list(ctx, proxied, "AuthorizationPolicy"); !apierrors.IsForbidden(err) {
		t.Errorf("through the proxy: %v", err)
	}
	if err := errors.Join(list(ctx, proxied, "Gateway"), list(ctx, direct, "AuthorizationPolicy")); err != nil {
		t.Errorf("another kind, or another way: %v", err)
	}
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{ErrorRate: 1, Cut: true}})
	if err := list(ctx, proxied, "Gateway"); err == nil || apierrors.IsForbidden(err) {
		t.Errorf("cut connections: %v", err)
	}
	// So slow that nobody waits for it: no clock of a busy machine decides.
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{Latency: standin.Duration(time.Hour), Resources: []string{"gateways"}}})
	impatient, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := list(impatient, proxied, "Gateway"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an answer that takes an hour: %v", err)
	}
	healthy(ctx, t)
	if err := errors.Join(list(ctx, proxied, "AuthorizationPolicy"), list(ctx, proxied, "Gateway")); err != nil {
		t.Errorf("all faults are gone: %v", err)
	}
}

// An API server that fails is not one that has no policies.
func TestTheAuditSaysWhichKindAFailingAPIServerHid(t *testing.T) {
	ctx, _ := use(t)
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{ErrorRate: 1, ErrorCode: http.StatusInternalServerError, Resources: []string{"authorizationpolicies"}}})
	during := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	hidden := slices.ContainsFunc(during.Input.Unknown, func(u unknownKind) bool {
		return u.Kind == "AuthorizationPolicy" && strings.Contains(u.Reason, "fault set in the lab")
	})
	if !hidden {
		t.Errorf("AuthorizationPolicy is not reported as hidden by the fault: %+v", during.Input.Unknown)
	}
	for _, w := range during.Workloads {
		if w.Mode == "sidecar" && w.Verdict != "sidecar" {
			t.Errorf("%s may lose its sidecar (verdict %s) though its policies could not be read", w, w.Verdict)
		}
	}
	healthy(ctx, t)
	after := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	if slices.ContainsFunc(after.Input.Unknown, func(u unknownKind) bool { return u.Kind == "AuthorizationPolicy" }) ||
		!slices.ContainsFunc(after.Workloads, func(w auditWorkload) bool { return w.Mode == "sidecar" && w.Verdict == "ambient" }) {
		t.Errorf("without the fault, unknown is %+v", after.Input.Unknown)
	}
}

func TestEnrolmentCanHangOrFail(t *testing.T) {
	ctx, client := use(t)
	const ns = "cni-faults"
	loadWorkload(ctx, t, client, ns)
	redirection := func(want string) func(context.Context) error {
		return func(ctx context.Context) error {
			pods, err := client.Kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, pod := range pods.Items {
				if have := pod.Annotations["ambient.istio.io/redirection"]; have != want {
					return fmt.Errorf("pod %s: redirection is %q, want %q", pod.Name, have, want)
				}
			}
			return nil
		}
	}
	setFaults(ctx, t, standin.Faults{CNI: standin.CNIFault{Fail: "pending", Namespaces: []string{ns}}})
	if err := patchLabel(ctx, client, ns, "istio.io/dataplane-mode", "ambient"); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, redirection("pending"))
	setFaults(ctx, t, standin.Faults{})
	eventually(ctx, t, redirection("enabled"))
}

func TestWaypointPodsThatAreNotReady(t *testing.T) {
	ctx, client := use(t)
	ready := func(want int32) func(context.Context) error {
		return func(ctx context.Context) error {
			d, err := client.Kube.AppsV1().Deployments("t15").Get(ctx, "waypoint", metav1.GetOptions{})
			if err == nil && d.Status.ReadyReplicas != want {
				err = fmt.Errorf("%d ready replicas, want %d", d.Status.ReadyReplicas, want)
			}
			return err
		}
	}
	said := func() []string {
		codes, err := codesOf(audit(ctx, t, "--kubeconfig", shared.Kubeconfig), scenario.Claim{Kind: "Gateway", Name: "t15/waypoint"})
		if err != nil {
			t.Fatal(err)
		}
		return codes
	}
	eventually(ctx, t, ready(1))
	setFaults(ctx, t, standin.Faults{Kubelet: standin.KubeletFault{WaypointsNotReady: []string{"t15/waypoint"}}})
	eventually(ctx, t, ready(0))
	const nobodyReady = "SS813"
	if codes := said(); !slices.Contains(codes, nobodyReady) {
		t.Errorf("the audit finds %v, not %s", codes, nobodyReady)
	}
	healthy(ctx, t)
	eventually(ctx, t, ready(1))
	if codes := said(); slices.Contains(codes, nobodyReady) {
		t.Errorf("the audit still finds %v", codes)
	}
}

func TestANodeThatIsDownIsTaintedAndComesBack(t *testing.T) {
	ctx, client := use(t)
	tainted := func(want bool) func(context.Context) error {
		return func(ctx context.Context) error {
			node, err := client.Kube.CoreV1().Nodes().Get(ctx, "lab-02", metav1.GetOptions{})
			if err != nil {
				return err
			}
			have := false
			for _, taint := range node.Spec.Taints {
				have = have || taint.Key == "node.kubernetes.io/not-ready"
			}
			if have != want {
				return fmt.Errorf("taints are %v", node.Spec.Taints)
			}
			return nil
		}
	}
	setFaults(ctx, t, standin.Faults{Kubelet: standin.KubeletFault{NodesDown: []string{"lab-02"}}})
	eventually(ctx, t, tainted(true))
	setFaults(ctx, t, standin.Faults{})
	eventually(ctx, t, tainted(false))
}

func TestAGitOpsToolPutsLabelsBack(t *testing.T) {
	ctx, client := use(t)
	const ns = "gitops-ns"
	loadWorkload(ctx, t, client, ns)
	label := func(want string) func(context.Context) error {
		return func(ctx context.Context) error {
			n, err := client.Kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
			if err == nil && n.Labels["istio.io/dataplane-mode"] != want {
				err = fmt.Errorf("labels are %v", n.Labels)
			}
			return err
		}
	}
	setFaults(ctx, t, standin.Faults{GitOps: standin.GitOpsFault{Namespaces: []string{ns}}})
	if err := patchLabel(ctx, client, ns, "istio.io/dataplane-mode", "ambient"); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, label(""))
	// Without the tool the same change stays, and has its effect.
	healthy(ctx, t)
	if err := patchLabel(ctx, client, ns, "istio.io/dataplane-mode", "ambient"); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, func(ctx context.Context) error {
		return podsHaveMode(ctx, client, scenario.Mode{Workload: ns + "/web", Mode: "ambient"})
	})
	if err := label("ambient")(ctx); err != nil {
		t.Error(err)
	}
}
