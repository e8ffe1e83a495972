package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// uselessIngressLabel: a page of the documentation puts it on the wrong object.
var uselessIngressLabel = Rule{
	Code:       "SS806",
	Title:      "istio.io/ingress-use-waypoint on a Gateway does nothing",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Kinds: []snapshot.Kind{kindGateway}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/services.go (ingressUseWaypoint)"},
	Why:        "istiod reads the label from the Service, then from its namespace. On a Gateway it has no effect, and calls from that gateway go round every waypoint.",
	Remedy:     "Label the Services behind the gateway, or their namespaces, istio.io/ingress-use-waypoint: \"true\".",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, g := range snapshot.All[*gatewayv1.Gateway](m.Snapshot()) {
			if value, set := g.Labels[mesh.LabelIngressUseWaypoint]; set {
				ref := mesh.Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: g.Namespace, Name: g.Name}
				out = append(out, one(fmt.Sprintf("Label istio.io/ingress-use-waypoint on %s does nothing; it belongs on the Services or their namespaces.", ref),
					at(ref, labelField(mesh.LabelIngressUseWaypoint), value))...)
			}
		}
		return out
	},
}
