//go:build lab

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	lab "github.com/sidestep-mesh/sidestep/test/lab"
	"github.com/sidestep-mesh/sidestep/test/lab/cluster"
	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

// This file sorts last, and so runs last: it moves the largest scenario to its end state, which no other test
// expects, and taking 2,000 pods back would cost another minute.

// roiReport is the part of the report's JSON that this test reads.
type roiReport struct {
	Rows []struct {
		Name, Finding      string
		Promised, Realised roiFigure
	}
	Ladder []struct {
		Number int
		Lines  []struct {
			Name   string
			Figure roiFigure
		}
	}
	HybridTax struct{ Verdict, Why string }
	Latency   []struct {
		Namespace, Quantile, Finding, Why string
		Shift                             roiFigure
		PairedHours                       int
	}
	Drift     []string
	Simulated string
	Gaps      []struct{ What, Why string }
}

type roiFigure struct {
	Value, Low, High *float64
	Missing          string
}

// The promise made before the move is kept after it, on a real scheduler and a real Prometheus; what is made up is said.
// With models under which the move makes things worse, the report says that instead.
func TestROIPromisedAndRealisedOnPayments(t *testing.T) {
	ctx, client := use(t)
	s, err := scenario.Load("payments-400")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SIDESTEP_LAB") != "" { // a lab that stays: what comes next finds the scenario absent, not changed
		t.Cleanup(func() {
			if err := s.Unload(context.WithoutCancel(ctx), client); err != nil {
				t.Error(err)
			}
		})
	}
	end := beforeTheHead(ctx, t)
	r := roiRun{dir: t.TempDir(), namespaces: s.OwnNamespaces(), change: end.AddDate(0, 0, -3)}
	baseline := filepath.Join(r.dir, "baseline.json")

	// An autoscaler would have taken the slack that is there anyway long ago. What it takes afterwards is due to the move.
	began := time.Now()
	slack := r.removable(ctx, t, "forecast", "not due to the change: slack that packing afresh would find today")
	taken := shrink(ctx, t, client, slack, func(cordoned []string) { deletePods(ctx, t, client, cordoned, false) })
	t.Logf("%d nodes of slack were said to be there, %d went, in %s", slack, taken, time.Since(began).Round(time.Second))

	writeHistory(ctx, t, lab.History{Days: 7, Step: 5 * time.Minute, End: r.change})
	runSidestep(ctx, t, r.args("baseline", r.change, "7d", "--out", baseline)...)
	began = time.Now()
	promised := r.removable(ctx, t, "forecast", "replace")
	gone := shrink(ctx, t, client, promised, func([]string) { moveToEndState(ctx, t, client, s) })
	t.Logf("%d nodes were promised, %d went, in %s", promised, gone, time.Since(began).Round(time.Second))
	if math.Abs(float64(gone-promised)) > 1 {
		t.Errorf("%d nodes were promised, %d could go", promised, gone)
	}
	t.Run("the published figures of proxies", func(t *testing.T) {
		out := r.report(ctx, t, baseline, end, "published")
		asPromised(t, out, gone)
		for _, line := range out.rung(2) {
			if line.Value == nil || *line.Value <= 0 {
				t.Errorf("usage freed: %+v, want something", line)
			}
		}
		if improved, judged := out.latency("improved"); improved != judged || judged < len(r.namespaces) {
			t.Errorf("latency improved in %d of %d verdicts, want all, and at least %d: %+v", improved, judged, len(r.namespaces), out.Latency)
		}
		if len(out.Drift) > 0 {
			t.Errorf("drift: %q", out.Drift)
		}
	})
	t.Run("proxies that cost more than what they replace", func(t *testing.T) {
		setFaults(ctx, t, standin.Faults{Metrics: standin.MetricsFault{Model: "bad"}})
		out := r.report(ctx, t, baseline, end, "bad")
		asPromised(t, out, gone) // what is requested does not change
		for _, line := range out.rung(2) {
			if line.Value == nil || *line.Value >= 0 {
				t.Errorf("usage freed: %+v, want it negative", line)
			}
		}
		if worse, judged := out.latency("worse"); worse != judged || judged == 0 {
			t.Errorf("latency is worse in %d of %d verdicts, want all: %+v", worse, judged, out.Latency)
		}
		drift := strings.Join(out.Drift, "\n")
		for _, want := range []string{"hybrid tax", "CPU used by the mesh grew", "memory used by the mesh grew", "P50 latency is worse", "P99 latency is worse", "errors in "} {
			if !strings.Contains(drift, want) {
				t.Errorf("the drift lacks %q:\n%s", want, drift)
			}
		}
	})
}

