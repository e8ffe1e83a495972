package plan

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// editText is an Edit as a record of progress keeps it.
type editText struct {
	Verb        Verb               `json:"verb"`
	Object      mesh.Ref           `json:"object"`
	Put         json.RawMessage    `json:"put,omitempty"`
	Labels      map[string]*string `json:"labels,omitempty"`
	Annotations map[string]*string `json:"annotations,omitempty"`
}

// MarshalJSON writes an edit so that UnmarshalJSON gives the same one back: a label that is removed is null.
func (e Edit) MarshalJSON() ([]byte, error) {
	out := editText{Verb: e.Verb, Object: e.Object, Labels: e.Labels, Annotations: e.Annotations}
	if e.Put != nil {
		info, err := kindOfRef(e.Object)
		if err != nil {
			return nil, err
		}
		whole, err := whole(info, e.Put)
		if err != nil {
			return nil, err
		}
		if out.Put, err = json.Marshal(whole); err != nil {
			return nil, fmt.Errorf("render %s: %w", e.Object, err)
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Edit) UnmarshalJSON(raw []byte) error {
	var in editText
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("read an edit: %w", err)
	}
	*e = Edit{Verb: in.Verb, Object: in.Object, Labels: in.Labels, Annotations: in.Annotations}
	if len(in.Put) == 0 {
		return nil
	}
	put, err := Decode(in.Object, in.Put)
	if err != nil {
		return err
	}
	e.Put = put
	return nil
}

// Decode reads an object of a kind that a plan can write.
func Decode(r mesh.Ref, raw []byte) (snapshot.Object, error) {
	info, err := kindOfRef(r)
	if err != nil {
		return nil, err
	}
	o := info.New()
	if err := json.Unmarshal(raw, o); err != nil {
		return nil, fmt.Errorf("read %s: %w", r, err)
	}
	return o, nil
}

// KindOf returns the description of the kind that a reference names: workload kinds go without group in references.
func KindOf(r mesh.Ref) (snapshot.KindInfo, error) { return kindOfRef(r) }

// Find returns the object of a reference, nil where it is not in the snapshot.
func Find(s *snapshot.Snapshot, r mesh.Ref) snapshot.Object { return find(s, r) }

// InEffect reports whether an object stands as the edit would leave it: nil for one that is not there. Fields that the
// edit does not name do not count, so that what the API server fills in is no difference.
func (e Edit) InEffect(o snapshot.Object) bool {
	switch e.Verb {
	case Delete:
		return o == nil
	case Create, Replace:
		return o != nil && holds(generic(o), generic(e.Put))
	}
	if o == nil {
		return e.Verb == Recreate // a Job that has ended and is gone runs no pod of the old kind
	}
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	if e.Verb != Label {
		t := templateOf(o)
		if t == nil {
			return false
		}
		labels, annotations = t.Labels, t.Annotations
	}
	return stand(labels, e.Labels) && stand(annotations, e.Annotations)
}

func stand(have map[string]string, want map[string]*string) bool {
	for k, v := range want {
		if got, ok := have[k]; ok != (v != nil) || ok && got != *v {
			return false
		}
	}
	return true
}

// generic is the part of an object that edits are about: labels, annotations, and what is neither metadata nor status.
func generic(o snapshot.Object) map[string]any {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil // holds nothing
	}
	out := map[string]any{}
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	meta, _ := out["metadata"].(map[string]any)
	for _, f := range []string{"metadata", "status", "apiVersion", "kind"} {
		delete(out, f)
	}
	for _, f := range []string{"labels", "annotations"} {
		if m, ok := meta[f].(map[string]any); ok {
			out[f] = m
		}
	}
	return out
}

// Same reports whether two versions of an object are the same to a plan: status and what the API server writes do not count. Both
// may be nil, for an object that is not there.
func Same(a, b snapshot.Object) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return reflect.DeepEqual(generic(a), generic(b))
}

// holds reports whether a value has all that another one says: lists as long, maps with at least the same keys.
func holds(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return len(want) == 0 && have == nil
		}
		for k, v := range want {
			got, there := have[k]
			if !there && !empty(v) || there && !holds(got, v) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !holds(have[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}

// empty reports whether a value says nothing, as the zero values that some types write.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, x := range v {
			if !empty(x) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return false
}

// After gives the objects as they are after edits, one after the other.
func After(s *snapshot.Snapshot, edits []Edit) (*snapshot.Snapshot, error) { return change(s, edits) }
