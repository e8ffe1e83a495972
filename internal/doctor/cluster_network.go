package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var clusterNetwork = Check{
	ID:         "cluster-network",
	Sentence:   "The cluster's CNI is configured as ambient mode needs it",
	Otherwise:  "The cluster's CNI is configured in a way that breaks ambient mode",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomStartup, SymptomDNS},
	Cause:      "The CNI removes chained plugins, balances at the socket, or rewrites the source of probes.",
	Fix:        "Set what the finding names; Calico in eBPF mode needs 3.29 or later and connect-time load balancing disabled.",
	References: []string{"https://istio.io/latest/docs/ambient/install/platform-prerequisites/"},
	Rules:      []string{"SS914"},
}
