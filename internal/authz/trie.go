package authz

// trie recognises exact and prefix patterns, or, finished as an Aho-Corasick machine,
// suffix patterns. Negative states of the former have left the trie and remember only
// the prefixes that were met.
type trie struct {
	n       int
	next    []map[byte]int32
	exact   []bitset
	prefix  []bitset
	suffix  bool
	fail    []int32
	deepest []int32 // the deepest node with a prefix pattern, at or above
}

func newTrie(n int) *trie {
	t := &trie{n: n}
	t.node()
	return t
}

func (t *trie) node() int32 {
	t.next = append(t.next, nil)
	t.exact = append(t.exact, nil)
	t.prefix = append(t.prefix, nil)
	return int32(len(t.next) - 1)
}

func (t *trie) insert(text string, i int, prefix bool) {
	at := int32(0)
	for j := 0; j < len(text); j++ {
		if t.next[at] == nil {
			t.next[at] = map[byte]int32{}
		}
		to, ok := t.next[at][text[j]]
		if !ok {
			to = t.node()
			t.next[at][text[j]] = to
		}
		at = to
	}
	list := &t.exact[at]
	if prefix {
		list = &t.prefix[at]
	}
	if *list == nil {
		*list = newBitset(t.n)
	}
	list.set(i)
}

func (t *trie) breadthFirst(visit func(parent, child int32, c byte)) {
	queue := []int32{0}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for c, to := range t.next[at] {
			visit(at, to, c)
			queue = append(queue, to)
		}
	}
}

func (t *trie) finishPrefixes() {
	t.deepest = make([]int32, len(t.next))
	t.breadthFirst(func(parent, child int32, _ byte) {
		t.deepest[child] = t.deepest[parent]
		if t.prefix[child] == nil {
			t.prefix[child] = t.prefix[parent]
			return
		}
		t.deepest[child] = child
		if t.prefix[parent] != nil {
			t.prefix[child].or(t.prefix[parent])
		}
	})
}

func (t *trie) finishSuffixes() {
	t.suffix = true
	t.fail = make([]int32, len(t.next))
	t.breadthFirst(func(parent, child int32, c byte) {
		f := int32(0)
		if parent != 0 {
			f = t.step(t.fail[parent], c)
		}
		t.fail[child] = f
		if t.exact[f] != nil {
			if t.exact[child] == nil {
				t.exact[child] = newBitset(t.n)
			}
			t.exact[child].or(t.exact[f])
		}
	})
}

func (t *trie) step(s int32, c byte) int32 {
	if t.suffix {
		for {
			if to, ok := t.next[s][c]; ok {
				return to
			}
			if s == 0 {
				return 0
			}
			s = t.fail[s]
		}
	}
	if s < 0 {
		return s
	}
	if to, ok := t.next[s][c]; ok {
		return to
	}
	return -1 - t.deepest[s]
}

func (t *trie) accept(s int32, bits bitset) {
	if s < 0 {
		if p := t.prefix[-1-s]; p != nil {
			bits.or(p)
		}
		return
	}
	if t.exact[s] != nil {
		bits.or(t.exact[s])
	}
	if !t.suffix && t.prefix[s] != nil {
		bits.or(t.prefix[s])
	}
}
