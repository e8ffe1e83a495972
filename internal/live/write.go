package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// FieldManager is the name under which everything that Sidestep writes is owned.
const FieldManager = "sidestep"

// Writer writes the edits of plans: by server-side apply under a field manager of its own, never by force, and only onto the very version
// of an object that was looked at.
type Writer struct {
	cluster *Cluster
	client  dynamic.Interface
	disco   *discovery.DiscoveryClient

	mu       sync.Mutex
	versions map[schema.GroupKind]string
}

// NewWriter prepares a writer; it does not connect yet.
func NewWriter(cluster *Cluster) (*Writer, error) {
	cfg := rest.CopyConfig(cluster.Config)
	cfg.QPS, cfg.Burst = -1, 0 // writes come one by one; API priority and fairness bounds the server's side
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: read the credentials: %w", cluster.Name, err)
	}
	w := &Writer{cluster: cluster, versions: map[schema.GroupKind]string{}}
	if w.client, err = dynamic.NewForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", cluster.Name, err)
	}
	if w.disco, err = discovery.NewDiscoveryClientForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", cluster.Name, err)
	}
	return w, nil
}

// Cluster is where it writes.
func (w *Writer) Cluster() *Cluster { return w.cluster }

// ErrStale says that an object is not what a decision was made on: it has to be made again.
var ErrStale = errors.New("the object has changed since it was read")

// ConflictError is a write that was refused for good: it would take a field from its owner, or the API server does not take it.
type ConflictError struct{ migrate.Conflict }

func (e *ConflictError) Error() string { return e.Text }

// Standing is an object as it stands, seen just before a write.
type Standing struct {
	// Object is nil where there is none.
	Object *unstructured.Unstructured
	typed  snapshot.Object
}

// Look reads the object of an edit.
func (w *Writer) Look(ctx context.Context, e plan.Edit) (*Standing, error) {
	resource, _, err := w.resource(e)
	if err != nil {
		return nil, err
	}
	o, err := resource.Get(ctx, e.Object.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &Standing{}, nil
	case err != nil:
		return nil, w.cluster.describe("get "+e.Object.String(), err)
	}
	raw, err := o.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Object, err)
	}
	s := &Standing{Object: o}
	if s.typed, err = plan.Decode(e.Object, raw); err != nil {
		return nil, err
	}
	snapshot.Strip(s.typed)
	return s, nil
}

// InEffect reports whether the object stands as the edit would leave it.
func (s *Standing) InEffect(e plan.Edit) bool { return e.InEffect(s.typed) }

// Is reports whether the object is the one that was seen, as far as a plan is concerned; nil for one that was not there.
func (s *Standing) Is(seen snapshot.Object) bool { return plan.Same(s.typed, seen) }

// Before is what has to be brought back when a step is undone. What Sidestep wrote itself is no answer: then the plan's word is taken,
// which was made when nothing was written yet.
func (s *Standing) Before(step plan.Step) (*migrate.Before, error) {
	e := step.Edit
	if s.InEffect(e) {
		if s.ownsAny() {
			return beforeOf(step)
		}
		return &migrate.Before{Theirs: true}, nil
	}
	b := &migrate.Before{}
	switch e.Verb {
	case plan.Create, plan.Replace, plan.Delete:
		if s.Object == nil {
			b.Absent = true
			return b, nil
		}
		raw, err := s.Object.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("keep %s: %w", e.Object, err)
		}
		b.Object = raw
	case plan.Label, plan.Template, plan.Recreate:
		if s.Object == nil {
			return nil, fmt.Errorf("%s is not there any more", e.Object)
		}
		labels, annotations := fieldsOf(s.Object, e)
		b.Labels, b.Annotations = pick(labels, e.Labels), pick(annotations, e.Annotations)
	}
	return b, nil
}

// beforeOf is what the plan saw before a step.
func beforeOf(step plan.Step) (*migrate.Before, error) {
	u := step.Undo
	b := &migrate.Before{Labels: u.Labels, Annotations: u.Annotations, Absent: u.Verb == plan.Delete}
	if u.Put != nil {
		m, err := u.Manifest()
		if err != nil {
			return nil, err
		}
		if b.Object, err = json.Marshal(m); err != nil {
			return nil, fmt.Errorf("keep %s: %w", u.Object, err)
		}
	}
	return b, nil
}

// fieldsOf gives the labels and annotations that an edit is about.
func fieldsOf(o *unstructured.Unstructured, e plan.Edit) (labels, annotations map[string]string) {
	path := metadataPath(e)
	labels, _, _ = unstructured.NestedStringMap(o.Object, append(slices.Clone(path), "labels")...)
	annotations, _, _ = unstructured.NestedStringMap(o.Object, append(slices.Clone(path), "annotations")...)
	return labels, annotations
}

func metadataPath(e plan.Edit) []string {
	switch {
	case e.Verb == plan.Label:
		return []string{"metadata"}
	case e.Object.Kind == "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "metadata"}
	}
	return []string{"spec", "template", "metadata"}
}

