package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// bootstrapOverride: a custom Envoy bootstrap.
var bootstrapOverride = Rule{
	Code:       "SS707",
	Title:      "The sidecar has a custom bootstrap",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.BootstrapOverride}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ops/configuration/telemetry/envoy-stats/", "istio/api annotation/annotations.yaml"},
	Why:        "A bootstrap override changes Envoy before any configuration API does. ztunnel is not Envoy and a waypoint's bootstrap is not the workload's.",
	Remedy:     "Express what the bootstrap does by Telemetry or proxy configuration, then remove the annotation.",
	Check:      onlySidecar("A custom Envoy bootstrap", "nothing in ambient mode takes one from a workload", mesh.BootstrapOverride),
}
