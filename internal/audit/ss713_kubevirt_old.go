package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// kubevirtInterfacesOld: before 1.25 ambient mode could not.
var kubevirtInterfacesOld = Rule{
	Code:       "SS713",
	Title:      "Before 1.25 ambient mode reroutes no virtual interfaces",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Until:      24,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.KubevirtInterfaces}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio releasenotes 53933 (1.25)"},
	Why:        "istio.io/reroute-virtual-interfaces, the form that ambient mode reads, exists since 1.25.",
	Remedy:     "Upgrade to Istio 1.25 and rename the annotation to istio.io/reroute-virtual-interfaces.",
	Check:      onlySidecar("Rerouted virtual interfaces", "ambient mode cannot before Istio 1.25", mesh.KubevirtInterfaces),
}
