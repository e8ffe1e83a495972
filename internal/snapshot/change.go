package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/object"
	corev1 "k8s.io/api/core/v1"
)

// Change is what turns one state of a mesh into another: objects that are written, and workloads that make their pods anew
// from their templates. Nothing else changes a state. It is plain data; who gets one must not change its objects.
type Change struct {
	// Put are objects created or, where one of the name is there, replaced.
	Put []Object
	// Remove names objects that go. To remove what is not there is no error: the state is as wished.
	Remove []object.Ref
	// Restart names workloads whose pods are made anew.
	Restart []object.Ref
}

// Empty reports whether the change changes nothing.
func (c Change) Empty() bool { return len(c.Put)+len(c.Remove)+len(c.Restart) == 0 }

// Join returns the change that does c and then d. A later object of the same name replaces an earlier one.
func (c Change) Join(d Change) Change {
	named := func(list []Object) map[entryKey]bool {
		out := map[entryKey]bool{}
		for _, o := range list {
			out[keyOf(o)] = true
		}
		return out
	}
	later := named(d.Put)
	out := Change{}
	for _, o := range c.Put {
		if !later[keyOf(o)] && !slices.ContainsFunc(d.Remove, func(r object.Ref) bool { return names(r, o) }) {
			out.Put = append(out.Put, o)
		}
	}
	out.Put = append(out.Put, d.Put...)
	for _, r := range c.Remove {
		if !slices.ContainsFunc(d.Put, func(o Object) bool { return names(r, o) }) {
			out.Remove = append(out.Remove, r)
		}
	}
	out.Remove = append(out.Remove, d.Remove...)
	out.Restart = slices.Clone(c.Restart)
	for _, r := range d.Restart {
		if !slices.Contains(out.Restart, r) {
			out.Restart = append(out.Restart, r)
		}
	}
	return out
}

type entryKey struct {
	goType          reflect.Type
	namespace, name string
}

func keyOf(o Object) entryKey {
	t := reflect.TypeOf(o)
	if _, ok := o.(*corev1.Pod); ok {
		t = reflect.TypeFor[*Pod]()
	}
	return entryKey{t, o.GetNamespace(), o.GetName()}
}

// names reports whether a reference means an object; without a group it means every kind of the name.
func names(r object.Ref, o Object) bool {
	info, ok := InfoOf(o)
	return ok && info.Kind.Kind == r.Kind && (r.Group == "" || r.Group == info.Group) && r.Namespace == o.GetNamespace() && r.Name == o.GetName()
}

// Edit returns the snapshot with objects put in and removed; the receiver stays as it is, and the two share every object
// that is the same in both. What workloads restart is not looked at: pods are no different for it until mesh.Build is told.
// It costs as much as the kinds that it touches have objects. A put object is copied, stripped as Builder.Add does, and
// comes from no file; unknown fields of the one that it replaces stay known as such. Edit returns an error for a Go type or a
// kind that a snapshot does not hold.
func (s *Snapshot) Edit(c Change) (*Snapshot, error) {
	puts := map[reflect.Type]map[entryKey]Object{}
	removes := map[reflect.Type]map[entryKey]bool{}
	for _, o := range c.Put {
		o = o.DeepCopyObject().(Object)
		if full, ok := o.(*corev1.Pod); ok {
			o = PodOf(full)
		}
		t, err := adopt(o)
		if err != nil {
			return nil, err
		}
		if cm, ok := o.(*corev1.ConfigMap); ok && !KeepConfigMap(cm) {
			continue // it configures nothing that a snapshot keeps
		}
		if puts[t] == nil {
			puts[t] = map[entryKey]Object{}
		}
		puts[t][keyOf(o)] = o
	}
	for _, r := range c.Remove {
		found := false
		for _, info := range kinds {
			if info.Kind.Kind != r.Kind || r.Group != "" && r.Group != info.Group {
				continue
			}
			found = true
			if removes[info.goType] == nil {
				removes[info.goType] = map[entryKey]bool{}
			}
			removes[info.goType][entryKey{info.goType, r.Namespace, r.Name}] = true
		}
		if !found {
			return nil, fmt.Errorf("remove %s: not a kind a snapshot holds", r)
		}
	}
	if len(puts)+len(removes) == 0 {
		return s, nil
	}
	out := *s
	out.tables = maps.Clone(s.tables)
	out.files = s.files
	nowhere := slices.Index(s.files, "")
	if nowhere < 0 {
		nowhere = len(s.files)
		out.files = append(slices.Clip(s.files), "")
	}
	out.unknown = maps.Clone(s.unknown)
	for _, info := range kinds {
		if put, gone := puts[info.goType], removes[info.goType]; len(put)+len(gone) > 0 {
			old := s.tables[info.goType]
			out.tables[info.goType] = newTable(info, merge(old, put, gone, int32(nowhere), out.unknown))
			out.length += out.tables[info.goType].len() - lenOf(old)
		}
	}
	return &out, nil
}

func lenOf(t *table) int {
	if t == nil {
		return 0
	}
	return t.len()
}

// merge gives the entries of a table after a change, in order.
func merge(old *table, put map[entryKey]Object, gone map[entryKey]bool, nowhere int32, unknown map[Object][]string) []entry {
	var out []entry
	for i := range lenOf(old) {
		o := old.at(i)
		key := keyOf(o)
		switch next := put[key]; {
		case next != nil:
			if fields, ok := unknown[o]; ok {
				unknown[next] = fields
			}
		case !gone[key]:
			out = append(out, entry{object: o, place: old.places[i]})
			continue
		}
		delete(unknown, o)
	}
	for _, o := range put {
		out = append(out, entry{object: o, place: place{file: nowhere}})
	}
	slices.SortStableFunc(out, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.object.GetNamespace(), y.object.GetNamespace()), cmp.Compare(x.object.GetName(), y.object.GetName()))
	})
	return out
}
