package promql

import (
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/plan"
)

// Calls that were made in the window are edges, whoever reports them; what only stands there from before is none.
func TestCallsAreAskedForOverTheWindow(t *testing.T) {
	const to = `destination_workload="s",destination_workload_namespace="app",destination_service_name="s",destination_service_namespace="app"`
	s := promqltest.LoadedStorage(t, `load 1m
  istio_requests_total{reporter="destination",source_workload="c",source_workload_namespace="app",source_principal="spiffe://cluster.local/ns/app/sa/c",`+to+`} 0+1x30000
  istio_requests_total{reporter="destination",source_workload="gone",source_workload_namespace="app",`+to+`} 7x30000
  istio_tcp_connections_opened_total{reporter="source",app="ztunnel",source_workload="d",source_workload_namespace="app",`+to+`} 0+1x30000
  istio_requests_total{reporter="source",source_workload="e",source_workload_namespace="app",destination_workload="s",destination_workload_namespace="app",destination_service_name="PassthroughCluster"} 0+1x30000
`)
	var labels []map[string]string
	for _, series := range run(t, s, metric.Calls()[0], params) {
		labels = append(labels, series.Labels)
	}
	got := map[string]plan.Call{}
	for _, c := range plan.CallsOf(labels, "test").Calls {
		got[c.From.Workload] = c
	}
	if len(got) != 3 || got["c"].Service != "app/s" || got["d"].Service != "app/s" || !got["e"].PodIP || got["c"].From.Principal != "cluster.local/ns/app/sa/c" {
		t.Errorf("calls %+v, want those of c and d by Service app/s and that of e to pod addresses", got)
	}
}
