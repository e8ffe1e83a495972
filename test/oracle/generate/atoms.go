// Package generate makes corpus cases: well-typed policies, and requests made from the policies' own values so that rules
// really match, or miss by one attribute. A case depends on the seed and its number alone.
package generate

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// dice is the source of every choice of one case.
type dice struct{ *rand.Rand }

func newDice(seed, n uint64) dice { return dice{rand.New(rand.NewPCG(seed, n))} }

// chance is true in percent out of a hundred throws.
func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func (d dice) pick(from ...string) string { return from[d.IntN(len(from))] }

// some picks between one and limit distinct values.
func (d dice) some(limit int, from []string) []string {
	n := 1 + d.IntN(limit)
	var out []string
	for _, i := range d.Perm(len(from)) {
		if len(out) < n {
			out = append(out, from[i])
		}
	}
	return out
}

// The vocabulary. It is small on purpose: values must meet each other.
var (
	namespaces      = []string{"shop", "web", "ops", "web-2"}
	serviceAccounts = []string{"cart", "front", "batch", "front-admin", "default"}
	trustDomains    = []string{"cluster.local", "old.example", "partner.example"}
	methods         = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PURGE", "PROPFIND"}
	paths           = []string{"/", "/admin", "/admin/", "/admin/users", "/api/v1/items", "/api/v2/items/42", "/api/v1", "/healthz",
		"/static/app.js", "/a/b/c/d", "/API/v1/items", "/admin/users/7/edit", "/cart/checkout"}
	// oddPaths exercise path normalization and the query string.
	oddPaths = []string{"/admin?x=1", "/api/v1/items?debug=/admin", "//admin", "/x/../admin", "/admin/./users", "/admin%2Fusers",
		"/%61dmin", "/admin/users/", "/admin;v=1", "/api//items", "/a/b/../../admin", "/Admin", "/admin%3Fx", "/api/v1/items%20x"}
	hosts       = []string{"cart", "cart.shop", "cart.shop.svc.cluster.local", "api.example.com", "Example.COM", "cart:8080", "other.example.com:443"}
	sourceIPs   = []string{"10.2.0.9", "10.2.3.4", "10.3.0.1", "192.168.1.5", "203.0.113.7", "10.255.255.255", "172.16.0.1"}
	remoteIPs   = []string{"198.51.100.4", "203.0.113.7", "10.2.0.9", "2001:db8::9", "2001:db9::1", "192.168.1.5"}
	headerNames = []string{"x-user", "x-env", "x-token-kind", "user-agent"}
	headerVals  = []string{"alice", "bob", "prod", "prod-eu", "staging", "alice-admin", "a,b", "Mozilla/5.0"}
	snis        = []string{"outbound_.80_._.cart.shop.svc.cluster.local", "api.example.com", "www.example.com", "example.com"}
	issuers     = []string{"https://issuer.example", "issuer-b"}
	subjects    = []string{"alice", "svc/batch", "user-7", "bob@example.com"}
	audiences   = []string{"cart", "checkout", "https://api.example.com"}
	groups      = []string{"admins", "dev", "dev-ops", "viewers"}
	scopes      = []string{"read", "write", "cart.read"}
	portNumbers = []string{"80", "443", "8080", "8443", "9090"}
)

func (d dice) principal() string {
	td := "cluster.local"
	if d.chance(20) {
		td = d.pick(trustDomains...)
	}
	return fmt.Sprintf("%s/ns/%s/sa/%s", td, d.pick(namespaces...), d.pick(serviceAccounts...))
}

// pattern writes v as one of the four forms of a policy string: exact, prefix, suffix, presence.
func (d dice) pattern(v string) string {
	switch n := d.IntN(10); {
	case n < 5 || len(v) < 2:
		return v
	case n < 7:
		return v[:1+d.IntN(len(v)-1)] + "*"
	case n < 9:
		return "*" + v[1+d.IntN(len(v)-1):]
	default:
		return "*"
	}
}

func (d dice) patterns(limit int, from []string) []string {
	vs := d.some(limit, from)
	for i := range vs {
		vs[i] = d.pattern(vs[i])
	}
	return vs
}

func (d dice) principals() []string {
	vs := make([]string, 1+d.IntN(2))
	for i := range vs {
		vs[i] = d.pattern(d.principal())
	}
	return vs
}

func (d dice) accounts() []string {
	vs := d.some(2, serviceAccounts)
	for i := range vs {
		if d.chance(60) {
			vs[i] = d.pick(namespaces...) + "/" + vs[i]
		}
	}
	return vs
}

// block is an address, or a CIDR block around it; sometimes with host bits set, sometimes of the other family.
func (d dice) block(ip string) string {
	if d.chance(8) {
		return d.pick("2001:db8::/32", "::/0", "2001:db8::9", "fd00::/8")
	}
	if strings.Contains(ip, ":") {
		return ip + d.pick("", "/128", "/64", "/32", "/16")
	}
	return ip + d.pick("", "/32", "/24", "/16", "/12", "/8", "/0")
}

func (d dice) blocks(from []string) []string {
	vs := d.some(2, from)
	for i := range vs {
		vs[i] = d.block(vs[i])
	}
	return vs
}

func (d dice) pathPatterns() []string {
	vs := make([]string, 1+d.IntN(2))
	for i := range vs {
		if d.chance(30) {
			vs[i] = d.pick("/api/{*}/items", "/api/{**}", "/{*}/users", "/admin/{**}", "/{**}/edit", "/api/{*}/items/{*}",
				"/admin/{*}/{**}", "/{**}", "/{*}", "/static/{*}.js", "/a/{*}/c/{**}")
			continue
		}
		vs[i] = d.pattern(d.pick(paths...))
	}
	return vs
}

func (d dice) requestPrincipals() []string {
	vs := make([]string, 1+d.IntN(2))
	for i := range vs {
		v := d.pick(issuers...) + "/" + d.pick(subjects...)
		switch d.IntN(8) {
		case 0:
			v = "*"
		case 1:
			v = d.pick(issuers...) + "/*"
		case 2:
			v = "*/" + d.pick(subjects...)
		case 3:
			v = d.pattern(v)
		}
		vs[i] = v
	}
	return vs
}

// near returns a value that just fails to be v, or v's like: one letter more or less, other case, something else of the kind.
func (d dice) near(v string, kind []string) string {
	switch d.IntN(5) {
	case 0:
		return v + "x"
	case 1:
		if len(v) > 1 {
			return v[:len(v)-1]
		}
	case 2:
		return strings.ToUpper(v)
	case 3:
		return "x" + v
	}
	return d.pick(kind...)
}

// witness returns a concrete value for a pattern.
func (d dice) witness(p string, kind []string) string {
	fill := d.pick("", "x", "-z9")
	switch {
	case p == "*":
		return d.pick(kind...)
	case strings.HasSuffix(p, "*"):
		return strings.TrimSuffix(p, "*") + fill
	case strings.HasPrefix(p, "*"):
		return fill + strings.TrimPrefix(p, "*")
	}
	return p
}
