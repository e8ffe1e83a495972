package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var nobodyGoesRound = Check{
	ID:         "nobody-can-go-round",
	Sentence:   "A waypoint that protects something cannot be gone round",
	Otherwise:  "Callers can go round a waypoint that protects something",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom403},
	Cause:      "Sidecars, ingress gateways without the label, callers of pod addresses and callers outside the mesh never pass a service's waypoint.",
	Fix:        "Add an L4 ALLOW for the waypoint's identity at the workload (istiod's PILOT_AUTO_ALLOW_WAYPOINT_POLICY writes one), and label Services with istio.io/ingress-use-waypoint.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/"},
	Rules:      []string{"SS810", "SS805"},
}
