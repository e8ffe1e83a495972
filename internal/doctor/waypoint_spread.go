package doctor

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidestep-mesh/sidestep/internal/audit"
)

var waypointSpread = Check{
	ID:         "waypoint-spread",
	Sentence:   "The pods of a waypoint stand on several nodes",
	Otherwise:  "All pods of a waypoint stand on one node",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "The scheduler put all of them on one node: when it is drained or fails, every bound Service stops.",
	Fix:        "Set global.waypoint.topologySpreadConstraints in istiod's values (1.24 and later), or in the deployment key of the Gateway's options (1.26 and later).",
	References: []string{"istio/istio manifests/charts/istio-control/istio-discovery/values.yaml"},
	NeedsPods:  true,
	Look: func(v *View) []Finding {
		var out []Finding
		for _, g := range sortedGateways(v.waypointsInUse()) {
			w := v.waypointWorkload(g)
			if w == nil {
				continue
			}
			nodes, ready := map[string]bool{}, 0
			for _, p := range w.Pods {
				if p.Status.Ready == corev1.ConditionTrue && p.NodeName != "" {
					nodes[p.NodeName] = true
					ready++
				}
			}
			if ready > 1 && len(nodes) == 1 {
				for node := range nodes {
					out = append(out, Finding{Subject: g, Message: fmt.Sprintf("All %d pods of waypoint %s/%s stand on node %s.", ready, g.Namespace, g.Name, node)})
				}
			}
		}
		return out
	},
}
