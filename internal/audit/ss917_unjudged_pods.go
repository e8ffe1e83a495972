package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// unjudgedPods: the webhook injects pods, whoever makes them.
var unjudgedPods = Rule{
	Code:       "SS917",
	Title:      "An object makes pods that were not judged",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"istio/istio pkg/kube/inject/webhook.go"},
	Why: "Pods are injected and captured whoever makes them. An operator makes pods from a description of its own, whose shape the audit does not know, so nobody can tell from it " +
		"what those pods use of their sidecars.",
	Remedy: "Audit the cluster, where the pods themselves are judged, or add the pods that the operator makes to the input (kubectl get pods -o yaml).",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, i := range m.Snapshot().Ignored() {
			if !i.MakesPods || outsideMesh(m, i.Namespace) {
				continue
			}
			group, _, _ := strings.Cut(i.APIVersion, "/")
			out = append(out, Finding{
				Message:  fmt.Sprintf("%s %s/%s (%s) makes pods that were not judged: the shape of this kind is not known.", i.Kind, i.Namespace, i.Name, group),
				Evidence: []mesh.Evidence{at(mesh.Ref{Group: group, Kind: i.Kind, Namespace: i.Namespace, Name: i.Name}, "spec", "")},
				Source:   i.Source,
			})
		}
		return out
	},
}

// outsideMesh reports whether a namespace is known to ask for neither injection nor ambient mode.
func outsideMesh(m *MeshView, namespace string) bool {
	ns, ok := snapshot.Get[*corev1.Namespace](m.Snapshot(), "", namespace)
	if !ok {
		return false
	}
	return ns.Labels[mesh.LabelInjection] != mesh.InjectionEnabled && ns.Labels[mesh.LabelRevision] == "" && ns.Labels[mesh.LabelDataplaneMode] != mesh.ModeAmbient
}
