package snapshot

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/object"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Overlay returns the state in which the objects of over were applied to s: they replace those of the same kind, namespace and
// name and keep what only a server writes (status, creation time, the address of a Service). Both stay as they are. Pods are
// those of s; see Rollouts for the workloads that would make theirs anew. What could not be read of either could not be read
// of the result.
func (s *Snapshot) Overlay(over *Snapshot) *Snapshot {
	out := *s
	out.tables, out.unknown = maps.Clone(s.tables), maps.Clone(s.unknown)
	out.files = append(slices.Clip(s.files), over.files...)
	maps.Copy(out.unknown, over.unknown)
	for _, info := range kinds {
		put, old := over.tables[info.goType], s.tables[info.goType]
		if lenOf(put) == 0 {
			continue
		}
		var entries []entry
		for i := range lenOf(old) {
			if _, replaced := put.find(old.at(i).GetNamespace(), old.at(i).GetName()); replaced {
				delete(out.unknown, old.at(i))
				continue
			}
			entries = append(entries, entry{object: old.at(i), place: old.places[i]})
		}
		for i := range lenOf(put) {
			o, at := put.at(i), put.places[i]
			if j, found := old.find(o.GetNamespace(), o.GetName()); found {
				kept := served(o, old.at(j))
				if fields, ok := out.unknown[o]; ok {
					delete(out.unknown, o)
					out.unknown[kept] = fields
				}
				o = kept
			}
			entries = append(entries, entry{object: o, place: place{at.file + int32(len(s.files)), at.line}})
		}
		slices.SortFunc(entries, func(x, y entry) int {
			return cmp.Or(cmp.Compare(x.object.GetNamespace(), y.object.GetNamespace()), cmp.Compare(x.object.GetName(), y.object.GetName()))
		})
		out.tables[info.goType] = newTable(info, entries)
		out.length += out.tables[info.goType].len() - lenOf(old)
	}
	out.ignored = slices.Concat(s.ignored, over.ignored)
	out.problems = slices.Concat(s.problems, over.problems)
	return &out
}

// served returns a copy of a written object with what the server has of it.
func served(o, had Object) Object {
	o = o.DeepCopyObject().(Object)
	if o.GetCreationTimestamp() == (metav1.Time{}) {
		o.SetCreationTimestamp(had.GetCreationTimestamp())
	}
	if o.GetUID() == "" {
		o.SetUID(had.GetUID())
	}
	if s, ok := o.(*corev1.Service); ok && s.Spec.ClusterIP == "" {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = had.(*corev1.Service).Spec.ClusterIP, had.(*corev1.Service).Spec.ClusterIPs
	}
	to, from := reflect.ValueOf(o).Elem().FieldByName("Status"), reflect.ValueOf(had).Elem().FieldByName("Status")
	if to.IsValid() && to.Kind() == reflect.Struct && to.IsZero() && from.Type().PkgPath() != "" && !hasLock(to.Type()) {
		to.Set(from)
	}
	return o
}

// hasLock reports whether a type is a protobuf message, which must not be copied; those of Istio's kinds decide nothing.
func hasLock(t reflect.Type) bool {
	_, message := reflect.PointerTo(t).MethodByName("ProtoReflect")
	return message
}

// Rollouts returns the workloads that have their pods made anew when over is applied to s: those whose template asks for
// something that it did not ask for. Fields that only the server's object has count as its defaults.
func (s *Snapshot) Rollouts(over *Snapshot) []object.Ref {
	var out []object.Ref
	for o := range over.Objects() {
		t, old := PodTemplate(o), s.tables[reflect.TypeOf(o)]
		i, found := old.find(o.GetNamespace(), o.GetName())
		if t == nil || !found || within(asJSON(t), asJSON(PodTemplate(old.at(i)))) {
			continue
		}
		info, _ := InfoOf(o)
		out = append(out, object.Ref{Group: info.Group, Kind: info.Kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()})
	}
	return out
}

// asJSON is a template as maps, lists and values.
func asJSON(t *corev1.PodTemplateSpec) (v any) {
	text, _ := json.Marshal(t) // a typed object: cannot fail
	_ = json.Unmarshal(text, &v)
	return v
}

// within reports whether everything that part says stands in whole too.
func within(part, whole any) bool {
	switch p := part.(type) {
	case nil:
		return true
	case map[string]any:
		w, ok := whole.(map[string]any)
		for k, v := range p {
			if !within(v, w[k]) {
				return false
			}
		}
		return ok || len(p) == 0
	case []any:
		w, ok := whole.([]any)
		if len(p) != len(w) || !ok && len(p) > 0 {
			return false
		}
		for i := range p {
			if !within(p[i], w[i]) {
				return false
			}
		}
		return true
	}
	return part == whole
}
