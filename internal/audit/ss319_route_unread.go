package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var routeUnread = Rule{
	Code:     "SS319",
	Title:    "Every client's sidecar obeys a route or rule that no waypoint of its Service reads",
	Severity: Warning,
	Requires: VerdictNone,
	Inputs:   Inputs{Facts: []Fact{FactRoutes, FactWorkloads}},
	References: []string{
		"istio/istio pilot/pkg/model/push_context.go (publicByGateway, destinationRule)",
		"istio/istio pilot/pkg/networking/core/listener_waypoint.go (getVirtualServiceForWaypoint)", "https://github.com/istio/istio/issues/58747",
	},
	Why: "A VirtualService without exportTo acts in the sidecars of all clients, whatever namespace it stands in. A waypoint reads those of its own and of the Service's namespace only; " +
		"the root namespace is no exception. So what such a route does ends with each client's sidecar, and binding the Service to a waypoint does not keep it.",
	Remedy: "Move the object into the namespace of the Service, best as an HTTPRoute whose parentRef is the Service, and bind the Service to a waypoint before clients move.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, l := range m.RouteLosses() {
			if l.Kind != mesh.Unread || l.Kept || m.CallersBeside("") == 0 {
				continue
			}
			out = append(out, one(fmt.Sprintf("Calls to %s: %s (%s) ends with each caller's sidecar, and no waypoint of the Service reads it where it stands.",
				l.Host, featureWords(l.Features), objects(l.Evidence)), l.Evidence...)...)
		}
		return out
	},
}
