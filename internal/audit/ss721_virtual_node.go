package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// virtualNode: no DaemonSet runs there, so no ztunnel.
var virtualNode = Rule{
	Code:       "SS721",
	Title:      "Pods on virtual nodes have no ztunnel",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.VirtualNode}, Facts: []Fact{FactMode}},
	References: []string{"https://docs.aws.amazon.com/eks/latest/userguide/fargate.html", "https://virtual-kubelet.io/docs/"},
	Why: "ztunnel and istio-cni are DaemonSets. Nodes of virtual-kubelet and Fargate run none, so a pod there that is labelled for ambient mode is not captured: it takes and makes calls in " +
		"plaintext that no policy sees, while others are told that it speaks HBONE.",
	Remedy: "Keep the sidecar, or schedule the workload on ordinary nodes first.",
	Check:  onlySidecar("A virtual node", "it runs no DaemonSet and so no ztunnel", mesh.VirtualNode),
}
