package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// hostNetworkCaptured: a check that was lost for four releases.
var hostNetworkCaptured = Rule{
	Code:       "SS113",
	Title:      "Istio 1.27 to 1.30 may enrol hostNetwork pods in ambient mode",
	Severity:   Error,
	Requires:   VerdictNone,
	Since:      27,
	Until:      30,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.HostNetworkPod}, Facts: []Fact{FactMetadata}, Kinds: []snapshot.Kind{kindNamespace}},
	References: []string{"istio/istio releasenotes 61168 (1.31)", "istio/istio cni/pkg/util/enablement_selector.go"},
	Why: "istio-cni must leave pods with hostNetwork alone. The check was lost when the enablement selector was rewritten in 1.27 and came back in 1.31; between the two such a " +
		"pod counts as eligible.",
	Remedy: "Label the pod template istio.io/dataplane-mode: none, or upgrade to 1.31.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.HostNetworkPod)
		if len(uses) == 0 || !labelledAmbient(v) {
			return nil
		}
		return one("hostNetwork pods in a namespace labelled ambient count as eligible in this release.", gather(uses)...)
	},
}

// labelledAmbient tells whether labels alone ask for ambient mode.
func labelledAmbient(v *View) bool { return mesh.EnrolledByLabels(v.Namespace().Labels, v.Labels()) }
