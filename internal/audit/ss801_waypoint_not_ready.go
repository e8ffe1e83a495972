package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// waypointNotReady: the label names a waypoint that serves nobody.
var waypointNotReady = Rule{
	Code:       "SS801",
	Title:      "The waypoint that is asked for does not exist or is not ready",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	First:      true,
	Today:      true,
	Inputs:     Inputs{Facts: []Fact{FactBinding, FactServices, FactUnknown}},
	References: []string{"https://github.com/istio/istio.io/pull/17520", "istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go"},
	Why: "While a waypoint is missing or not programmed, ztunnel sends calls straight to the pods, and everything the waypoint should enforce is skipped (condition istio.io/WaypointBound, " +
		"reason WaypointIsNotReady). Once it was ready the opposite holds: without a ready pod calls fail.",
	Remedy: "Create the Gateway (istioctl waypoint apply) or correct the label, and wait for Programmed before any sidecar or old policy goes.",
	Check:  refusedBinding("does not exist or is not ready", mesh.WaypointIsNotReady, mesh.NotAWaypoint),
}

// refusedBinding reports the bindings of a workload and its Services that istiod refuses for one of some reasons.
func refusedBinding(why string, reasons ...string) func(*View) []Finding {
	return func(v *View) []Finding {
		if slices.Contains(v.Unknown(), kindGateway) {
			return nil // nobody can tell: SS901 says so
		}
		var out []Finding
		report := func(who mesh.Ref, b mesh.Binding) {
			if b.Asked && !b.Bound && !b.ShadowsBound && slices.Contains(reasons, b.Refused) { // shadows are SS804's
				by := "label"
				if b.Inherited {
					by = "its namespace's label"
				}
				f := one(fmt.Sprintf("Waypoint %s/%s, which %s asks for by %s, %s (%s).", b.Gateway.Namespace, b.Gateway.Name, who, by, why, b.Refused), b.Evidence)
				f[0].Subject = who
				out = append(out, f...)
			}
		}
		for _, s := range v.Services() {
			report(s.Ref, *s.Waypoint)
		}
		if b := v.Binding(); !b.Inherited {
			report(v.Workload(), b) // a namespace's waypoint is for its Services first
		}
		return out
	}
}
