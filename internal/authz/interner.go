package authz

import (
	"strings"
)

// interner makes literals with equal meaning the same pointer, across policies,
// enforcement points and worlds, so that sameness is cheap to see. It belongs to one
// comparison and is not safe for concurrent use.
type interner struct {
	literals map[string]*literal
	ids      map[string]*idMatcher
}

func newInterner() *interner {
	return &interner{literals: map[string]*literal{}, ids: map[string]*idMatcher{}}
}

func (in *interner) literal(l literal) *literal {
	var b strings.Builder
	b.WriteByte(byte('A' + l.attr.kind))
	if l.negate {
		b.WriteByte('!')
	}
	b.WriteString(l.attr.name)
	for _, m := range l.ids {
		b.WriteByte(1)
		b.WriteString(m.key)
	}
	for _, p := range l.pats {
		b.WriteByte(1)
		b.WriteString(p.key())
	}
	for _, s := range l.subs {
		b.WriteByte(1)
		b.WriteString(s.iss.key())
		b.WriteByte(2)
		b.WriteString(s.sub.key())
	}
	l.key = b.String()
	if old, ok := in.literals[l.key]; ok {
		return old
	}
	p := &l
	for i, m := range p.ids {
		if old, ok := in.ids[m.key]; ok {
			p.ids[i] = old
		} else {
			in.ids[m.key] = m
		}
	}
	in.literals[l.key] = p
	return p
}
