package mesh

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// AllNamespaces in Said.Injected stands for every namespace whose object is missing.
const AllNamespaces = "all"

// Said is what the owner of an input says of the mesh where the input does not show it.
type Said struct {
	// Injected are namespaces whose object is not in the input and whose pods are injected, or AllNamespaces.
	Injected []string
	// None tells that the pods of all other namespaces without their object are outside the mesh.
	None bool
	// Version is Istio's, such as 1.30 or 1.30.2, of control planes that do not show theirs.
	Version string
	// Config is the text of a mesh configuration, or of Helm values that hold one, that is laid over that of the input. ConfigName says where
	// it was read.
	Config, ConfigName string
}

// Lay adds what was said to a snapshot. It fails where the input itself says it, or where it cannot be understood.
func (s Said) Lay(snap *snapshot.Snapshot) (*snapshot.Snapshot, error) {
	var put []snapshot.Object
	namespaces, err := s.namespaces(snap)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		put = append(put, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{AnnotationAssume: namespaces[name]}}})
	}
	if s.Version != "" || s.Config != "" {
		cm, err := s.installation()
		if err != nil {
			return nil, err
		}
		put = append(put, cm)
	}
	if len(put) == 0 {
		return snap, nil
	}
	return snap.Edit(snapshot.Change{Put: put})
}

// namespaces returns what to assume of each namespace that was spoken of.
func (s Said) namespaces(snap *snapshot.Snapshot) (map[string]string, error) {
	out := map[string]string{}
	if len(s.Injected) == 0 && !s.None {
		return out, nil
	}
	missing := map[string]bool{}
	for o := range snap.Objects() {
		_, pod := o.(*snapshot.Pod)
		if ns := o.GetNamespace(); ns != "" && (pod || snapshot.PodTemplate(o) != nil) {
			_, known := snapshot.Get[*corev1.Namespace](snap, "", ns)
			missing[ns] = !known
		}
	}
	for ns, gone := range missing {
		switch {
		case gone && slices.Contains(s.Injected, AllNamespaces):
			out[ns] = AssumeInjected
		case gone && s.None:
			out[ns] = AssumeNone
		}
	}
	for _, ns := range s.Injected {
		switch gone, there := missing[ns]; {
		case ns == AllNamespaces:
		case !there:
			return nil, fmt.Errorf("--assume-injected %s: no workload of the input is in this namespace", ns)
		case !gone:
			return nil, fmt.Errorf("--assume-injected %s: the Namespace is in the input, and its labels say what holds; change them there", ns)
		default:
			out[ns] = AssumeInjected
		}
	}
	return out, nil
}

// installation is the ConfigMap that stands for what was said of the control plane.
func (s Said) installation() (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: defaultSystemNamespace, Name: snapshot.SaidInstallation},
		Data:       map[string]string{"version": s.Version, "values": "{}", "kind": "MeshConfig", "name": s.ConfigName},
	}
	if s.Version != "" && minorOf(s.Version) == 0 {
		return nil, fmt.Errorf("--istio-version %s: want a version of Istio such as 1.30 or 1.30.2", s.Version)
	}
	if s.Config == "" {
		return cm, nil
	}
	fail := func(err error) (*corev1.ConfigMap, error) {
		return nil, fmt.Errorf("--mesh-config %s: not a mesh configuration (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/) nor Helm values with a meshConfig: %w", s.ConfigName, err)
	}
	var doc map[string]json.RawMessage
	if err := yaml.Unmarshal([]byte(s.Config), &doc); err != nil {
		return fail(err)
	}
	config := doc["meshConfig"]
	if config == nil {
		config, _ = json.Marshal(doc) // of what was decoded: cannot fail
	} else {
		delete(doc, "meshConfig")
		values, _ := json.Marshal(doc)
		cm.Data["values"] = string(values)
	}
	// A misspelt or foreign file would otherwise change nothing, and nobody would know.
	if err := protojson.Unmarshal(config, &meshv1alpha1.MeshConfig{}); err != nil {
		return fail(fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "proto: ")))
	}
	cm.Data["mesh"] = string(config)
	return cm, nil
}
