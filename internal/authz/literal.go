package authz

import (
	"net/netip"
	"strings"
)

// attrKind is an attribute of a call that policies can ask about.
type attrKind uint8

const (
	attrIdentity attrKind = iota
	attrPort
	attrSourceIP
	attrRemoteIP
	attrDestIP
	attrSNI
	attrMethod
	attrPath
	attrHost
	attrHeader
	// attrRequestPrincipal asks about issuer and subject together.
	attrRequestPrincipal
	attrClaim
	attrMetadata
	// attrRefused is the answer of an external authorizer, by provider.
	attrRefused
	// attrSubject is the sub claim on its own, once the issuer is known.
	attrSubject
	// attrWord is an element of a claim that is a list separated by spaces.
	attrWord
)

// attr names an attribute; name is the header, claim path, metadata key or provider.
type attr struct {
	kind attrKind
	name string
}

// subjectPattern is one requestPrincipals value: a pattern on the issuer and one on the
// subject, both of which must match.
type subjectPattern struct {
	iss, sub *pattern
}

// literal asks one thing about one attribute: that any of its patterns matches, or,
// negated, that none does.
type literal struct {
	attr   attr
	negate bool
	ids    []*idMatcher
	pats   []*pattern
	subs   []subjectPattern
	// key identifies the literal's meaning within an interner.
	key string
	// field is the API field it comes from, for people.
	field string
}

// cube is a conjunction of literals, from one combination of from, to and when of one
// rule. A cube with never set cannot match whatever the request.
type cube struct {
	policy *policyID
	rule   int
	lits   []*literal
	never  string
}

// policyID is what reasons say about a policy.
type policyID struct {
	key    string
	action Action
}

// view is a request as one enforcement point sees it.
type view struct {
	id   identity
	port uint16
	// path is normalized, without query and fragment.
	path                     string
	http                     bool
	sni                      string
	sourceIP, remoteIP, dest netip.Addr
	req                      *Request
	// token is what the point's JWT filter made of the request's token.
	token *Token
}

// match decides a literal on a concrete view.
func (l *literal) match(v *view) bool { return l.any(v) != l.negate }

func (l *literal) any(v *view) bool {
	switch l.attr.kind {
	case attrIdentity:
		for _, m := range l.ids {
			if m.match(v.id) {
				return true
			}
		}
		return false
	case attrPort:
		for _, p := range l.pats {
			if p.port == v.port {
				return true
			}
		}
		return false
	case attrSourceIP:
		return anyCIDR(l.pats, v.sourceIP)
	case attrRemoteIP:
		return anyCIDR(l.pats, v.remoteIP)
	case attrDestIP:
		return anyCIDR(l.pats, v.dest)
	case attrSNI:
		return anyString(l.pats, v.sni, true)
	case attrMethod:
		return v.http && anyString(l.pats, v.req.Method, v.req.Method != "")
	case attrPath:
		return v.http && anyString(l.pats, v.path, v.path != "")
	case attrHost:
		return v.http && anyString(l.pats, v.req.Host, v.req.Host != "")
	case attrHeader:
		s, ok := header(v.req, l.attr.name)
		return v.http && anyString(l.pats, s, ok)
	case attrRequestPrincipal:
		return v.token != nil && l.anySubject(v.token)
	case attrClaim:
		return v.token != nil && l.anyClaim(claimValues(v.token, l.attr.name))
	case attrMetadata:
		return l.anyClaim(v.req.Metadata[l.attr.name])
	case attrRefused:
		for _, p := range v.req.Refused {
			if p == l.attr.name {
				return true
			}
		}
		return false
	}
	return false
}

func (l *literal) anySubject(t *Token) bool {
	sub, ok := t.Claims["sub"]
	subject := ""
	if ok && len(sub.Values) > 0 {
		subject = sub.Values[0]
	}
	for _, p := range l.subs {
		if p.iss.matches(t.Issuer, t.Issuer != "") && p.sub.matches(subject, subject != "") {
			return true
		}
	}
	return false
}

func (l *literal) anyClaim(values []string) bool {
	for _, v := range values {
		if anyString(l.pats, v, true) {
			return true
		}
	}
	return false
}

func anyString(pats []*pattern, s string, present bool) bool {
	for _, p := range pats {
		if p.matches(s, present) {
			return true
		}
	}
	return false
}

func anyCIDR(pats []*pattern, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	for _, p := range pats {
		if p.prefix.Contains(a) {
			return true
		}
	}
	return false
}

// pathOnly drops query and fragment, as Envoy's url_path matchers do.
func pathOnly(p string) string {
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		return p[:i]
	}
	return p
}

// header finds a header by its lower-case name; the pseudo headers are attributes of
// their own.
func header(r *Request, name string) (string, bool) {
	for k, v := range r.Headers {
		if asciiLower(k) == name {
			return v, true
		}
	}
	return "", false
}

const claimSep = "\x00"

// claimValues gives the string values at a claim path.
func claimValues(t *Token, path string) []string {
	if path == "iss" {
		return []string{t.Issuer}
	}
	claims := t.Claims
	names := strings.Split(path, claimSep)
	for i, n := range names {
		c, ok := claims[n]
		if !ok {
			return nil
		}
		if i == len(names)-1 {
			return c.Values
		}
		claims = c.Object
	}
	return nil
}
