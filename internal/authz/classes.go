package authz

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// class is a set of values that no pattern at hand tells apart, with one of them.
type class struct {
	rep     string
	present bool
	// bits are the patterns that match it.
	bits bitset
}

// maxStates bounds the product automaton of one attribute's patterns. A state costs more with templates,
// each of which is a machine of its own.
const maxStates = 200_000

func (p *product) maxStates() int { return maxStates * 4 / (4 + len(p.templates)) }

// stringClasses gives one class per satisfiable combination of the patterns of a string
// attribute: it walks the product of automata that recognise them (a trie for exact and
// prefix patterns, an Aho-Corasick machine for suffixes, position sets for templates),
// so that every combination that some string has is met, with a shortest such string.
// The result is false when the product is too large.
func stringClasses(kind attrKind, pats []*pattern, preferred []string) ([]class, bool) {
	p := newProduct(kind, pats)
	found := map[string]int{}
	var out []class
	add := func(rep string, present bool, bits bitset) {
		k := bits.key()
		if _, ok := found[k]; !ok {
			found[k] = len(out)
			out = append(out, class{rep, present, bits})
		}
	}
	if kind == attrHeader || kind == attrSubject {
		add("", false, newBitset(len(pats)))
	}
	for _, s := range preferred {
		bits := newBitset(len(pats))
		for i, pt := range pats {
			if pt.matches(s, true) {
				bits.set(i)
			}
		}
		add(s, true, bits)
	}
	return out, p.walk(kind, func(rep string, bits bitset) { add(rep, true, bits) })
}

// product is the product automaton of a set of patterns.
type product struct {
	n         int
	always    bitset // patterns that any text matches
	nonEmpty  bitset
	parts     []part
	templates []*templateMachine
	tmplIndex []int
	alphabet  []byte
}

// part is an automaton with plain states, over the text as it is or folded.
type part struct {
	trie *trie
	fold bool
}

type productState struct {
	parts  [4]int32
	normal normalState
	tmpl   int32 // index into the interned template states
}

func newProduct(kind attrKind, pats []*pattern) *product {
	p := &product{n: len(pats), always: newBitset(len(pats)), nonEmpty: newBitset(len(pats))}
	tries := [2]*trie{newTrie(p.n), newTrie(p.n)}
	suffixes := [2]*trie{newTrie(p.n), newTrie(p.n)}
	used := map[byte]bool{}
	sensitive, folded := false, false
	for i, pt := range pats {
		f := 0
		if pt.fold {
			f, folded = 1, true
		} else if len(pt.text) > 0 {
			sensitive = true
		}
		switch pt.kind {
		case patExact:
			tries[f].insert(pt.text, i, false)
		case patPrefix:
			tries[f].insert(pt.text, i, true)
		case patSuffix:
			suffixes[f].insert(pt.text, i, false)
		case patNonEmpty:
			p.nonEmpty.set(i)
		case patPresent:
			p.always.set(i)
		case patTemplate:
			p.templates = append(p.templates, newTemplateMachine(pt.template))
			p.tmplIndex = append(p.tmplIndex, i)
		}
		text := pt.text
		if pt.kind == patTemplate {
			text = strings.Join(pt.template, "/")
		}
		for j := 0; j < len(text); j++ {
			used[text[j]] = true
		}
	}
	p.setAlphabet(kind, used, sensitive && folded)
	for f := range tries {
		tries[f].finishPrefixes()
		suffixes[f].finishSuffixes()
	}
	p.parts = []part{{tries[0], false}, {tries[1], true}, {suffixes[0], false}, {suffixes[1], true}}
	return p
}

// setAlphabet takes the bytes that patterns mention and one of each other sort: one that
// templates accept in a segment, and one that they do not.
func (p *product) setAlphabet(kind attrKind, used map[byte]bool, bothCases bool) {
	if bothCases {
		for c := range used {
			// Case matters to some patterns and perhaps not to others.
			if 'a' <= c && c <= 'z' {
				used[c-'a'+'A'] = true
			} else if 'A' <= c && c <= 'Z' {
				used[c-'A'+'a'] = true
			}
		}
	}
	if kind == attrPath {
		used['/'] = true
	}
	for _, fresh := range []string{"xzqjkvwyuothersABCXYZ0123456789-", "*|^\"<>[]{}`\\"} {
		for i := 0; i < len(fresh); i++ {
			if !used[fresh[i]] {
				used[fresh[i]] = true
				break
			}
		}
	}
	for c := range used {
		if kind != attrWord || c != ' ' {
			p.alphabet = append(p.alphabet, c)
		}
	}
	// Letters come first, so that examples read well.
	letter := func(c byte) bool { return 'a' <= c && c <= 'z' }
	sort.Slice(p.alphabet, func(i, j int) bool {
		a, b := p.alphabet[i], p.alphabet[j]
		if letter(a) != letter(b) {
			return letter(a)
		}
		return a < b
	})
}

