package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// pendingCapture: half-enrolled pods have no network.
var pendingCapture = Rule{
	Code:       "SS111",
	Title:      "Pods wait for ztunnel and have no traffic",
	Severity:   Error,
	Requires:   VerdictAmbient,
	Modes:      []mesh.Mode{mesh.Ambient},
	Inputs:     Inputs{Facts: []Fact{FactPods}},
	References: []string{"istio/istio pkg/config/constants/constants.go (ambient.istio.io/redirection)"},
	Why: "istio-cni sets ambient.istio.io/redirection: pending when it has placed the redirect rules and ztunnel has not yet taken the pod over. Until then nothing gets in or out. " +
		"It lasts when no ztunnel runs on the node.",
	Remedy: "Look at the ztunnel pod of the node; when it is back, restart the pods if they stay pending.",
	Check: func(v *View) []Finding {
		var found []mesh.Evidence
		for _, p := range v.Pods() {
			if p.Annotations[mesh.AnnotationRedirection] == mesh.RedirectionPending {
				found = append(found, at(mesh.Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}, noteField(mesh.AnnotationRedirection), mesh.RedirectionPending))
			}
		}
		if len(found) == 0 {
			return nil
		}
		f := one(fmt.Sprintf("%s not taken over by ztunnel yet: no traffic gets in or out.", count(len(found), "pod is", "pods are")), found...)
		f[0].Subject = v.Workload()
		return f
	},
}
