package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// strictPortsOld: two bugs of 1.24.
var strictPortsOld = Rule{
	Code:       "SS215",
	Title:      "Before 1.25 ztunnel reads port-level mTLS wrongly",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Until:      24,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.PortLevelMTLS}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio releasenotes 54146 and 53884 (1.25)"},
	Why:        "With more than one STRICT port the converted policy let plaintext in on all of them, and in other combinations it refused too much. Both were fixed in 1.25.",
	Remedy:     "Upgrade to Istio 1.25, or make the whole workload STRICT.",
	Check:      onlySidecar("Port-level mTLS", "ztunnel reads it wrongly before Istio 1.25", mesh.PortLevelMTLS),
}
