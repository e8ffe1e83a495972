package generate

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	authz "istio.io/api/security/v1beta1"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

// setter changes one attribute of a request towards (hit) or just beside (miss) what a policy asks for.
type setter struct {
	hit, miss func(*corpus.Request)
	http      bool
}

// requests makes n distinct requests for the builder's policies: for each rule one that tries to satisfy all of it, copies
// of that with one attribute off, and some that are arbitrary.
func (b *builder) requests(n int) []corpus.Request {
	var rules []*authz.Rule
	for _, p := range b.specs {
		rules = append(rules, p.Rules...)
	}
	var out []corpus.Request
	seen := map[string]bool{}
	add := func(r corpus.Request) {
		if b.odd {
			b.makeOddRequest(&r)
		}
		b.settle(&r)
		key, _ := json.Marshal(r)
		if !seen[string(key)] {
			seen[string(key)] = true
			out = append(out, r)
		}
	}
	for tries := 0; len(out) < n && tries < 20*n; tries++ {
		r := b.arbitrary()
		if len(rules) == 0 || b.chance(12) {
			add(r)
			continue
		}
		setters := b.setters(rules[tries%len(rules)])
		for _, s := range setters {
			s.hit(&r)
			if s.http {
				r.Protocol = "http"
			}
		}
		if b.chance(8) {
			r.Protocol = "tcp" // HTTP-only rules must be judged on TCP too
		}
		if len(setters) > 0 && b.chance(60) {
			setters[b.IntN(len(setters))].miss(&r)
		}
		add(r)
	}
	return out
}

func (b *builder) arbitrary() corpus.Request {
	r := corpus.Request{
		Protocol: "http", SourcePrincipal: b.principal(), SourceIP: b.pick(sourceIPs...), DestinationIP: b.c.Workload.IP,
		DestinationPort: b.c.Service.TargetPort, ServicePort: b.c.Service.Port,
		Method: b.pick(methods...), Path: b.pick(paths...), Host: b.pick(hosts...),
	}
	if b.chance(20) {
		r.Protocol = "tcp"
	}
	if b.chance(10) {
		r.SourcePrincipal = ""
	}
	if b.chance(10) {
		r.Path = b.pick(oddPaths...)
	}
	if b.chance(15) {
		r.DestinationPort = 9090
	}
	if b.chance(20) {
		r.RemoteIP = b.pick(remoteIPs...)
	}
	if b.chance(20) {
		r.Headers = map[string]string{b.pick(headerNames...): b.pick(headerVals...)}
	}
	if len(b.jwt) > 0 && b.chance(65) {
		r.JWT = b.claims()
		switch b.IntN(12) {
		case 0:
			r.JWTState = "badSignature"
		case 1:
			r.JWTFrom = b.pick("header:x-jwt", "param:token", "cookie:session")
		case 2, 3:
			r.JWTFrom = b.location()
		}
	}
	return r
}

// location is a place where one of the case's JWT rules looks for the token.
func (b *builder) location() string {
	for _, rule := range b.jwt {
		switch {
		case len(rule.FromHeaders) > 0:
			return "header:" + rule.FromHeaders[0].Name
		case len(rule.FromParams) > 0:
			return "param:" + rule.FromParams[0]
		case len(rule.FromCookies) > 0:
			return "cookie:" + rule.FromCookies[0]
		}
	}
	return ""
}

func (b *builder) claims() map[string]any {
	c := map[string]any{"iss": b.pick(issuers...), "sub": b.pick(subjects...)}
	if b.chance(8) {
		c["iss"] = "https://stranger.example"
	}
	if b.chance(10) {
		delete(c, "sub")
	}
	if b.chance(60) {
		c["aud"] = anyList(b.some(2, audiences))
		if b.chance(40) {
			c["aud"] = b.pick(audiences...)
		}
	}
	if b.chance(30) {
		c["azp"] = b.pick(subjects...)
	}
	if b.chance(50) {
		c["groups"] = anyList(b.some(2, groups))
		if b.chance(25) {
			c["groups"] = b.pick(groups...)
		}
	}
	if b.chance(40) {
		c["realm"] = map[string]any{"roles": anyList(b.some(2, groups))}
	}
	if b.chance(40) {
		c["scope"] = strings.Join(b.some(2, scopes), " ")
	}
	if b.chance(5) {
		c["groups"] = 7
	}
	return c
}

