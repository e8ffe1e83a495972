package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// auditAuthz: AUDIT policies are not sent to ztunnel.
var auditAuthz = Rule{
	Code:       "SS206",
	Title:      "An AUDIT policy has no effect at ztunnel",
	Severity:   Info,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.AuditAuthz}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/authorization.go"},
	Why: "istiod does not send AUDIT policies to ztunnel. Nothing is allowed or refused because of one, but what it marks for audit " +
		"is marked no more.",
	Remedy: "Give a waypoint a copy of the policy with targetRefs, or delete the policy if no plugin acts on it.",
	Check:  waypointAfterRewrite((*View).Uses, "Audit marking", "ztunnel ignores action AUDIT, and a waypoint reads targetRefs only", mesh.AuditAuthz),
}
