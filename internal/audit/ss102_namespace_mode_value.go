package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// namespaceModeValue: the same label on a Namespace.
var namespaceModeValue = Rule{
	Code:       "SS102",
	Title:      "A namespace's istio.io/dataplane-mode is not a value Istio knows",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"istio/api label/labels.yaml", "istio/istio cni/pkg/util/enablement_selector.go"},
	Why:        "The label knows ambient and none. Any other value leaves the namespace out of ambient mode without a warning.",
	Remedy:     "Set istio.io/dataplane-mode: ambient, or remove the label.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot()) {
			value, set := ns.Labels[mesh.LabelDataplaneMode]
			if set && value != mesh.ModeAmbient && value != mesh.ModeNone {
				out = append(out, one(
					fmt.Sprintf("Namespace %s has istio.io/dataplane-mode: %s, which is no known value: its pods are not enrolled.", ns.Name, value),
					at(namespaceRef(ns.Name), labelField(mesh.LabelDataplaneMode), value))...)
			}
		}
		return out
	},
}
