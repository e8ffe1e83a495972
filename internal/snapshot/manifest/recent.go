package manifest

import (
	"bytes"
)

// recentLen is how many values a recent remembers. Pods come by namespace and name, so those of one template stand side
// by side, be it in a list, a file or a folder.
const recentLen = 8

// recent finds a value again by the text it was made of, among the last few. What is found is shared, which an immutable
// snapshot allows. It keeps its buffers, so that remembering costs nothing after the first few.
type recent[T any] struct {
	slots [recentLen]struct {
		text  []byte
		value T
		used  bool
	}
	next int
}

func (r *recent[T]) find(text []byte) (T, bool) {
	for i := range r.slots {
		if s := &r.slots[i]; s.used && bytes.Equal(s.text, text) {
			return s.value, true
		}
	}
	var none T
	return none, false
}

func (r *recent[T]) remember(text []byte, value T) {
	s := &r.slots[r.next]
	r.next = (r.next + 1) % recentLen
	s.text, s.value, s.used = append(s.text[:0], text...), value, true
}
