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
		if i, ok := search(list, namespace, name); ok {
			return at(list, i), true
		}
	}
	return nil, false
}

// search returns the index of an object in one of the lists of a snapshot.
func search(list reflect.Value, namespace, name string) (int, bool) {
	if !list.IsValid() {
		return 0, false
	}
	i := sort.Search(list.Len(), func(i int) bool {
		o := at(list, i)
		return cmp.Or(cmp.Compare(o.GetNamespace(), namespace), cmp.Compare(o.GetName(), name)) >= 0
	})
	return i, i < list.Len() && at(list, i).GetNamespace() == namespace && at(list, i).GetName() == name
}

func at(list reflect.Value, i int) Object { return list.Index(i).Interface().(Object) }
