package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// invalidPolicy: what istiod refuses or reads differently than its author.
var invalidPolicy = Rule{
	Code:       "SS219",
	Title:      "A policy is not valid",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactPolicies}},
	References: []string{"istio/istio pkg/config/validation", "istio/istio pilot/pkg/security/authz"},
	Why:        "istiod's validation webhook refuses such an object; one that got in while the webhook was down, or that stands in Git, is read in the way the message says.",
	Remedy:     "Correct the field.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, p := range m.AuthzProblems() {
			ref := mesh.Ref{Group: kindAuthorizationPolicy.Group, Kind: p.Object.Kind, Namespace: p.Object.Namespace, Name: p.Object.Name}
			f := Finding{Message: fmt.Sprintf("%s: %s %s.", ref, p.Field, strings.TrimSuffix(p.Message, ".")), Evidence: []mesh.Evidence{at(ref, p.Field, "")}}
			if p.Warning {
				f.Severity = Warning
			}
			out = append(out, f)
		}
		return out
	},
}
