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

const (
	templateOne = "{*}"
	templateAny = "{**}"
)

func isTemplate(v string) bool {
	return strings.Contains(v, templateOne) || strings.Contains(v, templateAny)
}

// templateSegments splits a path template as Envoy's URI template parser does: the
// leading slash, then segments; one trailing slash is an empty last segment.
func templateSegments(v string) []string {
	v = strings.ReplaceAll(strings.ReplaceAll(v, templateAny, "**"), templateOne, "*")
	return strings.Split(strings.TrimPrefix(v, "/"), "/")
}

// literalByte says whether Envoy's URI template accepts the byte in a segment: a pchar
// of RFC 3986 other than "*".
func literalByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~%!$&'()+,;:@=", c) >= 0
}

// templateOperator splits a segment into its operator, 1 for * and 2 for **, and the
// literal text; Envoy allows text behind an operator in the last segment.
func templateOperator(seg string) (rest string, op int) {
	for op < 2 && strings.HasPrefix(seg, "*") {
		seg = seg[1:]
		op++
	}
	return seg, op
}

// templateRegexp is the regular expression that Envoy makes of a template
// (source/extensions/path/uri_template_lib/uri_template_internal.cc).
func templateRegexp(segs []string) *regexp.Regexp {
	const one = `[a-zA-Z0-9\-._~%!$&'()+,;:@=]+`
	const many = `[a-zA-Z0-9\-._~%!$&'()+,;:@=/]*`
	var b strings.Builder
	b.WriteString("^")
	for _, s := range segs {
		b.WriteString("/")
		rest, op := templateOperator(s)
		switch op {
		case 1:
			b.WriteString(one)
		case 2:
			b.WriteString(many)
		}
		b.WriteString(regexp.QuoteMeta(rest))
	}
	b.WriteString("$")
	re, err := regexp.Compile(b.String())
	if err != nil { // only for invalid UTF-8, which no path of a policy can hold
		return regexp.MustCompile(`[^\s\S]`)
	}
	return re
}

// templateMachine runs a template over a path byte by byte, so that it can be
// intersected with other patterns. Its state is a set of positions in ops.
type templateMachine struct {
	ops []templateOp
}

type templateOp struct {
	lit byte // a byte to match, when class is 0
	// class '1': one segment byte; 's': any number of segment bytes; 'm': of segment
	// bytes and slashes.
	class byte
}

// positions is a set of positions of a templateMachine.
type positions [8]uint64

func (p *positions) add(i int)      { p[i>>6] |= 1 << (i & 63) }
func (p *positions) has(i int) bool { return p[i>>6]&(1<<(i&63)) != 0 }

func newTemplateMachine(segs []string) *templateMachine {
	t := &templateMachine{}
	for _, s := range segs {
		t.ops = append(t.ops, templateOp{lit: '/'})
		rest, op := templateOperator(s)
		switch op {
		case 1:
			t.ops = append(t.ops, templateOp{class: '1'}, templateOp{class: 's'})
		case 2:
			t.ops = append(t.ops, templateOp{class: 'm'})
		}
		for i := 0; i < len(rest); i++ {
			t.ops = append(t.ops, templateOp{lit: rest[i]})
		}
	}
	return t
}

// fits says whether the template is short enough for the machine.
func (t *templateMachine) fits() bool { return len(t.ops) < len(positions{})*64 }

func (t *templateMachine) start() positions {
	var s positions
	s.add(0)
	return t.close(s)
}

// close adds the positions behind operators that may match nothing.
func (t *templateMachine) close(s positions) positions {
	for i, op := range t.ops {
		if (op.class == 's' || op.class == 'm') && s.has(i) {
			s.add(i + 1)
		}
	}
	return s
}

func (t *templateMachine) step(s positions, c byte) positions {
	var next positions
	lit := literalByte(c)
	for i, op := range t.ops {
		if !s.has(i) {
			continue
		}
		switch op.class {
		case 0:
			if c == op.lit {
				next.add(i + 1)
			}
		case '1':
			if lit {
				next.add(i + 1)
			}
		case 's':
			if lit {
				next.add(i)
			}
		case 'm':
			if lit || c == '/' {
				next.add(i)
			}
		}
	}
	return t.close(next)
}

func (t *templateMachine) accepts(s positions) bool { return s.has(len(t.ops)) }
