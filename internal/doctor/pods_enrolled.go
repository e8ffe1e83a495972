package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var podsEnrolled = Check{
	ID:         "pods-enrolled",
	Sentence:   "ztunnel has taken every ambient pod",
	Otherwise:  "An ambient pod still waits for ztunnel",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomStartup, Symptom503},
	Cause:      "istio-cni has written the pod's rules and no ztunnel has taken it: the pod has no traffic.",
	Fix:        "Look at the ztunnel and istio-cni pods of the node; restart the ztunnel that does not answer.",
	References: []string{"istio/istio pkg/config/constants/constants.go"},
	Rules:      []string{"SS111"},
	NeedsPods:  true,
}
