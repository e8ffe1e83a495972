package authz

import (
	"fmt"
	"strings"
)

// The keys of `when` conditions.
const (
	keyRequestHeader    = "request.headers"
	keySourceIP         = "source.ip"
	keyRemoteIP         = "remote.ip"
	keySourceNamespace  = "source.namespace"
	keySourceSA         = "source.serviceAccount"
	keySourceTD         = "source.trustDomain"
	keySourcePrincipal  = "source.principal"
	keyRequestPrincipal = "request.auth.principal"
	keyAudiences        = "request.auth.audiences"
	keyPresenter        = "request.auth.presenter"
	keyClaims           = "request.auth.claims"
	keyDestinationIP    = "destination.ip"
	keyDestinationPort  = "destination.port"
	keySNI              = "connection.sni"
	keyExperimental     = "experimental.envoy.filters."
)

// envoyCompiler turns rules into what istiod generates for Envoy's RBAC filter
// (pilot/pkg/security/authz/model). TCP chains know no HTTP attribute: there an ALLOW
// rule that uses one is dropped, and a DENY rule is kept without it.
type envoyCompiler struct {
	in           *interner
	trustDomains []string
	tcp          bool
	// lenient drops what cannot be generated instead of the rule: DENY, AUDIT, CUSTOM.
	lenient bool
	policy  *AuthorizationPolicy
	id      *policyID
}

// ruleCubes is the result of compiling one rule.
type ruleCubes struct {
	cubes []*cube
	// dropped says why the rule is not enforced at all.
	dropped string
	// lost lists the fields that were left out of a rule that is still enforced.
	lost []string
	// unknown says why the rule's effect cannot be told.
	unknown string
}

type fieldError struct{ msg string }

func (e fieldError) Error() string { return e.msg }

func (c *envoyCompiler) rule(i int) ruleCubes {
	r := &c.policy.Rules[i]
	var out ruleCubes
	if r.Nil {
		out.dropped = "the rule is null"
		return out
	}
	var basePerm, basePrin []*literal
	for _, w := range r.When {
		perm, lits, err := c.condition(w, &out)
		if err != nil {
			out.dropped = err.Error()
			return out
		}
		if perm {
			basePerm = append(basePerm, lits...)
		} else {
			basePrin = append(basePrin, lits...)
		}
	}
	perms, err := c.operations(r.To, basePerm, &out)
	if err != nil {
		out.dropped = err.Error()
		return out
	}
	prins, err := c.sources(r.From, basePrin, &out)
	if err != nil {
		out.dropped = err.Error()
		return out
	}
	for _, pe := range perms {
		for _, pr := range prins {
			lits := make([]*literal, 0, len(pe)+len(pr))
			lits = append(append(lits, pr...), pe...)
			out.cubes = append(out.cubes, &cube{policy: c.id, rule: i, lits: lits})
		}
	}
	return out
}