func pick(have map[string]string, keys map[string]*string) map[string]*string {
	if len(keys) == 0 {
		return nil
	}
	out := map[string]*string{}
	for k := range keys {
		out[k] = nil
		if v, ok := have[k]; ok {
			out[k] = &v
		}
	}
	return out
}

// ownsAny reports whether Sidestep owns any field of the object.
func (s *Standing) ownsAny() bool { return s.Object != nil && owned(s.Object) != nil }

// owned is what Sidestep's own entry in managedFields lists; nil where there is none.
func owned(o *unstructured.Unstructured) map[string]any {
	for _, m := range o.GetManagedFields() {
		if m.Manager != FieldManager || m.Operation != metav1.ManagedFieldsOperationApply || m.Subresource != "" || m.FieldsV1 == nil {
			continue
		}
		fields := map[string]any{}
		if json.Unmarshal(m.FieldsV1.Raw, &fields) == nil && len(fields) > 0 {
			return fields
		}
	}
	return nil
}

// Write carries an edit out on an object as it stands. Undo says that it takes a step back; then before is what stood before it. The
// error is ErrStale where the object is another by now, a *ConflictError where it cannot be written at all.
func (w *Writer) Write(ctx context.Context, s *Standing, e plan.Edit, undo bool, before *migrate.Before, dryRun bool) error {
	if s.InEffect(e) {
		return nil
	}
	resource, info, err := w.resource(e)
	if err != nil {
		return err
	}
	var dry []string
	if dryRun {
		dry = []string{metav1.DryRunAll}
	}
	switch {
	case e.Verb == plan.Delete:
		err = w.remove(ctx, resource, s, e, undo, dry)
	case e.Verb == plan.Recreate:
		return &ConflictError{migrate.Conflict{Text: "the template of a " + e.Object.Kind + " cannot be changed: make it anew with these labels, or wait for its end", Patch: migrate.Patch(e)}}
	case undo && (e.Verb == plan.Create || e.Verb == plan.Replace):
		err = w.restore(ctx, resource, s, e, before, dry)
	default:
		err = w.apply(ctx, resource, info, s, e, dry)
	}
	return w.refused(e, err)
}

// apply writes by server-side apply what the edit sets, together with what Sidestep owns already and the edit does not speak of: what an
// apply leaves out, it gives up.
func (w *Writer) apply(ctx context.Context, resource dynamic.ResourceInterface, info snapshot.KindInfo, s *Standing, e plan.Edit, dry []string) error {
	whole := e.Verb == plan.Create || e.Verb == plan.Replace
	switch {
	case e.Verb == plan.Create && s.Object != nil && !s.ownsAny():
		return &ConflictError{migrate.Conflict{Text: "another " + e.Object.String() + " is there already: rename or remove it", Patch: migrate.Patch(e)}}
	case !whole && s.Object == nil:
		return &ConflictError{migrate.Conflict{Text: e.Object.String() + " is not there any more", Patch: migrate.Patch(e)}}
	}
	manifest, err := e.Manifest()
	if err != nil {
		return err
	}
	o := &unstructured.Unstructured{Object: manifest}
	if !whole && s.ownsAny() {
		kept := map[string]any{}
		if err := keep(kept, s.Object.Object, owned(s.Object)); err != nil {
			return fmt.Errorf("%s: %w", e.Object, err)
		}
		drop(kept, e)
		o.Object = merge(kept, manifest)
	}
	version, err := w.version(info)
	if err != nil {
		return err
	}
	gv := schema.GroupVersion{Group: info.Group, Version: version}
	o.SetAPIVersion(gv.String())
	if s.Object != nil {
		o.SetResourceVersion(s.Object.GetResourceVersion())
	}
	_, err = resource.Apply(ctx, e.Object.Name, o, metav1.ApplyOptions{FieldManager: FieldManager, DryRun: dry})
	return err
}

// keep copies the fields that a managedFields entry lists.
func keep(to, from map[string]any, fields map[string]any) error {
	for key, below := range fields {
		name, ok := strings.CutPrefix(key, "f:")
		switch {
		case key == ".":
			continue
		case !ok:
			return fmt.Errorf("sidestep owns items of a list in it, which an edit of labels cannot keep")
		}
		value, there := from[name]
		if !there {
			continue
		}
		list, _ := below.(map[string]any)
		inner, isMap := value.(map[string]any)
		if len(list) == 0 || !isMap {
			to[name] = value
			continue
		}
		next := map[string]any{}
		if err := keep(next, inner, list); err != nil {
			return err
		}
		if len(next) > 0 {
			to[name] = next
		}
	}
	return nil
}

// drop takes the labels and annotations away that an edit removes.
func drop(from map[string]any, e plan.Edit) {
	at := from
	for _, p := range metadataPath(e) {
		next, ok := at[p].(map[string]any)
		if !ok {
			return
		}
		at = next
	}
	for name, values := range map[string]map[string]*string{"labels": e.Labels, "annotations": e.Annotations} {
		list, ok := at[name].(map[string]any)
		if !ok {
			continue
		}
		for k, v := range values {
			if v == nil {
				delete(list, k)
			}
		}
		if len(list) == 0 {
			delete(at, name)
		}
	}
}

