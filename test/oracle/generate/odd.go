package generate

import (
	"fmt"
	"maps"

	authz "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

// The odd vocabulary: spellings at the edge of what the API takes, and some beyond it.
var (
	oddPathPatterns = []string{"/{**}/admin", "/api/{*}", "/{*}/{*}", "*/items", "/a.b/*", "/admin?x=*", "*admin*", "/api/{**}/items", "/",
		"*", "/Admin*", "/x%2Fy", "/a+b", "/a(b)*", "//admin*", "/{*}/", "/admin/{**}/", "/api/{*}/items/", "/{**}.js", "admin", "/ad*in"}
	oddHostPatterns = []string{"CART", "*.Example.com", "cart:*", "*:8080", "*cart", "cart.shop.svc.cluster.local:80", "Cart*",
		"api.example.com.*", "a.*b", "*", "[::1]*", "10.96.0.7"}
	oddMethodPatterns     = []string{"get", "G*", "*ET", "POST", "*"}
	oddNamespacePatterns  = []string{"w*b", "*eb", "we*", "w.b", "web-*", "*", "WEB"}
	oddPrincipalPatterns  = []string{"*/sa/front", "cluster.local/*", "*", "spiffe://cluster.local/ns/web/sa/front", "cluster.local/ns/web/sa/front*", "*/ns/web/sa/front", "old.example/*", "*front", "cluster.local*"}
	oddAccounts           = []string{"front", "web/front", "web/fr.nt", "web/", "/front", "web/front/x", "*"}
	oddTrustDomains       = []string{"*", "cluster.*", "*.example", "*local", "old.example", "cluster.local", "*ter.loc*"}
	oddRequestPrincipals  = []string{"issuer*", "*alice", "https://issuer.example*", "*/alice", "issuer-b/al*", "https://*", "https://issuer.example/*", "*example/alice", "alice", "issuer-b/svc/batch", "/alice", "issuer-b/", "*", "**", "*/*", "issuer*/alice"}
	oddBlocks             = []string{"0.0.0.0/0", "10.2.3.4/0", "2001:db8::/31", "10.2.0.8/29", "10.2.0.9/31", "10.2.0.9/33", "::/0", "203.0.113.7/32"}
	oddHeaderValues       = []string{"*", "", "alice,bob", "a,*", " alice", "Alice", "*b", "a.ice"}
	oddRequestPaths       = []string{"/admin/%2e%2e/x", "/a//b", "/%2Fadmin", "/admin%5Cx", `/admin\x`, "/api/v1/../../admin", "/admin/.", "/x/%7Badmin", "/%c3%a9", "/admin?", "/?/admin", "/.//admin", "/api//items", "/api/v1/items/", "/admin%2f..%2fx", "/a+b", "/a%2Bb", "/a(b)c", "/x.js", "/a/x.js", "/%41dmin", "/admin%20", "/api/v1%2Fx/items", "/x%2Fy", "/ADMIN"}
	oddRequestHosts       = []string{"CART", "cart:80", "cart.shop:443", "[::1]:80", "10.96.0.7", "Api.Example.Com", "x.example.com", "cart.", "a.b"}
	oddRequestHeaderSets  = []map[string]string{{"x-user": ""}, {"x-user": "alice,bob"}, {"x-user": "Alice"}, {"origin": "http://x.example"}, {"x-user": "alice", "x-env": "a,b"}, {"x-env": "prod"}}
	oddConditionTemplates = []authz.Condition{
		{Key: "request.headers[:method]", Values: []string{"GET"}}, {Key: "request.headers[X-USER]", NotValues: []string{"b*"}},
		{Key: "request.headers[x-env]", NotValues: []string{"prod*"}}, {Key: "request.headers[host]", Values: []string{"cart*"}},
		{Key: "request.headers[x-user]", Values: oddHeaderValues[:2]}, {Key: "request.headers[x-user]", NotValues: []string{"*"}},
		{Key: "request.headers[X-Env]", Values: []string{"*b", "prod*"}}, {Key: "request.headers[x-user]", Values: oddHeaderValues[2:5]},
		{Key: "request.auth.claims[https://example.com/groups]", Values: []string{"admins"}},
		{Key: "request.auth.claims[a][b][c]", Values: []string{"x*"}}, {Key: "request.auth.claims[a.b]", Values: []string{"z"}},
		{Key: "request.auth.claims[num]", Values: []string{"7"}}, {Key: "request.auth.claims[flag]", Values: []string{"true"}},
		{Key: "request.auth.claims[iss]", Values: []string{"issuer*"}}, {Key: "request.auth.claims[aud]", Values: []string{"cart"}},
		{Key: "request.auth.claims[scope]", Values: []string{"read"}}, {Key: "request.auth.claims[permission]", NotValues: []string{"p2"}},
		{Key: "request.auth.claims[roles_line]", Values: []string{"r1"}}, {Key: "request.auth.claims[groups]", Values: []string{"*"}},
		{Key: "request.auth.claims[groups]", NotValues: []string{"*"}}, {Key: "request.auth.claims[a]", Values: []string{"*"}},
		{Key: "request.auth.audiences", Values: []string{"*"}}, {Key: "request.auth.audiences", NotValues: []string{"cart"}},
		{Key: "request.auth.presenter", NotValues: []string{"*"}}, {Key: "source.serviceAccount", Values: []string{"web/front"}},
		{Key: "source.trustDomain", Values: []string{"cluster.local"}}, {Key: "destination.port", Values: []string{"080"}},
		{Key: "connection.sni", Values: []string{"*"}}, {Key: "connection.sni", NotValues: []string{"*"}}, {Key: "remote.ip", Values: oddBlocks[2:4]},
		{Key: "source.namespace", Values: []string{"w.b"}}, {Key: "source.principal", NotValues: []string{"*"}},
		{Key: "experimental.envoy.filters.network.mysql_proxy[db]", NotValues: []string{"[x]"}},
	}
	oddClaims = []map[string]any{
		{"num": 7}, {"flag": true}, {"https://example.com/groups": []any{"admins"}}, {"a": map[string]any{"b": map[string]any{"c": []any{"x", "y"}}}},
		{"a.b": "z"}, {"groups": map[string]any{"x": 1}}, {"groups": []any{[]any{"admins"}}}, {"groups": []any{"admins", 7}}, {"groups": ""},
		{"permission": "p1 p2"}, {"scope": []any{"read", "write"}}, {"roles_line": "r1 r2"}, {"scope": "read"}, {"groups": []any{}},
		{"aud": "cart checkout"}, {"azp": []any{"alice"}}, {"sub": ""}, {"sub": "al/ice"}, {"num": "7", "flag": "true"},
	}
)

// OddCase makes case n of the odd stream: ordinary cases with odd spellings grafted on.
func OddCase(seed uint64, n int) (*corpus.Case, error) {
	b := newOdd(seed, "odd", 2_000_000, n)
	return b.finish()
}

// EdgeCase is an odd case with two more edges: CORS preflight requests, which Envoy's jwt_authn lets pass unread
// (bypass_cors_preflight in istiod's config), and IPv4-mapped addresses, which Envoy matches as the IPv6 addresses they are.
func EdgeCase(seed uint64, n int) (*corpus.Case, error) {
	b := newOdd(seed, "edge", 3_000_000, n)
	b.edges = true
	if len(b.jwt) == 0 {
		b.addRequestAuthentication()
	}
	return b.finish()
}

func newOdd(seed uint64, name string, offset, n int) *builder {
	d := newDice(seed, uint64(offset+n))
	c := baseCase(fmt.Sprintf("%s-%06d", name, n))
	if d.chance(25) {
		c.Mesh.TrustDomainAliases = []string{"old.example"}
	}
	b := &builder{dice: d, c: c, odd: true}
	for range 1 + d.IntN(2) {
		b.addAuthorization()
	}
	if b.usesJWT() || d.chance(10) {
		b.addRequestAuthentication()
		if d.chance(20) { // a second one for the same issuers: its rules are added
			b.addRequestAuthentication()
			last := len(b.objects)
			b.objects[last-2].name, b.objects[last-1].name = "jwt-2", "jwt-2-t"
		}
	}
	return b
}

// makeOdd replaces parts of a policy by odd spellings.
func (d dice) makeOdd(p *authz.AuthorizationPolicy) {
	for _, r := range p.Rules {
		for _, f := range r.From {
			d.oddSource(f.Source)
		}
		for _, t := range r.To {
			d.oddOperation(t.Operation)
		}
		if d.chance(45) {
			r.When = append(r.When, oddConditionTemplates[d.IntN(len(oddConditionTemplates))].DeepCopy())
		}
	}
}

func (d dice) oddSource(s *authz.Source) {
	for _, f := range []struct {
		list *[]string
		from []string
	}{
		{&s.Principals, oddPrincipalPatterns}, {&s.NotPrincipals, oddPrincipalPatterns}, {&s.Namespaces, oddNamespacePatterns},
		{&s.NotNamespaces, oddNamespacePatterns}, {&s.ServiceAccounts, oddAccounts}, {&s.NotServiceAccounts, oddAccounts},
		{&s.TrustDomains, oddTrustDomains}, {&s.NotTrustDomains, oddTrustDomains}, {&s.RequestPrincipals, oddRequestPrincipals},
		{&s.NotRequestPrincipals, oddRequestPrincipals}, {&s.IpBlocks, oddBlocks}, {&s.NotIpBlocks, oddBlocks},
		{&s.RemoteIpBlocks, oddBlocks}, {&s.NotRemoteIpBlocks, oddBlocks},
	} {
		if len(*f.list) > 0 && d.chance(60) {
			*f.list = d.some(2, f.from)
		}
	}
}

func (d dice) oddOperation(o *authz.Operation) {
	for _, f := range []struct {
		list *[]string
		from []string
	}{
		{&o.Paths, oddPathPatterns}, {&o.NotPaths, oddPathPatterns}, {&o.Hosts, oddHostPatterns}, {&o.NotHosts, oddHostPatterns},
		{&o.Methods, oddMethodPatterns}, {&o.NotMethods, oddMethodPatterns},
	} {
		if len(*f.list) > 0 && d.chance(60) {
			*f.list = d.some(2, f.from)
		}
	}
}

// oddTargets are ways to name a target that bind nothing, or look as if they did.
func (b *builder) oddTargets() (string, []*typev1beta1.PolicyTargetReference) {
	ref := func(group, kind, name, ns string) []*typev1beta1.PolicyTargetReference {
		return []*typev1beta1.PolicyTargetReference{{Group: group, Kind: kind, Name: name, Namespace: ns}}
	}
	const gwGroup = "gateway.networking.k8s.io"
	all := []func() (string, []*typev1beta1.PolicyTargetReference){
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "shop", ref("core", "Service", "cart", "")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "shop", ref("", "Service", "cart", "shop")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "web", ref("", "Service", "cart", "shop")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) { return "shop", ref("", "service", "cart", "") },
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "shop", ref("", "Gateway", "waypoint", "")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "shop", ref(gwGroup, "Gateway", "waypoint", "shop")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "shop", ref(gwGroup, "Gateway", "waypoint", "web")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return "shop", ref("networking.istio.io", "ServiceEntry", "cart", "")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return rootNamespace, ref(gwGroup, "GatewayClass", "other-waypoint", "")
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return rootNamespace, ref(gwGroup, "GatewayClass", gatewayClass, rootNamespace)
		},
		func() (string, []*typev1beta1.PolicyTargetReference) {
			return rootNamespace, ref("", "Service", "cart", "")
		},
	}
	return all[b.IntN(len(all))]()
}

// makeOddRequest replaces parts of a request.
func (b *builder) makeOddRequest(r *corpus.Request) {
	if b.edges && b.chance(40) {
		r.Headers = map[string]string{"origin": "http://x.example", "access-control-request-method": "GET"}
		r.Method = b.pick("OPTIONS", "OPTIONS", "OPTIONS", "GET")
		return
	}
	if b.edges && b.chance(40) {
		r.RemoteIP = "::ffff:" + b.pick(sourceIPs...)
		return
	}
	if b.chance(35) {
		r.Path = b.pick(oddRequestPaths...)
	}
	if b.chance(30) {
		r.Host = b.pick(oddRequestHosts...)
	}
	if b.chance(30) {
		r.Headers = maps.Clone(oddRequestHeaderSets[b.IntN(len(oddRequestHeaderSets))])
	}
	if r.JWT != nil && b.chance(60) {
		maps.Copy(r.JWT, oddClaims[b.IntN(len(oddClaims))])
	}
	if b.chance(15) {
		r.SourcePrincipal = b.pick("cluster.local/ns/web/sa/front", "cluster.local/ns/wxb/sa/front", "cluster.local/ns/web/sa/fr.nt", "old.example/ns/web/sa/front")
	}
}
