package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// podModeValue: there is no label value that asks for a sidecar.
var podModeValue = Rule{
	Code:       "SS101",
	Title:      "A pod's istio.io/dataplane-mode is not a value Istio knows",
	Severity:   Error,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactMetadata, FactMode}},
	References: []string{"istio/api label/labels.yaml", "istio/istio cni/pkg/util/enablement_selector.go"},
	Why: "The label knows ambient and none. Any other value, sidecar among them, is no opt-out: in a namespace labelled ambient the pod is enrolled in ambient " +
		"mode, and elsewhere the label does nothing.",
	Remedy: "To keep a sidecar: sidecar.istio.io/inject: \"true\" and istio.io/dataplane-mode: none, both as labels of the pod template. To stay out: istio.io/dataplane-mode: none.",
	Check: func(v *View) []Finding {
		value, set := v.Labels()[mesh.LabelDataplaneMode]
		if !set || value == mesh.ModeAmbient || value == mesh.ModeNone {
			return nil
		}
		e := at(v.Workload(), templateLabel(v.Workload(), mesh.LabelDataplaneMode), value)
		switch v.Mode() {
		case mesh.Ambient:
			return one(fmt.Sprintf("istio.io/dataplane-mode: %s is no known value, so the pods are in ambient mode.", value), e)
		case mesh.Sidecar:
			return one(fmt.Sprintf("istio.io/dataplane-mode: %s is no known value and is ignored; injection labels alone give these pods their sidecar.", value), e)
		}
		return one(fmt.Sprintf("istio.io/dataplane-mode: %s is no known value and is ignored; these pods are in no mesh.", value), e)
	},
}

// templateLabel is the field of a label in the pod template of a workload.
func templateLabel(w mesh.Ref, name string) string {
	switch w.Kind {
	case "Pod":
		return labelField(name)
	case "CronJob":
		return "spec.jobTemplate.spec.template." + labelField(name)
	}
	return "spec.template." + labelField(name)
}

// templateNote is the field of an annotation in the pod template of a workload.
func templateNote(w mesh.Ref, name string) string {
	switch w.Kind {
	case "Pod":
		return noteField(name)
	case "CronJob":
		return "spec.jobTemplate.spec.template." + noteField(name)
	}
	return "spec.template." + noteField(name)
}
