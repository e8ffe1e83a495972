package authz

import (
	"net/netip"
	"regexp"
	"strings"
)

// patKind is the form of a string pattern.
type patKind uint8

const (
	patExact patKind = iota
	patPrefix
	patSuffix
	// patNonEmpty is Envoy's regular expression ".+".
	patNonEmpty
	// patPresent is a header's presence, empty or not.
	patPresent
	patTemplate
	patCIDR
	patPort
)

// pattern is one value of a field, as one enforcement point reads it.
type pattern struct {
	kind patKind
	text string
	// fold ignores ASCII case, as Envoy does for hosts.
	fold     bool
	prefix   netip.Prefix
	template []string
	re       *regexp.Regexp
	port     uint16
}

// key identifies the pattern among those of one attribute.
func (p *pattern) key() string {
	k := string(rune('0'+p.kind)) + p.text
	if p.fold {
		return "i" + k
	}
	return k
}

// simplePattern reads exact, prefix*, *suffix and *.
func simplePattern(v string, fold bool) *pattern {
	p := &pattern{text: v, fold: fold}
	switch {
	case v == "*":
		p.kind, p.text = patPresent, ""
	case strings.HasPrefix(v, "*"):
		p.kind, p.text = patSuffix, v[1:]
	case strings.HasSuffix(v, "*"):
		p.kind, p.text = patPrefix, v[:len(v)-1]
	}
	if fold {
		p.text = asciiLower(p.text)
	}
	return p
}

// stringPattern is istiod's StringMatcher: "*" means any non-empty text.
func stringPattern(v string) *pattern {
	p := simplePattern(v, false)
	if p.kind == patPresent {
		p.kind = patNonEmpty
	}
	return p
}

// pathPattern reads a paths value: a template when it holds {*} or {**}.
func pathPattern(v string) *pattern {
	if !isTemplate(v) {
		return stringPattern(v)
	}
	segs := templateSegments(v)
	return &pattern{kind: patTemplate, text: v, template: segs, re: templateRegexp(segs)}
}

// matches decides a string attribute; present is false when the request has none.
func (p *pattern) matches(s string, present bool) bool {
	if !present {
		return false
	}
	if p.fold {
		s = asciiLower(s)
	}
	switch p.kind {
	case patExact:
		return s == p.text
	case patPrefix:
		return strings.HasPrefix(s, p.text)
	case patSuffix:
		return strings.HasSuffix(s, p.text)
	case patNonEmpty:
		return s != ""
	case patPresent:
		return true
	case patTemplate:
		return p.re.MatchString(s)
	}
	return false
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// parseCIDR reads an address or a CIDR range, host bits dropped as Envoy and ztunnel do.
func parseCIDR(v string) (netip.Prefix, bool) {
	if strings.Contains(v, "/") {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return netip.Prefix{}, false
		}
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}
