package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// unknownAnnotation: a name in Istio's domains that Istio does not know.
var unknownAnnotation = Rule{
	Code:       "SS110",
	Title:      "A pod annotation in Istio's name is unknown to Istio",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactTemplate}},
	References: []string{"istio/api annotation/annotations.yaml (1.31)"},
	Why: "A misspelt or made-up annotation does nothing, and what it was meant for is not there. Seen in published guides: sidecar.istio.io/user-volume " +
		"(the real name is sidecar.istio.io/userVolume).",
	Remedy: "Correct or remove it.",
	Check: func(v *View) []Finding {
		template := v.Template()
		if template == nil {
			return nil
		}
		var found []mesh.Evidence
		for _, name := range slices.Sorted(maps.Keys(template.Annotations)) {
			if mesh.UnknownToIstio(name) {
				found = append(found, at(v.Workload(), templateNote(v.Workload(), name), template.Annotations[name]))
			}
		}
		if len(found) == 0 {
			return nil
		}
		var names []string
		for _, e := range found {
			names = append(names, e.Field[strings.LastIndex(e.Field, "[")+1:len(e.Field)-1])
		}
		return one(fmt.Sprintf("Istio knows no annotation %s; it does nothing.", list(names)), found...)
	},
}
