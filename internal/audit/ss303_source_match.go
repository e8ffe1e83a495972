package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// sourceMatch: a waypoint cannot tell callers apart in a route.
var sourceMatch = Rule{
	Code:       "SS303",
	Title:      "A route depends on who calls, which a waypoint cannot express",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SourceMatch}, Facts: []Fact{FactMode}},
	References: []string{"https://github.com/istio/istio/issues/51565", "istio/istio pilot/pkg/networking/core/listener_waypoint.go"},
	Why: "sourceLabels and sourceNamespace in a VirtualService are evaluated by the caller's sidecar. A waypoint serves all callers with one " +
		"configuration: it drops such matches (before 1.25 it took them as always true and so sent calls the wrong way). The callers that are named need their sidecars; " +
		"the workload that is called can do with a waypoint for the rest.",
	Remedy: "Keep the sidecars of the callers it names, or redesign: tell the callers apart by a header, or give them a Service of their own.",
	Check: func(v *View) []Finding {
		var calls, called []mesh.Evidence
		for _, u := range v.Uses(mesh.SourceMatch) {
			if u.Side == mesh.Inbound {
				called = append(called, u.Evidence...)
			} else {
				calls = append(calls, u.Evidence...)
			}
		}
		var out []Finding
		if len(calls) > 0 {
			verb := "keeps the sidecar of this caller"
			if v.Mode() == mesh.Ambient {
				verb = "is lost for calls of this ambient workload"
			}
			out = one(fmt.Sprintf("Routing by caller (%s) %s: sourceLabels and sourceNamespace cannot be expressed at a waypoint.", objects(calls), verb), calls...)
		}
		if len(called) > 0 {
			out = append(out, Finding{
				Requires: VerdictWaypoint, Severity: Warning, Evidence: called,
				Message: fmt.Sprintf("%s routes calls to this workload by who calls; a waypoint drops such matches, so the callers they name have to keep their sidecars.", objects(called)),
			})
		}
		return out
	},
}
