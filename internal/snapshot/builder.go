package snapshot

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Builder gathers objects for one Snapshot. It owns what is given to it.
type Builder struct {
	objects    map[reflect.Type]map[[2]string]Object
	sources    map[Object]Source
	unknown    map[Object][]string
	namespaces []string
	knowledge  map[Kind]Knowledge
	ignored    []Ignored
	problems   []Problem
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	return &Builder{
		objects:   map[reflect.Type]map[[2]string]Object{},
		sources:   map[Object]Source{},
		unknown:   map[Object][]string{},
		knowledge: map[Kind]Knowledge{},
	}
}

// Add puts an object in, after removing what no verdict depends on (see strip), so that a cluster, its
// manifests and its archive give the same objects. A *corev1.Pod becomes a *Pod. It returns an error for a Go type that is no kind of a
// snapshot, and for a second object of the same kind, namespace and name; the first one stays.
func (b *Builder) Add(o Object, src Source) error {
	if full, ok := o.(*corev1.Pod); ok {
		o = podOf(full)
	}
	t := reflect.TypeOf(o)
	info, ok := infoOf(t)
	if !ok {
		return fmt.Errorf("add %T: not a kind a snapshot holds", o)
	}
	byName := b.objects[t]
	if byName == nil {
		byName = map[[2]string]Object{}
		b.objects[t] = byName
	}
	key := [2]string{o.GetNamespace(), o.GetName()}
	if first, dup := byName[key]; dup {
		return fmt.Errorf("%s %s is defined twice, first at %v; the first one counts",
			info.Kind.Kind, qualified(key[0], key[1]), b.sources[first])
	}
	// Lists of a live cluster carry no type, files do, in any accepted version.
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{
		Group: info.Group, Version: info.Versions[0], Kind: info.Kind.Kind})
	strip(o)
	byName[key] = o
	b.sources[o] = src
	return nil
}

func qualified(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// AddUnknown records fields of an added object that are not known; see Snapshot.UnknownFields.
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
	b.dropForeignConfigMaps()
	slices.SortStableFunc(b.ignored, func(x, y Ignored) int { return x.Source.compare(y.Source) })
	slices.SortStableFunc(b.problems, func(x, y Problem) int { return x.Source.compare(y.Source) })
	s := &Snapshot{
		lists: map[reflect.Type]any{}, sources: b.sources, unknown: b.unknown, namespaces: b.namespaces,
		knowledge: b.knowledge, ignored: b.ignored, problems: b.problems,
	}
	for t, byName := range b.objects {
		sorted := make([]Object, 0, len(byName))
		for _, o := range byName {
			sorted = append(sorted, o)
		}
		slices.SortFunc(sorted, func(a, b Object) int {
			return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
		})
		list := reflect.MakeSlice(reflect.SliceOf(t), len(sorted), len(sorted))
		for i, o := range sorted {
			list.Index(i).Set(reflect.ValueOf(o))
		}
		s.lists[t] = list.Interface()
	}
	return s
}
