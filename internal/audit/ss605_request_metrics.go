package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// requestMetrics: dashboards go dark.
var requestMetrics = Rule{
	Code:       "SS605",
	Title:      "HTTP metrics end for workloads without a waypoint",
	Severity:   Info,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactVerdicts}},
	References: []string{"https://istio.io/latest/docs/ambient/architecture/data-plane/", "istio/ztunnel src/proxy/metrics.rs"},
	Why: "ztunnel counts connections and bytes (istio_tcp_*). istio_requests_total and istio_request_duration_milliseconds exist at sidecars and waypoints only, so request rates, error " +
		"rates and latencies of these workloads vanish from dashboards, alerts and autoscalers.",
	Remedy: "Before enrolling them, move alerts and dashboards to application metrics, or bind to a waypoint those Services whose request metrics are needed.",
	Whole: func(m *MeshView) []Finding {
		n := 0
		var evidence []mesh.Evidence
		for _, r := range m.Results() {
			if r.Verdict != VerdictAmbient || r.Workload.Mode != mesh.Sidecar {
				continue
			}
			if s := declaresHTTP(r.Workload); s != nil {
				if n++; n == 1 {
					evidence = []mesh.Evidence{at(s.Ref, "spec.ports", "")}
				}
			}
		}
		if n == 0 {
			return nil
		}
		return one(fmt.Sprintf("%s with HTTP ports and verdict ambient will have no istio_requests_total and no latency series.", count(n, "workload", "workloads")), evidence...)
	},
}

// declaresHTTP returns a Service of the workload that has a port declared as HTTP.
func declaresHTTP(w *mesh.Workload) *mesh.Service {
	for _, s := range w.Services {
		for _, p := range s.Ports {
			if p.Protocol != "" && p.HTTP() {
				return s
			}
		}
	}
	return nil
}
