package authz

import (
	"strings"
	"testing"

	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	"sigs.k8s.io/yaml"
)

// compileText reads one AuthorizationPolicy.
func compileText(t *testing.T, text string) (AuthorizationPolicy, []Problem) {
	t.Helper()
	var obj securityv1.AuthorizationPolicy
	if err := yaml.Unmarshal([]byte(text), &obj); err != nil {
		t.Fatal(err)
	}
	return CompileAuthorizationPolicy(&obj)
}

func TestProblemsNameObjectAndField(t *testing.T) {
	for name, c := range map[string]struct{ spec, field, words string }{
		"a port that is none":                {`rules: [{to: [{operation: {ports: ["99999"]}}]}]`, "spec.rules[0].to[0].operation.ports[0]", `"99999" is not a port`},
		"an address that is none":            {`rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]`, "spec.rules[0].from[0].source.ipBlocks[0]", "not an address range"},
		"an unknown key":                     {`rules: [{when: [{key: source.pod, values: [x]}]}]`, "spec.rules[0].when[0].key", `unknown key "source.pod"`},
		"a key without brackets":             {`rules: [{when: [{key: request.headers, values: [x]}]}]`, "spec.rules[0].when[0].key", "expected the form a[b]"},
		"a condition that asks nothing":      {`rules: [{when: [{key: source.ip}]}]`, "spec.rules[0].when[0]", "neither values nor notValues"},
		"a DENY without rules":               {`action: DENY`, "spec.rules", "does nothing"},
		"a CUSTOM without provider":          {`{action: CUSTOM, rules: [{}]}`, "spec.provider.name", "is empty"},
		"a provider without CUSTOM":          {`{provider: {name: x}, rules: [{}]}`, "spec.provider", "only for CUSTOM"},
		"a selector beside targetRefs":       {`{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, group: "", name: x}]}`, "spec", "both selector and targetRefs"},
		"an empty selector":                  {`{selector: {}}`, "spec.selector", "ambient mode attaches it to nothing"},
		"a target of a kind that cannot be":  {`{targetRefs: [{kind: Deployment, group: apps, name: x}]}`, "spec.targetRefs[0]", "nothing that a policy can target"},
		"a target in another namespace":      {`{targetRefs: [{kind: Service, group: "", name: x, namespace: elsewhere}]}`, "spec.targetRefs[0].namespace", "another namespace"},
		"a class that is not the waypoint's": {`{targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: x}]}`, "spec.targetRefs[0].name", "only GatewayClass istio-waypoint"},
		"an empty source":                    {`rules: [{from: [{source: {}}]}]`, "spec.rules[0].from[0].source", "is empty"},
		"an empty operation":                 {`rules: [{to: [{operation: {}}]}]`, "spec.rules[0].to[0].operation", "is empty"},
		"an operator after {**}":             {`rules: [{to: [{operation: {paths: ["/{**}/{*}"]}}]}]`, "spec.rules[0].to[0].operation.paths[0]", "{**} is not the last operator"},
		"an operator in part of a segment":   {`rules: [{to: [{operation: {paths: ["/x/{*}.js"]}}]}]`, "spec.rules[0].to[0].operation.paths[0]", "not a whole segment"},
		"braces that are no template":        {`rules: [{to: [{operation: {notPaths: ["/x/{id}"]}}]}]`, "spec.rules[0].to[0].operation.notPaths[0]", "no path template"},
		"a service account with a wildcard":  {`rules: [{from: [{source: {serviceAccounts: ["x/*"]}}]}]`, "spec.rules[0].from[0].source.serviceAccounts[0]", "wildcards are not allowed"},
		"a trust domain with a slash":        {`rules: [{from: [{source: {trustDomains: [a/b]}}]}]`, "spec.rules[0].from[0].source.trustDomains[0]", "no slash"},
		"identities with CUSTOM":             {`{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {principals: [a]}}]}]}`, "spec.rules[0].from[0].source", "not supported with CUSTOM"},
		"claims with CUSTOM":                 {`{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: "request.auth.claims[a]", values: [b]}]}]}`, "spec.rules[0].when[0].key", "not supported with CUSTOM"},
		"an empty value":                     {`rules: [{to: [{operation: {methods: [""]}}]}]`, "spec.rules[0].to[0].operation.methods[0]", "is empty"},
		"service accounts beside principals": {`rules: [{from: [{source: {serviceAccounts: [a], principals: [b]}}]}]`, "spec.rules[0].from[0].source", "beside principals"},
		"a label with a wildcard":            {`{selector: {matchLabels: {a: "b*"}}}`, "spec.selector.matchLabels[a]", "selects nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := c.spec
			if !strings.HasPrefix(spec, "{") {
				spec = "{" + spec + "}"
			}
			_, problems := compileText(t, "metadata: {name: p, namespace: shop}\nspec: "+spec)
			for _, p := range problems {
				if p.Field == c.field && strings.Contains(p.Message, c.words) {
					if p.Object != (Ref{Kind: "AuthorizationPolicy", Namespace: "shop", Name: "p"}) {
						t.Errorf("the object is %v", p.Object)
					}
					return
				}
			}
			t.Errorf("no such problem; have %v", problems)
		})
	}
}