// walk visits every reachable state once, nearest first.
func (p *product) walk(kind attrKind, visit func(string, bitset)) bool {
	for _, t := range p.templates {
		if !t.fits() {
			return false
		}
	}
	type item struct {
		s      productState
		parent int32
		c      byte
	}
	// The states of all templates together are numbered as they are met.
	tmplStates := [][]int32{make([]int32, len(p.templates))}
	tmplIDs := map[string]int32{}
	key := make([]byte, 0, 4*len(p.templates))
	internTmpl := func(states []int32) int32 {
		key = key[:0]
		for _, s := range states {
			key = binary.LittleEndian.AppendUint32(key, uint32(s))
		}
		id, ok := tmplIDs[string(key)]
		if !ok {
			id = int32(len(tmplStates))
			tmplIDs[string(key)] = id
			tmplStates = append(tmplStates, slices.Clone(states))
		}
		return id
	}
	var start productState
	scratch := make([]int32, len(p.templates))
	if len(p.templates) > 0 {
		start.tmpl = internTmpl(scratch)
	}
	queue := []item{{s: start, parent: -1}}
	seen := map[productState]bool{start: true}
	text := func(i int32) string {
		var b []byte
		for ; queue[i].parent >= 0; i = queue[i].parent {
			b = append(b, queue[i].c)
		}
		for l, r := 0, len(b)-1; l < r; l, r = l+1, r-1 {
			b[l], b[r] = b[r], b[l]
		}
		return string(b)
	}
	for i := 0; i < len(queue); i++ {
		if len(queue) > p.maxStates() {
			return false
		}
		cur := queue[i]
		if (i > 0 || emptyAllowed(kind)) && (kind != attrPath || cur.s.normal.ends()) {
			visit(text(int32(i)), p.accepts(cur.s, i > 0, tmplStates))
		}
		for _, c := range p.alphabet {
			if i == 0 && kind == attrPath && c != '/' {
				continue // every HTTP path begins with a slash
			}
			next := productState{}
			if kind == attrPath {
				if next.normal = cur.s.normal.step(c); next.normal < 0 {
					continue // no policy ever sees such a path
				}
			}
			for n, pt := range p.parts {
				b := c
				if pt.fold && 'A' <= b && b <= 'Z' {
					b += 'a' - 'A'
				}
				next.parts[n] = pt.trie.step(cur.s.parts[n], b)
			}
			if len(p.templates) > 0 {
				for n, t := range p.templates {
					scratch[n] = t.step(tmplStates[cur.s.tmpl][n], c)
				}
				next.tmpl = internTmpl(scratch)
			}
			if !seen[next] {
				seen[next] = true
				queue = append(queue, item{next, int32(i), c})
			}
		}
	}
	return true
}

// emptyAllowed says whether an attribute that is there can be empty text.
func emptyAllowed(kind attrKind) bool {
	return kind == attrHeader || kind == attrSNI || kind == attrClaim || kind == attrMetadata || kind == attrWord || kind == attrSubject
}

func (p *product) accepts(s productState, nonEmpty bool, tmpl [][]int32) bitset {
	bits := newBitset(p.n)
	bits.or(p.always)
	if nonEmpty {
		bits.or(p.nonEmpty)
	}
	for i, pt := range p.parts {
		pt.trie.accept(s.parts[i], bits)
	}
	for i, t := range p.templates {
		if t.accepts(tmpl[s.tmpl][i]) {
			bits.set(p.tmplIndex[i])
		}
	}
	return bits
}

// addressClasses gives one class per satisfiable combination of address ranges. Ranges
// change membership only where one begins or ends, so those addresses decide. When the
// address is known to be one of a list, only those count. The address of a connection is never an
// IPv4-mapped one; that in X-Forwarded-For may be.
func addressClasses(kind attrKind, pats []*pattern, known []netip.Addr) []class {
	candidates := known
	if len(known) == 0 {
		candidates = append(candidates, netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{}), netip.IPv6Unspecified())
		for _, p := range pats {
			candidates = append(candidates, p.prefix.Addr())
			if next := lastAddr(p.prefix).Next(); next.IsValid() {
				candidates = append(candidates, next)
			}
		}
	}
	found := map[string]bool{}
	var out []class
	for _, a := range candidates {
		if kind != attrRemoteIP {
			a = a.Unmap()
		}
		bits := newBitset(len(pats))
		for i, p := range pats {
			if p.prefix.Contains(a) {
				bits.set(i)
			}
		}
		if k := bits.key(); !found[k] {
			found[k] = true
			out = append(out, class{a.String(), true, bits})
		}
	}
	return out
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
