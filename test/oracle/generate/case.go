package generate

import (
	"encoding/json"
	"fmt"

	authz "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

const (
	rootNamespace = "istio-system"
	gatewayClass  = "istio-waypoint"
	// perCase is how many requests each generated case has.
	perCase = 24
)

// baseCase is the world that most cases share: one workload, one service, one waypoint.
func baseCase(id string) *corpus.Case {
	return &corpus.Case{
		ID:   id,
		Mesh: corpus.Mesh{RootNamespace: rootNamespace, TrustDomain: "cluster.local", ExtensionProviders: []string{"authz-a", "authz-b"}},
		Workload: corpus.Workload{Namespace: "shop", ServiceAccount: "cart", IP: "10.1.0.7",
			Labels: map[string]string{"app": "cart", "version": "v1"}},
		Service:      corpus.Service{Name: "cart", Namespace: "shop", Port: 80, TargetPort: 8080, IP: "10.96.0.7"},
		Waypoint:     corpus.Waypnt{Name: "waypoint", Namespace: "shop"},
		GatewayClass: gatewayClass,
	}
}

// Case makes generated case number n.
func Case(seed uint64, n int) (*corpus.Case, error) {
	d := newDice(seed, uint64(n))
	c := baseCase(fmt.Sprintf("gen-%06d", n))
	if d.chance(15) {
		c.Mesh.TrustDomainAliases = []string{"old.example"}
	}
	if d.chance(15) {
		c.Waypoint.Namespace = "infra"
	}
	if d.chance(3) {
		c.Workload.Namespace, c.Service.Namespace, c.Waypoint.Namespace = rootNamespace, rootNamespace, rootNamespace
	}
	b := &builder{dice: d, c: c}
	count := 1
	if d.chance(45) {
		count = 2 + d.IntN(2)
	}
	for range count {
		b.addAuthorization()
	}
	if b.usesJWT() || d.chance(5) {
		b.addRequestAuthentication()
	}
	if d.chance(12) {
		b.addPeerAuthentication()
	}
	return b.finish()
}

// builder collects a case's policies, keeping the typed specs from which the requests are made.
type builder struct {
	dice
	c       *corpus.Case
	objects []object
	specs   []*authz.AuthorizationPolicy
	jwt     []*authz.JWTRule
	// odd asks for spellings at the edge of the API.
	odd bool
	// edges asks for what EdgeCase says.
	edges bool
}

func (b *builder) finish() (*corpus.Case, error) {
	for i, o := range b.objects {
		raw, err := o.raw(i)
		if err != nil {
			return nil, err
		}
		b.c.Policies = append(b.c.Policies, raw)
	}
	b.c.Requests = b.requests(perCase)
	return b.c, nil
}

// addAuthorization adds one body, most often in two copies: one for sidecar and ztunnel, one for the waypoint.
func (b *builder) addAuthorization() {
	body, annotations := b.body(b.c.Mesh.ExtensionProviders)
	if b.odd {
		b.makeOdd(body)
	}
	b.specs = append(b.specs, body)
	name := fmt.Sprintf("p%d", len(b.objects))
	both := b.chance(70)
	if both || b.chance(60) {
		ns, sel := b.scope()
		spec := body.DeepCopy()
		spec.Selector = sel
		b.objects = append(b.objects, object{"AuthorizationPolicy", name, ns, annotations, spec})
	}
	if both || len(b.objects) == 0 || b.chance(60) {
		ns, refs := b.targets()
		if b.odd && b.chance(25) {
			ns, refs = b.oddTargets()
		}
		spec := body.DeepCopy()
		spec.TargetRefs = refs
		if b.odd && len(refs) == 1 && b.chance(15) {
			spec.TargetRef, spec.TargetRefs = refs[0], nil // the legacy field
		}
		if b.chance(2) {
			spec.Selector = selector(b.c.Workload.Labels) // invalid: both
		}
		b.objects = append(b.objects, object{"AuthorizationPolicy", name + "-t", ns, annotations, spec})
	}
}

// scope is a namespace and a selector for a policy without targetRefs.
func (b *builder) scope() (string, *typev1beta1.WorkloadSelector) {
	switch n := b.IntN(100); {
	case n < 50:
		return b.c.Workload.Namespace, selector(map[string]string{"app": "cart"})
	case n < 58:
		return b.c.Workload.Namespace, selector(map[string]string{"app": "cart", "version": b.pick("v1", "v2")})
	case n < 62:
		return b.c.Workload.Namespace, selector(map[string]string{"app": "other"})
	case n < 78:
		return b.c.Workload.Namespace, nil
	case n < 88:
		return rootNamespace, nil
	case n < 94:
		return rootNamespace, selector(map[string]string{"app": "cart"})
	case n < 97:
		return "web", nil
	default:
		return b.c.Workload.Namespace, selector(nil) // an empty selector: everything in the namespace
	}
}

// targets is a namespace and targetRefs for a waypoint policy.
func (b *builder) targets() (string, []*typev1beta1.PolicyTargetReference) {
	service := &typev1beta1.PolicyTargetReference{Kind: "Service", Name: b.c.Service.Name}
	gw := &typev1beta1.PolicyTargetReference{Group: "gateway.networking.k8s.io", Kind: "Gateway", Name: b.c.Waypoint.Name}
	class := &typev1beta1.PolicyTargetReference{Group: "gateway.networking.k8s.io", Kind: "GatewayClass", Name: gatewayClass}
	switch n := b.IntN(100); {
	case n < 50:
		return b.c.Service.Namespace, []*typev1beta1.PolicyTargetReference{service}
	case n < 70:
		return b.c.Waypoint.Namespace, []*typev1beta1.PolicyTargetReference{gw}
	case n < 80:
		return rootNamespace, []*typev1beta1.PolicyTargetReference{class}
	case n < 84: // a class outside the root namespace binds nothing
		return b.c.Service.Namespace, []*typev1beta1.PolicyTargetReference{class}
	case n < 88: // a gateway of another namespace, or another name
		return b.pick("web", b.c.Service.Namespace), []*typev1beta1.PolicyTargetReference{gw}
	case n < 92:
		other := &typev1beta1.PolicyTargetReference{Kind: "Service", Name: "other"}
		return b.c.Service.Namespace, []*typev1beta1.PolicyTargetReference{other, service}
	case n < 96:
		other := &typev1beta1.PolicyTargetReference{Kind: "Service", Name: "other"}
		return b.c.Service.Namespace, []*typev1beta1.PolicyTargetReference{other}
	default: // the same Service name in another namespace
		return "web", []*typev1beta1.PolicyTargetReference{service}
	}
}

// usesJWT says whether any policy looks at what RequestAuthentication establishes.
func (b *builder) usesJWT() bool {
	for _, p := range b.specs {
		for _, r := range p.Rules {
			for _, f := range r.From {
				if len(f.Source.RequestPrincipals)+len(f.Source.NotRequestPrincipals) > 0 {
					return true
				}
			}
			for _, w := range r.When {
				if len(w.Key) > 12 && w.Key[:12] == "request.auth" {
					return true
				}
			}
		}
	}
	return false
}

// addRequestAuthentication trusts one or both issuers, for sidecars and for waypoints.
func (b *builder) addRequestAuthentication() {
	for _, iss := range b.some(2, issuers) {
		rule := &authz.JWTRule{Issuer: iss, Jwks: JWKS}
		if b.chance(15) {
			rule.Audiences = b.some(2, audiences)
		}
		switch b.IntN(8) {
		case 0:
			rule.FromHeaders = []*authz.JWTHeader{{Name: "x-jwt", Prefix: b.pick("", "Token ")}}
		case 1:
			rule.FromParams = []string{"token"}
		case 2:
			rule.FromCookies = []string{"session"}
		}
		if b.chance(10) {
			rule.SpaceDelimitedClaims = []string{"roles_line"}
		}
		b.jwt = append(b.jwt, rule)
	}
	spec := &authz.RequestAuthentication{JwtRules: b.jwt}
	ns, sel := b.scope()
	if b.chance(60) {
		ns, sel = b.c.Workload.Namespace, selector(map[string]string{"app": "cart"})
	}
	forSidecar := spec.DeepCopy()
	forSidecar.Selector = sel
	b.objects = append(b.objects, object{"RequestAuthentication", "jwt", ns, nil, forSidecar})
	forWaypoint := spec.DeepCopy()
	ns, refs := b.targets()
	if b.chance(60) {
		ns, refs = b.c.Service.Namespace, []*typev1beta1.PolicyTargetReference{{Kind: "Service", Name: b.c.Service.Name}}
	}
	forWaypoint.TargetRefs = refs
	b.objects = append(b.objects, object{"RequestAuthentication", "jwt-t", ns, nil, forWaypoint})
}

var mtlsModes = []authz.PeerAuthentication_MutualTLS_Mode{
	authz.PeerAuthentication_MutualTLS_UNSET, authz.PeerAuthentication_MutualTLS_PERMISSIVE,
	authz.PeerAuthentication_MutualTLS_STRICT, authz.PeerAuthentication_MutualTLS_STRICT, authz.PeerAuthentication_MutualTLS_DISABLE,
}

// addPeerAuthentication adds some of: a mesh-wide, a namespace-wide and up to two workload policies with port levels.
func (b *builder) addPeerAuthentication() {
	mode := func() *authz.PeerAuthentication_MutualTLS {
		return &authz.PeerAuthentication_MutualTLS{Mode: mtlsModes[b.IntN(len(mtlsModes))]}
	}
	add := func(name, ns string, spec *authz.PeerAuthentication) {
		b.objects = append(b.objects, object{"PeerAuthentication", name, ns, nil, spec})
	}
	if b.chance(40) {
		add("mesh", rootNamespace, &authz.PeerAuthentication{Mtls: mode()})
	}
	if b.chance(50) {
		add("namespace", b.c.Workload.Namespace, &authz.PeerAuthentication{Mtls: mode()})
	}
	for i := range b.IntN(3) {
		spec := &authz.PeerAuthentication{Selector: selector(map[string]string{"app": "cart"}), Mtls: mode()}
		if b.chance(30) {
			spec.Mtls = nil
		}
		for _, port := range []uint32{8080, 8443, 9090} {
			if b.chance(35) {
				if spec.PortLevelMtls == nil {
					spec.PortLevelMtls = map[uint32]*authz.PeerAuthentication_MutualTLS{}
				}
				spec.PortLevelMtls[port] = mode()
			}
		}
		add(fmt.Sprintf("workload-%d", i), b.c.Workload.Namespace, spec)
	}
}

// specOf reads an AuthorizationPolicy spec from JSON, for cases that are written by hand.
func specOf(js string) (*authz.AuthorizationPolicy, error) {
	p := &authz.AuthorizationPolicy{}
	if err := json.Unmarshal([]byte(js), p); err != nil {
		return nil, fmt.Errorf("%s: %w", js, err)
	}
	return p, nil
}
