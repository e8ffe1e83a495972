// Package snapshot is an immutable, indexed set of typed API objects, read from and written to
// files. It is what every other package reasons about, whether it came from a cluster, a Git
// repository or an archive. It never holds a Secret.
package snapshot

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind names a kind without its version: versions of one kind decode to one Go type here.
type Kind = schema.GroupKind

// Object is any typed API object.
type Object interface {
	metav1.Object
	runtime.Object
}

// Source is where an object was read from. The zero Source means a live cluster.
type Source struct {
	File string `json:"file,omitempty"`
	// Line is the 1-based line of the object's first line in File.
	Line int `json:"line,omitempty"`
}

// Knowledge tells whether the absence of objects of a kind means anything.
type Knowledge struct {
	State KnowledgeState `json:"state"`
	// Reason says why, in words, when State is not Known.
	Reason string `json:"reason,omitempty"`
}

// KnowledgeState is one of Known, NotServed, Hidden.
type KnowledgeState string

const (
	// Known: every object of the kind that exists is in the snapshot.
	Known KnowledgeState = "known"
	// NotServed: the API server has no such kind (its CRD is not installed), so no object of it
	// can be in effect. Recorded so that a report can say so.
	NotServed KnowledgeState = "not-served"
	// Hidden: objects may exist and could not be read (RBAC, time-out, undecodable). Whoever
	// decides anything from this kind must assume the worst.
	Hidden KnowledgeState = "hidden"
)

// Ignored is an object or document that was read but is not part of the snapshot.
type Ignored struct {
	APIVersion, Kind, Namespace, Name string
	Source                            Source
	Reason                            string
}

// Problem is input that could not be read: a broken document, a wrong type.
type Problem struct {
	Source  Source
	Message string
}

// Snapshot is immutable: objects it returns are shared and must not be changed.
type Snapshot struct {
	lists     map[reflect.Type]any // []T, sorted by namespace, then name
	sources   map[Object]Source
	knowledge map[Kind]Knowledge
	ignored   []Ignored
	problems  []Problem
	observe   func(Kind)
}

// All returns every object of type T, sorted by namespace and name.
func All[T Object](s *Snapshot) []T {
	t := reflect.TypeFor[T]()
	if s.observe != nil {
		if info, ok := infoOf(t); ok {
			s.observe(info.Kind)
		}
	}
	list, _ := s.lists[t].([]T)
	return list
}

// In returns every object of type T in a namespace, sorted by name.
func In[T Object](s *Snapshot, namespace string) []T {
	all := All[T](s)
	lo, _ := slices.BinarySearchFunc(all, namespace, func(o T, ns string) int { return cmp.Compare(o.GetNamespace(), ns) })
	hi := lo
	for hi < len(all) && all[hi].GetNamespace() == namespace {
		hi++
	}
	return all[lo:hi]
}

// Get returns one object of type T; namespace is empty for cluster-scoped kinds.
func Get[T Object](s *Snapshot, namespace, name string) (T, bool) {
	all := All[T](s)
	i, found := slices.BinarySearchFunc(all, [2]string{namespace, name}, func(o T, k [2]string) int {
		return cmp.Or(cmp.Compare(o.GetNamespace(), k[0]), cmp.Compare(o.GetName(), k[1]))
	})
	if !found {
		var none T
		return none, false
	}
	return all[i], true
}

// Source returns where an object was read from; the zero value for a live cluster.
func (s *Snapshot) Source(o Object) Source { return s.sources[o] }

// Knowledge returns what is known about a kind.
func (s *Snapshot) Knowledge(k Kind) Knowledge {
	if known, ok := s.knowledge[k]; ok {
		return known
	}
	return Knowledge{State: Known}
}

// Unknown returns the kinds whose state is not Known, in the order of Kinds.
func (s *Snapshot) Unknown() []Kind {
	var out []Kind
	for _, info := range kinds {
		if s.Knowledge(info.Kind).State != Known {
			out = append(out, info.Kind)
		}
	}
	return out
}

// Ignored returns what was read and left out, each with its reason.
func (s *Snapshot) Ignored() []Ignored { return s.ignored }

// Problems returns what could not be read.
func (s *Snapshot) Problems() []Problem { return s.problems }

// Len returns the number of objects of all kinds.
func (s *Snapshot) Len() int { return len(s.sources) }

// Observed returns the same snapshot, calling f with the kind at every access. Tests use it to
// prove that a rule touches exactly the kinds it declares.
func (s *Snapshot) Observed(f func(Kind)) *Snapshot {
	c := *s
	c.observe = f
	return &c
}

// Builder gathers objects for one Snapshot.
type Builder struct {
	objects   map[reflect.Type]map[[2]string]Object
	sources   map[Object]Source
	knowledge map[Kind]Knowledge
	ignored   []Ignored
	problems  []Problem
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	return &Builder{
		objects:   map[reflect.Type]map[[2]string]Object{},
		sources:   map[Object]Source{},
		knowledge: map[Kind]Knowledge{},
	}
}

// Add puts an object in. It returns an error for a Go type that is no kind of a snapshot, and for
// a second object of the same kind, namespace and name; the first one stays.
func (b *Builder) Add(o Object, src Source) error {
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
		return fmt.Errorf("%s %s/%s is defined twice, first at %v", info.Kind.Kind, key[0], key[1], b.sources[first])
	}
	byName[key] = o
	b.sources[o] = src
	return nil
}

// Mark records what is known about a kind.
func (b *Builder) Mark(k Kind, known Knowledge) { b.knowledge[k] = known }

// Ignore records something that was read and left out.
func (b *Builder) Ignore(i Ignored) { b.ignored = append(b.ignored, i) }

// Report records input that could not be read.
func (b *Builder) Report(p Problem) { b.problems = append(b.problems, p) }

// Build returns the snapshot. The Builder must not be used afterwards.
func (b *Builder) Build() *Snapshot {
	s := &Snapshot{
		lists: map[reflect.Type]any{}, sources: b.sources, knowledge: b.knowledge,
		ignored: b.ignored, problems: b.problems,
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
