package mesh

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// attachGatewayRoutes joins Gateway API routes with the Services and ServiceEntries they have as parent.
// A route whose parents are Gateways acts there and asks nothing of workloads.
func (b *builder) attachGatewayRoutes() {
	for _, o := range snapshot.All[*gatewayv1.HTTPRoute](b.snap) {
		r := b.newRoute(kindHTTPRoute, o)
		b.attachParents(r, o.Spec.ParentRefs)
	}
	for _, o := range snapshot.All[*gatewayv1.GRPCRoute](b.snap) {
		r := b.newRoute(kindGRPCRoute, o)
		b.attachParents(r, o.Spec.ParentRefs)
	}
	for _, o := range snapshot.All[*gatewayv1alpha2.TCPRoute](b.snap) {
		r := b.newRoute(kindTCPRoute, o)
		b.attachParents(r, o.Spec.ParentRefs)
	}
	for _, o := range snapshot.All[*gatewayv1alpha2.TLSRoute](b.snap) {
		r := b.newRoute(kindTLSRoute, o)
		b.attachParents(r, o.Spec.ParentRefs)
	}
}

func (b *builder) newRoute(kind snapshot.Kind, o snapshot.Object) *Policy {
	r := &Policy{Ref: refOf(kind, o), Object: o, Scope: ByTargetRefs}
	b.mesh.Routes = append(b.mesh.Routes, r)
	return r
}

// attachParents resolves parentRefs. A route in another namespace than its parent is a consumer route: it acts for
// clients of its own namespace only. What a route does is asked of the model later.
func (b *builder) attachParents(r *Policy, parents []gatewayv1.ParentReference) {
	unknown := b.unknownFields(r)
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
		b.routed[r] = append(b.routed[r], s)
		if s.Namespace != r.Namespace {
			b.useInNamespace(r.Namespace, onSide(Outbound, unknown))
			continue
		}
		s.use(unknown)
		for _, w := range s.Workloads {
			w.addRoute(r)
			w.useOn(Inbound, unknown)
		}
		if s.External {
			b.useInNamespace(r.Namespace, onSide(Outbound, unknown))
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
