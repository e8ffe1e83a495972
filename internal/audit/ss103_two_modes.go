package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// twoModes: one namespace asks for sidecars and for ambient mode.
var twoModes = Rule{
	Code:       "SS103",
	Title:      "A namespace asks for sidecars and for ambient mode",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"https://istio.io/latest/docs/reference/config/analysis/ist0123/", "istio/istio pkg/config/analysis/analyzers/injection"},
	Why: "Where a namespace has an injection label and istio.io/dataplane-mode: ambient, new pods get a sidecar, and a sidecar always wins. " +
		"Pods that existed before keep what they had, so the namespace ends up mixed by age of pod.",
	Remedy: "Keep one of the two. To finish a migration remove the injection label and restart the workloads.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot()) {
			if ns.Labels[mesh.LabelDataplaneMode] != mesh.ModeAmbient {
				continue
			}
			name := mesh.LabelRevision
			if ns.Labels[mesh.LabelInjection] == mesh.InjectionEnabled {
				name = mesh.LabelInjection
			} else if ns.Labels[name] == "" || ns.Labels[mesh.LabelInjection] == mesh.InjectionDisabled {
				continue
			}
			out = append(out, one(
				fmt.Sprintf("Namespace %s is labelled %s and istio.io/dataplane-mode: ambient; new pods get a sidecar.", ns.Name, name),
				at(namespaceRef(ns.Name), labelField(mesh.LabelDataplaneMode), mesh.ModeAmbient), at(namespaceRef(ns.Name), labelField(name), ns.Labels[name]))...)
		}
		return out
	},
}
