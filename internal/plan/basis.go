package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Read is one object that a plan's proof rests on, with a digest of each of its fields.
type Read struct {
	Object mesh.Ref
	Fields map[string]string
}

// unread are kinds that no answer of the proof depends on, or whose part in it stands elsewhere: of pods, modes and labels by
// workload are read; ReplicaSets belong to others.
var unread = []string{"Pod", "ReplicaSet", "Node", "ResourceQuota", "HorizontalPodAutoscaler", "PodDisruptionBudget", "PersistentVolumeClaim", "PersistentVolume"}

// notRead are fields that change without a meaning for the proof.
var notRead = []string{"spec.replicas", "spec.minReadySeconds", "spec.progressDeadlineSeconds", "spec.revisionHistoryLimit", "spec.schedule", "spec.suspend"}

// basis lists what the proof read of a mesh, by object and field, sorted.
func basis(m *mesh.Mesh) []Read {
	var out []Read
	for o := range m.Snapshot.Objects() {
		info, ok := snapshot.InfoOf(o)
		if !ok || slices.Contains(unread, info.Kind.Kind) {
			continue
		}
		out = append(out, Read{Object: mesh.Ref{Group: info.Group, Kind: info.Kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}, Fields: fieldsOf(o)})
	}
	for _, w := range m.Workloads {
		if len(w.Pods) == 0 {
			continue
		}
		fields := map[string]string{}
		for i, s := range w.Sets {
			fields[fmt.Sprintf("pods[%d]", i)] = digest([]any{s.Mode, s.HBONE, without(s.Labels)})
		}
		r := w.Ref
		r.Kind = "Pods of " + r.Kind
		out = append(out, Read{Object: r, Fields: fields})
	}
	slices.SortFunc(out, func(a, b Read) int { return a.Object.Compare(b.Object) })
	return out
}

// without leaves out the labels that differ from pod to pod.
func without(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	for _, k := range []string{"pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid", "job-name", "controller-uid"} {
		delete(out, k)
	}
	return out
}

// fieldsOf digests labels and annotations one by one, and the fields of spec (or data, or what else there is at the top). Of the
// status only a Gateway's addresses count, which say that it was ready once.
func fieldsOf(o snapshot.Object) map[string]string {
	out := map[string]string{}
	for k, v := range o.GetLabels() {
		out["metadata.labels["+k+"]"] = digest(v)
	}
	for k, v := range o.GetAnnotations() {
		if !strings.HasPrefix(k, "kubectl.kubernetes.io/") && !strings.HasPrefix(k, "deployment.kubernetes.io/") {
			out["metadata.annotations["+k+"]"] = digest(v)
		}
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return out
	}
	var whole map[string]json.RawMessage
	if json.Unmarshal(raw, &whole) != nil {
		return out
	}
	for name, value := range whole {
		switch name {
		case "metadata", "kind", "apiVersion":
		case "status":
			var status struct {
				Addresses []any `json:"addresses"`
			}
			if json.Unmarshal(value, &status) == nil && len(status.Addresses) > 0 {
				out["status.addresses"] = digest("some")
			}
		case "spec":
			var fields map[string]json.RawMessage
			if json.Unmarshal(value, &fields) != nil {
				out[name] = digest(value)
				continue
			}
			for field, v := range fields {
				if path := name + "." + field; !slices.Contains(notRead, path) {
					out[path] = digest(v)
				}
			}
		default:
			out[name] = digest(value)
		}
	}
	return out
}

// digestLength is enough to tell values of one field apart: 12 hexadecimal digits.
const digestLength = 12

func digest(v any) string {
	raw, ok := v.(json.RawMessage)
	if !ok {
		raw, _ = json.Marshal(v) // maps of text and the like cannot fail
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:digestLength]
}

