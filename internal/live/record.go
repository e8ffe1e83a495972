package live

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// A record of a migration is made of ConfigMaps, all with LabelRecord:
//   - one of kind head, in Istio's root namespace: which plan, what a person wishes, which gates are left out
//   - one of kind progress in each namespace that the plan writes to: how far each of its steps has come, and what stood before
//   - parts of the plan, immutable, in the namespaces that they write to
//
// The head is written last when a migration begins, and goes first when it has been taken back: without it there is no migration.
const (
	LabelRecord = "sidestep.dev/record"
	// LabelPlan is the ID of the plan that a part belongs to.
	LabelPlan = "sidestep.dev/plan"

	recordHead     = "head"
	recordProgress = "progress"
	recordPart     = "plan"

	nameHead     = "sidestep-migration"
	nameProgress = "sidestep-progress"
	keyRecord    = "record.json.gz"

	// partSize is how many compressed bytes one part of a plan may have: an API object may have about a MiB, and base64 adds a third on
	// some ways.
	partSize = 512 << 10
	// stepsPerPart bounds what is compressed to find out.
	stepsPerPart = 2000
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// ErrNoMigration says that the cluster has no record of one.
var ErrNoMigration = errors.New("no migration is under way: begin one with sidestep apply")

// ErrMigration says that a migration is recorded already.
var ErrMigration = errors.New("a migration is recorded already: see sidestep status; go on with it by sidestep apply, or take it back with sidestep rollback")

// Record is a migration as the cluster keeps it.
type Record struct {
	// Root is the namespace of its head.
	Root string
	Plan *migrate.Plan
	migrate.Progress

	head       *unstructured.Unstructured
	namespaces map[string]*unstructured.Unstructured // of progress
}

// headText is what the head says.
type headText struct {
	Plan     string              `json:"plan"`
	Parts    int                 `json:"parts"`
	Waves    []waveText          `json:"waves"`
	After    map[string][]string `json:"after,omitempty"`
	Progress migrate.Progress    `json:"progress"`
}

type waveText struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	Steps   int    `json:"steps"`
}

// stepText is a step with its place in the plan.
type stepText struct {
	Wave  int       `json:"wave"`
	Order int       `json:"order"`
	Step  plan.Step `json:"step"`
}

// namespaceOf says in whose record a step stands.
func (r *Record) namespaceOf(s plan.Step) string { return cmp.Or(s.Subject.Namespace, r.Root) }

// byNamespace gives the steps of a plan by the record in which they stand.
func (r *Record) byNamespace() map[string][]stepText {
	out := map[string][]stepText{}
	for i, w := range r.Plan.Waves {
		for j, s := range w.Steps {
			ns := r.namespaceOf(s)
			out[ns] = append(out[ns], stepText{i, j, s})
		}
	}
	return out
}

// ReadRecord reads the migration of a cluster; ErrNoMigration where there is none.
func (w *Writer) ReadRecord(ctx context.Context) (*Record, error) {
	list, err := w.client.Resource(configMaps).List(ctx, metav1.ListOptions{LabelSelector: LabelRecord})
	if err != nil {
		return nil, w.cluster.describe("list the records of a migration", err)
	}
	r := &Record{namespaces: map[string]*unstructured.Unstructured{}}
	var head headText
	for i := range list.Items {
		o := &list.Items[i]
		if o.GetLabels()[LabelRecord] != recordHead {
			continue
		}
		if r.head != nil {
			return nil, fmt.Errorf("two records of a migration: ConfigMaps %s/%s and %s/%s; remove the one that is not wanted", r.Root, nameHead, o.GetNamespace(), o.GetName())
		}
		if err := unpack(o, &head); err != nil {
			return nil, err
		}
		r.head, r.Root, r.Progress = o, o.GetNamespace(), head.Progress
	}
	if r.head == nil {
		return nil, ErrNoMigration
	}
	r.Steps = map[string]migrate.StepProgress{}
	parts := 0
	steps := make([][]stepText, len(head.Waves))
	for i := range list.Items {
		o := &list.Items[i]
		switch {
		case o.GetLabels()[LabelRecord] == recordProgress:
			some := map[string]migrate.StepProgress{}
			if err := unpack(o, &some); err != nil {
				return nil, err
			}
			r.namespaces[o.GetNamespace()] = o
			maps.Copy(r.Steps, some)
		case o.GetLabels()[LabelRecord] == recordPart && o.GetLabels()[LabelPlan] == head.Plan:
			var some []stepText
			if err := unpack(o, &some); err != nil {
				return nil, err
			}
			parts++
			for _, s := range some {
				if s.Wave < 0 || s.Wave >= len(steps) {
					return nil, fmt.Errorf("ConfigMap %s/%s: step %s is of a wave that the plan has not", o.GetNamespace(), o.GetName(), s.Step.ID)
				}
				steps[s.Wave] = append(steps[s.Wave], s)
			}
		}
	}
	if parts != head.Parts {
		return nil, fmt.Errorf("the record of the plan has %d parts and %d were found: ConfigMaps with label %s=%s have been removed, or may not be read", head.Parts, parts, LabelRecord, recordPart)
	}
	r.Plan = &migrate.Plan{ID: head.Plan, After: head.After}
	for i, w := range head.Waves {
		slices.SortFunc(steps[i], func(a, b stepText) int { return a.Order - b.Order })
		wave := plan.Wave{Name: w.Name, Purpose: w.Purpose}
		for _, s := range steps[i] {
			wave.Steps = append(wave.Steps, s.Step)
		}
		if len(wave.Steps) != w.Steps {
			return nil, fmt.Errorf("the record of wave %s has %d steps, and the plan %d", w.Name, len(wave.Steps), w.Steps)
		}
		r.Plan.Waves = append(r.Plan.Waves, wave)
	}
	return r, nil
}

