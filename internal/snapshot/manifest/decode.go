package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"google.golang.org/protobuf/proto"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// outcome is what became of one object of the input: exactly one of its first three fields is set.
type outcome struct {
	object  snapshot.Object
	ignored *snapshot.Ignored
	problem *snapshot.Problem

	source  snapshot.Source
	unknown []string
}

func (o outcome) addTo(b *snapshot.Builder) {
	switch {
	case o.ignored != nil:
		b.Ignore(*o.ignored)
	case o.problem != nil:
		b.Report(*o.problem)
	default:
		if err := b.Own(o.object, o.source); err != nil {
			b.Report(snapshot.Problem{Source: o.source, Message: err.Error()})
			return
		}
		b.AddUnknown(o.object, o.unknown)
	}
}

// decoder turns units into outcomes. Decoders of different chunks share nothing.
type decoder struct {
	namespace string
	yaml      converter
	pods      podDecoder
	out       []outcome
}

func (d *decoder) fail(src snapshot.Source, h head, format string, args ...any) {
	p := snapshot.Problem{Source: src, Message: fmt.Sprintf(format, args...)}
	if info, ok := snapshot.KindOf(schema.FromAPIVersionAndKind(h.apiVersion, h.kind).GroupKind()); ok {
		p.Kind = info.Kind
		p.Namespace, p.Name = h.name()
		if info.Namespaced && p.Namespace == "" {
			p.Namespace = d.namespace
		}
	}
	d.out = append(d.out, outcome{problem: &p})
}

func (d *decoder) ignore(src snapshot.Source, h head, why string) {
	ns, name := h.name()
	d.out = append(d.out, outcome{ignored: &snapshot.Ignored{
		APIVersion: h.apiVersion, Kind: h.kind, Namespace: ns, Name: name, Source: src, Reason: why}})
}

// unit decodes one piece of input.
func (d *decoder) unit(u unit) {
	if u.archived {
		d.archived(u)
		return
	}
	src := snapshot.Source{File: u.file, Line: u.line}
	text := u.text
	if !u.json {
		var err error
		if text, err = d.yaml.convert(u); err != nil {
			src.Line = errorLine(err, u.line)
			why := yamlReason(err)
			if bytes.Contains(u.text, []byte("{{")) {
				why = "a template that is not rendered: read what comes out of it, as in helm template CHART | sidestep audit -f -"
			}
			d.fail(src, guess(u.text), "%s", why)
			return
		}
	} else if len(text) > maxObject {
		d.fail(src, peek(text), "larger than %d MiB, more than any API server takes", maxObject>>20)
		return
	}
	h := peek(text)
	if h.apiVersion == "" && u.listVersion != "" {
		h.apiVersion = u.listVersion
	}
	if h.kind == "" && u.listKind != "" {
		h.kind = strings.TrimSuffix(u.listKind, "List")
	}
	d.object(src, text, h)
}

// object decodes the JSON of one object, or of each item of a list.
func (d *decoder) object(src snapshot.Source, text []byte, h head) {
	if string(text) == "null" {
		d.ignore(src, h, "an empty document")
		return
	}
	if text[0] != '{' {
		d.fail(src, h, "%s where an object with apiVersion and kind was expected", describe(text))
		return
	}
	if strings.HasSuffix(h.kind, "List") && h.items != nil {
		before := len(d.out)
		_ = elements(h.items, func(start, end int) {
			item := h.items[start:end]
			ih := peek(item)
			if ih.kind == "" {
				ih.kind = strings.TrimSuffix(h.kind, "List")
			}
			if ih.apiVersion == "" {
				ih.apiVersion = h.apiVersion
			}
			if strings.HasSuffix(ih.kind, "List") && ih.items != nil {
				d.fail(src, ih, "a list inside a list")
				return
			}
			d.object(src, item, ih)
		})
		if len(d.out) == before {
			d.ignore(src, h, "an empty list")
		}
		return
	}
	if h.kind == "" || h.apiVersion == "" {
		if err := wellFormed(text); err != nil {
			d.fail(src, h, "broken JSON: %v", err)
			return
		}
		d.ignore(src, h, "no apiVersion and kind: not a Kubernetes object")
		return
	}
	gv, err := schema.ParseGroupVersion(h.apiVersion)
	if err != nil {
		d.fail(src, h, "apiVersion %q is not GROUP/VERSION", h.apiVersion)
		return
	}
	d.typed(src, text, h, gv)
}

func (d *decoder) typed(src snapshot.Source, text []byte, h head, gv schema.GroupVersion) {
	info, ok := snapshot.KindOf(snapshot.Kind{Group: gv.Group, Kind: h.kind})
	switch {
	case gv.Group == "" && h.kind == "Secret":
		d.ignore(src, h, "Secrets are never read")
		return
	case installs(gv.Group, h.kind):
		d.installation(src, text, h, gv)
		return
	case !ok:
		d.foreign(src, text, h, gv)
		return
	case !slices.Contains(info.Versions, gv.Version):
		d.fail(src, h, "%s %s: version %q is not known, only %s", h.kind, h.describeName(), h.apiVersion, accepted(info))
		return
	}
	var o snapshot.Object
	var unknown []string
	var err error
	text = snapshot.ScrubURLs(text)
	if info.Kind == podKind {
		o, err = d.pods.decode(text)
	} else {
		o = info.New()
		unknown, err = decodeInto(o, text)
	}
	if err != nil {
		d.fail(src, h, "%s %s: %s", h.kind, h.describeName(), decodeReason(err))
		return
	}
	if err := d.complete(o, info); err != nil {
		d.fail(src, h, "%s: %v", h.kind, err)
		return
	}
	if cm, ok := o.(*corev1.ConfigMap); ok && !snapshot.KeepConfigMap(cm) {
		d.ignore(src, h, snapshot.ConfigMapReason)
		return
	}
	d.out = append(d.out, outcome{object: o, source: src, unknown: unknown})
}

