package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// interceptionMode: TPROXY and NONE.
var interceptionMode = Rule{
	Code:       "SS709",
	Title:      "Traffic capture is TPROXY or NONE",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.InterceptionMode}, Facts: []Fact{FactMode}},
	References: []string{"istio/api annotation/annotations.yaml"},
	Why:        "With NONE the application calls its sidecar explicitly, which nobody answers in ambient mode. With TPROXY the application relies on seeing its callers' addresses.",
	Remedy:     "Let the application call Services by name (NONE). For TPROXY check that the source address is kept in ambient mode the way the application needs it; then remove the annotation.",
	Check:      onlySidecar("The interception mode", "ambient mode captures in one way only", mesh.InterceptionMode),
}