// Begin records a migration. It can be repeated until the head is there, which it writes last.
func (w *Writer) Begin(ctx context.Context, root string, p *migrate.Plan, g migrate.Progress) (*Record, error) {
	if r, err := w.ReadRecord(ctx); !errors.Is(err, ErrNoMigration) {
		if err == nil {
			return r, ErrMigration
		}
		return nil, err
	}
	if err := w.sweep(ctx); err != nil { // parts of a beginning that was not finished
		return nil, err
	}
	r := &Record{Root: root, Plan: p, Progress: g, namespaces: map[string]*unstructured.Unstructured{}}
	if r.Steps == nil {
		r.Steps = map[string]migrate.StepProgress{}
	}
	head := headText{Plan: p.ID, After: p.After, Progress: g}
	for _, v := range p.Waves {
		head.Waves = append(head.Waves, waveText{v.Name, v.Purpose, len(v.Steps)})
	}
	all := r.byNamespace()
	for _, ns := range slices.Sorted(maps.Keys(all)) {
		parts, err := packParts(all[ns])
		if err != nil {
			return nil, err
		}
		for i, text := range parts {
			o := recordObject(ns, "sidestep-plan-"+p.ID+"-"+strconv.Itoa(i+1), recordPart, text)
			o.SetLabels(map[string]string{LabelRecord: recordPart, LabelPlan: p.ID})
			o.Object["immutable"] = true
			if _, err := w.create(ctx, o); err != nil {
				return nil, err
			}
			head.Parts++
		}
		if r.namespaces[ns], err = w.createPacked(ctx, ns, nameProgress, recordProgress, map[string]migrate.StepProgress{}); err != nil {
			return nil, err
		}
	}
	var err error
	r.head, err = w.createPacked(ctx, root, nameHead, recordHead, head)
	return r, err
}

