package redact

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// publicDomains end the prefixes of labels and annotations whose keys are published.
var publicDomains = []string{
	"istio.io", "kubernetes.io", "k8s.io", "sidestep.dev", "argoproj.io", "keda.sh", "cilium.io", "projectcalico.org",
	"tigera.io", "helm.sh", "prometheus.io", "openshift.io", "karpenter.sh", "amazonaws.com", "google.com", "azure.com",
}

// readAnnotations end the prefixes of annotations that the model may read; the rest is dropped.
var readAnnotations = []string{"istio.io", "kubernetes.io", "k8s.io", "sidestep.dev", "prometheus.io", "cilium.io"}

// publicLabels are labels whose values come from a cloud's catalogue; prices depend on them.
var publicLabels = []string{
	"node.kubernetes.io/instance-type", "kubernetes.io/os", "kubernetes.io/arch",
	"karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType",
}

func inDomain(key string, domains []string) bool {
	prefix, _, ok := strings.Cut(key, "/")
	return ok && slices.ContainsFunc(domains, func(d string) bool {
		return prefix == d || strings.HasSuffix(prefix, "."+d)
	})
}

func (r redactor) key(k string) string {
	if inDomain(k, publicDomains) {
		return k
	}
	return r.text(k)
}

// verbatim are fields with the names of API things; freeText are fields that people or programs fill with prose or code.
var (
	verbatim = []string{"Kind", "Action", "APIVersion", "APIGroup", "APIGroups", "APIVersions", "Type", "Reason", "Operations", "Resources", "ControllerName"}
	// verbatimProto are those of Istio's conditions and target references.
	verbatimProto = []string{"kind", "group", "type", "reason"}
	freeText      = []string{"Message", "Description", "message", "inline_code", "inline_string", "inlineCode", "inlineString", "inlineBytes", "inline_bytes", "jwks"}
)

// walk maps every string below an object.
func (r redactor) walk(o snapshot.Object) { r.value(reflect.ValueOf(o), "") }

func (r redactor) value(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			r.pointer(v, field)
		}
	case reflect.Struct:
		r.structure(v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetZero()
			return
		}
		for i := range v.Len() {
			r.value(v.Index(i), field)
		}
	case reflect.Map:
		r.mapping(v, field)
	case reflect.String:
		switch {
		case isEnumeration(v.Type()) || slices.Contains(verbatim, field):
		case slices.Contains(freeText, field):
			v.SetString("")
		default:
			v.SetString(r.text(v.String()))
		}
	}
}

func (r redactor) pointer(v reflect.Value, field string) {
	if m, ok := v.Interface().(proto.Message); ok {
		r.message(m.ProtoReflect())
		return
	}
	r.value(v.Elem(), field)
}

func (r redactor) structure(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *metav1.Time, *metav1.MicroTime, *resource.Quantity, *metav1.TypeMeta:
		return
	case *metav1.ObjectMeta:
		for k := range x.Annotations {
			if !inDomain(k, readAnnotations) {
				delete(x.Annotations, k)
			}
		}
	case *corev1.EnvVar: // of a component, or what mentions the sidecar; see dropEnvironment
		if x.Name != mention {
			x.Value = r.text(x.Value)
		}
		r.value(reflect.ValueOf(x.ValueFrom), "")
		return
	case *corev1.ConfigMap:
		r.configMap(x)
		return
	case *partial.Maker:
		x.Name = r.text(x.Name)
		return
	case *corev1.ExecAction: // a snapshot keeps of it what snapshot.Mentions finds
		return
	case *corev1.HTTPGetAction:
		r.value(reflect.ValueOf(&x.Port), "")
		return
	case *corev1.TCPSocketAction:
		r.value(reflect.ValueOf(&x.Port), "")
		return
	case *corev1.Container:
		if !snapshot.IsComponent(x.Name) {
			command, args := x.Command, x.Args
			x.Command, x.Args = nil, nil
			defer func() { x.Command, x.Args = command, args }()
		}
	case *corev1.EphemeralContainerCommon: // kept for what it mentions alone
		x.Name = r.text(x.Name)
		return
	case *corev1.VolumeMount:
		if found := snapshot.Mentions("", x.MountPath+"/"); len(found) > 0 {
			x.Name, x.MountPath, x.SubPath, x.SubPathExpr = r.text(x.Name), string(found[0]), "", ""
			return
		}
	case proto.Message:
		r.message(x.ProtoReflect())
		return
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			r.value(v.Field(i), f.Name)
		}
	}
}

// mapping maps keys and values of labels, annotations and the like.
func (r redactor) mapping(v reflect.Value, field string) {
	if v.IsNil() || v.Type().Key().Kind() != reflect.String {
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		key := reflect.New(v.Type().Key()).Elem()
		key.Set(it.Key())
		if !isEnumeration(key.Type()) {
			key.SetString(r.key(it.Key().String()))
		}
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(it.Value())
		if !slices.Contains(publicLabels, it.Key().String()) {
			r.value(value, field)
		}
		out.SetMapIndex(key, value)
	}
	v.Set(out)
}

