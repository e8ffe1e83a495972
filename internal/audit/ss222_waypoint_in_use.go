package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// waypointInUse says what a waypoint is there for.
var waypointInUse = Rule{
	Code:       "SS222",
	Title:      "Policies at a waypoint need it",
	Severity:   Info,
	Requires:   VerdictWaypoint,
	Modes:      []mesh.Mode{mesh.Ambient},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.WaypointPolicy}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/"},
	Why:        "An ambient workload whose Services have policies with targetRefs is protected by its waypoint; without the waypoint nobody enforces them.",
	Remedy:     "Nothing to do; keep the waypoint.",
	Check: func(v *View) []Finding {
		evidence := gather(v.Uses(mesh.WaypointPolicy))
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("The waypoint enforces %s.", objects(evidence)), evidence...)
	},
}
