package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// hostNetwork: no mode reaches such a pod.
var hostNetwork = Rule{
	Code:       "SS114",
	Title:      "hostNetwork pods are in no mode",
	Severity:   Info,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.None},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.HostNetworkPod}, Facts: []Fact{FactMetadata}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"istio/istio cni/pkg/util/enablement_selector.go", "istio/istio pkg/kube/inject/inject.go"},
	Why:        "Neither injection nor ambient capture touches a pod with hostNetwork. It calls others in plaintext, which STRICT refuses, in either mode.",
	Remedy:     "Nothing, unless it must call workloads under STRICT: then drop hostNetwork or admit its plaintext on a port.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.HostNetworkPod)
		ns := v.Namespace()
		if len(uses) == 0 || !labelledAmbient(v) && ns.Labels[mesh.LabelInjection] != mesh.InjectionEnabled && ns.Labels[mesh.LabelRevision] == "" {
			return nil // nobody expects it to be in the mesh
		}
		return one("The namespace is in the mesh, but hostNetwork pods are neither injected nor captured.", gather(uses)...)
	},
}
