//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
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

func TestAPIFaultsHitTheProgramUnderTestAndNobodyElse(t *testing.T) {
	ctx, direct := use(t)
	proxied, err := cluster.Connect(shared.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	list := func(c *cluster.Client, resource string) error {
		_, err := c.Dynamic.Resource(resources[resource]).List(ctx, metav1.ListOptions{})
		return err
	}
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{ErrorRate: 1, ErrorCode: http.StatusForbidden, Resources: []string{"authorizationpolicies"}}})
	if err := list(proxied, "AuthorizationPolicy"); !apierrors.IsForbidden(err) {
		t.Errorf("through the proxy: %v", err)
	}
	if err := errors.Join(list(proxied, "Gateway"), list(direct, "AuthorizationPolicy")); err != nil {
		t.Errorf("another kind, or another way: %v", err)
	}
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{ErrorRate: 1, Cut: true}})
	if err := list(proxied, "Gateway"); err == nil || apierrors.IsForbidden(err) {
		t.Errorf("cut connections: %v", err)
	}
	const latency = 400 * time.Millisecond
	setFaults(ctx, t, standin.Faults{API: standin.APIFault{Latency: standin.Duration(latency)}})
	began := time.Now()
	if err := list(proxied, "Gateway"); err != nil || time.Since(began) < latency {
		t.Errorf("took %v: %v", time.Since(began), err)
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
	eventually(ctx, t, ready(1))
	setFaults(ctx, t, standin.Faults{Kubelet: standin.KubeletFault{WaypointsNotReady: []string{"t15/waypoint"}}})
	eventually(ctx, t, ready(0))
	setFaults(ctx, t, standin.Faults{})
	eventually(ctx, t, ready(1))
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
}

func TestClocksCanBeWrong(t *testing.T) {
	ctx, _ := use(t)
	setFaults(ctx, t, standin.Faults{
		API:     standin.APIFault{ClockSkew: standin.Duration(-time.Hour)},
		Metrics: standin.MetricsFault{ClockSkew: standin.Duration(5 * time.Minute), SkewedNodes: []string{"lab-01"}},
	})
	proxied, err := cluster.Connect(shared.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var date string
	transport := proxied.REST
	transport.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if err == nil {
				date = response.Header.Get("Date")
			}
			return response, err
		})
	})
	skewed, err := cluster.ConnectTo(transport)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := skewed.Kube.Discovery().ServerVersion(); err != nil {
		t.Fatal(err)
	}
	if said, err := http.ParseTime(date); err != nil || time.Since(said) < 30*time.Minute {
		t.Errorf("the API says it is %s", date)
	}
	eventually(ctx, t, func(ctx context.Context) error {
		have, err := query(ctx, `node_timex_offset_seconds{nodename="lab-01"}`)
		if err == nil && have[0].Value != 300 {
			err = fmt.Errorf("offset is %v", have[0].Value)
		}
		return err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A part that is taken away on purpose is no failure of the lab; what depends on it notices.
func TestIstiodAndPrometheusCanBeTakenAwayAndBroughtBack(t *testing.T) {
	l := ownLab(t)
	ctx, client := useLab(t, l)
	policy, err := cluster.Parse("test", []byte(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: default}
spec: {action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lab.Istiod, lab.Prometheus} {
		if err := l.Stop(ctx, name); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Process(name); err == nil {
			t.Errorf("%s still runs", name)
		}
	}
	if err := client.Apply(ctx, "test", policy); err == nil || !strings.Contains(err.Error(), "validation.istio.io") {
		t.Errorf("without istiod its webhook must refuse the policy: %v", err)
	}
	for _, name := range []string{lab.Istiod, lab.Prometheus} {
		if err := l.Start(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(ctx, t, func(ctx context.Context) error { return client.Apply(ctx, "test", policy) })
}
