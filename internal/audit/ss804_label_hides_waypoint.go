package audit

import (
	"fmt"
)

// labelHidesWaypoint: a Service gives a working waypoint away.
var labelHidesWaypoint = Rule{
	Code:       "SS804",
	Title:      "A Service's label takes it off its namespace's working waypoint",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Today:      true,
	Inputs:     Inputs{Facts: []Fact{FactServices}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go (fetchWaypointForTarget)"},
	Why: "A use-waypoint label on the Service takes precedence over the namespace's, also when the waypoint it names is not ready. There is no fallback to the namespace's waypoint: the Service " +
		"has none, and loses what that one enforced.",
	Remedy: "Remove the label from the Service until the waypoint it names is ready.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, s := range v.Services() {
			if b := s.Waypoint; b.ShadowsBound && !b.Bound && !b.OptOut {
				f := one(fmt.Sprintf("%s names waypoint %s/%s, which does not serve it, and so loses its namespace's waypoint %s/%s.", s.Ref, b.Gateway.Namespace, b.Gateway.Name, b.Shadows.Namespace, b.Shadows.Name), b.Evidence)
				f[0].Subject = s.Ref
				out = append(out, f...)
			}
		}
		return out
	},
}
