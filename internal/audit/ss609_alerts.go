package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// sidecarAlerts: alerts that go quiet.
var sidecarAlerts = Rule{
	Code:       "SS609",
	Title:      "Alerts read metrics of sidecars",
	Severity:   Info,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactVerdicts}, Kinds: []snapshot.Kind{kindPrometheusRule, kindConfigMap}},
	References: []string{"https://istio.io/latest/docs/reference/config/metrics/", "istio/ztunnel src/proxy/metrics.rs"},
	Why:        "An alert on istio_requests_total or an envoy_ series, itself or recorded under another name, never fires for a workload whose series ended: no value is no alert. Nothing else tells that it is blind.",
	Remedy:     "Before the workloads move, rewrite the alerts to application metrics, or to reporter=\"waypoint\" for Services that get a waypoint.",
	Whole: func(m *MeshView) []Finding {
		moves := false
		for _, r := range m.Results() {
			moves = moves || r.Workload.Mode == mesh.Sidecar && r.Verdict != VerdictSidecar
		}
		if !moves {
			return nil
		}
		alerts := m.mesh.SidecarAlerts()
		if len(alerts) == 0 {
			return nil
		}
		return one(fmt.Sprintf("%s of PrometheusRules by series of sidecars, which end where the sidecar goes.", count(len(alerts), "alert goes", "alerts go")), alerts...)
	},
}