// complete gives an object what an API server would: a namespace where it has none, and a name made of
// generateName (without the random part).
func (d *decoder) complete(o snapshot.Object, info snapshot.KindInfo) error {
	if o.GetName() == "" {
		if o.GetGenerateName() == "" {
			return errors.New("metadata.name is missing")
		}
		o.SetName(o.GetGenerateName())
	}
	switch {
	case !info.Namespaced:
		o.SetNamespace("")
	case o.GetNamespace() == "":
		o.SetNamespace(d.namespace)
	}
	if n := replicasOf(o); n != nil && *n < 0 {
		return fmt.Errorf("%s: spec.replicas: %d: an API server takes 0 or more", o.GetName(), *n)
	}
	return nil
}

// replicasOf is the number of pods that a workload asks for; nil when it names none.
func replicasOf(o snapshot.Object) *int32 {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return o.Spec.Replicas
	case *appsv1.StatefulSet:
		return o.Spec.Replicas
	case *appsv1.ReplicaSet:
		return o.Spec.Replicas
	}
	return nil
}

func (h head) describeName() string {
	ns, name := h.name()
	if name == "" {
		return "(unnamed)"
	}
	return snapshot.QualifiedName(ns, name)
}

// podKind is decoded on a way of its own.
var podKind = snapshot.Kind{Kind: "Pod"}

func accepted(k snapshot.KindInfo) string {
	var all []string
	for _, v := range k.Versions {
		all = append(all, schema.GroupVersion{Group: k.Group, Version: v}.String())
	}
	return strings.Join(all, ", ")
}

// foreignReason tells kinds that cannot matter from those of an API group that steers the mesh, where a
// kind that is newer than this version might.
func foreignReason(group string) string {
	switch group {
	case snapshot.GatewayGroup, snapshot.IstioNetworking, snapshot.IstioSecurity, "telemetry.istio.io", "extensions.istio.io":
		return "this kind is not known to this version of Sidestep, though its API group steers the mesh"
	}
	return "no verdict depends on this kind"
}

// decodeInto decodes JSON into a typed object, as case-sensitive as an API server. For Istio and Gateway
// API kinds it returns the paths of fields that the type does not have.
func decodeInto(o snapshot.Object, text []byte) (unknown []string, err error) {
	v := reflect.ValueOf(o).Elem()
	if spec := v.FieldByName("Spec"); spec.IsValid() {
		if m, ok := spec.Addr().Interface().(proto.Message); ok {
			return decodeIstio(v, m, text)
		}
	}
	if !strings.HasPrefix(v.Type().PkgPath(), snapshot.GatewayModule) {
		return nil, kjson.UnmarshalCaseSensitivePreserveInts(text, o)
	}
	strict, err := kjson.UnmarshalStrict(text, o, kjson.DisallowUnknownFields)
	for _, e := range strict {
		if fe := (kjson.FieldError)(nil); errors.As(e, &fe) {
			unknown = append(unknown, fe.FieldPath())
		}
	}
	return unknown, err
}

// decodeIstio decodes the object part by part, since spec and status are protobuf messages with their own
// JSON mapping.
func decodeIstio(v reflect.Value, spec proto.Message, text []byte) (unknown []string, err error) {
	walk := members(text, func(key []byte, start, end int) {
		part := text[start:end]
		if err != nil {
			return
		}
		switch string(key) {
		case "apiVersion", "kind":
		case "metadata":
			var meta metav1.ObjectMeta
			err = kjson.UnmarshalCaseSensitivePreserveInts(part, &meta)
			v.FieldByName("ObjectMeta").Set(reflect.ValueOf(meta))
		case "spec":
			unknown, err = decodeProto(spec, "spec", part, unknown)
		case "status":
			if m, ok := v.FieldByName("Status").Addr().Interface().(proto.Message); ok {
				_, err = decodeProto(m, "status", part, nil)
			}
		default:
			unknown = append(unknown, string(key))
		}
	})
	if err == nil && walk != nil {
		err = wellFormed(text)
	}
	return unknown, err
}

// wellFormed returns the syntax error of text.
func wellFormed(text []byte) error {
	var raw json.RawMessage
	return json.Unmarshal(text, &raw)
}

// describe names a JSON value that is no object.
func describe(text []byte) string {
	switch text[0] {
	case '[':
		return "a list"
	case '"':
		return "plain text"
	}
	return "a single value"
}

// decodeReason words a decoding error without Go's own names.
func decodeReason(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("field %s: %s where %s was expected", wrong.Field, wrong.Value, wrong.Type)
	}
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), "proto: ")
}

// guess finds kind, name and namespace in YAML that does not parse, so that the failure counts against the
// right kind.
func guess(text []byte) head {
	var h head
	meta := map[string]string{}
	for line := range bytes.Lines(text) {
		trimmed := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(line)), "- "))
		key, value, _ := strings.Cut(trimmed, ":")
		switch key {
		case "apiVersion":
			if h.apiVersion == "" {
				h.apiVersion = scalar([]byte(value))
			}
		case "kind":
			if h.kind == "" {
				h.kind = scalar([]byte(value))
			}
		case "name", "namespace":
			if meta[key] == "" {
				meta[key] = scalar([]byte(value))
			}
		}
	}
	h.meta, _ = json.Marshal(meta)
	return h
}
