package snapshot

import (
	"cmp"
	"reflect"
	"sort"
)

// Find returns the object of a kind by name; namespace is empty for cluster-scoped kinds. Without a group
// the first kind of that name that has such an object counts. Where the Go type is known, Get is the
// better choice.
func (s *Snapshot) Find(k Kind, namespace, name string) (Object, bool) {
	for _, info := range kinds {
		if info.Kind.Kind != k.Kind || k.Group != "" && k.Group != info.Group {
			continue
		}
		list := reflect.ValueOf(s.lists[info.goType])
		if !list.IsValid() {
			continue
		}
		at := func(i int) Object { return list.Index(i).Interface().(Object) }
		i := sort.Search(list.Len(), func(i int) bool {
			return cmp.Or(cmp.Compare(at(i).GetNamespace(), namespace), cmp.Compare(at(i).GetName(), name)) >= 0
		})
		if i < list.Len() && at(i).GetNamespace() == namespace && at(i).GetName() == name {
			return at(i), true
		}
	}
	return nil, false
}
