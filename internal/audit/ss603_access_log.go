package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// accessLog: request logs are made by HTTP proxies.
var accessLog = Rule{
	Code:       "SS603",
	Title:      "Access logging configured for these workloads needs a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.AccessLogging}, Facts: []Fact{FactMode, FactSettings}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "istio/istio pilot/pkg/model/telemetry.go"},
	Why:        "ztunnel logs connections, all in one form and without requests, filters or providers. Request logs exist at a waypoint only.",
	Remedy:     "Bind the Services to a waypoint and give the Telemetry targetRefs, or delete it where ztunnel's connection log is enough.",
	Check:      scopedTelemetry("Access logging", "ztunnel logs connections and not requests", mesh.AccessLogging),
}
