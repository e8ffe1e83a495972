package authz

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	securityapi "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// chooser makes random choices; rapid and math/rand both can stand behind it.
type chooser interface{ Intn(n int) int }

// gen makes small worlds and requests that meet: values of requests are drawn from the
// same vocabulary as values of policies, so that rules really match.
type gen struct{ c chooser }

func (g gen) chance(percent int) bool { return g.c.Intn(100) < percent }

func pick[T any](g gen, list ...T) T { return list[g.c.Intn(len(list))] }

func some(g gen, max int, list []string) []string {
	n := g.c.Intn(max) + 1
	out := make([]string, 0, n)
	for i := 0; i < n; i++ {
		out = append(out, list[g.c.Intn(len(list))])
	}
	return out
}

var (
	vocabPrincipals = []string{"cluster.local/ns/a/sa/w0", "cluster.local/ns/a/sa/w1", "cluster.local/ns/b/sa/w2", "cluster.local/ns/b/*", "*/sa/w1", "*", "cluster.local/ns/a/sa/waypoint", "other.td/ns/a/sa/w0", "cluster.local/ns/*"}
	vocabNamespaces = []string{"a", "b", "c", "a*", "*b", "*"}
	vocabSAs        = []string{"w0", "w1", "a/w0", "b/w2", "a/waypoint"}
	vocabTDs        = []string{"cluster.local", "*", "other*", "*.local"}
	vocabCIDRs      = []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.168.1.0/24", "0.0.0.0/0", "fd00::/8", "::ffff:10.1.0.0/112"}
	vocabPorts      = []string{"80", "8080", "9090", "443"}
	vocabMethods    = []string{"GET", "POST", "DELETE", "OPTIONS", "*", "P*", "*T", "*S"}
	vocabPaths      = []string{"/", "/admin", "/admin*", "/api/*", "*.html", "*/x", "/api/{*}", "/api/{**}", "/{*}/x", "*", "/api/v1/x", "/api/{*}/x/{**}"}
	vocabHosts      = []string{"a.example", "*.example", "A.example", "b.*", "*"}
	vocabHeaders    = []string{"v1", "v*", "*1", "*", "V1"}
	vocabSubjects   = []string{"https://iss/alice", "https://iss/*", "*", "*/bob", "https://other/alice", "https://iss*", "*alice"}
	vocabClaims     = []string{"admin", "dev", "a*", "*n", "*"}
	vocabSNI        = []string{"a.example", "*.example", "*"}
	vocabKeys       = []string{"source.ip", "remote.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain",
		"destination.ip", "destination.port", "connection.sni", "request.headers[x-v]", "request.headers[:method]", "request.headers[Origin]", "request.headers[access-control-request-method]", "request.auth.principal",
		"request.auth.audiences", "request.auth.presenter", "request.auth.claims[role]", "request.auth.claims[a][b]", "request.auth.claims[iss]",
		"request.auth.claims[sub]", "experimental.envoy.filters.x[k]", "unknown.key", "request.headers", "request.auth.claims"}
)

func (g gen) values(key string) []string {
	lists := map[string][]string{"source.ip": vocabCIDRs, "remote.ip": vocabCIDRs, "destination.ip": vocabCIDRs,
		"source.namespace": vocabNamespaces, "source.principal": vocabPrincipals, "source.serviceAccount": vocabSAs, "source.trustDomain": vocabTDs,
		"destination.port": vocabPorts, "connection.sni": vocabSNI, "request.headers[:method]": vocabMethods, "request.auth.principal": vocabSubjects,
		"request.auth.claims[iss]": {"https://iss", "https://*", "*"}, "request.auth.claims[sub]": {"alice", "b*"}}
	if l, ok := lists[key]; ok {
		return some(g, 2, l)
	}
	return some(g, 2, append(vocabClaims, vocabHeaders...))
}

