package route

import (
	"fmt"
	"slices"

	apinetworking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// connections makes TCPRoutes and TLSRoutes.
func (t *translation) connections() {
	for i := range t.virtual.tcp {
		t.connection(&t.virtual.tcp[i], i, TCP)
	}
	for i := range t.virtual.tls {
		t.connection(&t.virtual.tls[i], i, TLS)
	}
	t.grant()
}

func (t *translation) connection(r *connRule, n int, protocol Protocol) {
	if len(r.gateways) > 0 && !slices.Contains(r.gateways, meshGateway) {
		return
	}
	for _, lost := range []struct {
		set           bool
		field, reason string
	}{
		{len(r.sourceLabels) > 0, "sourceLabels", "a route at a waypoint does not tell callers apart by labels"},
		{r.sourceNamespace != "", "sourceNamespace", "a route at a waypoint does not tell callers apart by namespace"},
		{len(r.subnets) > 0, "destinationSubnets", "a route on a Service is for all addresses of the Service"},
	} {
		if lost.set {
			t.lose(Origin{r.origin.Object, r.origin.Field + ".match." + lost.field}, lost.reason, "a Service of its own for these calls")
			return
		}
	}
	for _, p := range t.service.Ports {
		if p.Protocol != protocol && (p.Protocol != Auto || protocol != TCP) || r.port != 0 && r.port != p.Number {
			continue
		}
		var refs []gatewayv1.BackendRef
		for _, d := range r.route {
			if len(r.route) > 1 && d.GetWeight() <= 0 {
				continue
			}
			ref, ok := t.backendRef(t.connDestination(r, d, p.Number), p.Number)
			if !ok {
				continue
			}
			if len(r.route) > 1 {
				weight := d.GetWeight()
				ref.Weight = &weight
			}
			refs = append(refs, ref)
		}
		if len(refs) > 0 {
			t.connectionRoute(r, fmt.Sprintf("%s-%s-%d-%d", t.virtual.origin.Name, protocol, n, p.Number), p.Number, protocol, refs)
		}
	}
}

func (t *translation) connDestination(r *connRule, d *apinetworking.RouteDestination, port uint32) Destination {
	return t.world.destination(d.GetDestination(), port, client{namespace: t.virtual.namespace}, nil, 1, Origin{r.origin.Object, r.origin.Field + ".route"})
}

func (t *translation) connectionRoute(r *connRule, name string, port uint32, protocol Protocol, refs []gatewayv1.BackendRef) {
	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{t.parent(port)}}
	if protocol == TCP {
		o := &gatewayv1alpha2.TCPRoute{TypeMeta: metav1.TypeMeta{APIVersion: gatewayGroup + "/v1alpha2", Kind: "TCPRoute"}, ObjectMeta: t.meta(name),
			Spec: gatewayv1alpha2.TCPRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1alpha2.TCPRouteRule{{BackendRefs: refs}}}}
		t.tcps, t.out.Objects = append(t.tcps, o), append(t.out.Objects, o)
		return
	}
	o := &gatewayv1alpha2.TLSRoute{TypeMeta: metav1.TypeMeta{APIVersion: gatewayGroup + "/v1alpha2", Kind: "TLSRoute"}, ObjectMeta: t.meta(name),
		Spec: gatewayv1alpha2.TLSRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1alpha2.TLSRouteRule{{BackendRefs: refs}}}}
	for _, h := range r.sni {
		o.Spec.Hostnames = append(o.Spec.Hostnames, gatewayv1.Hostname(h))
	}
	t.tlss, t.out.Objects = append(t.tlss, o), append(t.out.Objects, o)
}

// grant lets the routes name Services of other namespaces.
func (t *translation) grant() {
	for _, ns := range sortedKeys(t.grants) {
		o := &gatewayv1beta1.ReferenceGrant{TypeMeta: metav1.TypeMeta{APIVersion: gatewayGroup + "/v1beta1", Kind: "ReferenceGrant"},
			ObjectMeta: metav1.ObjectMeta{Name: "routes-of-" + t.service.Ref.Namespace, Namespace: ns},
			Spec:       gatewayv1beta1.ReferenceGrantSpec{To: []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}}}}
		for _, kind := range []gatewayv1.Kind{"HTTPRoute", "TCPRoute", "TLSRoute"} {
			o.Spec.From = append(o.Spec.From, gatewayv1beta1.ReferenceGrantFrom{Group: gatewayGroup, Kind: kind, Namespace: gatewayv1.Namespace(t.service.Ref.Namespace)})
		}
		t.out.Objects = append(t.out.Objects, o)
	}
}
