package mesh

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	k8snetv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// Exposure is a way by which calls of no pod of the mesh reach a Service: from outside of the cluster, or by a gateway.
type Exposure struct {
	Sort ExposureSort
	// By is the object and field that opens the way: of the Service itself, a route or an Ingress.
	By Evidence
	// Class is the class of the Ingress or of the Gateway, where it is what makes the way another project's or unknown.
	Class string
}

// ExposureSort tells who brings the calls, which decides how they arrive and whether they can be led through a waypoint.
type ExposureSort string

const (
	// FromOutside is a Service that takes calls itself: a LoadBalancer, node ports, external addresses. They arrive at the pods
	// in plaintext (https://github.com/istio/istio/issues/44534).
	FromOutside ExposureSort = "outside"
	// ByGateway is a route of Istio's own gateway, which has an identity, and goes through a waypoint where the Service is
	// labelled for it.
	ByGateway ExposureSort = "gateway"
	// ByForeignGateway is a route of a gateway or an ingress controller of another project, which reads no label of Istio's and
	// calls pods in plaintext unless it is in the mesh itself.
	ByForeignGateway ExposureSort = "foreign gateway"
	// ByUnknownGateway is a route of a Gateway that is not in the input, so that nobody can tell whose it is.
	ByUnknownGateway ExposureSort = "unknown gateway"
)

// ingressClassIstio is meshConfig.ingressClass by default (pilot/pkg/config/kube/ingress).
const ingressClassIstio = "istio"

// Exposed returns the ways of some sorts, in a fixed order.
func (s *Service) Exposed(sorts ...ExposureSort) []Exposure {
	var out []Exposure
	for _, e := range s.Exposures {
		if slices.Contains(sorts, e.Sort) {
			out = append(out, e)
		}
	}
	return out
}

// expose finds the ways in of every Service.
func (b *builder) expose() {
	for _, s := range b.mesh.Services {
		if o, ok := s.Object.(*corev1.Service); ok {
			s.exposeByType(o)
		}
	}
	for _, o := range snapshot.All[*k8snetv1.Ingress](b.snap) {
		b.exposeByIngress(o)
	}
	b.exposeByRoutes()
	for _, o := range snapshot.All[*networkingv1.VirtualService](b.snap) {
		if atGateways(o.Spec.GetGateways()) {
			b.exposeByVirtualService(o)
		}
	}
	for _, s := range b.mesh.Services {
		slices.SortFunc(s.Exposures, func(x, y Exposure) int {
			return cmp.Or(cmp.Compare(x.Sort, y.Sort), x.By.Object.Compare(y.By.Object), cmp.Compare(x.By.Field, y.By.Field))
		})
		s.Exposures = slices.Compact(s.Exposures)
	}
}

// exposeByType reads what a Service opens by itself. A LoadBalancer without node ports is one all the same.
func (s *Service) exposeByType(o *corev1.Service) {
	if t := o.Spec.Type; t == corev1.ServiceTypeLoadBalancer || t == corev1.ServiceTypeNodePort {
		s.Exposures = append(s.Exposures, Exposure{Sort: FromOutside, By: evidence(s.Ref, "spec.type", string(t))})
	}
	if len(o.Spec.ExternalIPs) > 0 {
		s.Exposures = append(s.Exposures, Exposure{Sort: FromOutside, By: evidence(s.Ref, "spec.externalIPs", strings.Join(o.Spec.ExternalIPs, ", "))})
	}
}

