package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// forwardedClientCert needs a waypoint that is told to write it.
var forwardedClientCert = Rule{
	Code:       "SS717",
	Title:      "Something reads X-Forwarded-Client-Cert",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Since:      30,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ForwardedClientCert}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio releasenotes 54995 (1.30)"},
	Why:        "Sidecars add the caller's identity as header X-Forwarded-Client-Cert. ztunnel adds no headers; a waypoint does when its Gateway is annotated for it.",
	Remedy:     "Bind the Services to a waypoint whose Gateway has annotation ambient.istio.io/xfcc-include-client-identity: \"true\".",
	Check:      waypointAfterRewrite((*View).Uses, "The header X-Forwarded-Client-Cert", "ztunnel adds no headers, and a waypoint adds this one only when its Gateway is annotated for it", mesh.ForwardedClientCert),
}
