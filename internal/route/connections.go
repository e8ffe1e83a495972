package route

import (
	"fmt"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// grpcRoute converts the rules of a GRPCRoute: methods are paths, /SERVICE/METHOD.
func (c *compiler) grpcRoute(o *gatewayv1.GRPCRoute) []converted {
	ref := refTo(gatewayGroup, "GRPCRoute", o)
	var out []converted
	for i := range o.Spec.Rules {
		rule := &o.Spec.Rules[i]
		at := Origin{ref, fmt.Sprintf("spec.rules[%d]", i)}
		h, fields, ok := c.grpcRouteRule(rule, o.Namespace, at)
		if !ok {
			return nil
		}
		for _, m := range rule.Matches {
			one := h.DeepCopy()
			one.Match = []*apinetworking.HTTPMatchRequest{grpcMatch(m)}
			out = append(out, converted{one, at, fields})
		}
		if len(rule.Matches) == 0 {
			out = append(out, converted{h, at, fields})
		}
	}
	return out
}

func grpcMatch(m gatewayv1.GRPCRouteMatch) *apinetworking.HTTPMatchRequest {
	out := &apinetworking.HTTPMatchRequest{}
	if g := m.Method; g != nil {
		service, method := "", ""
		if g.Service != nil {
			service = *g.Service
		}
		if g.Method != nil {
			method = *g.Method
		}
		isRegex := g.Type != nil && *g.Type == gatewayv1.GRPCMethodMatchRegularExpression
		switch {
		case g.Service == nil && g.Method == nil:
		case g.Service == nil:
			out.Uri = regex("/[^/]+/" + method)
		case g.Method == nil && isRegex:
			out.Uri = regex("/" + service + "/.+")
		case g.Method == nil:
			out.Uri = prefix("/" + service + "/")
		case isRegex:
			out.Uri = regex("/" + service + "/" + method)
		default:
			out.Uri = exact("/" + service + "/" + method)
		}
	}
	for _, h := range m.Headers {
		if out.Headers == nil {
			out.Headers = map[string]*apinetworking.StringMatch{}
		}
		out.Headers[string(h.Name)] = exactOr(h.Type != nil && *h.Type == gatewayv1.GRPCHeaderMatchRegularExpression, h.Value)
	}
	return out
}

func (c *compiler) grpcRouteRule(rule *gatewayv1.GRPCRouteRule, namespace string, at Origin) (*apinetworking.HTTPRoute, map[Part]Origin, bool) {
	h := &apinetworking.HTTPRoute{}
	fields := map[Part]Origin{PartDestination: {at.Object, at.Field + ".backendRefs"}, PartSplit: {at.Object, at.Field + ".backendRefs"}}
	for i, f := range rule.Filters {
		field := Origin{at.Object, fmt.Sprintf("%s.filters[%d]", at.Field, i)}
		switch f.Type {
		case gatewayv1.GRPCRouteFilterRequestHeaderModifier:
			headersOf(h).Request = headerOps(f.RequestHeaderModifier)
			fields[PartHeaders] = field
		case gatewayv1.GRPCRouteFilterResponseHeaderModifier:
			headersOf(h).Response = headerOps(f.ResponseHeaderModifier)
			fields[PartHeaders] = field
		case gatewayv1.GRPCRouteFilterRequestMirror:
			c.mirrorFilter(h, f.RequestMirror, namespace, field)
			fields[PartMirror] = field
		default:
			c.problem(field, "istiod knows no filter of type %s: the whole route is refused", f.Type)
			return nil, nil, false
		}
	}
	var refs []backend
	for i, b := range rule.BackendRefs {
		r := backend{ref: b.BackendRef, field: fmt.Sprintf("%s.backendRefs[%d]", at.Field, i)}
		for _, f := range b.Filters {
			r.filters = append(r.filters, gatewayv1.HTTPRouteFilter{RequestHeaderModifier: f.RequestHeaderModifier, ResponseHeaderModifier: f.ResponseHeaderModifier})
		}
		refs = append(refs, r)
	}
	return h, fields, c.backends(h, refs, namespace, at, false)
}

// refusedHost is a destination that no proxy has: istiod writes it for rules without a backend of positive weight.
const refusedHost = "internal.cluster.local"

// connectionRoutes converts TCPRoutes and TLSRoutes.
func (c *compiler) connectionRoutes(in Input) {
	add := func(o metav1.Object, kind string, parents []gatewayv1.ParentReference, rules func(v *virtual, p meshParent, host string)) {
		ref := refTo(gatewayGroup, kind, o)
		n := 0
		for _, p := range c.parents(ref, parents) {
			for _, host := range p.service.Hosts {
				v := &virtual{origin: ref, namespace: ref.Namespace, name: fmt.Sprintf("%s~%s~%d", ref.Name, strings.ToLower(kind[:3]), n),
					created: o.GetCreationTimestamp().Time, hosts: []string{host}, gateways: []string{meshGateway}, gatewayAPI: true}
				rules(v, p, host)
				c.out.virtuals = append(c.out.virtuals, v)
				n++
			}
		}
	}
	for _, o := range in.TCPRoutes {
		ref := refTo(gatewayGroup, "TCPRoute", o)
		add(o, "TCPRoute", o.Spec.ParentRefs, func(v *virtual, p meshParent, _ string) {
			for i, r := range o.Spec.Rules {
				at := Origin{ref, fmt.Sprintf("spec.rules[%d]", i)}
				if route, ok := c.connectionBackends(r.BackendRefs, ref.Namespace, at); ok {
					v.tcp = append(v.tcp, connRule{port: p.port, route: route, origin: at, always: p.port == 0})
				}
			}
		})
	}
	for _, o := range in.TLSRoutes {
		ref := refTo(gatewayGroup, "TLSRoute", o)
		add(o, "TLSRoute", o.Spec.ParentRefs, func(v *virtual, p meshParent, host string) {
			for i, r := range o.Spec.Rules {
				at := Origin{ref, fmt.Sprintf("spec.rules[%d]", i)}
				route, ok := c.connectionBackends(r.BackendRefs, ref.Namespace, at)
				if !ok {
					continue
				}
				rule := connRule{port: p.port, route: route, origin: at}
				for _, h := range o.Spec.Hostnames {
					if len(o.Spec.Hostnames) == 1 || hostMatches(host, strings.ToLower(string(h))) {
						rule.sni = append(rule.sni, strings.ToLower(string(h)))
					}
				}
				if len(o.Spec.Hostnames) == 0 {
					rule.sni = p.service.Hosts
				}
				v.tls = append(v.tls, rule)
			}
		})
	}
}

// connectionBackends resolves backendRefs of connections; false where istiod refuses the rule.
func (c *compiler) connectionBackends(refs []gatewayv1.BackendRef, namespace string, at Origin) ([]*apinetworking.RouteDestination, bool) {
	var live []gatewayv1.BackendRef
	for _, r := range refs {
		if r.Weight == nil || *r.Weight > 0 {
			live = append(live, r)
		}
	}
	if len(live) == 0 {
		c.problem(Origin{at.Object, at.Field + ".backendRefs"}, "the rule has no backend of positive weight: every connection is refused")
		return []*apinetworking.RouteDestination{{Destination: &apinetworking.Destination{Host: refusedHost, Subset: "zero-weight"}}}, true
	}
	var out []*apinetworking.RouteDestination
	for i, r := range live {
		d, ok := c.backendDestination(r, namespace, Origin{at.Object, fmt.Sprintf("%s.backendRefs[%d]", at.Field, i)})
		if !ok {
			return nil, false
		}
		rd := &apinetworking.RouteDestination{Destination: d}
		if len(live) > 1 {
			rd.Weight = 1
			if r.Weight != nil {
				rd.Weight = *r.Weight
			}
		}
		out = append(out, rd)
	}
	return out, true
}