// exposeByIngress reads the backends of an Ingress. Its class says whose it is, as istiod decides it where its ingress controller
// mode is the default, STRICT; one without class is left to whichever controller takes it.
func (b *builder) exposeByIngress(o *k8snetv1.Ingress) {
	sort, class := ByForeignGateway, ""
	if name, ok := o.Annotations[snapshot.AnnotationIngressClass]; ok {
		class = name
		if name == ingressClassIstio {
			sort = ByGateway
		}
	} else if name := o.Spec.IngressClassName; name != nil {
		class = *name
		c, known := snapshot.Get[*k8snetv1.IngressClass](b.snap, "", class)
		if known && c.Spec.Controller == ingressController || !known && class == ingressClassIstio {
			sort = ByGateway
		}
	}
	ref := refOf(kindIngress, o)
	add := func(backend *k8snetv1.IngressBackend, field string) {
		if backend == nil || backend.Service == nil {
			return
		}
		if s := b.mesh.Service(o.Namespace, backend.Service.Name); s != nil {
			s.Exposures = append(s.Exposures, Exposure{Sort: sort, By: evidence(ref, field, ""), Class: class})
		}
	}
	add(o.Spec.DefaultBackend, "spec.defaultBackend")
	for i := range o.Spec.Rules {
		if http := o.Spec.Rules[i].HTTP; http != nil {
			for j := range http.Paths {
				add(&http.Paths[j].Backend, "spec.rules")
			}
		}
	}
}

