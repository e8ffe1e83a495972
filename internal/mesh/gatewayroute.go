package mesh

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// attachGatewayRoutes joins Gateway API routes with the Services and ServiceEntries they have as parent.
// A route whose parents are Gateways acts there and asks nothing of workloads.
func (b *builder) attachGatewayRoutes() {
	for _, o := range snapshot.All[*gatewayv1.HTTPRoute](b.snap) {
		r := b.newRoute(kindHTTPRoute, o)
		b.attachParents(r, o.Spec.ParentRefs, httpRouteFeatures(r, o))
	}
	for _, o := range snapshot.All[*gatewayv1.GRPCRoute](b.snap) {
		r := b.newRoute(kindGRPCRoute, o)
		b.attachParents(r, o.Spec.ParentRefs, grpcRouteFeatures(r, o))
	}
	for _, o := range snapshot.All[*gatewayv1alpha2.TCPRoute](b.snap) {
		r := b.newRoute(kindTCPRoute, o)
		g := gather{object: r.Ref}
		g.see(TCPRouting, Inbound, "spec.rules", "")
		b.attachParents(r, o.Spec.ParentRefs, g.list)
	}
	for _, o := range snapshot.All[*gatewayv1alpha2.TLSRoute](b.snap) {
		r := b.newRoute(kindTLSRoute, o)
		g := gather{object: r.Ref}
		g.see(TLSRouting, Inbound, "spec.rules", "")
		b.attachParents(r, o.Spec.ParentRefs, g.list)
	}
}

func (b *builder) newRoute(kind snapshot.Kind, o snapshot.Object) *Policy {
	r := &Policy{Ref: refOf(kind, o), Object: o, Scope: ByTargetRefs}
	b.mesh.Routes = append(b.mesh.Routes, r)
	return r
}

// attachParents resolves parentRefs. A route in another namespace than its parent is a consumer route:
// it acts for clients of its own namespace only, and never at a waypoint.
func (b *builder) attachParents(r *Policy, parents []gatewayv1.ParentReference, features []found) {
	features = append(features, b.unknownFields(r)...)
	seen := map[*Service]bool{}
	for i, parent := range parents {
		s, isService := b.parentService(r, parent)
		t := Target{Field: fmt.Sprintf("spec.parentRefs[%d]", i), Ref: parentRef(r, parent)}
		switch {
		case isService && s == nil:
			t.Refused = TargetNotFound
		case isService && !s.Waypoint.Bound:
			t.Refused = AncestorNotBound // sidecars obey it all the same
		}
		t.Accepted = t.Refused == ""
		r.Targets = append(r.Targets, t)
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		s.Routes = append(s.Routes, r)
		if s.Namespace != r.Namespace {
			b.useInNamespace(r.Namespace, append(onSide(Outbound, features),
				found{ClientNamespaceRoute, Outbound, []Evidence{evidence(r.Ref, t.Field, t.Name)}}))
			continue
		}
		s.use(features)
		for _, w := range s.Workloads {
			w.addRoute(r)
			w.useOn(Inbound, features)
		}
		if s.External {
			b.useInNamespace(r.Namespace, onSide(Outbound, features))
		}
	}
	r.Workloads = countWorkloads(seen)
}

func parentRef(r *Policy, p gatewayv1.ParentReference) Ref {
	ref := Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: r.Namespace, Name: string(p.Name)}
	if p.Group != nil {
		ref.Group = string(*p.Group)
	}
	if p.Kind != nil {
		ref.Kind = string(*p.Kind)
	}
	if p.Namespace != nil {
		ref.Namespace = string(*p.Namespace)
	}
	if ref.Kind == kindService.Kind {
		ref.Group = "" // "core" is accepted as well
	}
	return ref
}

// parentService returns the Service or ServiceEntry a parentRef names, and whether it names one at all.
func (b *builder) parentService(r *Policy, p gatewayv1.ParentReference) (*Service, bool) {
	ref := parentRef(r, p)
	switch (snapshot.Kind{Group: ref.Group, Kind: ref.Kind}) {
	case kindService, kindServiceEntry:
		return b.mesh.services[ref], true
	}
	return nil, false
}