// sweep removes whatever stands of a record without a head.
func (w *Writer) sweep(ctx context.Context) error {
	list, err := w.client.Resource(configMaps).List(ctx, metav1.ListOptions{LabelSelector: LabelRecord})
	if err != nil {
		return w.cluster.describe("list the records of a migration", err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		err := w.client.Resource(configMaps).Namespace(o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return w.cluster.describe("remove ConfigMap "+o.GetNamespace()+"/"+o.GetName(), err)
		}
	}
	return nil
}

// End removes a record: the head first, so that nothing is left half done.
func (w *Writer) End(ctx context.Context, r *Record) error {
	uid := r.head.GetUID()
	err := w.client.Resource(configMaps).Namespace(r.Root).Delete(ctx, nameHead, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return w.cluster.describe("remove the record", err)
	}
	return w.sweep(ctx)
}

// SaveHead writes what a person wishes.
func (w *Writer) SaveHead(ctx context.Context, r *Record) error {
	var head headText
	if err := unpack(r.head, &head); err != nil {
		return err
	}
	head.Progress = r.Progress
	head.Progress.Steps = nil
	o, err := w.replace(ctx, r.head, head)
	if err == nil {
		r.head = o
	}
	return err
}

// SaveSteps writes the progress of steps, each into the record of its namespace. What was recorded as standing before a step is never
// changed while the step is taken. The error is ErrStale where somebody else has written meanwhile.
func (w *Writer) SaveSteps(ctx context.Context, r *Record, ids ...string) error {
	touched := map[string]bool{}
	for _, id := range ids {
		s, _, ok := r.Plan.Step(id)
		if !ok {
			return fmt.Errorf("the plan has no step %s", id)
		}
		touched[r.namespaceOf(s)] = true
	}
	all := r.byNamespace()
	for _, ns := range slices.Sorted(maps.Keys(touched)) {
		o := r.namespaces[ns]
		if o == nil {
			return fmt.Errorf("the record of namespace %s is gone: ConfigMap %s/%s has been removed", ns, ns, nameProgress)
		}
		some := map[string]migrate.StepProgress{}
		for _, s := range all[ns] {
			if p, ok := r.Steps[s.Step.ID]; ok {
				some[s.Step.ID] = p
			}
		}
		next, err := w.replace(ctx, o, some)
		if err != nil {
			return err
		}
		r.namespaces[ns] = next
	}
	return nil
}

func (w *Writer) createPacked(ctx context.Context, ns, name, kind string, v any) (*unstructured.Unstructured, error) {
	text, err := pack(v)
	if err != nil {
		return nil, err
	}
	return w.create(ctx, recordObject(ns, name, kind, text))
}

func (w *Writer) create(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	made, err := w.configMapsIn(o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{FieldManager: FieldManager})
	if apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("%w: ConfigMap %s/%s has just been made by somebody else", ErrStale, o.GetNamespace(), o.GetName())
	}
	if err != nil {
		return nil, w.cluster.describe("record the migration in ConfigMap "+o.GetNamespace()+"/"+o.GetName(), err)
	}
	return made, nil
}

// replace writes a record anew, provided that nobody has meanwhile.
func (w *Writer) replace(ctx context.Context, old *unstructured.Unstructured, v any) (*unstructured.Unstructured, error) {
	text, err := pack(v)
	if err != nil {
		return nil, err
	}
	o := old.DeepCopy()
	o.Object["binaryData"] = map[string]any{keyRecord: base64.StdEncoding.EncodeToString(text)}
	out, err := w.configMapsIn(o.GetNamespace()).Update(ctx, o, metav1.UpdateOptions{FieldManager: FieldManager})
	switch {
	case apierrors.IsConflict(err):
		return nil, fmt.Errorf("%w: ConfigMap %s/%s", ErrStale, o.GetNamespace(), o.GetName())
	case apierrors.IsNotFound(err):
		return nil, ErrNoMigration
	case err != nil:
		return nil, w.cluster.describe("write ConfigMap "+o.GetNamespace()+"/"+o.GetName(), err)
	}
	return out, nil
}

func (w *Writer) configMapsIn(ns string) dynamic.ResourceInterface {
	return w.client.Resource(configMaps).Namespace(ns)
}

func recordObject(ns, name, kind string, text []byte) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"binaryData": map[string]any{keyRecord: base64.StdEncoding.EncodeToString(text)}}}
	o.SetNamespace(ns)
	o.SetName(name)
	o.SetLabels(map[string]string{LabelRecord: kind})
	return o
}

// packParts packs steps into as many parts as API objects can hold.
func packParts(steps []stepText) ([][]byte, error) {
	var out [][]byte
	for some := range slices.Chunk(steps, stepsPerPart) {
		text, err := pack(some)
		switch {
		case err != nil:
			return nil, err
		case len(text) <= partSize:
			out = append(out, text)
		case len(some) == 1:
			return nil, fmt.Errorf("step %s is too large to be recorded: %d bytes", some[0].Step.ID, len(text))
		default:
			half := len(some) / 2
			for _, part := range [][]stepText{some[:half], some[half:]} {
				more, err := packParts(part)
				if err != nil {
					return nil, err
				}
				out = append(out, more...)
			}
		}
	}
	return out, nil
}

func pack(v any) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(v); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return b.Bytes(), nil
}

// largestRecord bounds what a record unpacks to, whoever wrote it.
const largestRecord = 256 << 20

func unpack(o *unstructured.Unstructured, v any) error {
	where := "ConfigMap " + o.GetNamespace() + "/" + o.GetName()
	text, _, _ := unstructured.NestedString(o.Object, "binaryData", keyRecord)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%s is no record of Sidestep's: %w", where, err)
	}
	if err := json.NewDecoder(io.LimitReader(z, largestRecord)).Decode(v); err != nil {
		return fmt.Errorf("%s is no record of Sidestep's: %w", where, err)
	}
	return nil
}