// exposeByRoutes reads the routes of the Gateway API.
func (b *builder) exposeByRoutes() {
	gateways := map[Ref]*gatewayv1.Gateway{}
	for _, g := range snapshot.All[*gatewayv1.Gateway](b.snap) {
		gateways[refOf(kindGateway, g)] = g
	}
	for _, r := range snapshot.All[*gatewayv1.HTTPRoute](b.snap) {
		var backends []gatewayv1.BackendRef
		for i := range r.Spec.Rules {
			for _, x := range r.Spec.Rules[i].BackendRefs {
				backends = append(backends, x.BackendRef)
			}
			for _, f := range r.Spec.Rules[i].Filters {
				if f.RequestMirror != nil {
					backends = append(backends, gatewayv1.BackendRef{BackendObjectReference: f.RequestMirror.BackendRef})
				}
			}
		}
		b.exposeByRoute(kindHTTPRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, r := range snapshot.All[*gatewayv1.GRPCRoute](b.snap) {
		var backends []gatewayv1.BackendRef
		for i := range r.Spec.Rules {
			for _, x := range r.Spec.Rules[i].BackendRefs {
				backends = append(backends, x.BackendRef)
			}
		}
		b.exposeByRoute(kindGRPCRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, r := range snapshot.All[*gatewayv1alpha2.TCPRoute](b.snap) {
		var backends []gatewayv1.BackendRef
		for i := range r.Spec.Rules {
			backends = append(backends, r.Spec.Rules[i].BackendRefs...)
		}
		b.exposeByRoute(kindTCPRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
	for _, r := range snapshot.All[*gatewayv1alpha2.TLSRoute](b.snap) {
		var backends []gatewayv1.BackendRef
		for i := range r.Spec.Rules {
			backends = append(backends, r.Spec.Rules[i].BackendRefs...)
		}
		b.exposeByRoute(kindTLSRoute, r, gateways, r.Spec.ParentRefs, backends)
	}
}

// exposeByRoute adds what a route brings to its backends, once for each of its parents that is a Gateway and no waypoint.
func (b *builder) exposeByRoute(kind snapshot.Kind, o snapshot.Object, gateways map[Ref]*gatewayv1.Gateway, parents []gatewayv1.ParentReference, backends []gatewayv1.BackendRef) {
	route := &Policy{Ref: refOf(kind, o)}
	for _, p := range parents {
		parent := parentRef(route, p)
		if parent.Kind != kindGateway.Kind || parent.Group != kindGateway.Group || b.mesh.waypoints[parent] != nil {
			continue
		}
		e := Exposure{Sort: ByUnknownGateway, By: evidence(route.Ref, "spec.rules", "")}
		if g := gateways[parent]; g != nil {
			e.Sort, e.Class = b.sortOfClass(string(g.Spec.GatewayClassName))
		}
		for _, backend := range backends {
			if backend.Kind != nil && *backend.Kind != gatewayv1.Kind(kindService.Kind) {
				continue
			}
			namespace := o.GetNamespace()
			if backend.Namespace != nil {
				namespace = string(*backend.Namespace)
			}
			if s := b.mesh.Service(namespace, string(backend.Name)); s != nil {
				s.Exposures = append(s.Exposures, e)
			}
		}
	}
}

// sortOfClass tells whose the Gateways of a class are. Istiod makes its classes itself, so that manifests lack them.
func (b *builder) sortOfClass(class string) (ExposureSort, string) {
	istio := strings.HasPrefix(class, "istio")
	if c, ok := snapshot.Get[*gatewayv1.GatewayClass](b.snap, "", class); ok {
		istio = strings.HasPrefix(string(c.Spec.ControllerName), "istio.io/")
	}
	if istio {
		return ByGateway, ""
	}
	return ByForeignGateway, class
}

// atGateways reports whether a list of gateways, as VirtualServices and their matches have them, names any but the mesh.
func atGateways(list []string) bool {
	return slices.ContainsFunc(list, func(g string) bool { return g != meshGateway })
}

// exposeByVirtualService adds where a VirtualService of a gateway leads, its delegates and TCP and TLS routes included. A route
// whose every match is for the mesh alone is none of a gateway's; a match that names no gateways has those of the whole object
// (pilot/pkg/model/push_context.go initVirtualServices).
func (b *builder) exposeByVirtualService(vs *networkingv1.VirtualService) {
	for _, h := range vs.Spec.GetHttp() {
		if !anyAtGateways(h.GetMatch()) {
			continue
		}
		b.exposeByHTTP(vs, vs.Namespace, h)
		if d := h.GetDelegate(); d != nil {
			delegate, ok := snapshot.Get[*networkingv1.VirtualService](b.snap, cmp.Or(d.GetNamespace(), vs.Namespace), d.GetName())
			for _, inner := range delegateRoutes(delegate, ok) { // a delegate cannot delegate further
				if anyAtGateways(inner.GetMatch()) {
					b.exposeByHTTP(delegate, delegate.Namespace, inner)
				}
			}
		}
	}
	for _, t := range vs.Spec.GetTcp() {
		if anyAtGateways(t.GetMatch()) {
			for _, d := range t.GetRoute() {
				b.exposeByDestination(vs, vs.Namespace, d.GetDestination(), "spec.tcp")
			}
		}
	}
	for _, t := range vs.Spec.GetTls() {
		if anyAtGateways(t.GetMatch()) {
			for _, d := range t.GetRoute() {
				b.exposeByDestination(vs, vs.Namespace, d.GetDestination(), "spec.tls")
			}
		}
	}
}

func delegateRoutes(vs *networkingv1.VirtualService, ok bool) []*apinetworking.HTTPRoute {
	if !ok {
		return nil
	}
	return vs.Spec.GetHttp()
}

// anyAtGateways reports whether a route without match, or one of its matches, is for a gateway too.
func anyAtGateways[M interface{ GetGateways() []string }](matches []M) bool {
	return len(matches) == 0 || slices.ContainsFunc(matches, func(m M) bool {
		return len(m.GetGateways()) == 0 || atGateways(m.GetGateways())
	})
}

// exposeByHTTP adds the destinations of one HTTP route, those that it mirrors to as well.
func (b *builder) exposeByHTTP(vs *networkingv1.VirtualService, namespace string, h *apinetworking.HTTPRoute) {
	for _, d := range h.GetRoute() {
		b.exposeByDestination(vs, namespace, d.GetDestination(), "spec.http")
	}
	b.exposeByDestination(vs, namespace, h.GetMirror(), "spec.http")
	for _, m := range h.GetMirrors() {
		b.exposeByDestination(vs, namespace, m.GetDestination(), "spec.http")
	}
}

func (b *builder) exposeByDestination(vs *networkingv1.VirtualService, namespace string, d *apinetworking.Destination, field string) {
	for _, s := range b.hosts.find(d.GetHost(), namespace) {
		s.Exposures = append(s.Exposures, Exposure{Sort: ByGateway, By: evidence(refOf(kindVirtualService, vs), field, "")})
	}
}
