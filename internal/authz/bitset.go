package authz

import (
	"math/bits"
	"strings"
)

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) has(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }
func (b bitset) or(o bitset) {
	for i := range o {
		b[i] |= o[i]
	}
}

func (b bitset) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

func (b bitset) and(o bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] & o[i]
	}
	return out
}

func (b bitset) minus(o bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] &^ o[i]
	}
	return out
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// overlap is how much of one set another holds.
type overlap uint8

const (
	apart overlap = iota
	partly
	wholly
)

// against says how much of b is in o.
func (b bitset) against(o bitset) overlap {
	in, out := false, false
	for i, w := range b {
		in = in || w&o[i] != 0
		out = out || w&^o[i] != 0
		if in && out {
			return partly
		}
	}
	if in {
		return wholly
	}
	return apart
}

func (b bitset) key() string {
	var s strings.Builder
	for _, w := range b {
		for k := 0; k < 64; k += 8 {
			s.WriteByte(byte(w >> k))
		}
	}
	return s.String()
}

// invert gives the numbers below n that are not in the set.
func invert(m bitset, n int) bitset {
	out := newBitset(n)
	for i := 0; i < n; i++ {
		if !m.has(i) {
			out.set(i)
		}
	}
	return out
}
