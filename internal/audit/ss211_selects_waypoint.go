package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
)

// selectsWaypoint: selectors never reach a waypoint.
var selectsWaypoint = Rule{
	Code:       "SS211",
	Title:      "A policy tries to reach a waypoint by selector",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactPolicies, FactWaypoints}},
	References: []string{"istio/istio pilot/pkg/model/policyattachment.go (ShouldAttachPolicy)"},
	Why: "Waypoints use targetRefs and never selectors, in every release that has them. A policy that selects a waypoint's pods by their gateway-name label is enforced nowhere: " +
		"the pods of a waypoint are not captured by ztunnel either.",
	Remedy: "Replace spec.selector by spec.targetRefs naming the Gateway (group gateway.networking.k8s.io) or a Service.",
	Whole: func(m *MeshView) []Finding {
		waypoints := map[[2]string]bool{}
		for _, w := range m.Waypoints() {
			waypoints[[2]string{w.Namespace, w.Name}] = true
		}
		var out []Finding
		for _, p := range m.Policies() {
			for name, value := range matchLabels(p.Object) {
				if name == mesh.LabelGatewayNameOld || name == mesh.LabelGatewayName && waypoints[[2]string{p.Namespace, value}] {
					out = append(out, one(fmt.Sprintf("%s selects the pods of a waypoint (%s); waypoints read no selectors, so nobody enforces it.", p.Ref, value),
						at(p.Ref, "spec.selector.matchLabels["+name+"]", value))...)
				}
			}
		}
		return out
	},
}

// matchLabels are the selector of a policy that waypoints can be wrongly selected with.
func matchLabels(o snapshot.Object) map[string]string {
	switch p := o.(type) {
	case *securityv1.AuthorizationPolicy:
		return p.Spec.GetSelector().GetMatchLabels()
	case *securityv1.RequestAuthentication:
		return p.Spec.GetSelector().GetMatchLabels()
	case *telemetryv1.Telemetry:
		return p.Spec.GetSelector().GetMatchLabels()
	case *extensionsv1alpha1.WasmPlugin:
		return p.Spec.GetSelector().GetMatchLabels()
	}
	return nil
}
