package authz

import (
	"net/netip"
	"slices"
	"strings"
)

// patternSpace decides rule by rule where the classes of some attribute could not be enumerated for all
// patterns at once: a region is a conjunction of rules, and its classes are those of the patterns in it and
// in those rules that turn out to matter.
type patternSpace struct {
	env   *environment
	cubes [][]pending
	ids   map[string]int32
	// words are claims that JWT rules of the scenario split at spaces.
	words []string

	steps, max int
	large      bool
}

// splitPatterns decides a scenario rule by rule over patterns; it reports false when that is too much.
func splitPatterns(sides [3]side, env *environment, max int, f leaf) bool {
	ps := &patternSpace{env: env, ids: map[string]int32{}, max: max}
	s := split[[]int32]{space: ps, leaf: f}
	for i := range sides {
		s.sides[i] = ps.side(&sides[i])
	}
	return s.run()
}

func (ps *patternSpace) side(s *side) sideState {
	ps.words = append(ps.words, s.words...)
	st := sideState{verdict: s.verdict, unknown: s.unknown}
	if st.verdict != "" {
		return st
	}
	st.deny = ps.file(s.deny)
	for _, set := range s.allows {
		st.allows = append(st.allows, ps.file(set))
	}
	return st
}

// file gives cubes of equal content one number.
func (ps *patternSpace) file(cubes [][]pending) []int32 {
	out := make([]int32, 0, len(cubes))
	for _, c := range cubes {
		keys := make([]string, len(c))
		for i := range c {
			keys[i] = c[i].content()
		}
		slices.Sort(keys)
		k := strings.Join(keys, "\x02")
		id, ok := ps.ids[k]
		if !ok {
			id = int32(len(ps.cubes))
			ps.ids[k] = id
			ps.cubes = append(ps.cubes, c)
		}
		out = append(out, id)
	}
	return sortedSet(out)
}

// content identifies what a literal asks.
func (l *pending) content() string {
	var b strings.Builder
	b.WriteByte(byte('A' + l.key.attr.kind))
	b.WriteByte(byte('0' + l.key.place))
	if l.negate {
		b.WriteByte('!')
	}
	b.WriteString(l.key.attr.name)
	for _, p := range l.pats {
		b.WriteByte(1)
		b.WriteString(p.key())
	}
	return b.String()
}

func (ps *patternSpace) all() []int32    { return nil }
func (ps *patternSpace) exhausted() bool { return ps.large }

func (ps *patternSpace) narrow(r []int32, id int32) (out []int32, ok bool) {
	return append(slices.Clone(r), id), true
}

func (ps *patternSpace) meeting(r, cubes []int32) (out []int32, covered bool) {
	for _, id := range cubes {
		if len(ps.cubes[id]) == 0 || slices.Contains(r, id) {
			return nil, true
		}
	}
	return cubes, false
}

// problemSteps is what enumerating the classes of a few rules counts as.
const problemSteps = 5_000

// witness begins with no rule that must not match, and takes in those that match what it finds, until none
// does or nothing is left.
func (ps *patternSpace) witness(r, cubes []int32) (p *problem, found []int) {
	s := side{words: ps.words}
	for _, id := range r {
		s.allows = append(s.allows, [][]pending{ps.cubes[id]})
	}
	for _, id := range cubes {
		for i := range ps.cubes[id] {
			s.asked = append(s.asked, ps.cubes[id][i].key)
		}
	}
	for {
		if ps.steps += problemSteps; ps.steps > ps.max {
			ps.large = true
			return nil, nil
		}
		p = newProblem([3]side{s, {verdict: Deny}, {verdict: Deny}}, ps.env)
		if p.tooLarge != "" {
			ps.large = true
			return nil, nil
		}
		found = nil
		if !splitProblem(p, ps.max-ps.steps, func(_ *problem, assign []int, _ [3]Decision) more {
			found = assign
			return nothing
		}) {
			ps.large = true
		}
		if found == nil {
			return nil, nil
		}
		v := p.values(found)
		rest := cubes[:0:0]
		for _, id := range cubes {
			if v.match(ps.cubes[id]) {
				s.deny = append(s.deny, ps.cubes[id])
			} else {
				rest = append(rest, id)
			}
		}
		if len(rest) == len(cubes) {
			return p, found
		}
		cubes = rest
	}
}

// values are what a request of a region has, by variable: one text, or a list's elements.
type values map[variableKey][]class

func (p *problem) values(assign []int) values {
	out := values{}
	for i := range p.vars {
		v := &p.vars[i]
		k, c := variableKey{v.attr, v.place}, v.classes[assign[i]]
		if v.isElement {
			c.rep = v.element
		}
		if c.present {
			out[k] = append(out[k], c)
		}
	}
	return out
}

// match says whether a request with these values matches a conjunction.
func (v values) match(cube []pending) bool {
	return !slices.ContainsFunc(cube, func(l pending) bool {
		hit := slices.ContainsFunc(v[l.key], func(c class) bool { return l.accepts(c.rep) })
		return hit == l.negate
	})
}

// accepts says whether a value is one that the literal's patterns match.
func (l *pending) accepts(value string) bool {
	switch l.key.attr.kind {
	case attrRefused:
		return true
	case attrSourceIP, attrRemoteIP, attrDestIP:
		a, err := netip.ParseAddr(value)
		return err == nil && slices.ContainsFunc(l.pats, func(p *pattern) bool { return p.prefix.Contains(a) })
	}
	return slices.ContainsFunc(l.pats, func(p *pattern) bool { return p.matches(value, true) })
}
