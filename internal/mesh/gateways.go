package mesh

import (
	"cmp"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// authzGateways describes the Gateways whose pods istiod makes itself and that are not in the input, as in manifests: policies are enforced there all
// the same (pilot/pkg/config/kube/gatewaycommon/deploymentcontroller.go).
func (m *Mesh) authzGateways() []authz.Workload {
	made := map[Ref]bool{}
	for _, w := range m.Workloads {
		if name := w.Labels[LabelGatewayName]; name != "" && w.Role == Gateway {
			made[Ref{Namespace: w.Namespace, Name: name}] = true
		}
	}
	var out []authz.Workload
	for _, g := range snapshot.All[*gatewayv1.Gateway](m.Snapshot) {
		class := string(g.Spec.GatewayClassName)
		if m.waypoints[refOf(kindGateway, g)] != nil || len(g.Spec.Addresses) > 0 || made[Ref{Namespace: g.Namespace, Name: g.Name}] || !m.istioGateway(class) {
			continue
		}
		labels := map[string]string{}
		if i := g.Spec.Infrastructure; i != nil {
			for k, v := range i.Labels {
				labels[string(k)] = string(v)
			}
		} else {
			labels = merged(g.Labels)
		}
		labels[LabelGatewayName] = g.Name
		w := authz.Workload{
			Ref: authzRef(refOf(kindGateway, g)), Labels: labels, Role: authz.RoleGateway, Mode: authz.ModeSidecar, Gateway: g.Name,
			ServiceAccount: cmp.Or(infrastructureAnnotation(g, AnnotationGatewayServiceAccount),
				cmp.Or(infrastructureAnnotation(g, AnnotationNameOverride), g.Name+"-"+class)),
		}
		for _, l := range g.Spec.Listeners {
			p := authz.Port{Number: uint16(l.Port), Protocol: authz.ProtocolHTTP}
			if l.Protocol == gatewayv1.TCPProtocolType || l.Protocol == gatewayv1.TLSProtocolType {
				p.Protocol = authz.ProtocolTCP
			}
			if l.Protocol != gatewayv1.UDPProtocolType && !containsPort(w.Ports, p.Number) {
				w.Ports = append(w.Ports, p)
			}
		}
		out = append(out, w)
	}
	return out
}

func containsPort(list []authz.Port, n uint16) bool {
	for _, p := range list {
		if p.Number == n {
			return true
		}
	}
	return false
}

// istioGateway reports whether istiod makes the pods of a class's Gateways.
func (m *Mesh) istioGateway(class string) bool {
	switch class {
	case "istio", ClassEastWest:
		return true
	}
	c, ok := snapshot.Get[*gatewayv1.GatewayClass](m.Snapshot, "", class)
	return ok && string(c.Spec.ControllerName) == controllerGateway
}
