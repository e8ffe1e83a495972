package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// tracing: spans are made by HTTP proxies.
var tracing = Rule{
	Code:       "SS601",
	Title:      "Tracing configured for these workloads needs a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.Tracing}, Facts: []Fact{FactMode, FactSettings}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "istio/istio pilot/pkg/model/telemetry.go"},
	Why: "ztunnel makes no spans. A waypoint does, one for each request, from a Telemetry with targetRefs or one for its whole namespace (a selector does not reach it). " +
		"Tracing that is on for the whole mesh is no wish of this workload and is counted in SS604 instead.",
	Remedy: "Bind the Services to a waypoint and give the Telemetry targetRefs, or let the application trace and delete the Telemetry.",
	Check:  scopedTelemetry("Tracing", "ztunnel makes no spans", mesh.Tracing),
}

// scopedTelemetry is for telemetry that somebody configured for these workloads: mesh-wide defaults would
// else give every workload of most meshes a waypoint.
func scopedTelemetry(what, because string, feature mesh.Feature) func(*View) []Finding {
	return func(v *View) []Finding {
		evidence := scoped(gather(v.Uses(feature)), v.Settings().RootNamespace)
		if len(evidence) == 0 {
			return nil
		}
		if v.Mode() == mesh.Ambient {
			return one(fmt.Sprintf("%s (%s) needs a waypoint and a Telemetry that reaches it: %s.", what, objects(evidence), because), evidence...)
		}
		return one(fmt.Sprintf("%s (%s) would end with the sidecar: %s.", what, objects(evidence), because), evidence...)
	}
}

// scoped leaves out evidence from the root namespace: it holds for the whole mesh.
func scoped(evidence []mesh.Evidence, root string) []mesh.Evidence {
	return slices.DeleteFunc(slices.Clone(evidence), func(e mesh.Evidence) bool { return e.Object.Namespace == root })
}
