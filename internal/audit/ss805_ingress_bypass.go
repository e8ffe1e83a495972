package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// ingressBypass: gateways go round waypoints unless told otherwise.
var ingressBypass = Rule{
	Code:     "SS805",
	Title:    "Calls from the ingress gateway go round the waypoint",
	Severity: Error,
	Requires: VerdictWaypoint,
	Inputs: Inputs{
		Facts: []Fact{FactServices, FactPolicies, FactMode},
		Kinds: []snapshot.Kind{kindHTTPRoute, kindGRPCRoute, kindTCPRoute, kindTLSRoute, kindGateway, kindGatewayClass, kindVirtualService},
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
			if s.Headless {
				continue
			}
			way, exposed := v.index.exposedBy(s)
			if !exposed || s.IngressUseWaypoint && !way.foreign {
				continue
			}
			route := way.route
			f := Finding{Subject: s.Ref, Evidence: []mesh.Evidence{at(s.Ref, labelField(mesh.LabelIngressUseWaypoint), ""), at(route, "spec", "")}}
			if v.Mode() == mesh.Ambient && s.Waypoint.Bound {
				f.Message = fmt.Sprintf("%s exposes Service %s/%s, and the gateway goes round its waypoint: what that enforces does not hold for calls from outside.", route, s.Namespace, s.Name)
			} else {
				f.Severity = Warning
				f.Message = fmt.Sprintf("%s exposes Service %s/%s; once a waypoint enforces its policies, the gateway goes round it.", route, s.Namespace, s.Name)
			}
			if way.foreign {
				f.Message += " The gateway is not istiod's, and does not read label istio.io/ingress-use-waypoint."
				f.Remedy = "Let one of istiod's gateways serve the route and label the Service istio.io/ingress-use-waypoint: \"true\", or enforce the policy at the gateway and admit only that and the waypoint at ztunnel."
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

// exposure is a route by which a gateway brings calls to a Service.
type exposure struct {
	route mesh.Ref
	// foreign says that the gateway is not istiod's, so that no label makes it go through a waypoint.
	foreign bool
}

// exposedBy returns a route that brings calls from a gateway to a Service, one of a foreign gateway first.
func (x *index) exposedBy(s *mesh.Service) (exposure, bool) {
	if x.exposed == nil {
		x.exposed = exposures(x.mesh.Snapshot)
	}
	var found exposure
	for _, host := range append([]string{s.Namespace + "/" + s.Name}, s.Hosts...) {
		if e, ok := x.exposed[host]; ok && (found.route.Name == "" || e.foreign) {
			found = e
		}
	}
	return found, found.route.Name != ""
}

// exposed maps Services (namespace/name) and host names to a route that a gateway serves them by.
type exposed map[string]exposure

// add notes a route; that of a foreign gateway takes precedence, since no label helps there.
func (x exposed) add(host string, e exposure) {
	if old, ok := x[host]; !ok || e.foreign || !old.foreign {
		x[host] = e
	}
}

func exposures(s *snapshot.Snapshot) exposed {
	out := exposed{}
	gateways := gatewaySorts(s)
	for _, r := range snapshot.All[*gatewayv1.HTTPRoute](s) {
		var backends []gatewayv1.BackendRef
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				backends = append(backends, b.BackendRef)
			}
		}
		out.addRoute(kindHTTPRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, r := range snapshot.All[*gatewayv1.GRPCRoute](s) {
		var backends []gatewayv1.BackendRef
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				backends = append(backends, b.BackendRef)
			}
		}
		out.addRoute(kindGRPCRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, r := range snapshot.All[*gatewayv1alpha2.TCPRoute](s) {
		var backends []gatewayv1.BackendRef
		for _, rule := range r.Spec.Rules {
			backends = append(backends, rule.BackendRefs...)
		}
		out.addRoute(kindTCPRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, r := range snapshot.All[*gatewayv1alpha2.TLSRoute](s) {
		var backends []gatewayv1.BackendRef
		for _, rule := range r.Spec.Rules {
			backends = append(backends, rule.BackendRefs...)
		}
		out.addRoute(kindTLSRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, vs := range snapshot.All[*networkingv1.VirtualService](s) {
		if slices.ContainsFunc(vs.Spec.GetGateways(), func(g string) bool { return g != "mesh" }) {
			out.addVirtualService(s, vs)
		}
	}
	return out
}

// gatewaySort says what goes through a Gateway of the Gateway API.
type gatewaySort struct{ waypoint, foreign bool }

// gatewaySorts sorts the Gateways by their class: a class that istiod does not serve is another project's.
func gatewaySorts(s *snapshot.Snapshot) map[[2]string]gatewaySort {
	out := map[[2]string]gatewaySort{}
	for _, g := range snapshot.All[*gatewayv1.Gateway](s) {
		name := string(g.Spec.GatewayClassName)
		sort := gatewaySort{waypoint: name == mesh.ClassWaypoint || name == mesh.ClassAgentWaypoint}
		if class, ok := snapshot.Get[*gatewayv1.GatewayClass](s, "", name); ok {
			sort.foreign = !strings.HasPrefix(string(class.Spec.ControllerName), "istio.io/")
		} else {
			sort.foreign = !strings.HasPrefix(name, "istio") // istiod makes its classes itself, so that manifests lack them
		}
		out[[2]string{g.Namespace, g.Name}] = sort
	}
	return out
}

// addRoute adds what a route of the Gateway API brings to Services, if a gateway that is no waypoint serves it.
func (x exposed) addRoute(kind snapshot.Kind, r snapshot.Object, gateways map[[2]string]gatewaySort, parents []gatewayv1.ParentReference, backends []gatewayv1.BackendRef) {
	e, served := exposure{route: mesh.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: r.GetNamespace(), Name: r.GetName()}}, false
	for _, p := range parents {
		if p.Kind != nil && *p.Kind != gatewayv1.Kind(kindGateway.Kind) {
			continue
		}
		namespace := r.GetNamespace()
		if p.Namespace != nil {
			namespace = string(*p.Namespace)
		}
		if sort := gateways[[2]string{namespace, string(p.Name)}]; !sort.waypoint {
			served = true
			e.foreign = e.foreign || sort.foreign
		}
	}
	if !served {
		return
	}
	for _, b := range backends {
		if b.Kind != nil && *b.Kind != gatewayv1.Kind(kindService.Kind) {
			continue
		}
		namespace := r.GetNamespace()
		if b.Namespace != nil {
			namespace = string(*b.Namespace)
		}
		x.add(namespace+"/"+string(b.Name), e)
	}
}

// addVirtualService adds where a VirtualService of a gateway leads, its delegates and TCP and TLS routes included.
func (x exposed) addVirtualService(s *snapshot.Snapshot, vs *networkingv1.VirtualService) {
	http := func(from *networkingv1.VirtualService, h *apinetworking.HTTPRoute) {
		for _, d := range h.GetRoute() {
			x.addDestination(from, d.GetDestination())
		}
	}
	for _, h := range vs.Spec.GetHttp() {
		http(vs, h)
		if d := h.GetDelegate(); d != nil {
			namespace := cmp.Or(d.GetNamespace(), vs.Namespace)
			if delegate, ok := snapshot.Get[*networkingv1.VirtualService](s, namespace, d.GetName()); ok {
				for _, inner := range delegate.Spec.GetHttp() { // a delegate cannot delegate further
					http(delegate, inner)
				}
			}
		}
	}
	for _, t := range vs.Spec.GetTcp() {
		for _, d := range t.GetRoute() {
			x.addDestination(vs, d.GetDestination())
		}
	}
	for _, t := range vs.Spec.GetTls() {
		for _, d := range t.GetRoute() {
			x.addDestination(vs, d.GetDestination())
		}
	}
}

// addDestination adds a destination; a short name is one of the namespace of the VirtualService that it stands in.
func (x exposed) addDestination(vs *networkingv1.VirtualService, d *apinetworking.Destination) {
	host := d.GetHost()
	if !strings.Contains(host, ".") {
		host = vs.Namespace + "/" + host
	}
	x.add(host, exposure{route: mesh.Ref{Group: kindVirtualService.Group, Kind: kindVirtualService.Kind, Namespace: vs.Namespace, Name: vs.Name}})
}
