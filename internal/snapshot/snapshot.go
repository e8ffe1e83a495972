// Package snapshot is an immutable, indexed set of typed API objects. It is what every other package
// reasons about, whether it came from a cluster, a Git repository or an archive. It never holds a Secret.
package snapshot

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

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

// String is FILE:LINE, FILE, or empty for a live cluster.
func (s Source) String() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

func (s Source) compare(t Source) int {
	return cmp.Or(cmp.Compare(s.File, t.File), cmp.Compare(s.Line, t.Line))
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
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	Source     Source `json:"source,omitzero"`
	Reason     string `json:"reason"`
	// MakesPods tells that the object makes pods, which therefore were not judged.
	MakesPods bool `json:"makesPods,omitempty"`
}

// Problem is input that could not be read: a broken document, a wrong type, an unknown version.
type Problem struct {
	Source  Source `json:"source,omitzero"`
	Message string `json:"message"`
	// Kind, Namespace and Name say what would have been read, as far as that could be told. A problem
	// with a Kind makes that kind Hidden: an object of it exists and is not in the snapshot.
	Kind      Kind   `json:"kind,omitzero"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// String is the one line a person reads: where, then what.
func (p Problem) String() string {
	if where := p.Source.String(); where != "" {
		return where + ": " + p.Message
	}
	return p.Message
}

// Snapshot is immutable: objects it returns are shared and must not be changed.
type Snapshot struct {
	tables     map[reflect.Type]*table
	files      []string
	length     int
	unknown    map[Object][]string
	namespaces []string // the only ones that were read; nil for all
	knowledge  map[Kind]Knowledge
	ignored    []Ignored
	problems   []Problem
	observe    func(Kind)
}

// All returns every object of type T, sorted by namespace and name.
func All[T Object](s *Snapshot) []T {
	t := reflect.TypeFor[T]()
	if s.observe != nil {
		if info, ok := infoOf(t); ok {
			s.observe(info.Kind)
		}
	}
	return listOf[T](s.tableOf(t))
}

// tableOf returns the objects of a Go type. To ask for one that is no kind of a snapshot is a mistake in the
// program, which an empty answer would hide.
func (s *Snapshot) tableOf(t reflect.Type) *table {
	table := s.tables[t]
	if table == nil {
		if _, ok := infoOf(t); !ok {
			panic(fmt.Sprintf("snapshot: no object is a %v; pods are *snapshot.Pod", t))
		}
	}
	return table
}

func listOf[T Object](t *table) []T {
	if t == nil {
		return nil
	}
	return t.column.(list[T])
}

// In returns every object of type T in a namespace, sorted by name.
func In[T Object](s *Snapshot, namespace string) []T {
	all, t := All[T](s), s.tableOf(reflect.TypeFor[T]())
	if t == nil {
		return nil
	}
	in := t.namespaces[namespace]
	return all[in.first:in.end]
}

// Get returns one object of type T; namespace is empty for cluster-scoped kinds.
func Get[T Object](s *Snapshot, namespace, name string) (T, bool) {
	all := All[T](s)
	i, found := s.tableOf(reflect.TypeFor[T]()).find(namespace, name)
	if !found {
		var none T
		return none, false
	}
	return all[i], true
}

// Source returns where an object of the snapshot was read from; the zero value for a live cluster.
func (s *Snapshot) Source(o Object) Source {
	t := s.tables[reflect.TypeOf(o)]
	if i, ok := t.find(o.GetNamespace(), o.GetName()); ok && t.at(i) == o {
		return t.places[i].in(s.files)
	}
	return Source{}
}

// UnknownFields returns the paths of fields that an object has and this version of Sidestep does not
// know, such as spec.rules[0].from[0].source.trustDomains. What such a field does is unknown, so whoever
// decides anything from the object must assume the worst. Only Istio and Gateway API kinds have them.
func (s *Snapshot) UnknownFields(o Object) []string { return s.unknown[o] }

// Knowledge returns what is known about a kind in the whole mesh. It is Hidden when but one object of it
// could not be read; see KnowledgeIn for a finer answer.
func (s *Snapshot) Knowledge(k Kind) Knowledge {
	if known, ok := s.knowledge[k]; ok {
		return known
	}
	for _, p := range s.problems {
		if p.Kind == k {
			return unreadable(p)
		}
	}
	if info, ok := KindOf(k); ok && s.namespaces != nil && info.Namespaced {
		return Knowledge{State: Hidden, Reason: "only read in namespaces " + strings.Join(s.namespaces, ", ")}
	}
	return Knowledge{State: Known}
}

// KnowledgeIn returns what is known about a kind in one namespace. A workload's verdict depends on a
// policy kind in the workload's namespace and in Istio's root namespace; an object elsewhere that could
// not be read does not touch it.
func (s *Snapshot) KnowledgeIn(k Kind, namespace string) Knowledge {
	if known, ok := s.knowledge[k]; ok {
		return known
	}
	for _, p := range s.problems {
		if p.Kind == k && (p.Namespace == namespace || p.Namespace == "") {
			return unreadable(p)
		}
	}
	if info, ok := KindOf(k); ok && s.namespaces != nil && info.Namespaced && !slices.Contains(s.namespaces, namespace) {
		return Knowledge{State: Hidden, Reason: "namespace " + namespace + " was not read"}
	}
	return Knowledge{State: Known}
}

func unreadable(p Problem) Knowledge {
	return Knowledge{State: Hidden, Reason: "an object could not be read: " + p.String()}
}

// Unknown returns the kinds whose state is not Known and that verdicts depend on, in the order of Kinds.
func (s *Snapshot) Unknown() []Kind {
	var out []Kind
	for _, info := range kinds {
		if !info.CostOnly && s.Knowledge(info.Kind).State != Known {
			out = append(out, info.Kind)
		}
	}
	return out
}

// Namespaces returns the only namespaces that namespaced kinds were read in, nil for all.
func (s *Snapshot) Namespaces() []string { return s.namespaces }

// Marked returns what was recorded about kinds by Builder.Mark. The caller must not change it.
func (s *Snapshot) Marked() map[Kind]Knowledge { return s.knowledge }

// Ignored returns what was read and left out, each with its reason.
func (s *Snapshot) Ignored() []Ignored { return s.ignored }

// Problems returns what could not be read.
func (s *Snapshot) Problems() []Problem { return s.problems }

// Len returns the number of objects of all kinds.
func (s *Snapshot) Len() int { return s.length }

// Observed returns the same snapshot, calling f with the kind at every access. Tests use it to
// prove that a rule touches exactly the kinds it declares.
func (s *Snapshot) Observed(f func(Kind)) *Snapshot {
	c := *s
	c.observe = f
	return &c
}

// Objects yields every object, in the order of Kinds, then by namespace and name.
func (s *Snapshot) Objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for _, info := range kinds {
			t := s.tables[info.goType]
			for i := 0; t != nil && i < t.len(); i++ {
				if !yield(t.at(i)) {
					return
				}
			}
		}
	}
}