func (g gen) rule(l4 bool) *securityapi.Rule {
	r := &securityapi.Rule{}
	for n := g.c.Intn(3); n > 0; n-- {
		s := &securityapi.Source{}
		for k := g.c.Intn(2) + 1; k > 0; k-- {
			switch g.c.Intn(12) {
			case 0, 1:
				s.Principals = some(g, 2, vocabPrincipals)
			case 2:
				s.NotPrincipals = some(g, 2, vocabPrincipals)
			case 3:
				s.Namespaces = some(g, 2, vocabNamespaces)
			case 4:
				s.NotNamespaces = some(g, 2, vocabNamespaces)
			case 5:
				s.ServiceAccounts = some(g, 2, vocabSAs)
			case 6:
				s.IpBlocks = some(g, 2, vocabCIDRs)
			case 7:
				s.NotIpBlocks = some(g, 2, vocabCIDRs)
			case 8:
				if !l4 {
					s.RemoteIpBlocks = some(g, 2, vocabCIDRs)
				}
			case 9:
				if !l4 {
					s.RequestPrincipals = some(g, 2, vocabSubjects)
				}
			case 10:
				if !l4 {
					s.NotRequestPrincipals = some(g, 2, vocabSubjects)
				}
			case 11:
				s.TrustDomains = some(g, 2, vocabTDs)
			}
		}
		r.From = append(r.From, &securityapi.Rule_From{Source: s})
	}
	for n := g.c.Intn(3); n > 0; n-- {
		o := &securityapi.Operation{}
		for k := g.c.Intn(2) + 1; k > 0; k-- {
			what := g.c.Intn(8)
			if l4 {
				what = g.c.Intn(2)
			}
			switch what {
			case 0:
				o.Ports = some(g, 2, vocabPorts)
			case 1:
				o.NotPorts = some(g, 2, vocabPorts)
			case 2:
				o.Methods = some(g, 2, vocabMethods)
			case 3:
				o.NotMethods = some(g, 2, vocabMethods)
			case 4, 5:
				o.Paths = some(g, 3, vocabPaths)
			case 6:
				o.NotPaths = some(g, 2, vocabPaths)
			case 7:
				o.Hosts = some(g, 2, vocabHosts)
			}
		}
		r.To = append(r.To, &securityapi.Rule_To{Operation: o})
	}
	if g.chance(35) {
		key := pick(g, vocabKeys...)
		if l4 {
			key = pick(g, "source.ip", "source.namespace", "source.principal", "destination.ip", "destination.port")
		}
		c := &securityapi.Condition{Key: key}
		if g.chance(70) {
			c.Values = g.values(key)
		} else {
			c.NotValues = g.values(key)
		}
		r.When = append(r.When, c)
	}
	return r
}

func (g gen) policy(i int) *securityv1.AuthorizationPolicy {
	p := &securityv1.AuthorizationPolicy{}
	p.Name = fmt.Sprintf("p%d", i)
	p.Namespace = pick(g, "a", "a", "a", "b", "istio-system")
	switch g.c.Intn(12) {
	case 0, 1, 2, 3, 4:
		p.Spec.Action = securityapi.AuthorizationPolicy_ALLOW
	case 10:
		p.Spec.Action = securityapi.AuthorizationPolicy_AUDIT
	case 11:
		p.Spec.Action = securityapi.AuthorizationPolicy_CUSTOM
		p.Spec.ActionDetail = &securityapi.AuthorizationPolicy_Provider{Provider: &securityapi.AuthorizationPolicy_ExtensionProvider{Name: pick(g, "ext", "ext", "missing")}}
	default:
		p.Spec.Action = securityapi.AuthorizationPolicy_DENY
	}
	switch g.c.Intn(5) {
	case 0:
	case 1, 2:
		p.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": pick(g, "w0", "w1")}}
	case 3:
		p.Spec.TargetRefs = []*typev1beta1.PolicyTargetReference{{Kind: "Service", Name: pick(g, "w0", "w1")}}
	case 4:
		p.Spec.TargetRefs = []*typev1beta1.PolicyTargetReference{{Group: "gateway.networking.k8s.io", Kind: "Gateway", Name: "waypoint"}}
		if p.Namespace == "istio-system" {
			p.Spec.TargetRefs[0].Kind, p.Spec.TargetRefs[0].Name = "GatewayClass", "istio-waypoint"
		}
	}
	l4 := g.chance(30)
	for n := g.c.Intn(3); n > 0; n-- {
		p.Spec.Rules = append(p.Spec.Rules, g.rule(l4))
	}
	if g.chance(4) {
		p.Annotations = map[string]string{"istio.io/dry-run": "true"}
	}
	return p
}

