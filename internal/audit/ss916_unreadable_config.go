package audit

import (
	"fmt"
	"strings"
)

// unreadableConfig: defaults stand in for a text that does not parse.
var unreadableConfig = Rule{
	Code:       "SS916",
	Title:      "Mesh configuration could not be read",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactSettings}},
	References: []string{"https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/"},
	Why:        "A ConfigMap of the control plane, or a webhook selector, does not parse. Istio's defaults stand in for it, so verdicts may rest on the wrong mesh settings.",
	Remedy:     "Correct the text in the object that the finding names, and audit again.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, p := range m.Settings().Problems {
			out = append(out, one(fmt.Sprintf("%s: %s.", p.Evidence.Object, strings.TrimSuffix(p.Text, ".")), p.Evidence)...)
		}
		return out
	},
}
