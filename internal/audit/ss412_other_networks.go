package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var otherNetworks = Rule{
	Code:     "SS412",
	Title:    "Ambient callers reach the endpoints of their own network only",
	Severity: Warning,
	Requires: VerdictNone,
	Since:    27,
	Inputs:   Inputs{Features: []mesh.Feature{mesh.MultiNetwork}, Facts: []Fact{FactSettings, FactWorkloads}},
	References: []string{
		"istio/istio pilot/pkg/features/ambient.go (AMBIENT_ENABLE_MULTI_NETWORK)",
		"istio/istio pilot/pkg/serviceregistry/ambient/ambientindex.go (buildGlobalCollections)", "https://github.com/istio/istio/issues/61713",
	},
	Why: "Sidecars call endpoints of other networks through their east-west gateways. Without AMBIENT_ENABLE_MULTI_NETWORK istiod's ambient index knows the pods of its own cluster alone, so callers that go ambient lose the others. " +
		"With it a Service is local to its cluster unless istio.io/global or a serviceScopeConfig says otherwise.",
	Remedy: "Turn AMBIENT_ENABLE_MULTI_NETWORK on in istiod, install ambient east-west gateways, and label the Services that are called across networks istio.io/global: \"true\", before callers move.",
	Whole: func(m *MeshView) []Finding {
		s := m.Settings()
		evidence := gather(m.MeshUses(mesh.MultiNetwork))
		if len(s.Networks) < 2 || s.AmbientMultiNetwork || len(evidence) == 0 || m.CallersBeside("") == 0 {
			return nil
		}
		return one(fmt.Sprintf("The mesh spans %d networks (%s), and istiod's ambient mode is not told of more than one: callers that go ambient lose endpoints of the others.", len(s.Networks), strings.Join(s.Networks, ", ")), evidence...)
	},
}