func TestGoodPoliciesHaveNoProblems(t *testing.T) {
	_, problems := compileText(t, `
metadata: {name: p, namespace: shop}
spec:
  selector: {matchLabels: {app: a}}
  rules:
  - from:
    - source: {principals: ["*"], notPrincipals: [a/ns/b/sa/c], requestPrincipals: ["iss/*"], namespaces: ["a*"], ipBlocks: [10.0.0.1, "fd00::/8"], remoteIpBlocks: [1.2.3.4/8], trustDomains: ["*.local"]}
    - source: {serviceAccounts: [a, b/c]}
    to:
    - operation: {hosts: ["*.x"], methods: [GET], paths: ["/a", "/a/*", "/a/{*}/b/{**}"], ports: ["80"]}
    when:
    - {key: "request.auth.claims[a][b]", values: [x]}
    - {key: "request.headers[x]", notValues: [x]}
    - {key: connection.sni, values: [x]}
    - {key: "experimental.envoy.filters.a.b[c]", values: ["[x]"]}
`)
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
}

// FuzzCompile: whatever the text, if it is a policy it compiles for every enforcement
// point, and a request can be answered under it.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`{rules: [{from: [{source: {principals: ["*"]}}], to: [{operation: {paths: ["/{*}/{**}"]}}], when: [{key: "request.auth.claims[a][b]", values: ["x*"]}]}]}`,
		`{action: DENY, rules: [{to: [{operation: {ports: ["x"], notPaths: ["{**}"]}}]}]}`,
		`{action: CUSTOM, provider: {name: p}, rules: [{}]}`,
		`{action: AUDIT, rules: [null, {from: [null], to: [null], when: [null]}]}`,
		`{rules: [{when: [{key: "request.headers[", values: [""]}, {key: "request.auth.claims[a[b]]", values: ["*"]}, {key: "experimental.envoy.filters.", values: ["[", "[]"]}]}]}`,
		`{rules: [{from: [{source: {namespaces: ["*a*b*"], serviceAccounts: ["/"], trustDomains: ["*"], requestPrincipals: ["/", "*", "a/"]}}]}]}`,
		`{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}], rules: [{}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		var obj securityv1.AuthorizationPolicy
		if err := yaml.Unmarshal([]byte("metadata: {name: p, namespace: a}\nspec: "+strings.ReplaceAll(spec, "\n", " ")), &obj); err != nil {
			return
		}
		p, _ := CompileAuthorizationPolicy(&obj)
		w := World{Policies: Policies{Authorization: []AuthorizationPolicy{p}}}
		ps := NewPoints(&w)
		for _, point := range []Point{PointServerSidecar, PointZtunnel, PointWaypoint} {
			q := &PointQuestion{Point: point, Workload: Workload{Ref: Ref{Namespace: "a", Name: "w"}}, Waypoint: Waypoint{Namespace: "a", Name: "waypoint"}, Port: 80}
			for _, proto := range []Protocol{ProtocolHTTP, ProtocolTCP} {
				h := ps.Ask(q, &Request{Protocol: proto, Method: "GET", Path: "/x", Host: "h", From: Caller{Principal: "cluster.local/ns/a/sa/b"}})
				if h.Decision == "" {
					t.Errorf("%s gives no decision", point)
				}
			}
		}
	})
}

// FuzzDiff holds Diff to its promises on worlds made from bytes.
func FuzzDiff(f *testing.F) {
	for _, s := range []string{"", "a", "sidestep", "0123456789abcdef0123456789abcdef", "\xff\x00\x80 a longer seed that makes more of the choices itself\x01\x02\x03"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, seed []byte) {
		g := gen{&bytesChooser{data: seed}}
		before := g.world()
		after := g.change(before)
		if err := checkDiff(before, after, g, 2_000); err != nil {
			t.Error(err)
		}
		if _, _, err := checkSplit(before, after); err != nil {
			t.Error(err)
		}
	})
}

// bytesChooser makes choices from bytes first, so that the fuzzer steers them, and from
// a simple generator seeded by them when they run out.
type bytesChooser struct {
	data  []byte
	state uint64
}

func (b *bytesChooser) Intn(n int) int {
	if len(b.data) > 0 {
		v := int(b.data[0])
		b.state = b.state*6364136223846793005 + uint64(v) + 1442695040888963407
		b.data = b.data[1:]
		return v % n
	}
	b.state = b.state*6364136223846793005 + 1442695040888963407
	return int((b.state >> 33) % uint64(n))
}
