package route

import "slices"

// maxVisits bounds the search through the classes of one pair of tables.
const maxVisits = 200_000

// pairSearch walks the classes of requests of two tables and reports each pair of rules that some request meets.
type pairSearch struct {
	tables     [2]*Table
	attributes []*attributeTests
	options    [][]option
	// needs[side][rule] lists, by attribute, the tests of the rule.
	needs    [2][][][]int
	complete bool
	visits   int
	seen     map[string]bool
	pairs    map[[2]int]bool
	report   func(a, b int, r Request)
	speech   Speech
	chosen   []Value
}

// searchPairs calls report once for each pair of rules (or -1 for none) that some request meets, with such a
// request; it returns false where some classes were not looked at.
func searchPairs(a, b *Table, speech Speech, report func(a, b int, r Request)) bool {
	s := &pairSearch{tables: [2]*Table{a, b}, attributes: gatherTests(a, b), complete: true, seen: map[string]bool{},
		pairs: map[[2]int]bool{}, report: report, speech: speech}
	domains := a.Domains
	if domains == nil || b.Domains != nil && len(b.Domains) < len(domains) {
		domains = b.Domains
	}
	for _, at := range s.attributes {
		options, complete := at.options(domains)
		s.options = append(s.options, options)
		s.complete = s.complete && complete
	}
	for side, t := range s.tables {
		for i := range t.Rules {
			need := make([][]int, len(s.attributes))
			for k, at := range s.attributes {
				for _, test := range t.Rules[i].Match {
					if n, ok := at.index[test]; ok && test.Attribute == at.name {
						need[k] = append(need[k], n)
					}
				}
			}
			s.needs[side] = append(s.needs[side], need)
		}
	}
	s.chosen = make([]Value, len(s.attributes))
	var alive [2][]int
	for side, t := range s.tables {
		for i := range t.Rules {
			alive[side] = append(alive[side], i)
		}
	}
	s.walk(0, alive)
	return s.complete
}

// walk chooses a value for one attribute after the other. alive are the rules that may still match; those after one
// that surely matches are out.
func (s *pairSearch) walk(k int, alive [2][]int) {
	if s.visits++; s.visits > maxVisits {
		s.complete = false
		return
	}
	for side := range alive {
		alive[side] = s.cut(side, k, alive[side])
	}
	if s.settled(0, k, alive[0]) && s.settled(1, k, alive[1]) {
		s.found(k, alive)
		return
	}
	key := walkKey(k, alive)
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	for _, o := range s.options[k] {
		var next [2][]int
		for side := range alive {
			for _, rule := range alive[side] {
				if !slices.ContainsFunc(s.needs[side][rule][k], func(test int) bool { return !o.holds[test] }) {
					next[side] = append(next[side], rule)
				}
			}
		}
		s.chosen[k] = o.value
		s.walk(k+1, next)
	}
}

// cut leaves out the rules behind the first that has no test left.
func (s *pairSearch) cut(side, k int, alive []int) []int {
	for i, rule := range alive {
		if s.done(side, k, rule) {
			return alive[:i+1]
		}
	}
	return alive
}

func (s *pairSearch) done(side, k, rule int) bool {
	for _, tests := range s.needs[side][rule][k:] {
		if len(tests) > 0 {
			return false
		}
	}
	return true
}

// settled reports whether the first rule alive surely matches, or none can.
func (s *pairSearch) settled(side, k int, alive []int) bool {
	return len(alive) == 0 || s.done(side, k, alive[0])
}

func (s *pairSearch) found(k int, alive [2][]int) {
	pair := [2]int{-1, -1}
	for side := range alive {
		if len(alive[side]) > 0 {
			pair[side] = alive[side][0]
		}
	}
	if s.pairs[pair] {
		return
	}
	s.pairs[pair] = true
	r := Request{Speech: s.speech}
	for i := 0; i < k; i++ {
		r.set(s.attributes[i].name, s.chosen[i])
	}
	for i := k; i < len(s.attributes); i++ { // any value will do
		if len(s.options[i]) > 0 {
			r.set(s.attributes[i].name, s.options[i][0].value)
		}
	}
	s.report(pair[0], pair[1], r)
}

func walkKey(k int, alive [2][]int) string {
	b := []byte{byte(k)}
	for _, list := range alive {
		for _, rule := range list {
			b = append(b, byte(rule>>8), byte(rule))
		}
		b = append(b, 0xff, 0xff)
	}
	return string(b)
}