func (g gen) requestAuthentication(i int) *securityv1.RequestAuthentication {
	p := &securityv1.RequestAuthentication{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r%d", i), Namespace: "a"}}
	if g.chance(50) {
		p.Spec.TargetRefs = []*typev1beta1.PolicyTargetReference{{Group: "gateway.networking.k8s.io", Kind: "Gateway", Name: "waypoint"}}
	}
	r := &securityapi.JWTRule{Issuer: pick(g, "https://iss", "https://iss", "https://other"), ForwardOriginalToken: g.chance(70)}
	if g.chance(30) {
		r.Audiences = []string{pick(g, "admin", "web")}
	}
	if g.chance(15) {
		r.FromHeaders = []*securityapi.JWTHeader{{Name: "x-jwt"}}
	}
	p.Spec.JwtRules = append(p.Spec.JwtRules, r)
	return p
}

func (g gen) peer(i int) *securityv1.PeerAuthentication {
	mode := func() *securityapi.PeerAuthentication_MutualTLS {
		return &securityapi.PeerAuthentication_MutualTLS{Mode: securityapi.PeerAuthentication_MutualTLS_Mode(g.c.Intn(4))}
	}
	p := &securityv1.PeerAuthentication{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s%d", i), Namespace: pick(g, "a", "istio-system"),
		CreationTimestamp: metav1.NewTime(time.Unix(int64(1000+i), 0))}}
	p.Spec.Mtls = mode()
	if g.chance(50) {
		p.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": pick(g, "w0", "w1")}}
		p.Spec.PortLevelMtls = map[uint32]*securityapi.PeerAuthentication_MutualTLS{8080: mode(), 9090: mode()}
	} else if g.chance(25) {
		p.Spec.Selector = &typev1beta1.WorkloadSelector{}
	}
	return p
}

func (g gen) policies() Policies {
	var ps Policies
	for i, n := 0, g.c.Intn(5); i < n; i++ {
		p, _ := CompileAuthorizationPolicy(g.policy(i))
		ps.Authorization = append(ps.Authorization, p)
	}
	for i, n := 0, g.c.Intn(3); i < n; i++ {
		p, _ := CompileRequestAuthentication(g.requestAuthentication(i))
		ps.Authentication = append(ps.Authentication, p)
	}
	for i, n := 0, g.c.Intn(3); i < n; i++ {
		p, _ := CompilePeerAuthentication(g.peer(i))
		ps.Peer = append(ps.Peer, p)
	}
	return ps
}

func (g gen) clientTLS() ClientTLS {
	c := ClientTLS{Mode: pick(g, TLSAuto, TLSDisable, TLSDisable, TLSIstioMutual, TLSSimple), Passthrough: g.chance(15), By: "a/rule"}
	if g.chance(30) {
		c.Ports = map[uint16]TLSMode{80: pick(g, TLSDisable, TLSIstioMutual)}
	}
	return c
}

