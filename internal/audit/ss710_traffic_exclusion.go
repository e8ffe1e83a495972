package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// trafficExclusion: ambient mode captures all or nothing.
var trafficExclusion = Rule{
	Code:       "SS710",
	Title:      "Some ports or address ranges go round the sidecar",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.TrafficExclusion}, Facts: []Fact{FactMode}},
	References: []string{"istio/api annotation/annotations.yaml", "istio/istio cni/pkg/nodeagent/net.go"},
	Why: "traffic.sidecar.istio.io/{include,exclude}* keep ports and address ranges out of capture. Ambient mode has no such choice: all TCP of the pod is captured. " +
		"Left-over exclusions are often historic: databases and server-first protocols work through ztunnel.",
	Remedy: "Find out why each range is excluded. Ports that must take plaintext: port-level PERMISSIVE PeerAuthentication. A whole pod: istio.io/dataplane-mode: none. Then remove the annotation.",
	Check:  onlySidecar("Partial traffic capture", "ambient mode captures all TCP of a pod", mesh.TrafficExclusion),
}
