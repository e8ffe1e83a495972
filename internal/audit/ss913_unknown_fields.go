package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// unknownFields: an API that the model does not know.
var unknownFields = Rule{
	Code:       "SS913",
	Title:      "An object has fields that the model does not know",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.UnknownField}},
	References: []string{"https://istio.io/latest/docs/reference/config/"},
	Why:        "A field may be misspelt, or come from a newer API than the rules know. What it does for this workload is unknown, and what is unknown keeps the sidecar.",
	Remedy:     "Correct the field (kubectl apply --dry-run=server names misspelt ones), or use a release of sidestep that knows it.",
	Check: func(v *View) []Finding {
		evidence := gather(v.Uses(mesh.UnknownField))
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
