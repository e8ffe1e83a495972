package authz

import (
	"fmt"
	"sort"
	"strings"
)

// words says what a cube asks for.
func (c *cube) words() string {
	if len(c.lits) == 0 {
		return "any call"
	}
	parts := make([]string, 0, len(c.lits))
	for _, l := range c.lits {
		parts = append(parts, l.words())
	}
	return strings.Join(parts, ", ")
}

func (l *literal) words() string {
	var vals []string
	for _, m := range l.ids {
		vals = append(vals, m.words())
	}
	for _, p := range l.pats {
		vals = append(vals, p.words())
	}
	for _, s := range l.subs {
		vals = append(vals, s.iss.words()+"/"+s.sub.words())
	}
	is := " is "
	if l.negate {
		is = " is not "
	}
	if l.attr.kind == attrRefused {
		return l.field + " refuses"
	}
	return l.field + is + strings.Join(vals, " or ")
}

// words is the value behind a key such as "e/ns/VALUE".
func (m *idMatcher) words() string {
	parts := strings.SplitN(m.key, "/", 3)
	return parts[len(parts)-1]
}

func (p *pattern) words() string {
	switch p.kind {
	case patPrefix:
		return p.text + "*"
	case patSuffix:
		return "*" + p.text
	case patNonEmpty, patPresent:
		return "*"
	}
	return p.text
}

// words says the request as a person would: "GET /admin from shop/cart to ...".
func (r *Request) words() string {
	return r.What() + " from " + r.From.words() + " to " + r.To.words()
}

// What says what is asked for, whoever asks whom: "GET /admin".
func (r *Request) What() string {
	var b strings.Builder
	if r.Protocol == ProtocolTCP {
		b.WriteString("TCP connection")
	} else {
		b.WriteString(r.Method + " " + r.Path)
		if r.Host != "" {
			b.WriteString(" host " + r.Host)
		}
	}
	for _, k := range sortedKeys(r.Headers) {
		fmt.Fprintf(&b, " header %s=%q", k, r.Headers[k])
	}
	if r.JWT != nil {
		b.WriteString(" " + r.JWT.words())
	}
	for _, f := range [][2]string{{"SNI", r.SNI}, {"source IP", r.SourceIP}, {"remote IP", r.RemoteIP}, {"pod IP", r.PodIP}, {"service IP", r.VIP}, {"waypoint IP", r.WaypointIP}} {
		if f[1] != "" {
			b.WriteString(" " + f[0] + " " + f[1])
		}
	}
	for _, k := range sortedKeys(r.Metadata) {
		fmt.Fprintf(&b, " metadata %s=%s", k, strings.Join(r.Metadata[k], ","))
	}
	if len(r.Refused) > 0 {
		b.WriteString(" refused by authorizer " + strings.Join(r.Refused, ", "))
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func (t *Token) words() string {
	if !t.Valid {
		return "with a token that is not valid"
	}
	s := "with a token of " + t.Issuer
	for _, k := range sortedKeys(t.Claims) {
		s += " " + t.Claims[k].words(k)
	}
	return s
}

func (c Claim) words(name string) string {
	var parts []string
	if len(c.Values) > 0 {
		parts = append(parts, name+"="+strings.Join(c.Values, ","))
	}
	for _, k := range sortedKeys(c.Object) {
		parts = append(parts, c.Object[k].words(name+"."+k))
	}
	return strings.Join(parts, " ")
}

func (c Caller) words() string {
	var s string
	switch {
	case c.Principal != "":
		s = shortPrincipal(c.Principal)
		if c.PrincipalAfter != "" {
			s += ", then " + shortPrincipal(c.PrincipalAfter)
		}
	case c.Workload != nil:
		s = c.Workload.Namespace + "/" + c.Workload.Name
	default:
		s = "outside the mesh"
	}
	switch {
	case c.ModeAfter != "" && c.ModeAfter != c.Mode:
		s += fmt.Sprintf(" (%s, then %s)", c.Mode, c.ModeAfter)
	case c.Mode != ModeNone:
		s += fmt.Sprintf(" (%s)", c.Mode)
	}
	if c.Others > 0 {
		s += fmt.Sprintf(" and %d more callers", c.Others)
	}
	return s
}

// shortPrincipal drops a SPIFFE identity's fixed words.
func shortPrincipal(p string) string {
	id := makeIdentity(p)
	if !id.wellFormed {
		return p
	}
	s := id.ns + "/" + id.sa
	if id.td != "cluster.local" {
		s = id.td + ":" + s
	}
	return s
}

func (d Destination) words() string {
	s := d.Workload.Namespace + "/" + d.Workload.Name
	if d.Workload.Set != "" {
		s += " (" + d.Workload.Set + ")"
	}
	switch d.Addressing {
	case ByService:
		return fmt.Sprintf("%s:%d by service %s:%d", s, d.Port, d.Service, d.ServicePort)
	case ByHeadless:
		return fmt.Sprintf("%s:%d by headless service %s", s, d.Port, d.Service)
	}
	if d.AnyOther {
		return fmt.Sprintf("%s:%d (any port that nothing names) by pod IP", s, d.Port)
	}
	return fmt.Sprintf("%s:%d by pod IP", s, d.Port)
}
