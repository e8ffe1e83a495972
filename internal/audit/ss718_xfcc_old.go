package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// forwardedClientCertOld: before 1.30 nothing in ambient mode writes the header.
var forwardedClientCertOld = Rule{
	Code:       "SS718",
	Title:      "Before 1.30 nothing in ambient mode writes X-Forwarded-Client-Cert",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Until:      29,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ForwardedClientCert}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio releasenotes 54995 (1.30)"},
	Why:        "Waypoints learned to write the caller's identity into this header in 1.30.",
	Remedy:     "Upgrade to Istio 1.30 and annotate the waypoint's Gateway, or take the identity from a token.",
	Check:      onlySidecar("The header X-Forwarded-Client-Cert", "nothing in ambient mode writes it before Istio 1.30", mesh.ForwardedClientCert),
}
