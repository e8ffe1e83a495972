package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// dryRunAuthz: dry-run must not become enforcing, nor be lost unnoticed.
var dryRunAuthz = Rule{
	Code:       "SS207",
	Title:      "A dry-run policy is not tried out at ztunnel",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.DryRunAuthz}, Facts: []Fact{FactMode, FactSettings}},
	References: []string{"istio/istio releasenotes authz-dry-run-ambient", "https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/"},
	Why: "By default istiod keeps policies with annotation istio.io/dry-run away from ztunnel, so their shadow results end with the sidecar. " +
		"With AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY=true (1.29) istiod sends them, and a ztunnel older than 1.29 then ENFORCES them.",
	Remedy: "Give a waypoint a copy with targetRefs and the same annotation (waypoints honour it), and upgrade ztunnel to 1.29 before that flag is set.",
	Check:  checkDryRun,
}

func checkDryRun(v *View) []Finding {
	uses := v.Uses(mesh.DryRunAuthz)
	if len(uses) == 0 {
		return nil
	}
	evidence := gather(uses)
	text := fmt.Sprintf("The dry run of %s ends without a sidecar: istiod does not send it to ztunnel", objects(evidence))
	if v.Mode() == mesh.Ambient {
		text = fmt.Sprintf("The dry run of %s gives no results: istiod does not send it to ztunnel", objects(evidence))
	}
	if v.Minor() < 29 {
		text += "; with AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY a ztunnel before 1.29 would enforce it"
	}
	return one(text+".", evidence...)
}
