package authz

import (
	"regexp"
	"strings"
)

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
// intersected with other patterns. Its states are sets of positions in ops, numbered and
// joined as they are met; 0 is the first.
type templateMachine struct {
	ops    []templateOp
	states []positions
	ids    map[positions]int32
	// next has, for each state and byte, the state behind it plus one.
	next []*[256]int32
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
	t := &templateMachine{ids: map[positions]int32{}}
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
	if t.fits() {
		var s positions
		s.add(0)
		t.number(t.close(s))
	}
	return t
}

func (t *templateMachine) number(s positions) int32 {
	id, ok := t.ids[s]
	if !ok {
		id = int32(len(t.states))
		t.ids[s] = id
		t.states, t.next = append(t.states, s), append(t.next, nil)
	}
	return id
}

// fits says whether the template is short enough for the machine.
func (t *templateMachine) fits() bool { return len(t.ops) < len(positions{})*64 }

// close adds the positions behind operators that may match nothing.
func (t *templateMachine) close(s positions) positions {
	for i, op := range t.ops {
		if (op.class == 's' || op.class == 'm') && s.has(i) {
			s.add(i + 1)
		}
	}
	return s
}

func (t *templateMachine) step(state int32, c byte) int32 {
	row := t.next[state]
	if row == nil {
		row = new([256]int32)
		t.next[state] = row
	}
	if row[c] == 0 {
		row[c] = t.number(t.behind(t.states[state], c)) + 1
	}
	return row[c] - 1
}

func (t *templateMachine) behind(s positions, c byte) positions {
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

func (t *templateMachine) accepts(state int32) bool { return t.states[state].has(len(t.ops)) }