// asPromised checks that each row is within the range that the report itself states, and the nodes within one.
func asPromised(t *testing.T, out roiReport, gone int) {
	t.Helper()
	for _, row := range out.Rows {
		if row.Finding != "as promised" {
			t.Errorf("%s: %s (promised %s, realised %s)", row.Name, row.Finding, row.Promised, row.Realised)
		}
	}
	if nodes := out.rung(4); len(nodes) != 1 || nodes[0].Value == nil || int(*nodes[0].Value) != gone {
		t.Errorf("%d nodes went, the report counts %v", gone, nodes)
	}
}

func (f roiFigure) String() string {
	if f.Value == nil {
		return f.Missing
	}
	if f.Low == nil || f.High == nil {
		return fmt.Sprint(*f.Value)
	}
	return fmt.Sprintf("%g (%g to %g)", *f.Value, *f.Low, *f.High)
}

func (r roiReport) rung(number int) []roiFigure {
	var out []roiFigure
	for _, rung := range r.Ladder {
		for _, line := range rung.Lines {
			if rung.Number == number {
				out = append(out, line.Figure)
			}
		}
	}
	return out
}

// latency counts verdicts: how many are this one, of how many that rest on 50 hours or more.
func (r roiReport) latency(finding string) (n, judged int) {
	for _, v := range r.Latency {
		if v.Finding == "insufficient data" || v.PairedHours < 50 {
			continue
		}
		if judged++; v.Finding == finding {
			n++
		}
	}
	return n, judged
}

type roiRun struct {
	dir        string
	namespaces []string
	change     time.Time
}

func (r roiRun) args(command string, until time.Time, window string, more ...string) []string {
	args := []string{
		"roi", command, "--kubeconfig", shared.Kubeconfig, "--prometheus", shared.Prometheus, "--window", window,
		"--until", until.Format(time.RFC3339), "--waypoint-replicas", "1",
		// The callers' own histogram: the one instrument of the lab that is there in every mode.
		"--edge", `job="application"`, "--latency-metric", "http_client_request_duration_seconds", "--latency-scale", "1000",
		"--requests-metric", "http_client_request_duration_seconds_count", "--error-matcher", `http_response_status_code="503"`,
		"--latency-namespace-label", "namespace",
	}
	return append(args, more...)
}

// simulated is what the user of a lab tells the report.
const simulated = "usage, latency and traffic come from the lab's model of proxies; nodes and pods are simulated by kwok"

// report gives Prometheus the three days after the move, as the model that is set has them, and asks for the report.
func (r roiRun) report(ctx context.Context, t *testing.T, baseline string, end time.Time, model string) roiReport {
	t.Helper()
	writeHistory(ctx, t, lab.History{Days: 3, Step: 5 * time.Minute, End: end})
	more := []string{"--baseline", baseline, "--simulated", simulated}
	for _, ns := range r.namespaces {
		more = append(more, "--enrolled", ns+"="+r.change.Format(time.RFC3339))
	}
	var out roiReport
	if err := json.Unmarshal(runSidestep(ctx, t, r.args("report", end, "3d", append(more, "-o", "json")...)...), &out); err != nil {
		t.Fatal(err)
	}
	if out.Simulated != simulated || len(out.Rows) != 3 || !strings.Contains(out.Rows[2].Name, "simulated") {
		t.Errorf("the report does not name what is simulated: %q, %+v", out.Simulated, out.Rows)
	}
	return out
}

// removable asks what the simulation says of nodes now, without metrics.
func (r roiRun) removable(ctx context.Context, t *testing.T, command, name string) int {
	t.Helper()
	var out roiReport
	raw := runSidestep(ctx, t, "roi", command, "--kubeconfig", shared.Kubeconfig, "--waypoint-replicas", "1", "-o", "json")
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	for _, rung := range out.Ladder {
		for _, line := range rung.Lines {
			if rung.Number == 3 && line.Name == name && line.Figure.Value != nil {
				return int(*line.Figure.Value)
			}
		}
	}
	t.Fatalf("the forecast has no %q: %+v", name, out.Ladder)
	return 0
}

// beforeTheHead is the hour before Prometheus began to scrape: history must not overlap what was scraped.
func beforeTheHead(ctx context.Context, t *testing.T) time.Time {
	t.Helper()
	var answer struct {
		Data struct {
			HeadStats struct{ MinTime int64 }
		}
	}
	if err := getJSON(ctx, shared.Prometheus+"/api/v1/status/tsdb", &answer); err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(answer.Data.HeadStats.MinTime).UTC().Truncate(time.Hour)
}

func writeHistory(ctx context.Context, t *testing.T, h lab.History) {
	t.Helper()
	began := time.Now()
	written, err := shared.WriteHistory(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, in %s", written, time.Since(began).Round(time.Second))
}

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
	eventually(ctx, t, func(ctx context.Context) error {
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
