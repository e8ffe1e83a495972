package authz

import (
	"regexp"
	"strings"
)

const spiffeScheme = "spiffe://"

// identity is a caller's SPIFFE identity as policies see it. The zero identity is a
// caller without one.
type identity struct {
	// principal has no scheme: td/ns/NS/sa/SA.
	principal   string
	td, ns, sa  string
	wellFormed  bool
	precomputed string // with the scheme, the text that Envoy matches
}

func makeIdentity(principal string) identity {
	if principal == "" {
		return identity{}
	}
	id := identity{principal: principal, precomputed: spiffeScheme + principal}
	p := strings.Split(principal, "/")
	if len(p) == 5 && p[1] == "ns" && p[3] == "sa" {
		id.td, id.ns, id.sa, id.wellFormed = p[0], p[2], p[4], true
	}
	return id
}

// Principal gives the SPIFFE identity, without the scheme, of a service account.
func (c Config) Principal(namespace, serviceAccount string) string {
	if serviceAccount == "" {
		serviceAccount = "default"
	}
	return c.trustDomain() + "/ns/" + namespace + "/sa/" + serviceAccount
}

func (c Config) trustDomain() string {
	if c.TrustDomain == "" {
		return "cluster.local"
	}
	return c.TrustDomain
}

func (c Config) root() string {
	if c.RootNamespace == "" {
		return "istio-system"
	}
	return c.RootNamespace
}

// newestMinor is the newest Istio 1.x minor that this package models.
const newestMinor = 31

func (c Config) minor() int {
	if c.IstioMinor == 0 {
		return newestMinor
	}
	return c.IstioMinor
}

// Principal gives the workload's SPIFFE identity without the scheme, empty for a
// workload outside the mesh.
func (w *Workload) Principal(c Config) string {
	if w.Mode == ModeNone {
		return ""
	}
	return w.identityInMesh(c)
}

func (w *Workload) identityInMesh(c Config) string {
	if w.TrustDomain != "" {
		c.TrustDomain = w.TrustDomain
	}
	return c.Principal(w.Ref.Namespace, w.ServiceAccount)
}

// Principal gives the waypoint's SPIFFE identity without the scheme.
func (w *Waypoint) Principal(c Config) string {
	sa := w.ServiceAccount
	if sa == "" {
		sa = w.Name
	}
	return c.Principal(w.Namespace, sa)
}

// idMatcher decides one value of a source field about an identity.
type idMatcher struct {
	// key identifies it: equal keys match the same identities.
	key   string
	match func(identity) bool
	// exact is the single principal that can match, when there is only one.
	exact string
	// example is an identity that it matches, for identities that no workload bears.
	example string
}

// envoyPrincipal reads source.principals as istiod's Envoy generator does
// (pilot/pkg/security/authz/matcher/string.go StringMatcherWithPrefix).
func envoyPrincipal(v string) *idMatcher {
	m := &idMatcher{key: "e/p/" + v}
	switch {
	case v == "*":
		m.match = func(id identity) bool { return id.principal != "" }
	case strings.HasPrefix(v, "*"):
		suffix := v[1:]
		// The pattern is spiffe://.*suffix over the whole text, so the suffix must lie
		// behind the scheme.
		m.match = func(id identity) bool { return id.principal != "" && strings.HasSuffix(id.principal, suffix) }
		m.example = principalFromSuffix(suffix)
	case strings.HasSuffix(v, "*"):
		prefix := v[:len(v)-1]
		m.match = func(id identity) bool { return id.principal != "" && strings.HasPrefix(id.principal, prefix) }
		m.example = principalFromPrefix(prefix)
	default:
		m.match = func(id identity) bool { return id.principal == v && v != "" }
		m.exact, m.example = v, v
	}
	return m
}

// ztunnelPrincipal reads source.principals as ztunnel does: the same forms, presence
// meaning that there is an identity (src/rbac.rs StringMatch).
func ztunnelPrincipal(v string) *idMatcher {
	m := envoyPrincipal(v)
	return &idMatcher{key: "z/p/" + v, match: m.match, exact: m.exact, example: m.example}
}

