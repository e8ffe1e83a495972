package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// spire: certificates from SPIRE are a blocker.
var spire = Rule{
	Code:       "SS906",
	Title:      "Workload certificates come from SPIRE",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SPIRE}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/"},
	Why:        "ztunnel asks istiod's CA for the certificates of all workloads on its node. SPIRE attests workloads one by one; the official guide names it a blocker.",
	Remedy:     "Keep sidecars while identities must come from SPIRE.",
	Check:      onlySidecar("SPIRE", "ztunnel takes certificates from istiod only", mesh.SPIRE),
}
