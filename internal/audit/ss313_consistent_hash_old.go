package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// consistentHashOld: before 1.31 a waypoint forgets the hash unless there is a VirtualService.
var consistentHashOld = Rule{
	Code:       "SS313",
	Title:      "Before 1.31 a waypoint ignores consistentHash for a host without VirtualService",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Until:      30,
	Inputs:     Inputs{Features: append([]mesh.Feature{mesh.ConsistentHash}, httpRouteFeatures...)},
	References: []string{"https://github.com/istio/istio/issues/61045"},
	Why:        "The hash policy of a route was built from VirtualServices only. With none for the host the waypoint balanced requests at random and sessions broke.",
	Remedy:     "Upgrade to Istio 1.31, or add a VirtualService with one plain route for the host.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.ConsistentHash)
		if len(uses) == 0 || len(v.Uses(httpRouteFeatures...)) > 0 {
			return nil
		}
		evidence := gather(uses)
		return one(fmt.Sprintf("Session affinity (%s) would be lost at a waypoint before Istio 1.31, since the host has no VirtualService.", objects(evidence)), evidence...)
	},
}
