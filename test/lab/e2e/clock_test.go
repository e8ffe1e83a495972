//go:build lab

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

// By the API server's clock all objects were made an hour from now. Nothing that the audit says depends on what time it is.
func TestAnAPIServerWhoseClockIsAhead(t *testing.T) {
	ctx, direct := use(t)
	var date string
	proxied := connectSeeing(t, func(r *http.Response) { date = r.Header.Get("Date") })
	created := func(c *cluster.Client) time.Time {
		t.Helper()
		ns, err := c.Kube.CoreV1().Namespaces().Get(ctx, "t15", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return ns.CreationTimestamp.Time
	}
	before := audit(ctx, t, "--kubeconfig", shared.Kubeconfig)
	const skew = 24 * time.Hour
	setFaults(ctx, t, standin.Faults{Clock: standin.ClockFault{API: standin.Duration(skew)}})
	if ahead := created(proxied).Sub(created(direct)); ahead != skew {
		t.Errorf("creationTimestamp is ahead by %s", ahead)
	}
	if said, err := http.ParseTime(date); err != nil || time.Until(said) < skew/2 {
		t.Errorf("the API says it is %s", date)
	}
	sameAudit(t, "a clock that is ahead", before, audit(ctx, t, "--kubeconfig", shared.Kubeconfig))
	healthy(ctx, t)
	if ahead := created(proxied).Sub(created(direct)); ahead != 0 {
		t.Errorf("without a fault creationTimestamp is ahead by %s", ahead)
	}
}

// connectSeeing connects through the fault proxy and shows every answer.
func connectSeeing(t *testing.T, see func(*http.Response)) *cluster.Client {
	t.Helper()
	proxied, err := cluster.Connect(shared.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport := proxied.REST
	transport.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if err == nil {
				see(response)
			}
			return response, err
		})
	})
	seeing, err := cluster.ConnectTo(transport)
	if err != nil {
		t.Fatal(err)
	}
	return seeing
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A certificate from the future, or the past, is refused with a message that says so and names the cluster.
func TestACertificateThatIsNotValidNow(t *testing.T) {
	ctx, _ := use(t)
	for _, wrong := range []string{"not-yet-valid", "expired"} {
		setFaults(ctx, t, standin.Faults{Clock: standin.ClockFault{Certificate: wrong}})
		_, err := trySidestep(ctx, t, "audit", "--kubeconfig", shared.Kubeconfig)
		if err == nil {
			t.Fatalf("%s: the audit trusts the server", wrong)
		}
		for _, want := range []string{"cluster sidestep-lab", "certificate has expired or is not yet valid"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error lacks %q: %v", wrong, want, err)
			}
		}
	}
	healthy(ctx, t)
	runSidestep(ctx, t, "authz", "can", "--kubeconfig", shared.Kubeconfig, "--from", "t02/b", "--to", "t02/a:80")
}

// A node that is ahead: node-exporter says so, cAdvisor's samples lie in the future, its pods got ready before they, or after they
// could, have been made.
func TestANodeWhoseClockIsAhead(t *testing.T) {
	ctx, client := use(t)
	const node, skew = "lab-01", 5 * time.Minute
	readyTimes := func() map[string]time.Time {
		t.Helper()
		pods, err := client.Kube.CoreV1().Pods("istio-system").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			t.Fatal(err)
		}
		times := map[string]time.Time{}
		for _, pod := range pods.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady {
					times[pod.Name] = c.LastTransitionTime.Time
				}
			}
		}
		return times
	}
	before := readyTimes()
	if len(before) == 0 {
		t.Fatalf("no pods on %s", node)
	}
	aheadBy := func(want time.Duration) func(context.Context) error {
		return func(context.Context) error {
			for pod, at := range readyTimes() {
				if ahead := at.Sub(before[pod]); ahead != want {
					return fmt.Errorf("pod %s got ready %s later than it did", pod, ahead)
				}
			}
			return nil
		}
	}
	setFaults(ctx, t, standin.Faults{Clock: standin.ClockFault{Node: standin.Duration(skew), Nodes: []string{node}}})
	eventually(ctx, t, aheadBy(skew))
	eventually(ctx, t, func(ctx context.Context) error {
		offset, err := query(ctx, fmt.Sprintf(`node_timex_offset_seconds{nodename=%q}`, node))
		if err == nil && offset[0].Value != skew.Seconds() {
			err = fmt.Errorf("the offset is %v", offset[0].Value)
		}
		return err
	})
	eventually(ctx, t, func(ctx context.Context) error { // cAdvisor is scraped at a moment of its own
		// Only who asks for a time that has not come sees these samples.
		latest := fmt.Sprintf(`max(timestamp(container_memory_working_set_bytes{node=%q} @ %d)) - time()`, node, time.Now().Add(skew).Unix())
		ahead, err := query(ctx, latest)
		if err == nil && ahead[0].Value < (skew/2).Seconds() {
			err = fmt.Errorf("cAdvisor's newest sample is %v s ahead", ahead[0].Value)
		}
		return err
	})
	healthy(ctx, t)
	eventually(ctx, t, aheadBy(0))
	exposed, err := getText(ctx, shared.Metrics+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("node_timex_offset_seconds{job=\"node-exporter\",instance=%q,nodename=%[1]q} 0\n", node); !strings.Contains(exposed, want) {
		t.Errorf("the exporters do not say %s", want)
	}
}
