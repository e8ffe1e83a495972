package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// windowsNode: there is no ztunnel on Windows.
var windowsNode = Rule{
	Code:       "SS716",
	Title:      "Windows pods have no mode of this mesh",
	Severity:   Error,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Features: []mesh.Feature{mesh.WindowsNode}, Facts: []Fact{FactMode}},
	References: []string{"https://github.com/istio/istio/issues/58099"},
	Why:        "ztunnel and istio-cni run on Linux nodes only. A Windows pod that is labelled for ambient mode is told to others as reachable by HBONE, and calls to it fail with 503.",
	Remedy:     "Label the pod template istio.io/dataplane-mode: none.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.WindowsNode)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if v.Mode() == mesh.Ambient {
			return one("Pods on Windows nodes are labelled for ambient mode, but no ztunnel runs there: calls to them fail with 503.", evidence...)
		}
		if v.Mode() == mesh.None {
			return nil
		}
		return []Finding{{Severity: Warning, Message: "Pods on Windows nodes cannot be captured: no ztunnel runs there.", Evidence: evidence}}
	},
}
