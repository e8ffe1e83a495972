package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// injectionOverRevision: of two injection labels one is ignored.
var injectionOverRevision = Rule{
	Code:       "SS104",
	Title:      "istio-injection hides the revision label of the same namespace",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"istio/istio manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml"},
	Why: "The webhook rule for a revision does not match a namespace that has istio-injection, whatever its value. Pods are injected by the default revision, or by " +
		"none when the value is disabled. Rolling back by the wrong one of the two labels gives pods of another control plane.",
	Remedy: "Remove istio-injection where istio.io/rev is meant.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot()) {
			injection, rev := ns.Labels[mesh.LabelInjection], ns.Labels[mesh.LabelRevision]
			if injection == "" || rev == "" || rev == mesh.DefaultRevision {
				continue
			}
			out = append(out, one(
				fmt.Sprintf("Namespace %s has istio-injection: %s, so its istio.io/rev: %s is ignored.", ns.Name, injection, rev),
				at(namespaceRef(ns.Name), labelField(mesh.LabelRevision), rev), at(namespaceRef(ns.Name), labelField(mesh.LabelInjection), injection))...)
		}
		return out
	},
}
