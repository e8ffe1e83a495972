package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Verb is what an Edit does to its object.
type Verb string

// Verbs.
const (
	// Create writes an object that is not there yet.
	Create Verb = "create"
	// Replace writes the whole spec of an object that somebody else owns.
	Replace Verb = "replace"
	// Label sets or removes labels of an object.
	Label Verb = "label"
	// Template sets or removes labels and annotations of a workload's pod template, which makes its pods anew.
	Template Verb = "template"
	// Recreate does the same to a Job, whose template cannot be changed: its next run is made with the labels.
	Recreate Verb = "recreate"
	// Delete removes an object.
	Delete Verb = "delete"
)

// Edit is one write to one object. It holds no more of somebody else's object than it changes, so that it can be applied
// server-side without taking over other fields.
type Edit struct {
	Verb   Verb
	Object mesh.Ref
	// Put is the whole object for Create and Replace, without status.
	Put snapshot.Object
	// Gone are fields that Replace takes away (spec.selector, metadata.labels[x]): a server-side apply leaves them to whoever set them.
	Gone []string
	// Labels are what Label and Template set, Annotations what Template sets besides; a nil value removes.
	Labels, Annotations map[string]*string
}

// text returns a pointer to a label's value.
func text(s string) *string { return &s }

// labelEdit sets labels of an object, or of its pod template.
func labelEdit(verb Verb, object mesh.Ref, labels map[string]string) Edit {
	e := Edit{Verb: verb, Object: object, Labels: map[string]*string{}}
	for k, v := range labels {
		e.Labels[k] = text(v)
	}
	return e
}

// kindOfRef returns the description of the kind that a reference names; workload kinds go without group there.
func kindOfRef(r mesh.Ref) (snapshot.KindInfo, error) {
	for _, info := range snapshot.Kinds() {
		if info.Kind.Kind == r.Kind && (r.Group == info.Group || r.Group == "" && workloadKind(info.Group)) {
			return info, nil
		}
	}
	return snapshot.KindInfo{}, fmt.Errorf("%s: not a kind that a plan can write", r)
}

func workloadKind(group string) bool {
	return group == "apps" || group == "batch" || group == "argoproj.io"
}

// find returns the object of a reference, nil where it is not in the snapshot.
func find(s *snapshot.Snapshot, r mesh.Ref) snapshot.Object {
	info, err := kindOfRef(r)
	if err != nil {
		return nil
	}
	o, ok := s.Find(info.Kind, r.Namespace, r.Name)
	if !ok {
		return nil
	}
	return o
}

// result returns the object as it is after the edit, nil for Delete; old is what stands, nil where nothing does.
func (e Edit) result(old snapshot.Object) (snapshot.Object, error) {
	switch e.Verb {
	case Create, Replace:
		return e.Put, nil
	case Delete:
		return nil, nil
	}
	if old == nil {
		return nil, fmt.Errorf("%s %s: the object is not there", e.Verb, e.Object)
	}
	o := old.DeepCopyObject().(snapshot.Object)
	if e.Verb == Label {
		o.SetLabels(edited(o.GetLabels(), e.Labels))
		return o, nil
	}
	t := templateOf(o)
	if t == nil {
		return nil, fmt.Errorf("%s: it has no pod template", e.Object)
	}
	t.Labels, t.Annotations = edited(t.Labels, e.Labels), edited(t.Annotations, e.Annotations)
	return o, nil
}

