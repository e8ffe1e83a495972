package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// notSupposed: what cannot be shown is not promised.
var notSupposed = Rule{
	Code:       "SS230",
	Title:      "The workload's move could not be supposed",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Facts: []Fact{FactModel}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/add-workloads/"},
	Why: "A verdict rests on the state that it leads to, which is made as a person would make it: labels of the pod template, a restart, a waypoint. Where the template is not in the input, or labels " +
		"would not bring the pods into ambient mode, there is no such state to compare with today's, and the workload keeps its sidecar.",
	Remedy: "Mend what is named, or add what is missing to the input, and audit again.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		why := v.Unasked()
		if why == nil {
			return nil
		}
		return []Finding{{Requires: verdict, Message: fmt.Sprintf("What a move would do cannot be shown: %s.", strings.TrimSuffix(why.Error(), ".")), Evidence: []mesh.Evidence{at(v.Workload(), "", "")}}}
	},
}
