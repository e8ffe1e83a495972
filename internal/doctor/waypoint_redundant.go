package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var waypointRedundant = Check{
	ID:         "waypoint-redundant",
	Sentence:   "Every waypoint in use outlives the loss of one pod",
	Otherwise:  "A waypoint in use stops with the loss of one pod",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "istiod's Deployment for a waypoint has one replica and no PodDisruptionBudget unless its options say otherwise.",
	Fix:        "Give it two replicas or more and a PodDisruptionBudget, from 1.26 on by the ConfigMap in spec.infrastructure.parametersRef.",
	References: []string{"istio/istio releasenotes gateway-customization (1.26)"},
	Rules:      []string{"SS814"},
	NeedsPods:  true,
}
