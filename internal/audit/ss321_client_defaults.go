package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var clientDefaults = Rule{
	Code:     "SS321",
	Title:    "Mesh configuration has clients' proxies do what ztunnel does not",
	Severity: Warning,
	Requires: VerdictNone,
	Inputs:   Inputs{Facts: []Fact{FactSettings, FactWorkloads}},
	References: []string{
		"https://github.com/istio/istio/issues/58086", "istio/istio pilot/pkg/networking/core/route/retry/retry.go",
		"istio/istio pilot/pkg/networking/core/loadbalancer/loadbalancer.go (GetEffectiveLbSetting)",
	},
	Why: "defaultHttpRetryPolicy, localityLbSetting and h2UpgradePolicy of mesh configuration are carried out by the proxy of every client, for every Service. ztunnel reads none of them, " +
		"so they end with each client's sidecar; a waypoint applies them to the Services that are bound to it.",
	Remedy: "Decide for which Services it matters and bind those to a waypoint; to prefer near endpoints, spec.trafficDistribution of a Service is enough in both modes.",
	Whole: func(m *MeshView) []Finding {
		c := m.Settings().Client
		var fields []string
		if r := c.Retries; r != nil {
			fields = append(fields, fmt.Sprintf("defaultHttpRetryPolicy (retries: %d attempts)", r.GetAttempts()))
		}
		if c.Locality != nil {
			fields = append(fields, "localityLbSetting")
		}
		if c.H2Upgrade {
			fields = append(fields, "h2UpgradePolicy")
		}
		if len(fields) == 0 || m.CallersBeside("") == 0 {
			return nil
		}
		var evidence []mesh.Evidence
		for _, f := range fields {
			name, _, _ := strings.Cut(f, " ")
			evidence = append(evidence, mesh.Evidence{Object: c.Ref, Field: "data.mesh: " + name})
		}
		return one(fmt.Sprintf("%s of mesh configuration ends with the sidecar of each client: ztunnel does none of it, and a waypoint only for Services bound to it.", strings.Join(fields, ", ")), evidence...)
	},
}
