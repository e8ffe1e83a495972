package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// virtualMachine: a VM keeps its agent.
var virtualMachine = Rule{
	Code:       "SS905",
	Title:      "A virtual machine cannot join ambient mode",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.VirtualMachine}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/", "istio/istio releasenotes 60788 (1.31)"},
	Why: "A VM runs its own agent and Envoy. It can be called by HBONE when its WorkloadEntry bears label networking.istio.io/tunnel: http " +
		"(from 1.31 for auto-registered ones), else ambient callers reach it in plaintext. Calls it makes go round waypoints.",
	Remedy: "Keep the agent on the VM. Make it HBONE-ready before its callers become ambient.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.VirtualMachine)
		if len(uses) == 0 {
			return nil
		}
		return one("A virtual machine keeps its agent and its Envoy: it cannot join ambient mode.", gather(uses)...)
	},
}