// field makes the literals of a values and notValues pair. Its error drops the rule.
func (c *envoyCompiler) field(a attr, name string, values, notValues []string, out *ruleCubes, read func(*literal, string) error) ([]*literal, error) {
	var lits []*literal
	for n, list := range [2][]string{values, notValues} {
		l := literal{attr: a, negate: n == 1, field: name}
		for _, v := range list {
			if err := read(&l, v); err != nil {
				if !c.lenient {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				out.lost = append(out.lost, name)
			}
		}
		if len(l.ids)+len(l.pats)+len(l.subs) > 0 {
			lits = append(lits, c.in.literal(l))
		}
	}
	return lits, nil
}

// envoyField is a values and notValues pair of a source or an operation, and how its values are read.
type envoyField struct {
	kind        attrKind
	name        string
	values, not []string
	read        func(*literal, string) error
}

// fields makes the literals of several pairs. Its error drops the rule.
func (c *envoyCompiler) fields(out *ruleCubes, list []envoyField) ([]*literal, error) {
	var lits []*literal
	for _, f := range list {
		more, err := c.field(attr{kind: f.kind}, f.name, f.values, f.not, out, f.read)
		if err != nil {
			return nil, err
		}
		lits = append(lits, more...)
	}
	return lits, nil
}

// http wraps a reader of an attribute that exists only for HTTP.
func (c *envoyCompiler) http(read func(*literal, string) error) func(*literal, string) error {
	return func(l *literal, v string) error {
		if c.tcp {
			return fieldError{"HTTP only, on a TCP filter chain"}
		}
		return read(l, v)
	}
}

func (c *envoyCompiler) operations(to []Operation, base []*literal, out *ruleCubes) ([][]*literal, error) {
	if len(to) == 0 {
		return [][]*literal{base}, nil
	}
	var all [][]*literal
	for i := range to {
		o := &to[i]
		lits, err := c.fields(out, []envoyField{
			{attrHost, "hosts", o.Hosts, o.NotHosts, c.http(readHost)},
			{attrMethod, "methods", o.Methods, o.NotMethods, c.http(readHeader)},
			{attrPath, "paths", o.Paths, o.NotPaths, c.http(readPath)},
			{attrPort, "ports", o.Ports, o.NotPorts, readPort},
		})
		if err != nil {
			return nil, err
		}
		for _, p := range append(append([]string(nil), o.Paths...), o.NotPaths...) {
			if !c.tcp && badTemplate(p) != "" {
				out.unknown = fmt.Sprintf("Envoy refuses path template %q: %s", p, badTemplate(p))
			}
		}
		all = append(all, append(lits, base...))
	}
	return all, nil
}

func (c *envoyCompiler) sources(from []Source, base []*literal, out *ruleCubes) ([][]*literal, error) {
	if len(from) == 0 {
		return [][]*literal{base}, nil
	}
	var all [][]*literal
	for i := range from {
		s := &from[i]
		lits, err := c.fields(out, []envoyField{
			{attrIdentity, "principals", c.aliases(s.Principals), c.aliases(s.NotPrincipals), readIdentity(envoyPrincipal)},
			{attrRequestPrincipal, "requestPrincipals", s.RequestPrincipals, s.NotRequestPrincipals, c.http(readSubject)},
			{attrIdentity, "serviceAccounts", s.ServiceAccounts, s.NotServiceAccounts, c.readServiceAccount},
			{attrIdentity, "trustDomains", c.expandTDs(s.TrustDomains), c.expandTDs(s.NotTrustDomains), readIdentity(envoyTrustDomain)},
			{attrIdentity, "namespaces", s.Namespaces, s.NotNamespaces, readIdentity(envoyNamespace)},
			{attrRemoteIP, "remoteIpBlocks", s.RemoteIPBlocks, s.NotRemoteIPBlocks, readCIDR},
			{attrSourceIP, "ipBlocks", s.IPBlocks, s.NotIPBlocks, readCIDR},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, append(lits, base...))
	}
	return all, nil
}

// condition compiles one `when`; perm says whether istiod files it with the permissions.
func (c *envoyCompiler) condition(w Condition, out *ruleCubes) (perm bool, lits []*literal, err error) {
	f := func(a attr, values, not []string, read func(*literal, string) error) ([]*literal, error) {
		return c.field(a, w.Key, values, not, out, read)
	}
	switch k := w.Key; {
	case k == keyDestinationIP:
		lits, err = f(attr{kind: attrDestIP}, w.Values, w.NotValues, readCIDR)
		return true, lits, err
	case k == keyDestinationPort:
		lits, err = f(attr{kind: attrPort}, w.Values, w.NotValues, readPort)
		return true, lits, err
	case k == keySNI:
		lits, err = f(attr{kind: attrSNI}, w.Values, w.NotValues, readString)
		return true, lits, err
	case strings.HasPrefix(k, keyExperimental):
		lits, err = f(attr{kind: attrMetadata, name: k}, w.Values, w.NotValues, readMetadata(k))
		return true, lits, err
	case k == keySourceIP:
		lits, err = f(attr{kind: attrSourceIP}, w.Values, w.NotValues, readCIDR)
	case k == keyRemoteIP:
		lits, err = f(attr{kind: attrRemoteIP}, w.Values, w.NotValues, readCIDR)
	case k == keySourceNamespace:
		lits, err = f(attr{kind: attrIdentity}, w.Values, w.NotValues, readIdentity(envoyNamespace))
	case k == keySourceTD:
		lits, err = f(attr{kind: attrIdentity}, c.expandTDs(w.Values), c.expandTDs(w.NotValues), readIdentity(envoyTrustDomain))
	case k == keySourceSA:
		lits, err = f(attr{kind: attrIdentity}, w.Values, w.NotValues, c.readServiceAccount)
	case k == keySourcePrincipal:
		lits, err = f(attr{kind: attrIdentity}, c.aliases(w.Values), c.aliases(w.NotValues), readIdentity(envoyPrincipal))
	case k == keyRequestPrincipal:
		lits, err = f(attr{kind: attrRequestPrincipal}, w.Values, w.NotValues, c.http(readSubject))
	case k == keyAudiences:
		lits, err = f(attr{attrClaim, "aud"}, w.Values, w.NotValues, c.http(readString))
	case k == keyPresenter:
		lits, err = f(attr{attrClaim, "azp"}, w.Values, w.NotValues, c.http(readString))
	case strings.HasPrefix(k, keyRequestHeader):
		lits, err = c.headerCondition(w, out)
	case strings.HasPrefix(k, keyClaims):
		path, bad := bracketPath(strings.TrimPrefix(k, keyClaims))
		read := readString
		if bad != "" {
			read = func(*literal, string) error { return fieldError{bad} }
		}
		lits, err = f(attr{attrClaim, strings.Join(path, claimSep)}, w.Values, w.NotValues, c.http(read))
	default:
		// The whole rule is skipped, also a DENY rule: istiod fails open here
		// (builder.go "skipped invalid rule").
		return false, nil, fieldError{fmt.Sprintf("unknown condition key %q", k)}
	}
	return false, lits, err
}

func (c *envoyCompiler) headerCondition(w Condition, out *ruleCubes) ([]*literal, error) {
	name := strings.TrimPrefix(w.Key, keyRequestHeader)
	a, read := attr{kind: attrHeader}, readHeader
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") && len(name) > 1 {
		a.name = asciiLower(name[1 : len(name)-1])
	} else {
		read = func(*literal, string) error { return fieldError{"expected request.headers[NAME]"} }
	}
	switch a.name {
	case ":method":
		a = attr{kind: attrMethod}
	case ":authority", "host":
		a = attr{kind: attrHost}
	case ":path", ":scheme", ":protocol", ":status":
		out.unknown = fmt.Sprintf("condition on pseudo header %s is not modelled", a.name)
	}
	return c.field(a, w.Key, w.Values, w.NotValues, out, c.http(read))
}

// aliases adds the mesh's trust domain and its aliases to principals that name one of
// them or cluster.local (pilot/pkg/security/trustdomain/bundle.go). ztunnel has no such
// step.
func (c *envoyCompiler) aliases(principals []string) []string {
	if len(principals) == 0 {
		return nil
	}
	var out []string
	for _, p := range principals {
		parts := strings.Split(p, "/")
		if len(parts) != 5 || parts[0] == "*" || !tdListed(parts[0], c.trustDomains) && parts[0] != "cluster.local" {
			out = append(out, p)
			continue
		}
		seen := map[string]bool{}
		for _, td := range c.trustDomains {
			q := p
			if !strings.HasPrefix(parts[0], "*") || !strings.HasSuffix(td, parts[0][1:]) {
				q = td + p[len(parts[0]):]
			}
			if !seen[q] {
				seen[q] = true
				out = append(out, q)
			}
		}
	}
	return out
}

// tdListed says whether a trust domain matches one of the list, either of which may
// hold a leading or trailing wildcard.
func tdListed(td string, list []string) bool {
	for _, s := range list {
		if td == s || s == "*" || wild(td, s) || wild(s, td) {
			return true
		}
	}
	return false
}

func wild(s, pattern string) bool {
	if strings.HasSuffix(pattern, "*") && strings.HasPrefix(s, pattern[:len(pattern)-1]) {
		return true
	}
	return strings.HasPrefix(pattern, "*") && strings.HasSuffix(s, pattern[1:])
}

func (c *envoyCompiler) expandTDs(values []string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(v string) {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	for _, v := range values {
		known := false
		for _, td := range c.trustDomains {
			known = known || td == v
		}
		if !known {
			add(v)
			continue
		}
		for _, td := range c.trustDomains {
			add(td)
		}
	}
	return out
}
