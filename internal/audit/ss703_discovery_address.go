package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// discoveryAddress: the sidecar has another control plane.
var discoveryAddress = Rule{
	Code:       "SS703",
	Title:      "The sidecar talks to a control plane of its own",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.DiscoveryAddressAnnotation}},
	References: []string{"istio/api annotation/annotations.yaml"},
	Why:        "sidecar.istio.io/discoveryAddress points one sidecar at another istiod. All ambient workloads of a node share one ztunnel and so one control plane.",
	Remedy:     "Make sure that the mesh's own control plane has the same configuration and trust, then remove the annotation.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s sends the sidecar to another control plane; in ambient mode ztunnel's counts.", from)
	}, mesh.DiscoveryAddressAnnotation),
}
