package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// httpMetrics: metric overrides act in HTTP proxies.
var httpMetrics = Rule{
	Code:       "SS602",
	Title:      "Metric overrides for these workloads need a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.HTTPMetrics}, Facts: []Fact{FactMode, FactSettings}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "istio/istio pilot/pkg/model/telemetry.go"},
	Why: "ztunnel reports TCP metrics with fixed labels and reads no Telemetry. Tags and dimensions that are set here exist at a waypoint only, from a Telemetry " +
		"with targetRefs or one for its whole namespace.",
	Remedy: "Bind the Services to a waypoint and give the Telemetry targetRefs, or delete overrides that no dashboard or alert uses.",
	Check:  scopedTelemetry("Metric overrides", "ztunnel's metrics cannot be configured for a workload", mesh.HTTPMetrics),
}
