package authz

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// A scenario fixes who calls what, how and with which token. What is left open are
// attributes of the request: each is a variable with finitely many classes of values.
// Both worlds' programs become sets of cubes over these variables, and a depth-first
// search over the classes, which merges classes that no remaining cube tells apart and
// visits no state twice, finds every region in which the worlds disagree.

// variable is an open attribute. Source and destination addresses mean different things
// before and behind a waypoint, which place tells apart; claims and metadata are lists,
// so that each class of element is a variable of its own, there or not.
type variable struct {
	attr    attr
	place   place
	classes []class
	// element is the value that is or is not in the list, when isElement.
	isElement bool
	element   string
}

// place says which address an address variable is.
type place uint8

const (
	placePod place = iota
	placeVIP
	placeWaypoint
)

type variableKey struct {
	attr  attr
	place place
}

// lit is a literal over a variable: the classes for which it holds.
type lit struct {
	v    int
	mask bitset
}

// problem is a scenario ready to be searched.
type problem struct {
	vars  []variable
	cubes [][]lit // by content
	ids   map[string]int32
	sides [3]sideState
	// words are the claims that are lists separated by spaces.
	words map[string]bool
	// tooLarge names the attribute whose classes could not be enumerated.
	tooLarge string
}

// sideState is what is still undecided in one world. deny and the inner allows are
// sorted sets of cubes.
type sideState struct {
	verdict Decision
	unknown bool
	deny    []int32
	allows  [][]int32
}

// environment gives the values that the worlds know.
type environment struct {
	preferred func(attrKind) []string
	known     func(place) []netip.Addr
	classes   *classCache
}

// classCache remembers classes, since the same patterns come up at many destinations.
type classCache struct {
	strings map[string][]class
}

func newProblem(sides [3]side, env *environment) *problem {
	p := &problem{ids: map[string]int32{}, words: map[string]bool{"scope": true, "permission": true}}
	byVar := map[variableKey][]*pattern{}
	index := map[variableKey]map[string]int{}
	var order []variableKey
	mention := func(k variableKey) {
		if index[k] == nil {
			index[k] = map[string]int{}
			order = append(order, k)
		}
	}
	collect := func(lits []pending) {
		for _, l := range lits {
			mention(l.key)
			for _, pt := range l.pats {
				if _, ok := index[l.key][pt.key()]; !ok {
					index[l.key][pt.key()] = len(byVar[l.key])
					byVar[l.key] = append(byVar[l.key], pt)
				}
			}
		}
	}
	for _, s := range sides {
		for _, w := range s.words {
			p.words[w] = true
		}
		for _, k := range s.asked {
			mention(k)
		}
		for _, c := range s.deny {
			collect(c)
		}
		for _, l := range s.allows {
			for _, c := range l {
				collect(c)
			}
		}
	}
	sort.Slice(order, func(i, j int) bool { return lessVariable(order[i], order[j]) })
	b := &problemBuilder{p: p, index: index, first: map[variableKey]int{}, list: map[variableKey]bool{}}
	for _, k := range order {
		if !b.addVariables(k, byVar[k], env) {
			p.tooLarge = k.attr.words()
			return p
		}
	}
	for i, s := range sides {
		if p.sides[i] = b.side(s); p.tooLarge != "" {
			return p
		}
	}
	p.order()
	return p
}

