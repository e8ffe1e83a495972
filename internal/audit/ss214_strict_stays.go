package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	securityapi "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// strictStays: the official guide says otherwise.
var strictStays = Rule{
	Code:       "SS214",
	Title:      "PeerAuthentication STRICT is not redundant in ambient mode",
	Severity:   Info,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactPolicies}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/verify-mtls-enabled/", "istio/istio pilot/pkg/serviceregistry/ambient/authorization.go"},
	Why: "ztunnel accepts plaintext from outside the mesh unless the effective mode is STRICT, which istiod turns into a policy for it (istio_converted_static_strict). " +
		"The official migration page calls STRICT and PERMISSIVE redundant and safe to remove; removing STRICT opens the workloads to plaintext.",
	Remedy: "Keep it through the migration and after.",
	Whole: func(m *MeshView) []Finding {
		var evidence []mesh.Evidence
		for _, p := range m.Policies() {
			if pa, ok := p.Object.(*securityv1.PeerAuthentication); ok && pa.Spec.GetMtls().GetMode() == securityapi.PeerAuthentication_MutualTLS_STRICT {
				evidence = append(evidence, at(p.Ref, "spec.mtls.mode", "STRICT"))
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("Keep %s: ztunnel accepts plaintext where mTLS is not STRICT.", objects(evidence)), evidence...)
	},
}
