package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// namespaceUnknown: the labels that decide are not in the input.
var namespaceUnknown = Rule{
	Code:       "SS915",
	Title:      "A Namespace object is missing from the input",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactWorkloads}},
	References: []string{"https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/"},
	Why:        "Labels on the Namespace choose between sidecar, ambient and none. Manifests often leave the Namespace out; its workloads then look as if they were outside the mesh.",
	Remedy:     "Add the Namespace, with the labels it has in the cluster, to the input.",
	Whole: func(m *MeshView) []Finding {
		if m.Snapshot().Knowledge(kindNamespace).State == snapshot.Hidden {
			return nil // no input could help: SS901 asks for the permission
		}
		var evidence []mesh.Evidence
		seen := map[string]bool{}
		for _, w := range m.Workloads() {
			if w.Role == mesh.Application && w.Derived && !w.NamespaceKnown && !seen[w.Namespace] {
				seen[w.Namespace] = true
				evidence = append(evidence, at(namespaceRef(w.Namespace), "metadata.labels", ""))
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("%s not in the input: modes are told from pod labels alone.", objects(evidence)), evidence...)
	},
}
