package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// tuning: settings of a proxy that will not be there.
var tuning = Rule{
	Code:       "SS701",
	Title:      "Annotations tune a sidecar",
	Severity:   Info,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.TuningAnnotations}, Facts: []Fact{FactMode}},
	References: []string{"istio/api annotation/annotations.yaml", "istio/istio cni/pkg/nodeagent/net.go"},
	Why:        "Size, logging and statistics annotations concern the sidecar alone. Ambient mode reads none of them.",
	Remedy:     "Remove them after the migration. If the workload needs a waypoint, size the waypoint by the same numbers.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.TuningAnnotations)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if v.Mode() == mesh.Ambient {
			return one(fmt.Sprintf("Annotations that tune a sidecar have no effect on an ambient workload: %s.", places(v, evidence)), evidence...)
		}
		return one(fmt.Sprintf("Annotations that tune the sidecar end with it: %s.", places(v, evidence)), evidence...)
	},
}
