package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// clientNamespaceRoute: a waypoint reads the routes of the Service's side.
var clientNamespaceRoute = Rule{
	Code:       "SS305",
	Title:      "A VirtualService stands in the clients' namespace",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ClientNamespaceRoute}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio pilot/pkg/networking/core/listener_waypoint.go (getVirtualServiceForWaypoint)", "https://github.com/istio/istio/issues/57704"},
	Why: "A client's team can route its own calls to somebody else's Service: its sidecars obey a VirtualService of their namespace. A waypoint reads only those in the namespace of the " +
		"Service or its own, so the route is lost for ambient callers.",
	Remedy: "Move the route into the Service's namespace as an HTTPRoute (it then holds for all callers), or keep the sidecars of these callers.",
	Check:  onlyClientSidecar("Routing by the client's own VirtualService", "a waypoint reads routes from the Service's namespace only", mesh.ClientNamespaceRoute),
}
