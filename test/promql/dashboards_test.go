package promql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// dashboardMesh is the matrix of pods and the faults of every alert in one mesh, with what dashboards alone read.
func dashboardMesh() string {
	f := &fixture{}
	f.b.WriteString(matrix())
	for _, s := range everythingWrong().sources {
		if strings.HasPrefix(s.name, "kube_pod_owner") {
			continue
		}
		f.b.WriteString((&hybrid{sources: []source{s}}).lines(samples))
	}
	for _, n := range []string{"a", "b"} {
		f.gauge("workload_manager_active_proxy_count", `instance="`+n+`"`, 7)
	}
	f.gauge("kube_pod_owner", `namespace="istio-system",pod="ztunnel-a",owner_kind="DaemonSet",owner_name="ztunnel"`, 1)
	for _, x := range [][3]string{{"waypoint-5d4f8-x2x1z", "waypoint", "shop"}, {"waypoint-5d4f8-abcde", "waypoint", "shop"}} {
		l := fmt.Sprintf(`reporter="waypoint",namespace=%q,pod=%q,destination_service_namespace="shop",destination_service_name="web"`, x[2], x[0])
		f.rate("istio_requests_total", l+`,response_code="200",response_flags="-"`, 20)
		f.rate("istio_requests_total", l+`,response_code="503",response_flags="UH"`, 1)
		for le, n := range map[string]float64{"1": 0, "5": 10, "+Inf": 20} {
			f.rate("istio_request_duration_milliseconds_bucket", l+fmt.Sprintf(`,le=%q`, le), n)
		}
	}
	f.gauge("kube_deployment_status_replicas_ready", `namespace="shop",deployment="waypoint"`, 2)
	for _, w := range []string{"web", "plain"} {
		for le, n := range map[string]float64{"1": 0, "5": 10, "+Inf": 20} {
			f.rate("istio_request_duration_milliseconds_bucket", fmt.Sprintf(`reporter="source",source_workload="istio-ingressgateway",destination_workload=%q,destination_workload_namespace="shop",le=%q`, w, le), n)
		}
	}
	for i, p := range [][2]string{{"mutual_tls", "api"}, {"unknown", "cron"}, {"unknown", "unknown"}} {
		f.rate("istio_tcp_connections_opened_total", fmt.Sprintf(`app="ztunnel",instance="a",reporter="destination",source_principal="spiffe://x/%d",connection_security_policy=%q,source_workload=%q,source_workload_namespace="shop",destination_workload="web",destination_workload_namespace="shop"`, i, p[0], p[1]), 3)
	}
	f.rate("istio_tcp_connections_opened_total", `app="ztunnel",instance="a",reporter="source",source_workload="web",destination_workload="api",destination_workload_namespace="shop",connection_security_policy="mutual_tls"`, 3)
	f.rate("istio_tcp_connections_closed_total", `app="ztunnel",reporter="destination",response_flags="DENY",source_workload="x",source_workload_namespace="y",destination_workload="web",destination_workload_namespace="shop"`, 1)
	return f.b.String()
}

// Every query of every dashboard is understood by the engine and draws something on a mesh in which there is something to see.
func TestEveryPanelHasData(t *testing.T) {
	s := promqltest.LoadedStorage(t, dashboardMesh())
	fill := strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*")
	ask := func(what, expr string) {
		e := metric.Evaluation{Start: epoch.Add(90 * 60e9), End: epoch.Add(110 * 60e9), Step: 5 * 60e9}
		if strings.Contains(expr, "offset 1w") {
			return // a fixture of a week would say no more than that of TestDriftIsSeen
		}
		if len(evaluate(t, s, fill.Replace(expr), e)) == 0 {
			t.Errorf("%s has no data: %s", what, expr)
		}
	}
	for _, d := range generate.Dashboards(&generate.Goal{Sidecars: 3, Removable: 9}) {
		for _, p := range d.Panels {
			for _, q := range p.Queries {
				ask(d.UID+": "+p.Title+": "+q.Legend, q.Expr)
			}
		}
		for _, e := range d.Events {
			ask(d.UID+": "+e.Name, e.Expr)
		}
	}
}

func panelOf(t *testing.T, title, legend string) string {
	t.Helper()
	for _, d := range generate.Dashboards(nil) {
		for _, p := range d.Panels {
			for _, q := range p.Queries {
				if p.Title == title && q.Legend == legend {
					return strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*").Replace(q.Expr)
				}
			}
		}
	}
	t.Fatalf("no query %s of panel %s", legend, title)
	return ""
}

// What panels show is what is so: sidecars are counted as pod_role does, bytes that stay in their zone are not called cross-zone.
func TestPanelsShowWhatIsSo(t *testing.T) {
	s := promqltest.LoadedStorage(t, matrix())
	at := metric.Evaluation{End: epoch.Add(100 * 60e9)}
	want := 0
	for _, r := range roles {
		if r == metric.RoleSidecarClassic || r == metric.RoleSidecarNative {
			want++
		}
	}
	if got := evaluate(t, s, panelOf(t, "Pods by mode", "sidecar"), at); len(got) != 1 || got[0].Floats[0].F != float64(want) {
		t.Errorf("sidecars: %v, want %d", got, want)
	}
	var pairs []string
	for _, x := range evaluate(t, s, panelOf(t, "Bytes between zones", "{{source_zone}} → {{destination_zone}}"), at) {
		pairs = append(pairs, x.Metric.Get("source_zone")+x.Metric.Get("destination_zone"))
	}
	if !slices.Equal(pairs, []string{"ab"}) {
		t.Errorf("bytes between zones: %v, want from a to b alone", pairs)
	}
	if got := evaluate(t, s, panelOf(t, "Share of bytes that stay in their zone", "same zone"), at); len(got) != 1 || !near(got[0].Floats[0].F, 0.5) {
		t.Errorf("share in the same zone: %v, want a half", got)
	}
}

// Drift compares the same sidecars: one that came within the week is left out, so that a new small one does not hide growth.
func TestDriftIsSeen(t *testing.T) {
	f := &fixture{}
	f.b.WriteString("load 30m\n")
	const week = 7 * 48
	container := func(pod, name string, from int, values string) {
		// Series are loaded in any order, and storage takes nothing that is half a day older than the first sample it sees.
		if from > 0 {
			values = "stale " + strings.Repeat("_ ", from-1) + values
		}
		f.series("container_memory_working_set_bytes", fmt.Sprintf(`namespace="shop",pod=%q,container=%q,image="x"`, pod, name), values)
	}
	container("old", "istio-proxy", 0, fmt.Sprintf("100+1x%d", week+2))
	container("old", "app", 0, fmt.Sprintf("1x%d", week+2))
	container("new", "istio-proxy", week-5, "10x8")
	container("new", "app", week-5, "1x8")
	s := promqltest.LoadedStorage(t, f.b.String())
	at := metric.Evaluation{End: epoch.Add(week * 30 * 60e9)}
	for legend, want := range map[string]float64{"now": 100 + week, "a week ago": 100} {
		if got := evaluate(t, s, panelOf(t, "Drift of the sidecars that stay", legend), at); len(got) != 1 || !near(got[0].Floats[0].F, want) {
			t.Errorf("%s: %v, want %g", legend, got, want)
		}
	}
}
