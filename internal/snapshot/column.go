package snapshot

import (
	"cmp"
	"maps"
	"slices"
)

// column is the objects of one kind, sorted by namespace, then name, whatever their Go type.
type column interface {
	len() int
	at(i int) Object
}

// list is the column of a Go type.
type list[T Object] []T

func (l list[T]) len() int        { return len(l) }
func (l list[T]) at(i int) Object { return l[i] }

func newList[T Object](entries []entry) column {
	l := make(list[T], len(entries))
	for i := range entries {
		l[i] = entries[i].object.(T)
	}
	return l
}

// table is a column with what finds an object in it. To find one costs what the objects of one namespace cost,
// however many namespaces there are.
type table struct {
	column
	namespaces map[string]span
	// places has an element for each object.
	places []place
}

// span is a range of indexes: first and the one after the last.
type span struct{ first, end int }

// place is where an object was read from: a Source in the words of Snapshot.files. There is one for each object, so it
// is small and holds no pointer.
type place struct{ file, line int32 }

func (p place) in(files []string) Source { return Source{File: files[p.file], Line: int(p.line)} }

// find returns the index of an object.
func (t *table) find(namespace, name string) (int, bool) {
	if t == nil {
		return 0, false
	}
	s := t.namespaces[namespace]
	lo, hi := s.first, s.end
	for lo < hi {
		if mid := (lo + hi) / 2; t.at(mid).GetName() < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < s.end && t.at(lo).GetName() == name
}

// newTable takes sorted entries.
func newTable(info KindInfo, entries []entry) *table {
	t := &table{column: info.newList(entries), namespaces: map[string]span{}, places: make([]place, len(entries))}
	for i := 0; i < len(entries); {
		ns, first := entries[i].object.GetNamespace(), i
		for ; i < len(entries) && entries[i].object.GetNamespace() == ns; i++ {
			t.places[i] = entries[i].place
		}
		t.namespaces[ns] = span{first, i}
	}
	return t
}

// sorted orders entries by namespace, name and order of addition. Namespaces are parted before names are compared,
// so that a mesh of many namespaces costs no more to sort, for each object, than one of few.
func sorted(entries []entry) []entry {
	sizes := map[string]int{}
	for i := 0; i < len(entries); { // objects of a namespace mostly come together
		ns, first := entries[i].object.GetNamespace(), i
		for ; i < len(entries) && entries[i].object.GetNamespace() == ns; i++ {
			entries[i].order = int32(i)
		}
		sizes[ns] += i - first
	}
	next, at := make(map[string]int, len(sizes)), 0
	for _, ns := range slices.Sorted(maps.Keys(sizes)) {
		next[ns] = at
		at += sizes[ns]
	}
	out := make([]entry, len(entries))
	for i := 0; i < len(entries); {
		ns := entries[i].object.GetNamespace()
		to := next[ns]
		for ; i < len(entries) && entries[i].object.GetNamespace() == ns; i++ {
			out[to] = entries[i]
			to++
		}
		next[ns] = to
	}
	for ns, end := range next {
		slices.SortFunc(out[end-sizes[ns]:end], func(x, y entry) int {
			return cmp.Or(cmp.Compare(x.object.GetName(), y.object.GetName()), cmp.Compare(x.order, y.order))
		})
	}
	return out
}