// order puts variables that most cubes ask about first, then the others as cubes bring
// them up, so that a cube's questions stand together: the search forgets a cube once
// they are answered, and meets fewer states.
func (p *problem) order() {
	count := make([]int, len(p.vars))
	for _, c := range p.cubes {
		for _, l := range c {
			count[l.v]++
		}
	}
	place := make([]int, len(p.vars))
	order := make([]int, 0, len(p.vars))
	for i := range place {
		place[i] = -1
		if count[i]*3 >= len(p.cubes) {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(i, j int) bool { return count[order[i]] > count[order[j]] })
	for i, v := range order {
		place[v] = i
	}
	take := func(v int) {
		if place[v] < 0 {
			place[v] = len(order)
			order = append(order, v)
		}
	}
	for _, c := range p.cubes {
		for _, l := range c {
			take(l.v)
		}
	}
	for v := range p.vars {
		take(v)
	}
	vars := make([]variable, len(p.vars))
	for i, v := range order {
		vars[i] = p.vars[v]
	}
	p.vars = vars
	for _, c := range p.cubes {
		for i := range c {
			c[i].v = place[c[i].v]
		}
		sort.Slice(c, func(i, j int) bool { return c[i].v < c[j].v })
	}
}

func lessVariable(a, b variableKey) bool {
	if a.attr.kind != b.attr.kind {
		return a.attr.kind < b.attr.kind
	}
	if a.attr.name != b.attr.name {
		return a.attr.name < b.attr.name
	}
	return a.place < b.place
}

// problemBuilder turns pending literals into lits.
type problemBuilder struct {
	p     *problem
	index map[variableKey]map[string]int
	first map[variableKey]int
	// list marks attributes that are lists: one variable per class of element.
	list map[variableKey]bool
	// elements are the classes behind a list's variables.
	elements map[variableKey][]class
}

func (b *problemBuilder) addVariables(k variableKey, pats []*pattern, env *environment) bool {
	b.first[k] = len(b.p.vars)
	there := newBitset(1)
	there.set(0)
	yesNo := []class{{bits: newBitset(1)}, {rep: "yes", present: true, bits: there}}
	switch k.attr.kind {
	case attrRefused:
		b.p.vars = append(b.p.vars, variable{attr: k.attr, classes: yesNo})
		return true
	case attrSourceIP, attrRemoteIP, attrDestIP:
		var known []netip.Addr
		if k.attr.kind == attrDestIP {
			known = env.known(k.place)
		}
		b.p.vars = append(b.p.vars, variable{attr: k.attr, place: k.place, classes: addressClasses(k.attr.kind, pats, known)})
		return true
	}
	a := k.attr
	if a.kind == attrClaim && b.p.words[a.name] {
		a.kind = attrWord
	}
	classes, ok := env.stringClasses(a, pats)
	if !ok {
		return false
	}
	if k.attr.kind != attrClaim && k.attr.kind != attrMetadata {
		b.p.vars = append(b.p.vars, variable{attr: k.attr, classes: classes})
		return true
	}
	b.list[k] = true
	if b.elements == nil {
		b.elements = map[variableKey][]class{}
	}
	for _, c := range classes {
		if !c.bits.empty() {
			b.elements[k] = append(b.elements[k], c)
			b.p.vars = append(b.p.vars, variable{attr: k.attr, classes: yesNo, isElement: true, element: c.rep})
		}
	}
	return true
}

func (env *environment) stringClasses(a attr, pats []*pattern) ([]class, bool) {
	var b strings.Builder
	b.WriteByte(byte(a.kind))
	for _, p := range pats {
		b.WriteString(p.key())
		b.WriteByte(0)
	}
	preferred := env.preferred(a.kind)
	for _, s := range preferred {
		b.WriteByte(1)
		b.WriteString(s)
	}
	if c, ok := env.classes.strings[b.String()]; ok {
		return c, c != nil
	}
	c, ok := stringClasses(a.kind, pats, preferred)
	if !ok {
		c = nil
	}
	env.classes.strings[b.String()] = c
	return c, ok
}

// matched gives the classes that any of a literal's patterns matches.
func (b *problemBuilder) matched(l pending, classes []class) bitset {
	m := newBitset(len(classes))
	if l.key.attr.kind == attrRefused {
		m.set(1)
		return m
	}
	for i, c := range classes {
		for _, p := range l.pats {
			if c.bits.has(b.index[l.key][p.key()]) {
				m.set(i)
				break
			}
		}
	}
	return m
}

// maxExpansion bounds the cubes that one conjunction becomes.
const maxExpansion = 1 << 14

// cubes turns one conjunction into cubes: several, when it asks that a list has one of
// several elements.
func (b *problemBuilder) cubes(lits []pending) []int32 {
	conj := []map[int]bitset{{}}
	and := func(v int, m bitset) {
		for _, c := range conj {
			if old, ok := c[v]; ok {
				both := newBitset(len(b.p.vars[v].classes))
				for i := range both {
					both[i] = old[i] & m[i]
				}
				c[v] = both
			} else {
				c[v] = m
			}
		}
	}
	for _, l := range lits {
		v := b.first[l.key]
		if !b.list[l.key] {
			n := len(b.p.vars[v].classes)
			m := b.matched(l, b.p.vars[v].classes)
			if l.negate {
				m = invert(m, n)
			}
			and(v, m)
			continue
		}
		m := b.matched(l, b.elements[l.key])
		yes, no := newBitset(2), newBitset(2)
		yes.set(1)
		no.set(0)
		var next []map[int]bitset
		for i := range b.elements[l.key] {
			if !m.has(i) {
				continue
			}
			if l.negate {
				and(v+i, no)
				continue
			}
			for _, c := range conj {
				d := make(map[int]bitset, len(c)+1)
				for k, x := range c {
					d[k] = x
				}
				if old, ok := d[v+i]; ok && !old.has(1) {
					continue
				}
				d[v+i] = yes
				next = append(next, d)
				if len(next) > maxExpansion {
					b.p.tooLarge = "lists of claims"
					return nil
				}
			}
		}
		if !l.negate {
			conj = next
		}
	}
	var out []int32
	for _, c := range conj {
		if id, ok := b.intern(c); ok {
			out = append(out, id)
		}
	}
	return out
}

// intern files a cube by content; a literal that always holds is dropped, and a cube
// with one that never holds is none.
func (b *problemBuilder) intern(c map[int]bitset) (int32, bool) {
	var lits []lit
	for v, m := range c {
		if m.empty() {
			return 0, false
		}
		if invert(m, len(b.p.vars[v].classes)).empty() {
			continue
		}
		lits = append(lits, lit{v, m})
	}
	sort.Slice(lits, func(i, j int) bool { return lits[i].v < lits[j].v })
	var k strings.Builder
	for _, l := range lits {
		var n [4]byte
		binary.LittleEndian.PutUint32(n[:], uint32(l.v))
		k.Write(n[:])
		k.WriteString(l.mask.key())
	}
	id, ok := b.p.ids[k.String()]
	if !ok {
		id = int32(len(b.p.cubes))
		b.p.ids[k.String()] = id
		b.p.cubes = append(b.p.cubes, lits)
	}
	return id, true
}

func (b *problemBuilder) side(s side) sideState {
	st := sideState{verdict: s.verdict, unknown: s.unknown}
	if st.verdict != "" {
		return st
	}
	for _, c := range s.deny {
		st.deny = append(st.deny, b.cubes(c)...)
	}
	st.deny = sortedSet(st.deny)
	for _, list := range s.allows {
		var ids []int32
		for _, c := range list {
			ids = append(ids, b.cubes(c)...)
		}
		st.allows = append(st.allows, sortedSet(ids))
	}
	return st
}

func sortedSet(ids []int32) []int32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (a attr) words() string {
	names := map[attrKind]string{attrSourceIP: "source IP", attrRemoteIP: "remote IP", attrDestIP: "destination IP", attrSNI: "SNI",
		attrMethod: "methods", attrPath: "paths", attrHost: "hosts", attrHeader: "header " + a.name, attrSubject: "request principals",
		attrClaim: "claim " + strings.ReplaceAll(a.name, claimSep, "."), attrMetadata: a.name, attrRefused: "provider " + a.name}
	return names[a.kind]
}
