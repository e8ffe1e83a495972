package authz

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Readers of single values of policy fields. What they cannot read they refuse, and the
// compilers decide what that costs.

func readString(l *literal, v string) error {
	l.pats = append(l.pats, stringPattern(v))
	return nil
}

func readHeader(l *literal, v string) error {
	l.pats = append(l.pats, simplePattern(v, false))
	return nil
}

func readHost(l *literal, v string) error {
	l.pats = append(l.pats, simplePattern(v, true))
	return nil
}

func readPath(l *literal, v string) error {
	l.pats = append(l.pats, pathPattern(v))
	return nil
}

func readPort(l *literal, v string) error {
	p, err := strconv.ParseUint(v, 10, 32)
	if err != nil || p > 65535 {
		return fieldError{fmt.Sprintf("%q is not a port", v)}
	}
	l.pats = append(l.pats, &pattern{kind: patPort, text: strconv.Itoa(int(p)), port: uint16(p)})
	return nil
}

func readCIDR(l *literal, v string) error {
	p, ok := parseCIDR(v)
	if !ok {
		return fieldError{fmt.Sprintf("%q is not an address range", v)}
	}
	l.pats = append(l.pats, cidrPattern(p))
	return nil
}

func cidrPattern(p netip.Prefix) *pattern {
	return &pattern{kind: patCIDR, text: p.String(), prefix: p}
}

func readIdentity(make func(string) *idMatcher) func(*literal, string) error {
	return func(l *literal, v string) error {
		l.ids = append(l.ids, make(v))
		return nil
	}
}

func (c *envoyCompiler) readServiceAccount(l *literal, v string) error {
	l.ids = append(l.ids, envoyServiceAccount(c.policy.Namespace, v))
	return nil
}

// readSubject splits a requestPrincipals value at its last slash, since an issuer may be
// a URL (generator.go requestPrincipalGenerator).
func readSubject(l *literal, v string) error {
	something := &pattern{kind: patNonEmpty}
	i := strings.LastIndexByte(v, '/')
	iss, sub := v, ""
	if i >= 0 {
		iss, sub = v[:i], v[i+1:]
	}
	s := subjectPattern{iss: &pattern{text: iss}, sub: &pattern{text: sub}}
	switch {
	case v == "*":
		s = subjectPattern{iss: something, sub: something}
	case strings.HasPrefix(v, "*"):
		if i < 0 {
			s = subjectPattern{iss: something, sub: &pattern{kind: patSuffix, text: v[1:]}}
			break
		}
		s.iss = &pattern{kind: patSuffix, text: strings.TrimPrefix(iss, "*")}
		if iss == "*" {
			s.iss = something
		}
	case strings.HasSuffix(v, "*"):
		if i < 0 {
			s = subjectPattern{iss: &pattern{kind: patPrefix, text: v[:len(v)-1]}, sub: something}
			break
		}
		s.sub = &pattern{kind: patPrefix, text: strings.TrimSuffix(sub, "*")}
		if sub == "*" {
			s.sub = something
		}
	}
	l.subs = append(l.subs, s)
	return nil
}

// readMetadata reads an experimental value; [v] asks for a list element and v for the
// value itself. Both are modelled as "one of the values is".
func readMetadata(key string) func(*literal, string) error {
	return func(l *literal, v string) error {
		if !strings.Contains(key, "[") {
			return fieldError{"expected experimental.envoy.filters.NAME[KEY]"}
		}
		if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			v = strings.Trim(v, "[]")
		}
		return readString(l, v)
	}
}

// bracketPath reads [a][b] as nested names; text that is not of this form but is in
// brackets is one name.
func bracketPath(s string) (path []string, bad string) {
	rest := s
	for rest != "" {
		if rest[0] != '[' {
			break
		}
		end := strings.IndexAny(rest[1:], "[]")
		if end < 0 || rest[1+end] == '[' {
			break
		}
		path = append(path, rest[1:1+end])
		rest = rest[2+end:]
	}
	if rest == "" && s != "" {
		return path, ""
	}
	if s == "" {
		return nil, ""
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return []string{s[1 : len(s)-1]}, ""
	}
	return nil, "expected request.auth.claims[NAME]"
}

// badTemplate says why Envoy would refuse a path template; istiod's admission refuses
// it first (pkg/config/security CheckValidPathTemplate). A value with braces that is no
// template is an ordinary string to both.
func badTemplate(p string) string {
	if !isTemplate(p) {
		return ""
	}
	if !strings.HasPrefix(p, "/") {
		return "it does not begin with a slash"
	}
	segs := templateSegments(p)
	anyDepth := false
	for i, s := range segs {
		rest, op := templateOperator(s)
		last := i == len(segs)-1
		switch {
		case op > 0 && anyDepth:
			return "{**} is not the last operator"
		case op > 0 && rest != "" && !last:
			return fmt.Sprintf("segment %q has text behind an operator", s)
		case op == 0 && rest == "" && !last:
			return "it has an empty segment"
		}
		anyDepth = anyDepth || op == 2
		for j := 0; j < len(rest); j++ {
			if !literalByte(rest[j]) {
				return fmt.Sprintf("segment %q has a byte that no literal may have", s)
			}
		}
	}
	if !newTemplateMachine(segs).fits() {
		return "it is longer than is modelled"
	}
	return ""
}
