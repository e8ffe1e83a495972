package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// primaryRemote: only multi-primary works.
var primaryRemote = Rule{
	Code:       "SS907",
	Title:      "The control plane runs in another cluster",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.PrimaryRemote}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/"},
	Why:        "Ambient mode supports multi-primary meshes; primary-remote is named a blocker in the official guide.",
	Remedy:     "Install a control plane in this cluster (multi-primary) first.",
	Check:      onlySidecar("A remote control plane", "ambient mode needs one in the cluster", mesh.PrimaryRemote),
}
