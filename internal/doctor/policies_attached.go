package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var policiesAttached = Check{
	ID:         "policies-attached",
	Sentence:   "Every policy with targetRefs attaches to a waypoint",
	Otherwise:  "A policy with targetRefs attaches to nothing",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom403},
	Cause:      "A targetRef that names nothing, or a Service that is not bound, is enforced nowhere.",
	Fix:        "Name an object that exists and bind it to a waypoint; a policy for a waypoint needs targetRefs, a selector never reaches one.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/"},
	Rules:      []string{"SS209", "SS211", "SS219"},
}
