package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// rateLimit is an EnvoyFilter with a name people know.
var rateLimit = Rule{
	Code:       "SS502",
	Title:      "Rate limiting is configured by EnvoyFilter",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.RateLimit}, Facts: []Fact{FactMode}},
	References: []string{"https://github.com/istio/istio/issues/54391", "https://github.com/istio/istio/issues/57350"},
	Why:        "Istio has no API for rate limits; both local and global ones are EnvoyFilters, which waypoints do not support.",
	Remedy:     "Limit at the ingress gateway, or in the application; then delete the EnvoyFilter.",
	Check:      onlySidecar("Rate limiting", "it is an EnvoyFilter, which waypoints do not support", mesh.RateLimit),
}
