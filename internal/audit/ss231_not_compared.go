package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// notCompared: what the model leaves out is said.
var notCompared = Rule{
	Code:       "SS231",
	Title:      "The comparison with today's calls left something out",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactModel, FactSettings}},
	References: []string{"istio/istio pilot/pkg/model/push_context.go"},
	Why: "Verdicts rest on a comparison of who may call whom. Some facts are known to change that and are outside the model: where one of them differs between today and the state that the verdicts lead " +
		"to, the comparison is not complete, and neither are the verdicts of the workloads that it names.",
	Remedy: "Look at what is named, or make it alike in both states, and audit again.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, text := range m.Omitted() {
			out = append(out, Finding{Message: fmt.Sprintf("Left out of the comparison: %s.", text), Evidence: []mesh.Evidence{at(mesh.Ref{Kind: "ConfigMap", Namespace: m.Settings().SystemNamespace, Name: "istio"}, "data.mesh", "")}})
		}
		return out
	},
}
