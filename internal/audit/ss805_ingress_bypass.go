package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ingressBypass: gateways go round waypoints unless told otherwise.
var ingressBypass = Rule{
	Code:     "SS805",
	Title:    "Calls from the ingress gateway go round the waypoint",
	Severity: Error,
	Requires: VerdictWaypoint,
	Inputs: Inputs{
		Facts: []Fact{FactServices, FactPolicies, FactMode},
		Kinds: []snapshot.Kind{kindHTTPRoute, kindGRPCRoute, kindGateway, kindVirtualService},
	},
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/", "istio/istio pilot/pkg/xds/endpoints/endpoint_builder.go (findServiceWaypoint)"},
	Why: "An ingress gateway sends calls to the pods directly, so policies that only the waypoint enforces (JWT, paths, methods) do not hold for traffic from outside, which is where they " +
		"matter most. It honours the waypoint when label istio.io/ingress-use-waypoint: \"true\" is on the Service (1.24) or its namespace (1.25). On the Gateway object the label does nothing, " +
		"though a page of the documentation says so.",
	Remedy: "Label the Service istio.io/ingress-use-waypoint: \"true\".",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint || !v.hasRequestPolicy() {
			return nil
		}
		var out []Finding
		for _, s := range v.Services() {
			if s.IngressUseWaypoint || s.Headless {
				continue
			}
			route, exposed := v.index.exposedBy(s)
			if !exposed {
				continue
			}
			f := Finding{Subject: s.Ref, Evidence: []mesh.Evidence{at(s.Ref, labelField(mesh.LabelIngressUseWaypoint), ""), at(route, "spec", "")}}
			if v.Mode() == mesh.Ambient && s.Waypoint.Bound {
				f.Message = fmt.Sprintf("%s exposes Service %s/%s, and the gateway goes round its waypoint: what that enforces does not hold for calls from outside.", route, s.Namespace, s.Name)
			} else {
				f.Severity = Warning
				f.Message = fmt.Sprintf("%s exposes Service %s/%s; once a waypoint enforces its policies, the gateway goes round it.", route, s.Namespace, s.Name)
			}
			out = append(out, f)
		}
		return out
	},
}

// hasRequestPolicy tells whether an HTTP proxy enforces something for the workload, or will have to.
func (v *View) hasRequestPolicy() bool {
	if len(v.Policies("RequestAuthentication")) > 0 {
		return true
	}
	return slices.ContainsFunc(v.Policies("AuthorizationPolicy"), func(p *mesh.Policy) bool {
		return p.Scope == mesh.ByTargetRefs || v.Fate(p).changes()
	})
}

// exposedBy returns a route that brings calls from a gateway to a Service.
func (x *index) exposedBy(s *mesh.Service) (mesh.Ref, bool) {
	if x.exposed == nil {
		x.exposed = exposures(x.mesh.Snapshot)
	}
	for _, host := range append([]string{s.Namespace + "/" + s.Name}, s.Hosts...) {
		if route, ok := x.exposed[host]; ok {
			return route, true
		}
	}
	return mesh.Ref{}, false
}

// exposures maps Services (namespace/name) and host names to a route that a gateway serves them by.
func exposures(s *snapshot.Snapshot) map[string]mesh.Ref {
	out := map[string]mesh.Ref{}
	classes := map[[2]string]gatewayv1.ObjectName{}
	for _, g := range snapshot.All[*gatewayv1.Gateway](s) {
		classes[[2]string{g.Namespace, g.Name}] = g.Spec.GatewayClassName
	}
	ingress := func(parents []gatewayv1.ParentReference, namespace string) bool {
		return slices.ContainsFunc(parents, func(p gatewayv1.ParentReference) bool {
			if p.Kind != nil && *p.Kind != gatewayv1.Kind(kindGateway.Kind) {
				return false
			}
			if p.Namespace != nil {
				namespace = string(*p.Namespace)
			}
			class := classes[[2]string{namespace, string(p.Name)}]
			return class != mesh.ClassWaypoint && class != mesh.ClassAgentWaypoint
		})
	}
	add := func(ref mesh.Ref, b *gatewayv1.BackendRef) {
		if b.Kind != nil && *b.Kind != gatewayv1.Kind(kindService.Kind) {
			return
		}
		namespace := ref.Namespace
		if b.Namespace != nil {
			namespace = string(*b.Namespace)
		}
		out[namespace+"/"+string(b.Name)] = ref
	}
	for _, r := range snapshot.All[*gatewayv1.HTTPRoute](s) {
		if ingress(r.Spec.ParentRefs, r.Namespace) {
			for _, rule := range r.Spec.Rules {
				for i := range rule.BackendRefs {
					add(mesh.Ref{Group: kindHTTPRoute.Group, Kind: kindHTTPRoute.Kind, Namespace: r.Namespace, Name: r.Name}, &rule.BackendRefs[i].BackendRef)
				}
			}
		}
	}
	for _, r := range snapshot.All[*gatewayv1.GRPCRoute](s) {
		if ingress(r.Spec.ParentRefs, r.Namespace) {
			for _, rule := range r.Spec.Rules {
				for i := range rule.BackendRefs {
					add(mesh.Ref{Group: kindGRPCRoute.Group, Kind: kindGRPCRoute.Kind, Namespace: r.Namespace, Name: r.Name}, &rule.BackendRefs[i].BackendRef)
				}
			}
		}
	}
	for _, vs := range snapshot.All[*networkingv1.VirtualService](s) {
		if !slices.ContainsFunc(vs.Spec.GetGateways(), func(g string) bool { return g != "mesh" }) {
			continue
		}
		ref := mesh.Ref{Group: kindVirtualService.Group, Kind: kindVirtualService.Kind, Namespace: vs.Namespace, Name: vs.Name}
		for _, h := range vs.Spec.GetHttp() {
			for _, d := range h.GetRoute() {
				host := d.GetDestination().GetHost()
				if !strings.Contains(host, ".") {
					host = vs.Namespace + "/" + host
				}
				out[host] = ref
			}
		}
	}
	return out
}
