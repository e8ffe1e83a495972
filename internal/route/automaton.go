package route

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
)

// maxStates bounds the product of the automata of one attribute; beyond it, what overlaps is not known.
const maxStates = 20_000

// machine runs one pattern over a whole value.
type machine struct{ prog *syntax.Prog }

// compileMachine returns nil for a pattern that is invalid or asks for word boundaries.
func compileMachine(pattern string) *machine {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	for _, in := range prog.Inst {
		if in.Op == syntax.InstEmptyWidth && syntax.EmptyOp(in.Arg)&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0 {
			return nil
		}
	}
	return &machine{prog}
}

// closure adds what is reachable without reading; begin and end say where in the value it is. It returns the
// instructions that read, sorted, and whether the match is reached.
func (m *machine) closure(from []uint32, begin, end bool) (out []uint32, matched bool) {
	seen := map[uint32]bool{}
	stack := slices.Clone(from)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch in := &m.prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, in.Out)
		case syntax.InstEmptyWidth:
			op := syntax.EmptyOp(in.Arg)
			if op&(syntax.EmptyBeginLine|syntax.EmptyBeginText) != 0 && !begin || op&(syntax.EmptyEndLine|syntax.EmptyEndText) != 0 && !end {
				if !end {
					out = append(out, pc) // it may hold at the end
				}
				continue
			}
			stack = append(stack, in.Out)
		case syntax.InstMatch:
			matched = true
			out = append(out, pc)
		case syntax.InstFail:
		default:
			out = append(out, pc)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), matched
}

// step reads one rune.
func (m *machine) step(set []uint32, r rune) []uint32 {
	var next []uint32
	for _, pc := range set {
		in := &m.prog.Inst[pc]
		switch in.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if in.MatchRune(r) {
				next = append(next, in.Out)
			}
		}
	}
	out, _ := m.closure(next, false, false)
	return out
}

// accepts reports whether the value may end here. A match in the middle does not count: patterns are of whole values.
func (m *machine) accepts(set []uint32, empty bool) bool {
	_, matched := m.closure(set, empty, true)
	return matched
}

// alphabet returns one rune for each class of runes that the machines treat alike, within what a value may hold.
func alphabet(machines []*machine, allowed func(rune) bool) []rune {
	cuts := map[rune]bool{0x20: true}
	for _, m := range machines {
		for i := range m.prog.Inst {
			in := &m.prog.Inst[i]
			if in.Op != syntax.InstRune && in.Op != syntax.InstRune1 {
				continue
			}
			for j := 0; j < len(in.Rune); j++ {
				lo := in.Rune[j]
				hi := lo
				if len(in.Rune) > 1 && j+1 < len(in.Rune) {
					j++
					hi = in.Rune[j]
				}
				cuts[lo], cuts[hi+1] = true, true
				if len(in.Rune) == 1 {
					for f := unicode.SimpleFold(lo); f != lo; f = unicode.SimpleFold(f) {
						cuts[f], cuts[f+1] = true, true
					}
				}
			}
		}
	}
	var starts []rune
	for r := range cuts {
		starts = append(starts, r)
	}
	slices.Sort(starts)
	var out []rune
	for i, lo := range starts {
		hi := rune(0x7f)
		if i+1 < len(starts) {
			hi = min(hi, starts[i+1])
		}
		if r, ok := pickRune(lo, hi, allowed); ok {
			out = append(out, r)
		}
	}
	// Letters first: witnesses are for people.
	slices.SortStableFunc(out, func(a, b rune) int { return runeRank(a) - runeRank(b) })
	return out
}

func runeRank(r rune) int {
	switch {
	case r >= 'a' && r <= 'z':
		return 0
	case r >= '0' && r <= '9':
		return 1
	case r >= 'A' && r <= 'Z':
		return 2
	case r == '/' || r == '-' || r == '.':
		return 3
	}
	return 4
}

func pickRune(lo, hi rune, allowed func(rune) bool) (rune, bool) {
	best, found := rune(0), false
	for r := lo; r < hi; r++ {
		if allowed(r) && (!found || runeRank(r) < runeRank(best)) {
			best, found = r, true
		}
	}
	return best, found
}

// accepted walks the product of the machines and returns a shortest value for each set of machines that accept one;
// complete is false where the product is too large.
func accepted(machines []*machine, first string, allowed func(rune) bool) (values []string, complete bool) {
	type node struct {
		sets [][]uint32
		text string
	}
	key := func(sets [][]uint32) string {
		var b []byte
		for _, s := range sets {
			for _, pc := range s {
				b = binary.AppendUvarint(b, uint64(pc)+1)
			}
			b = append(b, 0)
		}
		return string(b)
	}
	start := node{}
	for _, m := range machines {
		set, _ := m.closure([]uint32{uint32(m.prog.Start)}, true, false)
		start.sets = append(start.sets, set)
	}
	for _, r := range first {
		next := make([][]uint32, len(machines))
		for i, m := range machines {
			next[i] = m.step(start.sets[i], r)
		}
		start = node{next, start.text + string(r)}
	}
	runes := alphabet(machines, allowed)
	queue := []node{start}
	seen := map[string]bool{key(start.sets): true}
	vectors := map[string]bool{}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		bits := make([]byte, len(machines))
		for i, m := range machines {
			if m.accepts(n.sets[i], n.text == "") {
				bits[i] = 1
			}
		}
		if !vectors[string(bits)] {
			vectors[string(bits)] = true
			values = append(values, n.text)
		}
		for _, r := range runes {
			next := make([][]uint32, len(machines))
			for i, m := range machines {
				next[i] = m.step(n.sets[i], r)
			}
			k := key(next)
			if seen[k] {
				continue
			}
			if len(seen) >= maxStates {
				return values, false
			}
			seen[k] = true
			queue = append(queue, node{next, n.text + string(r)})
		}
	}
	return values, true
}