// world makes three workloads in two namespaces, a gateway, services and a waypoint.
func (g gen) world() World {
	w := World{Policies: g.policies()}
	w.Config.ExtensionProviders = []ExtensionProvider{{Name: "ext", TCP: true}}
	if g.chance(15) {
		w.Config.AutoAllowWaypoint = true
	}
	if g.chance(15) {
		w.Config.LayeredWaypointPolicies = true
	}
	w.Config.PreferHBONE, w.Config.NoAutoMTLS = g.chance(15), g.chance(10)
	if g.chance(10) {
		w.Config.TrustDomainAliases = []string{"other.td"}
	}
	wp := Binding{Namespace: "a", Name: "waypoint"}
	for i := 0; i < 3; i++ {
		name := fmt.Sprintf("w%d", i)
		ns := "a"
		if i == 2 {
			ns = "b"
		}
		wl := Workload{Ref: Ref{Kind: "Deployment", Namespace: ns, Name: name}, Labels: map[string]string{"app": name}, ServiceAccount: name,
			Role: RoleApplication, Mode: pick(g, ModeSidecar, ModeSidecar, ModeAmbient, ModeAmbient, ModeNone), HBONE: g.chance(70)}
		if g.chance(30) {
			wl.Waypoint = wp
		}
		if g.chance(20) {
			wl.TLSScope = ns
		}
		wl.BypassInbound, wl.Narrow = g.chance(8), g.chance(8)
		if i == 0 {
			wl.IPs = []netip.Addr{netip.MustParseAddr("10.1.2.3")}
		}
		w.Workloads = append(w.Workloads, wl)
		s := Service{Namespace: ns, Name: name, Workloads: []Pods{wl.Pods()}, Headless: i == 1 && g.chance(30), IngressUseWaypoint: g.chance(40),
			Ports: []ServicePort{{Port: 80, TargetPort: 8080, Protocol: pick(g, ProtocolHTTP, ProtocolAuto, ProtocolTCP)}}}
		if g.chance(50) {
			s.Waypoint = wp
		}
		if g.chance(4) {
			s.Canary = "a/next"
		}
		if g.chance(25) {
			s.ClientTLS = map[string]ClientTLS{pick(g, "", "a"): g.clientTLS(), "b": g.clientTLS()}
		}
		w.Services = append(w.Services, s)
	}
	w.Workloads = append(w.Workloads, Workload{Ref: Ref{Kind: "Deployment", Namespace: "b", Name: "gw"}, Labels: map[string]string{"app": "gw"},
		ServiceAccount: "gw", Role: RoleGateway, Mode: ModeSidecar, HBONE: true, Ports: []Port{{Number: 443, Protocol: ProtocolHTTP}}})
	w.Waypoints = []Waypoint{{Namespace: "a", Name: "waypoint", For: pick(g, ForService, ForAll, ForWorkload), Programmed: g.chance(90), Ready: g.chance(90), Admits: []string{"*"}}}
	return w
}

// change makes a world that differs from w in a few ways.
func (g gen) change(w World) World {
	out := w
	out.Workloads = append([]Workload(nil), w.Workloads...)
	out.Services = append([]Service(nil), w.Services...)
	out.Waypoints = append([]Waypoint(nil), w.Waypoints...)
	if g.chance(60) {
		out.Policies.Authorization = g.rewrite(w.Policies.Authorization)
		return out
	}
	for n := g.c.Intn(3) + 1; n > 0; n-- {
		switch g.c.Intn(11) {
		case 10:
			out.Config.TrustDomain = pick(g, "", "other.td")
		case 9:
			out.Workloads[g.c.Intn(3)].ServiceAccount = pick(g, "w0", "w1", "w2", "waypoint")
		case 8:
			out.split(g, g.c.Intn(3))
		case 7:
			x := &out.Services[g.c.Intn(3)]
			x.ClientTLS = map[string]ClientTLS{"": g.clientTLS()}
		case 0, 1:
			x := &out.Workloads[g.c.Intn(3)]
			x.Mode, x.HBONE = pick(g, ModeSidecar, ModeAmbient, ModeNone), g.chance(70)
		case 2:
			x := &out.Services[g.c.Intn(3)]
			x.Waypoint = Binding{}
			if g.chance(60) {
				x.Waypoint = Binding{Namespace: "a", Name: "waypoint"}
			}
		case 3, 4:
			out.Policies.Authorization = append([]AuthorizationPolicy(nil), out.Policies.Authorization...)
			if len(out.Policies.Authorization) > 0 && g.chance(50) {
				i := g.c.Intn(len(out.Policies.Authorization))
				out.Policies.Authorization = append(out.Policies.Authorization[:i], out.Policies.Authorization[i+1:]...)
			} else {
				p, _ := CompileAuthorizationPolicy(g.policy(7))
				out.Policies.Authorization = append(out.Policies.Authorization, p)
			}
		case 5:
			p, _ := CompileRequestAuthentication(g.requestAuthentication(7))
			out.Policies.Authentication = append(append([]RequestAuthentication(nil), out.Policies.Authentication...), p)
		case 6:
			out.Waypoints[0].Ready = !out.Waypoints[0].Ready
		}
	}
	return out
}

