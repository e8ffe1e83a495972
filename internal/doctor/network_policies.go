package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var networkPolicies = Check{
	ID:          "network-policies",
	Sentence:    "NetworkPolicies of ambient workloads let HBONE in",
	Otherwise:   "A NetworkPolicy keeps HBONE from an ambient workload",
	Severity:    audit.Error,
	Confidence:  Certain,
	Symptoms:    []Symptom{Symptom503, SymptomStartup},
	Cause:       "Calls between ambient workloads arrive at port 15008, and kubelet probes from 169.254.7.127.",
	Fix:         "Admit port 15008 from the same peers as the application's ports, and 169.254.7.127/32 for probes.",
	References:  []string{"https://istio.io/latest/docs/ambient/usage/networkpolicy/"},
	Rules:       []string{"SS912"},
	AmbientOnly: true,
}
