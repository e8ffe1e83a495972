package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// overrideRaises: the owner wants a costlier mode than needed.
var overrideRaises = Rule{
	Code:       "SS911",
	Title:      "The owner asks for this mode",
	Severity:   Info,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Facts: []Fact{FactMetadata}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"docs/rules.md"},
	Why:        "Annotation sidestep.dev/mode on a workload, or on its namespace, sets the least mode that the owner accepts.",
	Remedy:     "Remove the annotation when its reason is gone.",
	Check: func(v *View) []Finding {
		o, ok := overrideOf(v)
		if !ok || !o.known() || o.verdict == VerdictAmbient {
			return nil // the least mode there is raises nothing
		}
		f := one(fmt.Sprintf("The owner asks for mode %s (%s on %s).", o.value, mesh.AnnotationMode, o.evidence.Object), o.evidence)
		f[0].Requires, f[0].Subject = o.verdict, v.Workload()
		return f
	},
}
