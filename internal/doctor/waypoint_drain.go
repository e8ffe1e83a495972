package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var waypointDrain = Check{
	ID:         "waypoint-drain",
	Sentence:   "Waypoint pods have time to drain before they are killed",
	Otherwise:  "Waypoint pods are killed before they have drained",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "Before 1.28 istiod gives waypoint pods two seconds, whatever their template says.",
	Fix:        "Upgrade to 1.28 or later, or set terminationGracePeriodSeconds in the Gateway's options from 1.26 on. EXIT_ON_ZERO_ACTIVE_CONNECTIONS works on waypoints from 1.30.3 and 1.31.0 on.",
	References: []string{"istio/istio releasenotes waypoint-termination-grace-period (1.28)", "https://github.com/istio/istio/issues/60728"},
	Rules:      []string{"SS811"},
}
