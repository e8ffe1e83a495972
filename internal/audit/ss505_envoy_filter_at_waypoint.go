package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// envoyFilterAtWaypoint: it may work, and nobody promises that it goes on.
var envoyFilterAtWaypoint = Rule{
	Code:       "SS505",
	Title:      "An EnvoyFilter targets a waypoint",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactPolicies}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/", "https://github.com/istio/istio/issues/55149", "istio/istio releasenotes 58032 (1.28)"},
	Why: "EnvoyFilter has targetRefs, but waypoints are officially not supported: what the code applies today (Gateway references, and GatewayClass since 1.28; never a Service, although the API " +
		"comment says so) is called accidental by the maintainers.",
	Remedy: "Use Telemetry, WasmPlugin or TrafficExtension (1.30). If it has to stay, test it again with every upgrade.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, p := range m.Policies() {
			if p.Kind == "EnvoyFilter" && p.Scope == mesh.ByTargetRefs {
				out = append(out, one(fmt.Sprintf("%s targets a waypoint, which is not supported and may stop working with any upgrade.", p.Ref), at(p.Ref, "spec.targetRefs", ""))...)
			}
		}
		return out
	},
}
