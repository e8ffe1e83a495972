package audit

import (
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// httpRouting: everything HTTP that routes ask for.
var httpRouting = Rule{
	Code:     "SS301",
	Title:    "HTTP routing needs a waypoint",
	Severity: Warning,
	Requires: VerdictWaypoint,
	Inputs:   atService(httpRouteFeatures, FactMode, FactBinding),
	References: []string{
		"https://istio.io/latest/docs/ambient/usage/l7-features/", "https://github.com/istio/istio/issues/57704",
		"istio/istio pilot/pkg/networking/core/listener_waypoint.go",
	},
	Why: "Matching, splitting, headers, rewrites, retries, timeouts, mirroring and CORS are done by an HTTP proxy on the way. With sidecars that is " +
		"the caller's; in ambient mode it is the waypoint of the called Service, since ztunnel forwards connections. " +
		"A waypoint obeys HTTPRoute and GRPCRoute; a VirtualService only as an Alpha feature and only from the namespace of the Service or the waypoint.",
	Remedy: "Bind the Service to a waypoint, and turn the VirtualService into an HTTPRoute whose parentRef is the Service.",
	Check:  checkHTTPRouting,
}

var httpRouteFeatures = []mesh.Feature{
	mesh.HTTPMatch, mesh.TrafficSplit, mesh.HeaderManipulation, mesh.Rewrite, mesh.Retries, mesh.Timeouts, mesh.Mirroring,
	mesh.CORS, mesh.JWTClaimRouting,
}

// checkHTTPRouting gives one finding for all that routes ask for: they have one way out.
func checkHTTPRouting(v *View) []Finding {
	var what []string
	for _, u := range v.AtService(httpRouteFeatures...) {
		if name := strings.ReplaceAll(string(u.Feature), "-", " "); !slices.Contains(what, name) {
			what = append(what, name)
		}
	}
	if len(what) == 0 {
		return nil
	}
	return waypointServes("HTTP routing: "+strings.Join(what, ", "), httpRouteFeatures...)(v)
}
