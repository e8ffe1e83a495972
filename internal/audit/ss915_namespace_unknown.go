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
	Why:        "Labels on the Namespace choose between sidecar, ambient and none. Manifests often leave the Namespace out. Where Istio's objects, labels or a call to the own sidecar stand there, its workloads are judged as if they were injected; where nothing does, they look as if they were outside the mesh, which is not known either.",
	Remedy:     "Add the Namespace, with the labels it has in the cluster, to the input, or say what holds: --assume-injected NAMESPACE (or all), --assume-none.",
	Whole: func(m *MeshView) []Finding {
		if m.Snapshot().Knowledge(kindNamespace).State == snapshot.Hidden {
			return nil // no input could help: SS901 asks for the permission
		}
		var said, assumed, unknown []mesh.Evidence
		seen := map[string]bool{}
		for _, w := range m.Workloads() {
			if w.Role != mesh.Application || !w.Derived || w.NamespaceKnown && !w.Assumed || seen[w.Namespace] {
				continue
			}
			seen[w.Namespace] = true
			switch e := at(namespaceRef(w.Namespace), "metadata.labels", ""); {
			case w.NamespaceKnown:
				said = append(said, e)
			case w.Assumed:
				assumed = append(assumed, e)
			default:
				unknown = append(unknown, e)
			}
		}
		var out []Finding
		if len(said) > 0 {
			out = append(out, one(fmt.Sprintf("%s not in the input: its workloads are judged as if injected, as was said.", objects(said)), said...)...)
		}
		if len(assumed) > 0 {
			out = append(out, one(fmt.Sprintf("%s not in the input, though something there belongs to a sidecar: its workloads are judged as if injected.", objects(assumed)), assumed...)...)
		}
		if len(unknown) > 0 {
			out = append(out, one(fmt.Sprintf("%s not in the input: whether its pods are injected is not known, and nothing there shows a sidecar.", objects(unknown)), unknown...)...)
		}
		return out
	},
}
