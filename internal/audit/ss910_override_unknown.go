package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// overrideUnknown: a word that means nothing.
var overrideUnknown = Rule{
	Code:       "SS910",
	Title:      "sidestep.dev/mode has an unknown value",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactMetadata}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"docs/rules.md"},
	Why:        "The annotation knows ambient, waypoint and sidecar. Anything else is ignored, which its author should know.",
	Remedy:     "Write ambient, waypoint or sidecar.",
	Check: func(v *View) []Finding {
		o, ok := overrideOf(v)
		if !ok || o.known() {
			return nil
		}
		f := one(fmt.Sprintf("%s: %q is none of ambient, waypoint, sidecar and is ignored.", mesh.AnnotationMode, o.value), o.evidence)
		f[0].Subject = v.Workload()
		return f
	},
}
