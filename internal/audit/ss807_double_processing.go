package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// doubleProcessing: a waypoint in front of sidecars.
var doubleProcessing = Rule{
	Code:       "SS807",
	Title:      "A waypoint stands in front of pods with sidecars",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar},
	Inputs:     Inputs{Facts: []Fact{FactServices}},
	References: []string{"https://github.com/istio/istio/issues/52527", "istio/istio pilot/pkg/xds/endpoints/endpoint_builder.go"},
	Why: "Calls of ambient clients then pass the waypoint and the sidecar: both apply policies and routes, and the sidecar sees the waypoint's identity, so its policies by client identity " +
		"refuse or miss them. Calls of clients with sidecars pass the waypoint not at all.",
	Remedy: "Bind the Service when its pods are enrolled. If the sidecar is to stay, label the Service istio.io/use-waypoint: none.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, s := range v.Services() {
			if s.Waypoint.Bound {
				f := one(fmt.Sprintf("Service %s/%s is bound to waypoint %s while these pods have sidecars: ambient callers pass both proxies, callers with sidecars only the second.", s.Namespace, s.Name, s.Waypoint.Gateway.Name), s.Waypoint.Evidence)
				f[0].Subject = s.Ref
				out = append(out, f...)
			}
		}
		return out
	},
}
