package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// overrideBelow: a wish cannot make a feature work.
var overrideBelow = Rule{
	Code:       "SS909",
	Title:      "sidestep.dev/mode asks for less than the workload needs",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Today:      true,
	Inputs:     Inputs{Facts: []Fact{FactMetadata}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"docs/rules.md"},
	Why:        "The annotation can raise a verdict and never lower it: what other findings name would still be lost. It is not obeyed.",
	Remedy:     "Resolve the findings that require more, or correct the annotation.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		o, ok := overrideOf(v)
		if !ok || !o.known() || !verdict.Costlier(o.verdict) {
			return nil
		}
		f := one(fmt.Sprintf("%s: %s is not obeyed: other findings require %s.", mesh.AnnotationMode, o.value, verdict), o.evidence)
		f[0].Requires, f[0].Subject = verdict, v.Workload()
		return f
	},
}

// override is the owner's wish for a mode.
type override struct {
	value    string
	verdict  Verdict
	evidence mesh.Evidence
}

func (o override) known() bool {
	return o.verdict == VerdictAmbient || o.verdict == VerdictWaypoint || o.verdict == VerdictSidecar
}

// overrideOf reads annotation sidestep.dev/mode: the workload's own, its pod template's, its namespace's,
// the first that is set.
func overrideOf(v *View) (override, bool) {
	ns := v.Namespace()
	found := func(value string, ref mesh.Ref, field func(string) string) (override, bool) {
		return override{value: value, verdict: Verdict(value), evidence: at(ref, field(mesh.AnnotationMode), value)}, true
	}
	if value, set := v.Own()[mesh.AnnotationMode]; set {
		return found(value, v.Workload(), noteField)
	}
	if value, set := v.Annotations()[mesh.AnnotationMode]; set {
		return found(value, v.Workload(), func(name string) string { return templateNote(v.Workload(), name) })
	}
	if value, set := ns.Annotations[mesh.AnnotationMode]; set {
		return found(value, namespaceRef(ns.Name), noteField)
	}
	return override{}, false
}
