package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// noMeshConfig: defaults stand in for what was not seen.
var noMeshConfig = Rule{
	Code:       "SS902",
	Title:      "The mesh configuration is not in the input",
	Severity:   Info,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactSettings}},
	References: []string{"https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/"},
	Why: "Root namespace, trust domain, REGISTRY_ONLY, default tracing and extension providers stand in ConfigMap istio of the system namespace. Without it Istio's defaults are assumed: " +
		"root namespace istio-system, trust domain cluster.local, ALLOW_ANY.",
	Remedy: "Add the output of kubectl get configmap,deployment,mutatingwebhookconfiguration -n istio-system -o yaml, or audit the cluster.",
	Whole: func(m *MeshView) []Finding {
		if m.Settings().Known {
			return nil
		}
		return one("No mesh configuration was found; Istio's defaults are assumed (ALLOW_ANY, root namespace "+m.Settings().RootNamespace+").", at(mesh.Ref{Kind: "ConfigMap", Namespace: m.Settings().SystemNamespace, Name: "istio"}, "data.mesh", ""))
	},
}