// split has some pods of a workload made anew: the state in the middle of a restart.
func (w *World) split(g gen, i int) {
	old := &w.Workloads[i]
	if old.Set != "" {
		return
	}
	pods := old.Pods()
	old.Set = "old"
	made := *old
	made.Set, made.Mode, made.HBONE = "new", pick(g, ModeSidecar, ModeAmbient), g.chance(70)
	if g.chance(20) {
		made.Labels = map[string]string{"app": pick(g, "w0", "w1", "new")}
	}
	w.Workloads = append(w.Workloads, made)
	for n := range w.Services {
		s := &w.Services[n]
		if at := slices.Index(s.Workloads, pods); at >= 0 {
			s.Workloads = append(slices.Delete(slices.Clone(s.Workloads), at, at+1), w.Workloads[i].Pods(), made.Pods())
		}
	}
}

// attributes fills a request with values near those of the vocabulary.
func (g gen) attributes(r *Request) {
	r.Method = pick(g, "GET", "POST", "DELETE", "PUT", "X")
	r.Path = pick(g, "/", "/admin", "/admin/x", "/api/v1", "/api/v1/x", "/api/", "/api/v1/x/y", "/index.html", "/a/x", "/api//x", "/x", "/api/v1/x/")
	r.Host = pick(g, "a.example", "A.EXAMPLE", "b.example", "b.org", "c")
	r.SNI = pick(g, "", "a.example", "b.example", "c")
	ips := []string{"10.0.0.1", "10.1.0.1", "10.1.2.3", "192.168.1.7", "8.8.8.8", "fd00::1", "2001:db8::1", "::ffff:10.1.2.3"}
	r.SourceIP, r.RemoteIP, r.PodIP, r.VIP, r.WaypointIP = pick(g, ips...), pick(g, ips...), pick(g, ips...), pick(g, ips...), pick(g, ips...)
	if g.chance(60) {
		r.Headers = map[string]string{"x-v": pick(g, "v1", "v2", "1", "V1", "", "admin", "dev")}
	}
	if g.chance(15) {
		r.Method = "OPTIONS"
		for _, h := range []string{preflightOrigin, preflightAskMethod} {
			if g.chance(85) {
				if r.Headers == nil {
					r.Headers = map[string]string{}
				}
				r.Headers[h] = pick(g, "v1", "admin", "1", "")
			}
		}
	}
	if g.chance(60) {
		t := &Token{Valid: g.chance(85), Issuer: pick(g, "https://iss", "https://iss", "https://other", "https://third"), Claims: map[string]Claim{}}
		if g.chance(80) {
			t.Claims["sub"] = Claim{Values: []string{pick(g, "alice", "bob", "carol")}}
		}
		for _, c := range []string{"role", "aud", "azp"} {
			if g.chance(60) {
				t.Claims[c] = Claim{Values: some(g, 2, []string{"admin", "dev", "web", "v1", "z"})}
			}
		}
		if g.chance(40) {
			t.Claims["a"] = Claim{Object: map[string]Claim{"b": {Values: some(g, 2, []string{"admin", "dev", "v1", "z"})}}}
		}
		if g.chance(10) {
			t.Place = "header:x-jwt"
		}
		r.JWT = t
	}
	if g.chance(30) {
		r.Metadata = map[string][]string{"experimental.envoy.filters.x[k]": some(g, 2, []string{"admin", "dev", "v1"})}
	}
	if g.chance(30) {
		r.Refused = []string{"ext"}
	}
}

