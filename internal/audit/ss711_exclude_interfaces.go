package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// excludeInterfaces: no counterpart in ambient mode.
var excludeInterfaces = Rule{
	Code:       "SS711",
	Title:      "Some interfaces go round the sidecar",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ExcludeInterfaces}, Facts: []Fact{FactMode}},
	References: []string{"istio/api annotation/annotations.yaml"},
	Why:        "traffic.sidecar.istio.io/excludeInterfaces keeps secondary networks (Multus, SR-IOV) out of capture. Ambient mode has no counterpart.",
	Remedy:     "Keep the sidecar while the pod has such interfaces, or take the pod out of the mesh with istio.io/dataplane-mode: none.",
	Check:      onlySidecar("Excluded interfaces", "ambient mode cannot leave an interface out", mesh.ExcludeInterfaces),
}