// merge lays one object over another.
func merge(under, over map[string]any) map[string]any {
	out := maps.Clone(under)
	for k, v := range over {
		a, ok := out[k].(map[string]any)
		b, also := v.(map[string]any)
		if ok && also {
			out[k] = merge(a, b)
		} else {
			out[k] = v
		}
	}
	return out
}

// remove deletes the very object that was looked at. What a step made and somebody else has taken over stays.
func (w *Writer) remove(ctx context.Context, resource dynamic.ResourceInterface, s *Standing, e plan.Edit, undo bool, dry []string) error {
	if undo && !s.ownsAny() {
		return &ConflictError{migrate.Conflict{Text: e.Object.String() + " is not Sidestep's any more: who has taken it over has to remove it", Patch: migrate.Patch(e)}}
	}
	uid, version := s.Object.GetUID(), s.Object.GetResourceVersion()
	err := resource.Delete(ctx, e.Object.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, DryRun: dry})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// restore brings an object back as it stood, with its owners.
func (w *Writer) restore(ctx context.Context, resource dynamic.ResourceInterface, s *Standing, e plan.Edit, before *migrate.Before, dry []string) error {
	if before == nil || len(before.Object) == 0 {
		return &ConflictError{migrate.Conflict{Text: "what " + e.Object.String() + " was before is not recorded", Patch: migrate.Patch(e)}}
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(before.Object); err != nil {
		return fmt.Errorf("what %s was before: %w", e.Object, err)
	}
	owners := o.GetManagedFields()
	for _, f := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(o.Object, "metadata", f)
	}
	delete(o.Object, "status")
	if s.Object == nil {
		made, err := resource.Create(ctx, o, metav1.CreateOptions{FieldManager: FieldManager, DryRun: dry})
		if err != nil || len(dry) > 0 || len(owners) == 0 {
			return err
		}
		o = made
	} else {
		o.SetResourceVersion(s.Object.GetResourceVersion())
		o.SetUID(s.Object.GetUID())
	}
	o.SetManagedFields(owners) // whoever owned its fields owns them again
	_, err := resource.Update(ctx, o, metav1.UpdateOptions{FieldManager: FieldManager, DryRun: dry})
	return err
}

// refused tells what can be tried again from what cannot.
func (w *Writer) refused(e plan.Edit, err error) error {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err
	}
	var conflict migrate.Conflict
	if d := status.Status().Details; d != nil {
		for _, c := range d.Causes {
			if c.Type != metav1.CauseTypeFieldManagerConflict {
				continue
			}
			manager := strings.TrimPrefix(c.Message, "conflict with ")
			if !slices.Contains(conflict.Managers, manager) {
				conflict.Managers = append(conflict.Managers, manager)
			}
			conflict.Fields = append(conflict.Fields, c.Field)
		}
	}
	conflict.Patch = migrate.Patch(e)
	switch {
	case len(conflict.Fields) > 0:
		conflict.Text = fmt.Sprintf("%s of %s is owned by %s: Sidestep does not take it over. Commit the patch where the object is kept",
			strings.Join(conflict.Fields, ", "), e.Object, strings.Join(conflict.Managers, ", "))
		return &ConflictError{conflict}
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		return fmt.Errorf("%w: %s", ErrStale, oneLine(err))
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsNotFound(err):
		conflict.Text = "the API server refuses it: " + oneLine(err)
		return &ConflictError{conflict}
	}
	return w.cluster.describe(string(e.Verb)+" "+e.Object.String(), err)
}

// resource is where the objects of an edit's kind are written.
func (w *Writer) resource(e plan.Edit) (dynamic.ResourceInterface, snapshot.KindInfo, error) {
	info, err := plan.KindOf(e.Object)
	if err != nil {
		return nil, info, err
	}
	version, err := w.version(info)
	if err != nil {
		return nil, info, err
	}
	r := w.client.Resource(schema.GroupVersionResource{Group: info.Group, Version: version, Resource: info.Resource})
	if info.Namespaced {
		return r.Namespace(e.Object.Namespace), info, nil
	}
	return r, info, nil
}

// version is the one in which the server has a kind, asked for once.
func (w *Writer) version(info snapshot.KindInfo) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.versions[info.Kind]; v != "" {
		return v, nil
	}
	for _, v := range info.Versions {
		list, err := w.disco.ServerResourcesForGroupVersion(schema.GroupVersion{Group: info.Group, Version: v}.String())
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return "", w.cluster.describe("discover "+info.Resource, err)
		}
		if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == info.Resource }) {
			w.versions[info.Kind] = v
			return v, nil
		}
	}
	return "", fmt.Errorf("cluster %s serves no %s.%s in a version that Sidestep knows", w.cluster.Name, info.Resource, info.Group)
}
