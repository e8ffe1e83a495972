package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Builder gathers objects for one Snapshot.
type Builder struct {
	objects    map[reflect.Type][]entry
	files      []string         // by the number that a place has
	numbers    map[string]int32 // of files
	last       int32            // the number given last
	unknown    map[Object][]string
	namespaces []string
	knowledge  map[Kind]Knowledge
	ignored    []Ignored
	problems   []Problem
}

// entry is an object of a Builder.
type entry struct {
	object Object
	place  place
	order  int32 // of its addition, once sorted
}

func (e *entry) sameName(f *entry) bool {
	return e.object.GetNamespace() == f.object.GetNamespace() && e.object.GetName() == f.object.GetName()
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	return &Builder{
		objects:   map[reflect.Type][]entry{},
		numbers:   map[string]int32{},
		unknown:   map[Object][]string{},
		knowledge: map[Kind]Knowledge{},
	}
}

// Own is Add for an object that its caller made and hands over: it is stripped in place and must not be changed afterwards.
func (b *Builder) Own(o Object, src Source) error {
	if full, ok := o.(*corev1.Pod); ok {
		o = PodOf(full)
	}
	t, err := adopt(o)
	if err != nil {
		return err
	}
	b.objects[t] = append(b.objects[t], entry{object: o, place: b.place(src)})
	return nil
}

// adopt gives an object the form that a snapshot keeps and returns its Go type, which is that of its kind.
func adopt(o Object) (reflect.Type, error) {
	t := reflect.TypeOf(o)
	info, ok := infoOf(t)
	if !ok {
		return nil, fmt.Errorf("add %T: not a kind a snapshot holds", o)
	}
	// Lists of a live cluster carry no type, files do, in any accepted version.
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{
		Group: info.Group, Version: info.Versions[0], Kind: info.Kind.Kind})
	Strip(o)
	return t, nil
}

// Add puts a copy of an object in, after removing what no verdict depends on (see Strip), so that a cluster, its
// manifests and its archive give the same objects. A *corev1.Pod becomes a *Pod. Add returns an error for a Go type
// that is no kind of a snapshot. Of several objects with the same kind, namespace and name the first one counts, and
// Build reports the others as problems.
func (b *Builder) Add(o Object, src Source) error {
	return b.Own(o.DeepCopyObject().(Object), src)
}

// place gives each file a number.
func (b *Builder) place(src Source) place {
	if n := len(b.files); n == 0 || b.files[b.last] != src.File { // objects of a file mostly come together
		at, seen := b.numbers[src.File]
		if !seen {
			at = int32(n)
			b.numbers[src.File] = at
			b.files = append(b.files, src.File)
		}
		b.last = at
	}
	return place{b.last, int32(src.Line)}
}

// QualifiedName is NAMESPACE/NAME, or NAME for what has no namespace.
func QualifiedName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// AddUnknown records fields of an object that was given to Own and that are not known; see Snapshot.UnknownFields.
func (b *Builder) AddUnknown(o Object, paths []string) {
	if len(paths) > 0 {
		b.unknown[o] = paths
	}
}

// Mark records what is known about a kind.
func (b *Builder) Mark(k Kind, known Knowledge) { b.knowledge[k] = known }

// Only records that namespaced kinds were read in these namespaces alone.
func (b *Builder) Only(namespaces []string) {
	b.namespaces = slices.Sorted(slices.Values(namespaces))
}

// Ignore records something that was read and left out.
func (b *Builder) Ignore(i Ignored) { b.ignored = append(b.ignored, i) }

// Report records input that could not be read.
func (b *Builder) Report(p Problem) { b.problems = append(b.problems, p) }

// Build returns the snapshot. The Builder must not be used afterwards.
func (b *Builder) Build() *Snapshot {
	for _, info := range kinds { // in this order, so that problems without a source come in a fixed one
		b.objects[info.goType] = b.unique(info, sorted(b.objects[info.goType]))
	}
	b.dropForeignConfigMaps()
	s := &Snapshot{tables: map[reflect.Type]*table{}, files: b.files}
	for _, info := range kinds {
		t := newTable(info, b.objects[info.goType])
		s.tables[info.goType] = t
		s.length += t.len()
		delete(b.objects, info.goType) // it is large
	}
	slices.SortStableFunc(b.ignored, func(x, y Ignored) int { return x.Source.compare(y.Source) })
	slices.SortStableFunc(b.problems, func(x, y Problem) int { return x.Source.compare(y.Source) })
	s.unknown, s.namespaces, s.knowledge, s.ignored, s.problems = b.unknown, b.namespaces, b.knowledge, b.ignored, b.problems
	return s
}

// identical reports whether two objects say the same.
func identical(x, y Object) bool {
	a, err := json.Marshal(x)
	b, err2 := json.Marshal(y)
	return err == nil && err2 == nil && bytes.Equal(a, b)
}

// unique reports the objects of a kind that are there already and say otherwise, and returns the others.
func (b *Builder) unique(info KindInfo, entries []entry) []entry {
	kept := entries[:0]
	for _, e := range entries {
		if n := len(kept); n == 0 || !kept[n-1].sameName(&e) {
			kept = append(kept, e)
			continue
		}
		delete(b.unknown, e.object)
		if identical(kept[len(kept)-1].object, e.object) {
			continue // nothing depends on which of them counts
		}
		b.Report(Problem{Source: e.place.in(b.files), Message: fmt.Sprintf("%s %s is defined twice, first at %v; the first one counts",
			info.Kind.Kind, QualifiedName(e.object.GetNamespace(), e.object.GetName()), kept[len(kept)-1].place.in(b.files))})
	}
	clear(entries[len(kept):])
	return kept
}