// isEnumeration tells that a string type has a fixed set of values that its API publishes. In the Gateway API
// names have types of their own too.
func isEnumeration(t reflect.Type) bool {
	if strings.HasPrefix(t.PkgPath(), snapshot.GatewayModule) {
		name := strings.ToLower(t.Name())
		return !slices.ContainsFunc([]string{"name", "uri", "origin", "label", "annotation"},
			func(part string) bool { return strings.Contains(name, part) })
	}
	return strings.HasPrefix(t.PkgPath(), "k8s.io/") &&
		t != reflect.TypeFor[types.UID]() && t != reflect.TypeFor[types.NodeName]()
}

// message maps the strings of an Istio message.
func (r redactor) message(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case f.IsMap():
			r.messageMap(m, f, v.Map())
		case f.IsList():
			for i := range v.List().Len() {
				if f.Message() != nil {
					r.message(v.List().Get(i).Message())
				} else if f.Kind() == protoreflect.StringKind {
					v.List().Set(i, r.scalar(name, v.List().Get(i).String()))
				}
			}
		case f.Message() != nil:
			r.message(v.Message())
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, r.scalar(name, v.String()))
		case f.Kind() == protoreflect.BytesKind:
			m.Clear(f)
		}
		return true
	})
}

func (r redactor) messageMap(m protoreflect.Message, f protoreflect.FieldDescriptor, old protoreflect.Map) {
	fresh := m.NewField(f).Map()
	old.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		if f.MapKey().Kind() != protoreflect.StringKind { // ports
			if f.MapValue().Message() != nil {
				r.message(v.Message())
			}
			fresh.Set(k, v)
			return true
		}
		key := k.String()
		if slices.Contains(freeText, key) {
			return true // in a Struct, such as an EnvoyFilter's patch
		}
		switch {
		case f.MapValue().Message() != nil:
			r.message(v.Message())
		case f.MapValue().Kind() == protoreflect.StringKind:
			v = r.scalar(key, v.String())
		}
		if !isEnvoy(key) {
			key = r.key(key)
		}
		fresh.Set(protoreflect.ValueOfString(key).MapKey(), v)
		return true
	})
	m.Set(f, protoreflect.ValueOfMap(fresh))
}

func (r redactor) scalar(field, s string) protoreflect.Value {
	switch {
	case slices.Contains(freeText, field):
		s = ""
	case slices.Contains(verbatimProto, field):
	case !isEnvoy(s):
		s = r.text(s)
	}
	return protoreflect.ValueOfString(s)
}

// isEnvoy tells the published names of Envoy's filters and types.
func isEnvoy(s string) bool {
	return s == "@type" || strings.HasPrefix(s, "envoy.") || strings.HasPrefix(s, "type.googleapis.com/")
}

// mention is the name of a variable that mentions the sidecar.
const mention = "MENTION"

// dropEnvironment removes what a snapshot keeps of the environment of application containers but for the words that mention the
// sidecar.
func dropEnvironment(spec *corev1.PodSpec) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if snapshot.IsComponent(list[i].Name) {
				continue
			}
			var kept []corev1.EnvVar
			for _, e := range list[i].Env {
				var words []string
				for _, m := range snapshot.Mentions(e.Name, e.Value) {
					words = append(words, string(m))
				}
				if len(words) > 0 {
					kept = append(kept, corev1.EnvVar{Name: mention, Value: strings.Join(words, " ")})
				}
			}
			list[i].Env = kept
		}
	}
}

// configMap maps the documents inside a ConfigMap's data; they stay what they were, as JSON.
func (r redactor) configMap(cm *corev1.ConfigMap) {
	r.value(reflect.ValueOf(&cm.ObjectMeta), "")
	for k, text := range cm.Data {
		var doc any
		_ = yaml.Unmarshal([]byte(text), &doc) // what does not parse is text
		switch doc.(type) {
		case map[string]any, []any:
			raw, _ := json.Marshal(r.document(doc, false)) // made of what JSON is made of: cannot fail
			cm.Data[k] = string(raw)
		default:
			cm.Data[k] = r.text(text)
		}
	}
}

// document maps a YAML value. Keys are the names of settings, except in maps by label or network. Injection templates
// are dropped: they are long, mostly published, and the rest is nobody's business.
func (r redactor) document(v any, named bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			if k == "templates" || k == "template" || slices.Contains(freeText, k) {
				continue
			}
			inner := slices.Contains([]string{"matchLabels", "labels", "annotations", "nodeSelector", "networks"}, k)
			if named {
				k = r.key(k)
			}
			out[k] = r.document(item, inner)
		}
		return out
	case []any:
		for i := range v {
			v[i] = r.document(v[i], named)
		}
		return v
	case string:
		return r.text(v)
	}
	return v
}
