package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// attachmentDenied: the waypoint admits its own namespace only.
var attachmentDenied = Rule{
	Code:       "SS803",
	Title:      "The waypoint does not admit this namespace",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Today:      true,
	Inputs:     Inputs{Facts: []Fact{FactBinding, FactServices, FactUnknown}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/#use-waypoint-across-namespaces", "istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go"},
	Why:        "A waypoint of another namespace has to admit the consumer in its listener's allowedRoutes, which by default is its own namespace alone (AttachmentDenied); calls then go round it.",
	Remedy:     "Set allowedRoutes.namespaces on the Gateway's listener to admit this namespace.",
	Check:      refusedBinding("does not admit this namespace", mesh.AttachmentDenied),
}
