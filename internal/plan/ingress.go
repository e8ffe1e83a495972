package plan

import (
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// routedByGateways are the Services (namespace and name) that some route of a gateway leads to.
func routedByGateways(s *snapshot.Snapshot) map[[2]string]bool {
	out := map[[2]string]bool{}
	add := func(refs []gatewayv1.BackendRef, namespace string) {
		for _, b := range refs {
			ns := namespace
			if b.Namespace != nil {
				ns = string(*b.Namespace)
			}
			out[[2]string{ns, string(b.Name)}] = true
		}
	}
	for _, r := range snapshot.All[*gatewayv1.HTTPRoute](s) {
		for i := range r.Spec.Rules {
			for _, b := range r.Spec.Rules[i].BackendRefs {
				add([]gatewayv1.BackendRef{b.BackendRef}, r.Namespace)
			}
		}
	}
	for _, r := range snapshot.All[*gatewayv1.GRPCRoute](s) {
		for i := range r.Spec.Rules {
			for _, b := range r.Spec.Rules[i].BackendRefs {
				add([]gatewayv1.BackendRef{b.BackendRef}, r.Namespace)
			}
		}
	}
	for _, r := range snapshot.All[*gatewayv1alpha2.TCPRoute](s) {
		for i := range r.Spec.Rules {
			add(r.Spec.Rules[i].BackendRefs, r.Namespace)
		}
	}
	for _, r := range snapshot.All[*gatewayv1alpha2.TLSRoute](s) {
		for i := range r.Spec.Rules {
			add(r.Spec.Rules[i].BackendRefs, r.Namespace)
		}
	}
	for _, vs := range snapshot.All[*networkingv1.VirtualService](s) {
		// A delegate has no gateways of its own: it counts as routed.
		if slices.ContainsFunc(vs.Spec.GetGateways(), func(g string) bool { return g != "mesh" }) || len(vs.Spec.GetHosts()) == 0 {
			for _, host := range destinationHosts(vs) {
				out[serviceOfHost(host, vs.Namespace)] = true
			}
		}
	}
	return out
}

func destinationHosts(vs *networkingv1.VirtualService) []string {
	var out []string
	for _, h := range vs.Spec.GetHttp() {
		for _, d := range h.GetRoute() {
			out = append(out, d.GetDestination().GetHost())
		}
	}
	for _, t := range vs.Spec.GetTcp() {
		for _, d := range t.GetRoute() {
			out = append(out, d.GetDestination().GetHost())
		}
	}
	for _, t := range vs.Spec.GetTls() {
		for _, d := range t.GetRoute() {
			out = append(out, d.GetDestination().GetHost())
		}
	}
	return out
}

// serviceOfHost reads name, name.namespace or a full host name. What is no Service's name is one that nobody has.
func serviceOfHost(host, namespace string) [2]string {
	name, rest, _ := strings.Cut(host, ".")
	if rest != "" {
		namespace, _, _ = strings.Cut(rest, ".")
	}
	return [2]string{namespace, name}
}
