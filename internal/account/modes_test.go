package account

import (
	"fmt"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// One namespace with a workload in each mode, one all in ambient mode.
func modesState(workloadLabel bool, readyAfter time.Duration) *State {
	s := &State{}
	for _, w := range []struct {
		ns, name string
		mode     terms.Mode
	}{{"shop", "web", terms.ModeSidecar}, {"shop", "cart", terms.ModeWaypoint}, {"calm", "api", terms.ModeAmbient}} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: w.name + "-0", CreationTimestamp: metav1.Unix(1000, 0)}}
		if readyAfter > 0 {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(1000+int64(readyAfter.Seconds()), 0)}}
		}
		s.Cluster.Pods = append(s.Cluster.Pods, terms.Pod{Object: p, Role: terms.Application, Mode: w.mode, Workload: w.ns + "/Deployment/" + w.name})
	}
	s.modes, _ = namespaceModes(s.Cluster)
	r := metric.Result{Metric: "edge_workloads"}
	add := func(ns, workload string, labels map[string]string, v float64) {
		labels["namespace"] = ns
		if workloadLabel {
			labels["workload"] = workload
		}
		r.Series = append(r.Series, metric.Series{Labels: labels, Points: []metric.Point{{T: 1, V: v}}})
	}
	for ns, names := range map[string][]string{"shop": {"web", "cart"}, "calm": {"api"}, "outside": {"legacy"}, "unknown": {"unknown"}} {
		for _, name := range names {
			for _, le := range []string{"10", "20", "+Inf"} {
				add(ns, name, map[string]string{"result": "bucket", "le": le}, 4)
			}
			add(ns, name, map[string]string{"result": "all"}, 4)
		}
	}
	add("shop", "web", map[string]string{"result": "failed"}, 1)
	startup := metric.Result{Metric: "pod_startup", Series: []metric.Series{{Labels: map[string]string{"namespace": "calm", "pod": "api-0"}, Points: []metric.Point{{T: 1, V: 7}}}}}
	s.Dump.Results = []metric.Result{r, startup}
	return s
}

func TestLatencyByModeNamesMixedNamespaces(t *testing.T) {
	for name, c := range map[string]struct {
		label bool
		want  string
	}{
		"where series name the workload, each counts under its own mode": {true,
			"[ambient [calm] 0 ratio][ambient+waypoint [shop] 0 ratio][sidecar [shop] 0.25 ratio]"},
		"where they do not, a namespace with several is a group of its own": {false,
			"[ambient [calm] 0 ratio][mixed [shop] 0.125 ratio]"},
	} {
		got := ""
		for _, m := range modesState(c.label, 0).edgeByMode() {
			got += fmt.Sprintf("[%s %s %s]", m.Mode, m.Namespaces, m.Errors)
			if m.P50.String() != "5 ms" || m.P99.String() != "9.9 ms" {
				t.Errorf("%s: %s %s and %s", name, m.Mode, m.P50, m.P99)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestStartupsComeFromPodsElseFromMetrics(t *testing.T) {
	if got := fmt.Sprint(modesState(true, 3*time.Second).startups()); got != "map[ambient:[3] ambient+waypoint:[3] sidecar:[3]]" {
		t.Errorf("from pods: %s", got)
	}
	if got := fmt.Sprint(modesState(true, 0).startups()); got != "map[ambient:[7]]" {
		t.Errorf("from kube-state-metrics: %s", got)
	}
}