// envoyNamespace matches the regular expression that istiod builds from a namespace:
// any number of wildcards, anywhere.
func envoyNamespace(v string) *idMatcher {
	m := &idMatcher{key: "e/ns/" + v, example: exampleTD + "/ns/" + fill(v) + "/sa/" + exampleName}
	if !strings.Contains(v, "*") {
		m.match = func(id identity) bool {
			if id.wellFormed {
				return id.ns == v
			}
			return strings.Contains(id.precomputed, "/ns/"+v+"/")
		}
		return m
	}
	parts := strings.Split(v, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	re, err := regexp.Compile(`^(?:.*/ns/` + strings.Join(parts, ".*") + `/.*)$`)
	if err != nil { // QuoteMeta leaves nothing that could fail; an invalid UTF-8 value does.
		m.match = func(identity) bool { return false }
		return m
	}
	m.match = func(id identity) bool { return id.principal != "" && re.MatchString(id.precomputed) }
	return m
}

// ztunnelNamespace matches the namespace of the identity.
func ztunnelNamespace(v string) *idMatcher {
	m := &idMatcher{key: "z/ns/" + v, example: exampleTD + "/ns/" + fill(v) + "/sa/" + exampleName}
	p := simplePattern(v, false)
	m.match = func(id identity) bool {
		if p.kind == patPresent {
			return id.ns != ""
		}
		return p.matches(id.ns, true)
	}
	return m
}

// serviceAccountOf splits a serviceAccounts value; without a namespace it means the
// policy's own.
func serviceAccountOf(policyNamespace, v string) (ns, sa string) {
	ns, sa, ok := strings.Cut(v, "/")
	if !ok {
		return policyNamespace, v
	}
	return ns, sa
}

func envoyServiceAccount(policyNamespace, v string) *idMatcher {
	ns, sa := serviceAccountOf(policyNamespace, v)
	m := &idMatcher{key: "e/sa/" + ns + "/" + sa, example: exampleTD + "/ns/" + ns + "/sa/" + sa}
	re, err := regexp.Compile(`^(?:spiffe://.+/ns/` + regexp.QuoteMeta(ns) + `/(.+/|)sa/` + regexp.QuoteMeta(sa) + `(/.+)?)$`)
	m.match = func(id identity) bool {
		if id.wellFormed {
			return id.ns == ns && id.sa == sa && id.td != ""
		}
		return err == nil && id.principal != "" && re.MatchString(id.precomputed)
	}
	return m
}

func ztunnelServiceAccount(policyNamespace, v string) *idMatcher {
	ns, sa := serviceAccountOf(policyNamespace, v)
	return &idMatcher{
		key:     "z/sa/" + ns + "/" + sa,
		example: exampleTD + "/ns/" + ns + "/sa/" + sa,
		match:   func(id identity) bool { return id.wellFormed && id.ns == ns && id.sa == sa },
	}
}

func envoyTrustDomain(v string) *idMatcher {
	m := &idMatcher{key: "e/td/" + v, example: fill(v) + "/ns/" + exampleName + "/sa/" + exampleName}
	switch {
	case v == "*":
		m.match = func(id identity) bool { return id.principal != "" }
	case !strings.Contains(v, "*"):
		m.match = func(id identity) bool { return strings.HasPrefix(id.principal, v+"/") }
	default:
		before, after, _ := strings.Cut(v, "*")
		re, err := regexp.Compile(`^(?:spiffe://` + regexp.QuoteMeta(before) + `[^/]*` + regexp.QuoteMeta(after) + `/.*)$`)
		m.match = func(id identity) bool { return err == nil && id.principal != "" && re.MatchString(id.precomputed) }
	}
	return m
}

const (
	exampleTD   = "\x00td" // stands for the mesh's own trust domain
	exampleName = "some-other"
)

func fill(v string) string { return strings.ReplaceAll(v, "*", "some") }

// principalFromSuffix completes td/ns/NS/sa/SA from its end.
func principalFromSuffix(suffix string) string {
	parts := strings.Split(exampleTD+"/ns/"+exampleName+"/sa/", "/")
	n := strings.Count(suffix, "/")
	if n >= 4 {
		return "x" + suffix
	}
	head := strings.Join(parts[:4-n], "/")
	if strings.HasPrefix(suffix, "/") {
		// The part before the first slash is free.
		return head + "/" + orName(parts[4-n]) + suffix
	}
	return head + "/" + suffix
}

func orName(s string) string {
	if s == "" {
		return exampleName
	}
	return s
}

// principalFromPrefix completes td/ns/NS/sa/SA from its beginning.
func principalFromPrefix(prefix string) string {
	parts := strings.Split(prefix, "/")
	rest := []string{"some-td", "ns", exampleName, "sa", exampleName}
	if len(parts) > 5 {
		return prefix
	}
	last := len(parts) - 1
	switch {
	case parts[last] == "":
		parts[last] = rest[last]
	case last == 1 || last == 3:
		if strings.HasPrefix(rest[last], parts[last]) {
			parts[last] = rest[last]
		}
	}
	return strings.Join(append(parts, rest[last+1:]...), "/")
}