func httpRouteFeatures(r *Policy, o *gatewayv1.HTTPRoute) []found {
	g := gather{object: r.Ref}
	for i := range o.Spec.Rules {
		rule := &o.Spec.Rules[i]
		path := fmt.Sprintf("spec.rules[%d]", i)
		for j, m := range rule.Matches {
			if !matchesEverything(m) {
				g.see(HTTPMatch, Inbound, fmt.Sprintf("%s.matches[%d]", path, j), "")
			}
			for _, h := range m.Headers {
				switch lower := strings.ToLower(string(h.Name)); {
				case strings.HasPrefix(lower, claimHeader):
					g.see(JWTClaimRouting, Inbound, fmt.Sprintf("%s.matches[%d].headers", path, j), string(h.Name))
				case lower == xfccHeader:
					g.see(ForwardedClientCert, Inbound, fmt.Sprintf("%s.matches[%d].headers", path, j), string(h.Name))
				}
			}
		}
		for j, f := range rule.Filters {
			filterFeature(&g, fmt.Sprintf("%s.filters[%d].type", path, j), f.Type)
		}
		for j, ref := range rule.BackendRefs {
			for _, f := range ref.Filters {
				filterFeature(&g, fmt.Sprintf("%s.backendRefs[%d].filters", path, j), f.Type)
			}
		}
		if len(rule.BackendRefs) > 1 {
			g.see(TrafficSplit, Inbound, path+".backendRefs", "")
		}
		if rule.Timeouts != nil {
			g.see(Timeouts, Inbound, path+".timeouts", "")
		}
		if rule.Retry != nil {
			g.see(Retries, Inbound, path+".retry", "")
		}
		if rule.SessionPersistence != nil {
			g.see(ConsistentHash, Inbound, path+".sessionPersistence", "")
		}
	}
	return g.list
}

// matchesEverything is the match that the API server fills in: any path under /.
func matchesEverything(m gatewayv1.HTTPRouteMatch) bool {
	if len(m.Headers) > 0 || len(m.QueryParams) > 0 || m.Method != nil {
		return false
	}
	p := m.Path
	return p == nil || (p.Type == nil || *p.Type == gatewayv1.PathMatchPathPrefix) && (p.Value == nil || *p.Value == "/")
}

func filterFeature(g *gather, field string, t gatewayv1.HTTPRouteFilterType) {
	feature := HTTPMatch // a filter of another kind still needs the HTTP proxy
	switch t {
	case gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier:
		feature = HeaderManipulation
	case gatewayv1.HTTPRouteFilterRequestRedirect, gatewayv1.HTTPRouteFilterURLRewrite:
		feature = Rewrite
	case gatewayv1.HTTPRouteFilterRequestMirror:
		feature = Mirroring
	case gatewayv1.HTTPRouteFilterCORS:
		feature = CORS
	}
	g.see(feature, Inbound, field, string(t))
}

func grpcRouteFeatures(r *Policy, o *gatewayv1.GRPCRoute) []found {
	g := gather{object: r.Ref}
	for i := range o.Spec.Rules {
		rule := &o.Spec.Rules[i]
		path := fmt.Sprintf("spec.rules[%d]", i)
		if len(rule.Matches) > 0 {
			g.see(HTTPMatch, Inbound, path+".matches", "")
		}
		for j, f := range rule.Filters {
			filterFeature(&g, fmt.Sprintf("%s.filters[%d].type", path, j), gatewayv1.HTTPRouteFilterType(f.Type))
		}
		if len(rule.BackendRefs) > 1 {
			g.see(TrafficSplit, Inbound, path+".backendRefs", "")
		}
		if rule.SessionPersistence != nil {
			g.see(ConsistentHash, Inbound, path+".sessionPersistence", "")
		}
	}
	return g.list
}
