package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// zoneAwareLB is documented as sidecar only.
var zoneAwareLB = Rule{
	Code:       "SS315",
	Title:      "zoneAwareLbSetting works with sidecars only",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Since:      31,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ZoneAwareLB}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/destination-rule/", "istio/api networking/v1alpha3/destination_rule.proto (1.31)"},
	Why:        "The field is documented as not supported in ambient mode: the zone that counts is that of the caller's proxy.",
	Remedy:     "Set spec.trafficDistribution: PreferClose on the Service instead, if staying in the zone is what is wanted.",
	Check:      onlySidecar("Zone-aware load balancing", "zoneAwareLbSetting is not supported in ambient mode", mesh.ZoneAwareLB),
}
