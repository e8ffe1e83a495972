package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var policiesEnforced = Check{
	ID:          "policies-enforced",
	Sentence:    "Policies of ambient workloads are enforced as they are written",
	Otherwise:   "A policy of an ambient workload is not enforced as it is written",
	Severity:    audit.Error,
	Confidence:  Certain,
	Symptoms:    []Symptom{Symptom403},
	Cause:       "ztunnel knows no HTTP: a DENY that asks of it never matches, an ALLOW admits nobody, CUSTOM and AUDIT are not sent to it.",
	Fix:         "Move the policy to a waypoint with targetRefs (sidestep plan writes it), and keep at ztunnel what admits the waypoint.",
	References:  []string{"https://istio.io/latest/docs/ambient/usage/l4-policy/"},
	Rules:       []string{"SS201", "SS202", "SS203", "SS204", "SS205", "SS206", "SS208"},
	AmbientOnly: true,
}