func anyList(in []string) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}

// settle removes what cannot be: HTTP details of a TCP connection, an SNI without TLS, a service port that is not there.
func (b *builder) settle(r *corpus.Request) {
	if r.Protocol == "tcp" {
		r.Method, r.Path, r.Host, r.Headers, r.JWT, r.JWTState, r.JWTFrom, r.RemoteIP = "", "", "", nil, nil, "", "", ""
		if r.SNI != "" {
			r.ServicePort, r.DestinationPort = 443, 8443
		}
	} else {
		if r.DestinationPort == 8443 {
			r.DestinationPort = b.c.Service.TargetPort
		}
		r.ServicePort = b.c.Service.Port
		if r.JWT == nil {
			r.JWTState, r.JWTFrom = "", ""
		}
	}
	if r.SourcePrincipal == "" {
		r.SNI = ""
	}
	if r.ServicePort != 443 {
		r.ServicePort = b.c.Service.Port
	}
}

// setters lists what one way through the rule asks for: one source, one operation, every condition.
func (b *builder) setters(rule *authz.Rule) []setter {
	var out []setter
	if len(rule.From) > 0 {
		out = append(out, b.sourceSetters(rule.From[b.IntN(len(rule.From))].Source)...)
	}
	if len(rule.To) > 0 {
		out = append(out, b.operationSetters(rule.To[b.IntN(len(rule.To))].Operation)...)
	}
	for _, w := range rule.When {
		out = append(out, b.conditionSetters(w)...)
	}
	return out
}

func (b *builder) sourceSetters(s *authz.Source) []setter {
	var out []setter
	add := func(values, notValues []string, key string) {
		out = append(out, b.attribute(key, values, notValues)...)
	}
	add(s.GetPrincipals(), s.GetNotPrincipals(), "source.principal")
	add(s.GetNamespaces(), s.GetNotNamespaces(), "source.namespace")
	add(s.GetServiceAccounts(), s.GetNotServiceAccounts(), "source.serviceAccount")
	add(s.GetTrustDomains(), s.GetNotTrustDomains(), "source.trustDomain")
	add(s.GetIpBlocks(), s.GetNotIpBlocks(), "source.ip")
	add(s.GetRemoteIpBlocks(), s.GetNotRemoteIpBlocks(), "remote.ip")
	add(s.GetRequestPrincipals(), s.GetNotRequestPrincipals(), "request.auth.principal")
	return out
}

func (b *builder) operationSetters(o *authz.Operation) []setter {
	var out []setter
	out = append(out, b.attribute("destination.port", o.GetPorts(), o.GetNotPorts())...)
	out = append(out, b.attribute("method", o.GetMethods(), o.GetNotMethods())...)
	out = append(out, b.attribute("path", o.GetPaths(), o.GetNotPaths())...)
	return append(out, b.attribute("host", o.GetHosts(), o.GetNotHosts())...)
}

func (b *builder) conditionSetters(c *authz.Condition) []setter {
	return b.attribute(c.Key, c.Values, c.NotValues)
}

// attribute makes the setter of one key: hit gives it one of values (and, most often, none of notValues).
func (b *builder) attribute(key string, values, notValues []string) []setter {
	if len(values)+len(notValues) == 0 {
		return nil
	}
	want := ""
	if len(values) > 0 {
		want = b.pick(values...)
	}
	avoid := ""
	if len(notValues) > 0 {
		avoid = b.pick(notValues...)
	}
	s := setter{http: !slices.Contains([]string{"source.ip", "source.namespace", "source.principal", "source.serviceAccount",
		"source.trustDomain", "destination.ip", "destination.port", "connection.sni"}, key)}
	s.hit = func(r *corpus.Request) {
		if want != "" {
			b.set(r, key, want, false)
		} else if b.chance(50) {
			b.set(r, key, avoid, true)
		}
	}
	s.miss = func(r *corpus.Request) {
		if avoid != "" && (want == "" || b.chance(50)) {
			b.set(r, key, avoid, false)
		} else {
			b.set(r, key, want, true)
		}
	}
	return []setter{s}
}

func portNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 9090
	}
	return n
}
