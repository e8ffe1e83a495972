package demo

import (
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	security "istio.io/api/security/v1beta1"
	istiotype "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// policy makes an AuthorizationPolicy for one service's pods.
func (s *service) policy(name string, action security.AuthorizationPolicy_Action, rules ...*security.Rule) *securityv1.AuthorizationPolicy {
	p := &securityv1.AuthorizationPolicy{ObjectMeta: s.meta(name)}
	p.Spec.Selector = s.selector()
	p.Spec.Action = action
	p.Spec.Rules = rules
	return p
}

func (s *service) selector() *istiotype.WorkloadSelector {
	return &istiotype.WorkloadSelector{MatchLabels: map[string]string{"app": s.name}}
}

func to(o *security.Operation) *security.Rule {
	return &security.Rule{To: []*security.Rule_To{{Operation: o}}}
}

func from(source *security.Source) *security.Rule {
	return &security.Rule{From: []*security.Rule_From{{Source: source}}}
}

func l4Policy(s *service) []snapshot.Object {
	return []snapshot.Object{s.policy(s.name+"-callers", security.AuthorizationPolicy_ALLOW,
		from(&security.Source{Principals: []string{"cluster.local/ns/" + s.team.name + "/sa/*"}}))}
}

func httpPolicy(s *service) []snapshot.Object {
	rule := to(&security.Operation{Methods: []string{"GET", "POST"}, Paths: []string{"/v1/*"}})
	rule.From = []*security.Rule_From{{Source: &security.Source{Namespaces: []string{s.team.name, "edge"}}}}
	return []snapshot.Object{s.policy(s.name+"-http", security.AuthorizationPolicy_ALLOW, rule)}
}

// attachedPolicy is what httpPolicy becomes at a waypoint.
func attachedPolicy(s *service) []snapshot.Object {
	p := httpPolicy(s)[0].(*securityv1.AuthorizationPolicy)
	p.Spec.Selector = nil
	p.Spec.TargetRefs = []*istiotype.PolicyTargetReference{{Kind: "Service", Name: s.name}}
	return []snapshot.Object{p}
}

func denyPaths(s *service) []snapshot.Object {
	return []snapshot.Object{s.policy(s.name+"-no-admin", security.AuthorizationPolicy_DENY,
		to(&security.Operation{Paths: []string{"/admin", "/admin/*"}}))}
}

func jwtPolicy(s *service) []snapshot.Object {
	authn := &securityv1.RequestAuthentication{ObjectMeta: s.meta(s.name + "-jwt")}
	authn.Spec.Selector = s.selector()
	authn.Spec.JwtRules = []*security.JWTRule{{Issuer: "https://login.example.com", JwksUri: "https://login.example.com/keys"}}
	return []snapshot.Object{authn, s.policy(s.name+"-signed-in", security.AuthorizationPolicy_ALLOW,
		from(&security.Source{RequestPrincipals: []string{"https://login.example.com/*"}}))}
}

func customPolicy(s *service) []snapshot.Object {
	p := s.policy(s.name+"-ext-authz", security.AuthorizationPolicy_CUSTOM, &security.Rule{})
	p.Spec.ActionDetail = &security.AuthorizationPolicy_Provider{
		Provider: &security.AuthorizationPolicy_ExtensionProvider{Name: "opa"},
	}
	return []snapshot.Object{p}
}

func auditPolicy(s *service) []snapshot.Object {
	return []snapshot.Object{s.policy(s.name+"-audit", security.AuthorizationPolicy_AUDIT,
		to(&security.Operation{Methods: []string{"DELETE"}}))}
}

// namespacePolicy admits callers from chosen namespaces to everything in one: L4 alone.
func namespacePolicy(namespace string, callers ...string) *securityv1.AuthorizationPolicy {
	p := &securityv1.AuthorizationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "callers-only", Namespace: namespace}}
	p.Spec.Rules = []*security.Rule{from(&security.Source{Namespaces: callers})}
	return p
}

// strictMTLS is the mesh-wide default.
func strictMTLS() *securityv1.PeerAuthentication {
	p := &securityv1.PeerAuthentication{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: systemNamespace}}
	p.Spec.Mtls = &security.PeerAuthentication_MutualTLS{Mode: security.PeerAuthentication_MutualTLS_STRICT}
	return p
}
