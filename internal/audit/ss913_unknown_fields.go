package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// unknownFields: an API that the model does not know.
var unknownFields = Rule{
	Code:       "SS913",
	Title:      "An object has fields that the model does not know",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Facts: []Fact{FactPolicies}},
	References: []string{"https://istio.io/latest/docs/reference/config/"},
	Why:        "A field may be misspelt, or come from a newer API than the rules know. What it does for this workload is unknown, and what is unknown keeps the sidecar.",
	Remedy:     "Correct the field (kubectl apply --dry-run=server names misspelt ones), or use a release of sidestep that knows it.",
	Check: func(v *View) []Finding {
		var evidence []mesh.Evidence
		for _, p := range v.Attached() {
			for _, field := range v.Snapshot().UnknownFields(p.Object) {
				evidence = append(evidence, at(p.Ref, field, ""))
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		var fields []string
		for _, e := range evidence {
			fields = append(fields, e.Field)
		}
		return one(fmt.Sprintf("%s has fields whose meaning is not known here: %s.", objects(evidence), list(fields)), evidence...)
	},
}

// Attached are all policies and routes that touch the workload.
func (v *View) Attached() []*mesh.Policy {
	v.touch(FactPolicies)
	return slices.Concat(v.w.Policies, v.w.Routes)
}