func edited(old map[string]string, by map[string]*string) map[string]string {
	if len(by) == 0 {
		return old
	}
	out := maps.Clone(old)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range by {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	return out
}

// undo returns the edit that brings back what stands, which is nil where nothing does.
func (e Edit) undo(old snapshot.Object) Edit {
	if old == nil {
		return Edit{Verb: Delete, Object: e.Object}
	}
	labels, annotations := old.GetLabels(), map[string]string(nil)
	switch e.Verb {
	case Create, Replace:
		return Edit{Verb: Replace, Object: e.Object, Put: old, Gone: gone(e.Put, old)}
	case Delete:
		return Edit{Verb: Create, Object: e.Object, Put: old}
	case Template, Recreate:
		if t := templateOf(old); t != nil {
			labels, annotations = t.Labels, t.Annotations
		}
	}
	return Edit{Verb: e.Verb, Object: e.Object, Labels: backTo(labels, e.Labels), Annotations: backTo(annotations, e.Annotations)}
}

// gone lists the labels, annotations and fields of spec that one form of an object has and the next has not, sorted.
func gone(old, next snapshot.Object) []string {
	var out []string
	flat := func(o snapshot.Object) map[string]bool {
		fields := map[string]bool{}
		raw, err := json.Marshal(o)
		if err != nil {
			return fields
		}
		var object struct {
			Metadata struct {
				Labels, Annotations map[string]string
			}
			Spec map[string]json.RawMessage
		}
		_ = json.Unmarshal(raw, &object) // it was just written
		for k := range object.Metadata.Labels {
			fields["metadata.labels["+k+"]"] = true
		}
		for k := range object.Metadata.Annotations {
			fields["metadata.annotations["+k+"]"] = true
		}
		for k := range object.Spec {
			fields["spec."+k] = true
		}
		return fields
	}
	kept := flat(next)
	for k := range flat(old) {
		if !kept[k] {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// backTo undoes an edit of labels or annotations.
func backTo(old map[string]string, by map[string]*string) map[string]*string {
	if len(by) == 0 {
		return nil
	}
	back := map[string]*string{}
	for k := range by {
		if v, ok := old[k]; ok {
			back[k] = text(v)
		} else {
			back[k] = nil
		}
	}
	return back
}

// templateOf returns the pod template of a workload object, nil where it has none.
func templateOf(o snapshot.Object) *corev1.PodTemplateSpec {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.DaemonSet:
		return &o.Spec.Template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template
	case *batchv1.Job:
		return &o.Spec.Template
	case *partial.Rollout:
		return &o.Spec.Template
	}
	return nil
}

// Manifest returns what is applied server-side: only the fields that the edit is about. It is nil for Delete, and leaves
// out labels that are removed.
func (e Edit) Manifest() (map[string]any, error) {
	info, err := kindOfRef(e.Object)
	if err != nil {
		return nil, err
	}
	switch e.Verb {
	case Delete:
		return nil, nil
	case Create, Replace:
		return whole(info, e.Put)
	}
	out := e.head(info)
	fields := map[string]any{}
	if labels := set(e.Labels); len(labels) > 0 {
		fields["labels"] = labels
	}
	if annotations := set(e.Annotations); len(annotations) > 0 {
		fields["annotations"] = annotations
	}
	template := map[string]any{"template": map[string]any{"metadata": fields}}
	switch {
	case e.Verb == Label:
		maps.Copy(out["metadata"].(map[string]any), fields)
	case info.Kind.Kind == kindCronJob:
		out["spec"] = map[string]any{"jobTemplate": map[string]any{"spec": template}}
	default:
		out["spec"] = template
	}
	return out, nil
}

const (
	kindCronJob = "CronJob"
	kindJob     = "Job"
)

// set are the values that are written.
func set(values map[string]*string) map[string]any {
	out := map[string]any{}
	for k, v := range values {
		if v != nil {
			out[k] = *v
		}
	}
	return out
}

// Removed lists the fields that the edit takes away, which a server-side apply of its manifest does not: metadata.labels[...]
// and the like, sorted.
func (e Edit) Removed() []string {
	var out []string
	for name, values := range map[string]map[string]*string{"labels": e.Labels, "annotations": e.Annotations} {
		for k, v := range values {
			if v == nil {
				out = append(out, e.metadata()+"."+name+"["+k+"]")
			}
		}
	}
	slices.Sort(out)
	return out
}

// Sets reports whether the edit writes anything, beside what it removes.
func (e Edit) Sets() bool {
	return e.Put != nil || len(set(e.Labels))+len(set(e.Annotations)) > 0
}

// metadata is where the labels of a Label or Template edit stand.
func (e Edit) metadata() string {
	switch {
	case e.Verb == Label:
		return "metadata"
	case e.Object.Kind == kindCronJob:
		return "spec.jobTemplate.spec.template.metadata"
	}
	return "spec.template.metadata"
}

// head is an object with nothing but its name.
func (e Edit) head(info snapshot.KindInfo) map[string]any {
	meta := map[string]any{"name": e.Object.Name}
	if info.Namespaced {
		meta["namespace"] = e.Object.Namespace
	}
	return map[string]any{"apiVersion": apiVersion(info), "kind": info.Kind.Kind, "metadata": meta}
}

func apiVersion(info snapshot.KindInfo) string {
	if info.Group == "" {
		return info.Versions[0]
	}
	return info.Group + "/" + info.Versions[0]
}

// serverFields are what the API server writes, which no manifest carries.
var serverFields = []string{"creationTimestamp", "resourceVersion", "uid", "generation", "managedFields", "selfLink"}

// whole renders an object without what the server writes.
func whole(info snapshot.KindInfo, o snapshot.Object) (map[string]any, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("render %s %s/%s: %w", info.Kind.Kind, o.GetNamespace(), o.GetName(), err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("render %s %s/%s: %w", info.Kind.Kind, o.GetNamespace(), o.GetName(), err)
	}
	out["apiVersion"], out["kind"] = apiVersion(info), info.Kind.Kind
	delete(out, "status")
	if meta, ok := out["metadata"].(map[string]any); ok {
		for _, f := range serverFields {
			delete(meta, f)
		}
	}
	return out, nil
}

// APIVersion is the version in which the object is written.
func (e Edit) APIVersion() (string, error) {
	info, err := kindOfRef(e.Object)
	if err != nil {
		return "", err
	}
	return apiVersion(info), nil
}
