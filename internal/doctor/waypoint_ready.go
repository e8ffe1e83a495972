package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var waypointReady = Check{
	ID:         "waypoint-ready",
	Sentence:   "Every waypoint in use has a ready pod",
	Otherwise:  "A waypoint in use has no ready pod",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "ztunnel sends the calls of a bound Service to its waypoint and does not fall back to the pods.",
	Fix:        "Bring the waypoint's pods back: look at the Deployment of the Gateway's name. Unbind the Services only if nothing at the waypoint protects them.",
	References: []string{"https://github.com/istio/istio.io/pull/17520"},
	Rules:      []string{"SS813", "SS801"},
	NeedsPods:  true,
}
