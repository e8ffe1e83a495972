package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var restartKeepsMode = Check{
	ID:         "restart-keeps-mode",
	Sentence:   "The next restart of a workload keeps its mode",
	Otherwise:  "The next restart of a workload changes its mode",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomRollout, SymptomStartup},
	Cause:      "A label was changed and pods were not restarted: the next rollout, eviction or scale-up makes pods of another mode.",
	Fix:        "Restart the workload now if the new mode is wanted, or take the label back.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/add-workloads/"},
	Rules:      []string{"SS106"},
	NeedsPods:  true,
}
