package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// multiNetwork: alpha in 1.27, beta since 1.29.
var multiNetwork = Rule{
	Code:       "SS908",
	Title:      "Before 1.27 ambient mode does not span networks",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Until:      26,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.MultiNetwork}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio releasenotes 55478 (1.27)", "https://preliminary.istio.io/latest/blog/2026/ambient-multinetwork-multicluster-beta/"},
	Why:        "Calls to another network go through an east-west gateway, which ambient mode knows since 1.27 (Alpha; Beta since 1.29).",
	Remedy:     "Upgrade to Istio 1.29, or keep the sidecars of workloads that call or are called across networks.",
	Check:      onlySidecar("Several networks", "ambient mode cannot reach another network before Istio 1.27", mesh.MultiNetwork),
}
