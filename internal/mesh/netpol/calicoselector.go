package netpol

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// calicoSelector compiles a selector of Calico: all(), has(k), k == 'v', k != 'v', k in {'a', 'b'},
// k not in {...}, contains, starts with, ends with, joined by &&, ||, ! and parentheses
// (https://docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors). An empty one selects all,
// and so does one that cannot be read, along with an error.
func calicoSelector(text string, of func(*End) labels.Set) (func(*End) bool, error) {
	if strings.TrimSpace(text) == "" {
		return matchesAll, nil
	}
	p := &selectorParser{}
	for rest := text; strings.TrimSpace(rest) != ""; {
		m := selectorToken.FindString(rest)
		if m == "" {
			return matchesAll, fmt.Errorf("cannot read selector %q", text)
		}
		p.tokens = append(p.tokens, strings.TrimSpace(m))
		rest = rest[len(m):]
	}
	match, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = errors.New("more than one expression")
	}
	if err != nil {
		return matchesAll, fmt.Errorf("cannot read selector %q: %w", text, err)
	}
	return func(e *End) bool { return match(of(e)) }, nil
}

var selectorToken = regexp.MustCompile(`^\s*(&&|\|\||==|!=|!|[(){},]|'[^']*'|"[^"]*"|[A-Za-z0-9_./-]+)`)

type selectorParser struct{ tokens []string }

type labelTest func(labels.Set) bool

func (p *selectorParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *selectorParser) accept(words ...string) bool {
	if len(p.tokens) < len(words) || !slices.Equal(p.tokens[:len(words)], words) {
		return false
	}
	p.tokens = p.tokens[len(words):]
	return true
}

func (p *selectorParser) or() (labelTest, error) {
	left, err := p.and()
	for err == nil && p.accept("||") {
		a := left
		var b labelTest
		b, err = p.and()
		left = func(l labels.Set) bool { return a(l) || b(l) }
	}
	return left, err
}

func (p *selectorParser) and() (labelTest, error) {
	left, err := p.not()
	for err == nil && p.accept("&&") {
		a := left
		var b labelTest
		b, err = p.not()
		left = func(l labels.Set) bool { return a(l) && b(l) }
	}
	return left, err
}

func (p *selectorParser) not() (labelTest, error) {
	if p.accept("!") {
		t, err := p.not()
		return func(l labels.Set) bool { return !t(l) }, err
	}
	if p.accept("(") {
		t, err := p.or()
		if err == nil && !p.accept(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return t, err
	}
	return p.term()
}

func (p *selectorParser) term() (labelTest, error) {
	key := p.next()
	switch {
	case key == "all" && p.accept("(", ")"):
		return func(labels.Set) bool { return true }, nil
	case key == "global" && p.accept("(", ")"):
		return nil, errors.New("global()")
	case key == "has" && p.accept("("):
		k := p.next()
		if !p.accept(")") {
			return nil, errors.New("has( is not closed")
		}
		return func(l labels.Set) bool { return l.Has(k) }, nil
	case p.accept("=="):
		v, err := p.value()
		return func(l labels.Set) bool { return l.Has(key) && l[key] == v }, err
	case p.accept("!="):
		v, err := p.value()
		return func(l labels.Set) bool { return l[key] != v || !l.Has(key) }, err
	case p.accept("not", "in"):
		list, err := p.list()
		return func(l labels.Set) bool { return !l.Has(key) || !slices.Contains(list, l[key]) }, err
	case p.accept("in"):
		list, err := p.list()
		return func(l labels.Set) bool { return l.Has(key) && slices.Contains(list, l[key]) }, err
	case p.accept("contains"):
		v, err := p.value()
		return func(l labels.Set) bool { return l.Has(key) && strings.Contains(l[key], v) }, err
	case p.accept("starts", "with"):
		v, err := p.value()
		return func(l labels.Set) bool { return l.Has(key) && strings.HasPrefix(l[key], v) }, err
	case p.accept("ends", "with"):
		v, err := p.value()
		return func(l labels.Set) bool { return l.Has(key) && strings.HasSuffix(l[key], v) }, err
	}
	return nil, fmt.Errorf("%q is no expression", key)
}

func (p *selectorParser) value() (string, error) {
	t := p.next()
	if len(t) < 2 || t[0] != '\'' && t[0] != '"' {
		return "", fmt.Errorf("%q is no value in quotes", t)
	}
	return t[1 : len(t)-1], nil
}

func (p *selectorParser) list() ([]string, error) {
	if !p.accept("{") {
		return nil, errors.New("a set begins with {")
	}
	var out []string
	for !p.accept("}") {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		p.accept(",")
	}
	return out, nil
}
