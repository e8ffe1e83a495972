package demo

import (
	"bytes"
	"encoding/json"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// list writes objects as kubectl get -o json does, one to a line.
func list(objects []snapshot.Object) []byte {
	var b bytes.Buffer
	b.WriteString(`{"apiVersion":"v1","kind":"List","items":[`)
	for i, o := range objects {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		o.GetObjectKind().SetGroupVersionKind(typeOf(o))
		b.Write(marshal(o))
	}
	b.WriteString("\n]}\n")
	return b.Bytes()
}

func marshal(o snapshot.Object) []byte {
	raw, err := json.Marshal(o)
	if err != nil {
		panic("demo: " + err.Error()) // typed objects of this package always marshal
	}
	return raw
}

// text writes objects as a stream of YAML documents.
func text(objects []snapshot.Object) []byte {
	var b bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(document(o))
	}
	return b.Bytes()
}

// document writes one object, with its type and without the empty fields that Go structs print.
func document(o snapshot.Object) []byte {
	o.GetObjectKind().SetGroupVersionKind(typeOf(o))
	var fields map[string]any
	if err := json.Unmarshal(marshal(o), &fields); err != nil {
		panic("demo: " + err.Error())
	}
	prune(fields)
	out, err := yaml.Marshal(fields)
	if err != nil {
		panic("demo: " + err.Error())
	}
	return out
}

// typeOf returns the type of an object, in the preferred version.
func typeOf(o snapshot.Object) schema.GroupVersionKind {
	if info, ok := snapshot.InfoOf(o); ok {
		return info.Kind.WithVersion(info.Versions[0])
	}
	panic("demo: not a kind of a snapshot")
}

// prune removes fields that print although they are not set. An empty rule means "anything" in an
// AuthorizationPolicy, so lists keep their empty elements.
func prune(fields map[string]any) {
	for key, value := range fields {
		switch v := value.(type) {
		case nil:
			delete(fields, key)
		case map[string]any:
			prune(v)
			if len(v) == 0 && (key == "status" || key == "resources" || key == "strategy" || key == "updateStrategy" || key == "annotations" || key == "loadBalancer") {
				delete(fields, key)
			}
		case []any:
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					prune(m)
				}
			}
		}
	}
}
