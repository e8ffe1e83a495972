package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// idleWaypoint: a waypoint on every path eats the saving.
var idleWaypoint = Rule{
	Code:       "SS812",
	Title:      "A waypoint is bound though nothing needs it",
	Severity:   Info,
	Requires:   VerdictAmbient,
	Modes:      []mesh.Mode{mesh.Ambient},
	Inputs:     Inputs{Facts: []Fact{FactBinding}},
	References: []string{"https://istio.io/latest/docs/ops/deployment/performance-and-scalability/"},
	Why:        "A call through a waypoint costs about as much CPU as through two sidecars. Without a policy, a route or telemetry that needs it, that buys request metrics only.",
	Remedy:     "Unbind the Service (istio.io/use-waypoint: none), unless its request metrics or request balancing are wanted.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		by, served := v.ServedBy()
		if verdict != VerdictAmbient || !served {
			return nil
		}
		return one(fmt.Sprintf("Calls pass waypoint %s/%s, but no policy, route or telemetry of this workload needs it.", by.Namespace, by.Name), at(by, "", ""))
	},
}