// instance makes a text that a value of a policy matches, by the form of the value alone.
func (g gen) instance(v string) string {
	v = strings.ReplaceAll(strings.ReplaceAll(v, "{**}", pick(g, "s", "s/t", "")), "{*}", "seg")
	if g.chance(30) && strings.HasPrefix(v, "*") {
		return pick(g, "/admin", "/api/v", "a", "P") + v[1:]
	}
	return strings.ReplaceAll(v, "*", pick(g, "q", "x/y", "z"))
}

// direct makes a request follow a random rule, most of the way.
func (g gen) direct(r *Request, w *World) {
	if len(w.Policies.Authorization) == 0 {
		return
	}
	p := &w.Policies.Authorization[g.c.Intn(len(w.Policies.Authorization))]
	if len(p.Rules) == 0 {
		return
	}
	rule := &p.Rules[g.c.Intn(len(p.Rules))]
	set := func(list []string, f func(string)) {
		if len(list) > 0 && g.chance(85) {
			f(g.instance(list[g.c.Intn(len(list))]))
		}
	}
	if len(rule.To) > 0 {
		o := &rule.To[g.c.Intn(len(rule.To))]
		set(o.Methods, func(s string) { r.Method = s })
		set(o.Paths, func(s string) { r.Path = "/" + strings.TrimPrefix(s, "/") })
		set(o.Hosts, func(s string) { r.Host = s })
	}
	if len(rule.From) > 0 {
		s := &rule.From[g.c.Intn(len(rule.From))]
		ip := func(f *string) func(string) {
			return func(v string) {
				if p, ok := parseCIDR(v); ok {
					*f = p.Addr().String()
				}
			}
		}
		set(s.IPBlocks, ip(&r.SourceIP))
		set(s.RemoteIPBlocks, ip(&r.RemoteIP))
		set(s.RequestPrincipals, func(v string) {
			if i := strings.LastIndexByte(v, '/'); i > 0 {
				r.JWT = &Token{Valid: true, Issuer: v[:i], Claims: map[string]Claim{"sub": {Values: []string{v[i+1:]}}, "aud": {Values: []string{"web", "admin"}}}}
			}
		})
	}
}

// rewrite changes one policy a little, often without changing what it means: a rule
// split in two, a rule written twice, a list in another order, a value taken away, two
// values that another covers.
func (g gen) rewrite(list []AuthorizationPolicy) []AuthorizationPolicy {
	out := append([]AuthorizationPolicy(nil), list...)
	for i := range out {
		p := &out[i]
		if len(p.Rules) == 0 || g.chance(40) {
			continue
		}
		p.Rules = append([]Rule(nil), p.Rules...)
		n := g.c.Intn(len(p.Rules))
		r := p.Rules[n]
		r.To = append([]Operation(nil), r.To...)
		switch g.c.Intn(5) {
		case 0:
			p.Rules = append(p.Rules, r)
		case 1:
			if len(r.To) > 1 {
				one, two := r, r
				one.To, two.To = r.To[:1], r.To[1:]
				p.Rules[n] = one
				p.Rules = append(p.Rules, two)
			}
		case 2:
			if len(r.To) > 0 && len(r.To[0].Paths) > 1 {
				one, two := r, r
				one.To, two.To = append([]Operation(nil), r.To...), append([]Operation(nil), r.To[:1]...)
				one.To[0].Paths, two.To[0].Paths = r.To[0].Paths[:1], r.To[0].Paths[1:]
				p.Rules[n] = one
				p.Rules = append(p.Rules, two)
			}
		case 3:
			if len(r.To) > 0 && len(r.To[0].Paths) > 1 {
				r.To[0].Paths = r.To[0].Paths[1:]
				p.Rules[n] = r
			}
		case 4:
			extra := r
			if len(r.To) > 0 {
				extra.To[0].Methods = []string{"GET"}
			}
			p.Rules = append(p.Rules, extra)
		}
		p.digest = ""
		p.digest = digestOf(fmt.Sprintf("%#v", *p))
	}
	return out
}
