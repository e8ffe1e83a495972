package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// windowsNode: there is no ztunnel on Windows.
var windowsNode = Rule{
	Code:       "SS716",
	Title:      "Windows pods have no mode of this mesh",
	Severity:   Error,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.None},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.WindowsNode}, Facts: []Fact{FactMetadata}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"https://github.com/istio/istio/issues/58099"},
	Why:        "ztunnel and istio-cni run on Linux nodes only. A Windows pod that is labelled for ambient mode is told to others as reachable by HBONE, and calls to it fail with 503.",
	Remedy:     "Label the pod template istio.io/dataplane-mode: none.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.WindowsNode)
		if len(uses) == 0 {
			return nil
		}
		evidence, ns := gather(uses), v.Namespace()
		if labelledAmbient(v) {
			return one("Pods on Windows nodes are labelled for ambient mode, but no ztunnel runs there: calls to them fail with 503.", evidence...)
		}
		if v.Labels()[mesh.LabelInject] != "true" && ns.Labels[mesh.LabelInjection] != mesh.InjectionEnabled && ns.Labels[mesh.LabelRevision] == "" {
			return nil // nobody expects it to be in the mesh
		}
		return []Finding{{Severity: Warning, Message: "The namespace is in the mesh, but pods on Windows nodes are neither injected nor captured: no proxy of the mesh runs there.", Evidence: evidence}}
	},
}
