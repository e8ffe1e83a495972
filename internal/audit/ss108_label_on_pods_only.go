package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// labelOnPodsOnly: a label that the next pod will not have.
var labelOnPodsOnly = Rule{
	Code:       "SS108",
	Title:      "A mode label is on the pods but not in their template",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Sidecar, mesh.Ambient, mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactPods, FactTemplate}},
	References: []string{"istio/istio cni/pkg/nodeagent/informers.go"},
	Why: "istio.io/dataplane-mode and istio.io/use-waypoint on a running pod take effect at once, and are gone when the pod is replaced: the workload drifts out of " +
		"its mode one pod at a time.",
	Remedy: "Set the label in the pod template (this restarts the pods) or on the namespace.",
	Check: func(v *View) []Finding {
		template := v.Template()
		if template == nil || v.Workload().Kind == "Pod" {
			return nil
		}
		for _, name := range []string{mesh.LabelDataplaneMode, mesh.LabelUseWaypoint} {
			for _, p := range v.Pods() {
				if value, set := p.Labels[name]; set && template.Labels[name] != value {
					return one(fmt.Sprintf("Pod %s has label %s: %s, which the pod template lacks: the next pod will not have it.", p.Name, name, value),
						at(mesh.Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}, labelField(name), value), at(v.Workload(), templateLabel(v.Workload(), name), template.Labels[name]))
				}
			}
		}
		return nil
	},
}
