package authz

import (
	"fmt"
	"strings"
)

// ztunnelCompiler turns rules into what istiod sends to ztunnel and ztunnel matches
// (pilot/pkg/serviceregistry/ambient/authorization.go handleRule; ztunnel src/rbac.rs
// Authorization::matches). A rule is an AND of clauses: to, from, and one per when. A
// clause is an OR of matches. A match that holds nothing never matches, which is how a
// DENY rule whose HTTP attributes were stripped becomes inert.
type ztunnelCompiler struct {
	in     *interner
	policy *AuthorizationPolicy
	id     *policyID
	deny   bool
}

// l4Keys are the only conditions that ztunnel knows.
var l4Keys = map[string]bool{
	keySourceIP: true, keySourceNamespace: true, keySourcePrincipal: true,
	keyDestinationIP: true, keyDestinationPort: true,
}

// httpFields lists the fields of a rule that ztunnel does not know.
func httpFields(r *Rule) []string {
	var out []string
	add := func(name string, lists ...[]string) {
		for _, l := range lists {
			if len(l) > 0 {
				out = append(out, name)
				return
			}
		}
	}
	for i := range r.To {
		o := &r.To[i]
		add("hosts", o.Hosts)
		add("notHosts", o.NotHosts)
		add("methods", o.Methods)
		add("notMethods", o.NotMethods)
		add("paths", o.Paths)
		add("notPaths", o.NotPaths)
	}
	for i := range r.From {
		s := &r.From[i]
		add("remoteIpBlocks", s.RemoteIPBlocks)
		add("notRemoteIpBlocks", s.NotRemoteIPBlocks)
		add("requestPrincipals", s.RequestPrincipals)
		add("notRequestPrincipals", s.NotRequestPrincipals)
	}
	for _, w := range r.When {
		if !l4Keys[w.Key] {
			out = append(out, w.Key)
		}
	}
	return out
}

func (c *ztunnelCompiler) rule(i int) ruleCubes {
	r := &c.policy.Rules[i]
	var out ruleCubes
	if r.Nil {
		out.unknown = "the rule is null"
		return out
	}
	http := httpFields(r)
	if len(http) > 0 && !c.deny {
		out.dropped = "ztunnel leaves out ALLOW rules with HTTP attributes (" + strings.Join(http, ", ") + ")"
		return out
	}
	out.lost = http
	clauses := make([][][]*literal, 0, 2+len(r.When))
	inert := ""
	addClause := func(name string, matches [][]*literal) {
		var live [][]*literal
		for _, m := range matches {
			if len(m) > 0 {
				live = append(live, m)
			}
		}
		if len(live) == 0 {
			inert = name
		}
		clauses = append(clauses, live)
	}
	if len(r.To) > 0 {
		var ms [][]*literal
		for i := range r.To {
			ms = append(ms, c.operation(&r.To[i]))
		}
		addClause("to", ms)
	}
	if len(r.From) > 0 {
		var ms [][]*literal
		for i := range r.From {
			ms = append(ms, c.source(&r.From[i], &out))
		}
		addClause("from", ms)
	}
	for _, w := range r.When {
		addClause("when "+w.Key, [][]*literal{c.condition(w)})
	}
	if inert != "" {
		out.cubes = append(out.cubes, &cube{policy: c.id, rule: i,
			never: fmt.Sprintf("nothing that ztunnel knows is left of its %q clause, so the rule never matches", inert)})
		return out
	}
	out.cubes = expand(c.id, i, clauses)
	return out
}

// expand multiplies clauses out into cubes.
func expand(id *policyID, rule int, clauses [][][]*literal) []*cube {
	cubes := []*cube{{policy: id, rule: rule}}
	for _, clause := range clauses {
		next := make([]*cube, 0, len(cubes)*len(clause))
		for _, c := range cubes {
			for _, m := range clause {
				lits := make([]*literal, 0, len(c.lits)+len(m))
				lits = append(append(lits, c.lits...), m...)
				next = append(next, &cube{policy: id, rule: rule, lits: lits})
			}
		}
		cubes = next
	}
	return cubes
}

// list makes the literals of a values and notValues pair; values that cannot be read
// vanish, as they do in istiod.
func (c *ztunnelCompiler) list(kind attrKind, name string, values, notValues []string, read func(*literal, string) error) []*literal {
	var lits []*literal
	for n, vs := range [2][]string{values, notValues} {
		l := literal{attr: attr{kind: kind}, negate: n == 1, field: name}
		for _, v := range vs {
			_ = read(&l, v) // an unreadable value is left out
		}
		if len(l.ids)+len(l.pats) > 0 {
			lits = append(lits, c.in.literal(l))
		}
	}
	return lits
}

func (c *ztunnelCompiler) operation(o *Operation) []*literal {
	return c.list(attrPort, "ports", o.Ports, o.NotPorts, readPort)
}

func (c *ztunnelCompiler) source(s *Source, out *ruleCubes) []*literal {
	if len(s.TrustDomains)+len(s.NotTrustDomains) > 0 {
		// Up to 1.31 istiod drops the field without a word.
		out.lost = append(out.lost, "trustDomains")
	}
	sa := readIdentity(func(v string) *idMatcher { return ztunnelServiceAccount(c.policy.Namespace, v) })
	lits := c.list(attrSourceIP, "ipBlocks", s.IPBlocks, s.NotIPBlocks, readCIDR)
	lits = append(lits, c.list(attrIdentity, "namespaces", s.Namespaces, s.NotNamespaces, readIdentity(ztunnelNamespace))...)
	lits = append(lits, c.list(attrIdentity, "serviceAccounts", s.ServiceAccounts, s.NotServiceAccounts, sa)...)
	return append(lits, c.list(attrIdentity, "principals", s.Principals, s.NotPrincipals, readIdentity(ztunnelPrincipal))...)
}

func (c *ztunnelCompiler) condition(w Condition) []*literal {
	switch w.Key {
	case keySourceIP:
		return c.list(attrSourceIP, w.Key, w.Values, w.NotValues, readCIDR)
	case keySourceNamespace:
		return c.list(attrIdentity, w.Key, w.Values, w.NotValues, readIdentity(ztunnelNamespace))
	case keySourcePrincipal:
		return c.list(attrIdentity, w.Key, w.Values, w.NotValues, readIdentity(ztunnelPrincipal))
	case keyDestinationIP:
		return c.list(attrDestIP, w.Key, w.Values, w.NotValues, readCIDR)
	case keyDestinationPort:
		return c.list(attrPort, w.Key, w.Values, w.NotValues, readPort)
	}
	return nil
}
