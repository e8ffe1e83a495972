package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// kubevirt interfaces have a successor that ambient mode reads.
var kubevirtInterfaces = Rule{
	Code:       "SS712",
	Title:      "kubevirtInterfaces is read by sidecars only",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Since:      25,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.KubevirtInterfaces}},
	References: []string{"istio/istio releasenotes 53933 (1.25)"},
	Why:        "traffic.sidecar.istio.io/kubevirtInterfaces was replaced by istio.io/reroute-virtual-interfaces, which both modes read.",
	Remedy:     "Rename the annotation to istio.io/reroute-virtual-interfaces before the sidecar goes.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s is an annotation that ambient mode does not read.", from)
	}, mesh.KubevirtInterfaces),
}
