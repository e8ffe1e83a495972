package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var servicesBound = Check{
	ID:         "services-bound",
	Sentence:   "Every label that asks for a waypoint gets it",
	Otherwise:  "A label asks for a waypoint that it does not get",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, Symptom403},
	Cause:      "The waypoint does not take this kind of traffic, does not admit the namespace, or another label hides it: calls go straight to the pods, and nothing at the waypoint applies to them.",
	Fix:        "Let the listener's allowedRoutes admit the namespace, set istio.io/waypoint-for to the traffic meant, or take the hiding label off.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/"},
	Rules:      []string{"SS802", "SS803", "SS804"},
}