// fingerprint is one digest of all that was read.
func fingerprint(reads []Read) string {
	h := sha256.New()
	for _, r := range reads {
		fmt.Fprintln(h, r.Object.Group, r.Object)
		for _, f := range slices.Sorted(maps.Keys(r.Fields)) {
			_, _ = io.WriteString(h, f+"="+r.Fields[f]+"\n")
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Stale is one difference between what a plan's proof read and what is there now.
type Stale struct {
	Object mesh.Ref
	// Field is empty where the whole object is new or gone.
	Field string
	// How is added, removed or changed.
	How string
	// Steps are the IDs of the steps whose proof reads the object.
	Steps []string
}

// StaleBy compares what a plan read with what is there now. What a step of the plan has written is no difference: it was taken.
func StaleBy(read, now []Read, steps []Step) []Stale {
	written := map[mesh.Ref][]Edit{}
	for _, s := range steps {
		r := s.Subject
		if info, err := kindOfRef(r); err == nil {
			r.Group = info.Group
		}
		written[r] = append(written[r], s.Edit)
	}
	var out []Stale
	see := func(r mesh.Ref, field, how string) {
		if !explained(written[r], r, field) && !(strings.HasPrefix(r.Kind, "Pods of ") && movedBy(steps, r)) {
			out = append(out, Stale{Object: r, Field: field, How: how, Steps: concerned(steps, r)})
		}
	}
	before := map[mesh.Ref]Read{}
	for _, r := range read {
		before[r.Object] = r
	}
	for _, r := range now {
		old, ok := before[r.Object]
		if !ok {
			see(r.Object, "", "added")
			continue
		}
		delete(before, r.Object)
		for _, f := range slices.Sorted(maps.Keys(r.Fields)) {
			switch v, ok := old.Fields[f]; {
			case !ok:
				see(r.Object, f, "added")
			case v != r.Fields[f]:
				see(r.Object, f, "changed")
			}
		}
		for _, f := range slices.Sorted(maps.Keys(old.Fields)) {
			if _, ok := r.Fields[f]; !ok {
				see(r.Object, f, "removed")
			}
		}
	}
	for r := range before {
		see(r, "", "removed")
	}
	slices.SortFunc(out, func(a, b Stale) int { return cmp.Or(a.Object.Compare(b.Object), cmp.Compare(a.Field, b.Field)) })
	return out
}

// explained reports whether an edit of the plan writes the field.
func explained(edits []Edit, r mesh.Ref, field string) bool {
	for _, e := range edits {
		switch {
		case e.Verb == Create || e.Verb == Delete || e.Verb == Replace:
			return true
		case e.Verb == Label:
			for k := range e.Labels {
				if field == "metadata.labels["+k+"]" {
					return true
				}
			}
		case field == "spec.template" || field == "spec.jobTemplate":
			return true
		}
	}
	return false
}

// movedBy reports whether a step of the plan makes the pods of a workload anew.
func movedBy(steps []Step, pods mesh.Ref) bool {
	kind := strings.TrimPrefix(pods.Kind, "Pods of ")
	return slices.ContainsFunc(steps, func(s Step) bool {
		return s.Restarts && s.Subject.Kind == kind && s.Subject.Namespace == pods.Namespace && s.Subject.Name == pods.Name
	})
}

// concerned lists the steps in whose proof an object has a part: those in its namespace, or all for one of the whole mesh.
func concerned(steps []Step, r mesh.Ref) []string {
	var out []string
	for _, s := range steps {
		if r.Namespace == "" || r.Namespace == s.Subject.Namespace || s.Subject == r {
			out = append(out, s.ID)
		}
	}
	return out
}

// GroupOf is the API group of a kind, as references of this package spell it: workloads and core kinds go without.
func GroupOf(versions []string, kind string) string {
	for _, info := range snapshot.Kinds() {
		if info.Kind.Kind != kind || workloadKind(info.Group) {
			continue
		}
		for _, v := range info.Versions {
			full := v
			if info.Group != "" {
				full = info.Group + "/" + v
			}
			if slices.Contains(versions, full) {
				return info.Group
			}
		}
	}
	return ""
}
