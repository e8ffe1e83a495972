package doctor

import "github.com/sidestep-mesh/sidestep/internal/audit"

var labelsTakeEffect = Check{
	ID:         "labels-take-effect",
	Sentence:   "Labels that choose a mode mean what their author meant",
	Otherwise:  "A label that chooses a mode does not do what it says",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomStartup},
	Cause:      "A value that is none, an annotation instead of a label, or two labels that contradict each other choose a mode by accident.",
	Fix:        "Write the label the finding names, on the namespace or the pod template.",
	References: []string{"https://istio.io/latest/docs/reference/config/labels/"},
	Rules:      []string{"SS101", "SS102", "SS103", "SS104", "SS105", "SS107", "SS109", "SS110"},
}
