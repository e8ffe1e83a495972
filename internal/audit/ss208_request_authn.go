package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"google.golang.org/protobuf/proto"
	apisecurity "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// requestAuthn: JWTs are not validated by ztunnel.
var requestAuthn = Rule{
	Code:       "SS208",
	Title:      "JWTs are not validated by ztunnel",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsOpen,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.RequestAuthn}, Facts: []Fact{FactMode, FactPolicies, FactServices}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "https://github.com/istio/istio/issues/45502"},
	Why: "A RequestAuthentication needs an HTTP proxy. ztunnel ignores it, and a waypoint takes only those with targetRefs. " +
		"Invalid tokens then reach the application, and policies on requestPrincipals or request.auth.claims have nothing to match.",
	Remedy: "Copy the RequestAuthentication with targetRefs to the Service or its waypoint, together with the policies that use its claims.",
	Check: func(v *View) []Finding {
		found := waypointAfterRewrite((*View).Uses, "JWT validation", "ztunnel reads no HTTP, and a waypoint takes only a RequestAuthentication with targetRefs", mesh.RequestAuthn)(v)
		if len(found) == 0 || !v.tokensReadAtWaypoint() {
			return found
		}
		for i := range found {
			found[i].Severity = Info
			found[i].Message = fmt.Sprintf("%s does nothing at ztunnel; its copy at the waypoint validates the JWTs.", objects(found[i].Evidence))
			found[i].Remedy = "Remove it once no sidecar is left that reads it."
		}
		return found
	},
}

// tokensReadAtWaypoint reports whether each RequestAuthentication that only a sidecar reads has a copy with the same
// rules at the waypoint of every Service of the workload.
func (v *View) tokensReadAtWaypoint() bool {
	for _, p := range v.Policies("RequestAuthentication") {
		original, ok := p.Object.(*securityv1.RequestAuthentication)
		if p.Scope == mesh.ByTargetRefs || !ok {
			continue
		}
		if !v.atEveryWaypoint("RequestAuthentication", func(c *mesh.Policy) bool {
			copied, ok := c.Object.(*securityv1.RequestAuthentication)
			return ok && slices.EqualFunc(copied.Spec.GetJwtRules(), original.Spec.GetJwtRules(), func(a, b *apisecurity.JWTRule) bool { return proto.Equal(a, b) })
		}) {
			return false
		}
	}
	return true
}
