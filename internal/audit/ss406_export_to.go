package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// exportTo: visibility is not a thing in ambient mode.
var exportTo = Rule{
	Code:       "SS406",
	Title:      "exportTo does not limit visibility in ambient mode",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ExportTo}, Facts: []Fact{FactServices, FactSettings}},
	References: []string{"https://github.com/istio/istio/issues/55163", "istio/istio releasenotes 60870 (1.31)"},
	Why: "ztunnel knows every ServiceEntry and Service of the mesh and sends any caller there. exportTo is a control over what sidecars see; it is lost for ambient callers. " +
		"It never was an authorization: a sidecar without the entry would still pass the call through, unless REGISTRY_ONLY is set.",
	Remedy: "Use meshConfig.serviceEntryVisibility, or bind the host to an egress waypoint with an AuthorizationPolicy.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, s := range m.Services() {
			evidence := gather(m.ServiceUses(s, mesh.ExportTo))
			if len(evidence) == 0 {
				continue
			}
			f := one(fmt.Sprintf("exportTo of %s is a control lost in ambient mode: every ambient workload sees and reaches it.", s.Ref), evidence...)
			if m.Minor() < 31 {
				f[0].Remedy = "Bind the host to an egress waypoint with an AuthorizationPolicy, or limit egress by NetworkPolicy."
			}
			out = append(out, f...)
		}
		return out
	},
}
