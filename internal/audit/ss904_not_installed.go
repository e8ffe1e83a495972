package audit

import (
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// notInstalled: ambient mode needs parts that sidecars do not.
var notInstalled = Rule{
	Code:       "SS904",
	Title:      "The control plane is not ready for ambient mode",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactSettings}},
	References: []string{"https://istio.io/latest/docs/ambient/install/", "https://istio.io/latest/docs/ambient/migrate/before-you-begin/"},
	Why: "Ambient mode needs PILOT_ENABLE_AMBIENT at istiod, ztunnel and istio-cni on every node, the Gateway API CRDs for waypoints, and sidecars that speak HBONE " +
		"(ISTIO_META_ENABLE_HBONE), or ambient callers reach them in plaintext.",
	Remedy: "Install with --set profile=ambient (charts istiod, cni, ztunnel) and the Gateway API CRDs, then restart workloads with sidecars.",
	Whole: func(m *MeshView) []Finding {
		s := m.Settings()
		if !s.IstiodFound {
			return nil // manifests without a control plane do not tell
		}
		var missing []string
		if !s.AmbientEnabled {
			missing = append(missing, "PILOT_ENABLE_AMBIENT is not true at istiod")
		}
		if !s.ZtunnelFound {
			missing = append(missing, "there is no ztunnel")
		}
		if !s.CNIFound {
			missing = append(missing, "there is no istio-cni")
		}
		if !s.HBONESidecars {
			missing = append(missing, "sidecars are injected without HBONE")
		}
		if m.Snapshot().Knowledge(kindGateway).State == snapshot.NotServed {
			missing = append(missing, "the Gateway API is not installed")
		}
		if len(missing) == 0 {
			return nil
		}
		return one("Not ready for ambient mode: "+strings.Join(missing, "; ")+".", at(mesh.Ref{Kind: "Deployment", Namespace: s.SystemNamespace, Name: "istiod"}, "", ""))
	},
}
