package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// userVolume: files for the sidecar.
var userVolume = Rule{
	Code:       "SS708",
	Title:      "Volumes are mounted into the sidecar",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.UserVolume}, Facts: []Fact{FactMode}},
	References: []string{"istio/api annotation/annotations.yaml"},
	Why:        "Volumes in the sidecar hold certificates, Wasm modules or sockets for it. ztunnel and waypoints mount nothing for a workload.",
	Remedy:     "Give the waypoint what it needs (1.26: ConfigMap in spec.infrastructure.parametersRef), or fetch modules by URL; then remove the annotation.",
	Check:      onlySidecar("A volume in the sidecar", "ztunnel and waypoints mount nothing for a workload", mesh.UserVolume),
}
