package manifest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// foreign takes an object of a kind that a snapshot does not hold. Its pods are injected like any others (the webhook sees
// pods), so one with a template where a Deployment has it becomes a PodMaker, and one that makes pods otherwise is named.
func (d *decoder) foreign(src snapshot.Source, text []byte, h head, gv schema.GroupVersion) {
	if podMaker := podMakerOf(text, h, gv); podMaker != nil {
		info, _ := snapshot.KindOf(snapshot.Kind{Group: "sidestep.dev", Kind: "PodMaker"})
		if err := d.complete(podMaker, info); err == nil {
			podMaker.Of.Name = podMaker.Name
			podMaker.Name = strings.ToLower(strings.Trim(h.kind+"."+gv.Group, ".")) + "/" + podMaker.Name
			d.out = append(d.out, outcome{object: podMaker, source: src})
			return
		}
	}
	if makesPods(text, h, gv) {
		d.ignore(src, h, "makes pods that were not judged: the shape of this kind is not known to this version of Sidestep")
		ignored := d.out[len(d.out)-1].ignored
		ignored.MakesPods = true
		if ignored.Namespace == "" {
			ignored.Namespace = d.namespace
		}
		return
	}
	d.ignore(src, h, foreignReason(gv.Group))
}

// podMakerOf reads spec.template of an object; nil where that is no template of a pod with a container.
func podMakerOf(text []byte, h head, gv schema.GroupVersion) *partial.PodMaker {
	if !bytes.Contains(text, []byte(`"containers"`)) || isPolicy(gv.Group) {
		return nil
	}
	var shape struct {
		Metadata metav1.ObjectMeta    `json:"metadata"`
		Spec     partial.PodMakerSpec `json:"spec"`
	}
	if kjson.UnmarshalCaseSensitivePreserveInts(text, &shape) != nil || len(shape.Spec.Template.Spec.Containers) == 0 {
		return nil
	}
	return &partial.PodMaker{ObjectMeta: shape.Metadata, Of: partial.Maker{APIGroup: gv.Group, Kind: h.kind}, Spec: shape.Spec}
}

// podKinds are kinds of operators that make pods from a description of their own.
var podKinds = map[string][]string{
	"sparkoperator.k8s.io":         {"SparkApplication", "ScheduledSparkApplication"},
	"kafka.strimzi.io":             {"Kafka", "KafkaNodePool", "KafkaConnect", "KafkaBridge", "KafkaMirrorMaker", "KafkaMirrorMaker2"},
	"monitoring.coreos.com":        {"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"},
	"postgresql.cnpg.io":           {"Cluster", "Pooler"},
	"acid.zalan.do":                {"postgresql"},
	"argoproj.io":                  {"Workflow", "CronWorkflow"},
	"tekton.dev":                   {"PipelineRun", "TaskRun"},
	"ray.io":                       {"RayCluster", "RayJob", "RayService"},
	"kubeflow.org":                 {"TFJob", "PyTorchJob", "MPIJob", "XGBoostJob", "PaddleJob", "Notebook"},
	"flink.apache.org":             {"FlinkDeployment", "FlinkSessionJob"},
	"elasticsearch.k8s.elastic.co": {"Elasticsearch"},
	"kibana.k8s.elastic.co":        {"Kibana"},
	"rabbitmq.com":                 {"RabbitmqCluster"},
	"redis.redis.opstreelabs.in":   {"Redis", "RedisCluster"},
	"databases.spotahome.com":      {"RedisFailover"},
	"serving.kserve.io":            {"InferenceService"},
	"mysql.oracle.com":             {"InnoDBCluster"},
	"psmdb.percona.com":            {"PerconaServerMongoDB"},
	"keycloak.org":                 {"Keycloak"},
	"k8s.keycloak.org":             {"Keycloak"},
	"opentelemetry.io":             {"OpenTelemetryCollector"},
	"jaegertracing.io":             {"Jaeger"},
	"grafana.integreatly.org":      {"Grafana"},
	"batch.volcano.sh":             {"Job"},
	"leaderworkerset.x-k8s.io":     {"LeaderWorkerSet"},
	"jobset.x-k8s.io":              {"JobSet"},
}

// isPolicy reports whether objects of an API group describe pods without making any.
func isPolicy(group string) bool {
	return group == "" || group == "apiextensions.k8s.io" || group == "admissionregistration.k8s.io" || group == "policy" ||
		slices.ContainsFunc([]string{"kyverno.io", "gatekeeper.sh", "kubewarden.io", "kustomize.config.k8s.io"}, func(s string) bool {
			return group == s || strings.HasSuffix(group, "."+s)
		})
}

// makesPods reports whether an object makes pods: its kind is known to, or it lists containers somewhere.
func makesPods(text []byte, h head, gv schema.GroupVersion) bool {
	if slices.Contains(podKinds[gv.Group], h.kind) {
		return true
	}
	if isPolicy(gv.Group) || !bytes.Contains(text, []byte(`"containers"`)) && !bytes.Contains(text, []byte(`"podTemplate"`)) {
		return false
	}
	var doc map[string]any
	return json.Unmarshal(text, &doc) == nil && listsContainers(doc["spec"])
}

func listsContainers(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if k == "podTemplate" {
				return true
			}
			if list, ok := inner.([]any); ok && k == "containers" && len(list) > 0 {
				if first, ok := list[0].(map[string]any); ok && (first["image"] != nil || first["name"] != nil) {
					return true
				}
			}
			if listsContainers(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, listsContainers)
	}
	return false
}

// installs reports whether a kind describes an installation of Istio, with the mesh's configuration in it.
func installs(group, kind string) bool {
	switch group {
	case "install.istio.io":
		return kind == "IstioOperator"
	case "sailoperator.io", "operator.istio.io":
		return kind == "Istio" || kind == "IstioRevision"
	}
	return false
}

// installation makes of an operator's resource the ConfigMap that stands for it in a snapshot: mesh configuration and values as
// the operator would render them into ConfigMaps of istiod, and which revision they are for.
func (d *decoder) installation(src snapshot.Source, text []byte, h head, gv schema.GroupVersion) {
	var o struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     struct {
			Namespace      string `json:"namespace"`
			Version        string `json:"version"`
			Tag            any    `json:"tag"`
			Revision       string `json:"revision"`
			UpdateStrategy struct {
				Type string `json:"type"`
			} `json:"updateStrategy"`
			MeshConfig map[string]any `json:"meshConfig"`
			Values     map[string]any `json:"values"`
		} `json:"spec"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &o); err != nil {
		d.fail(src, h, "%s %s: %s", h.kind, h.describeName(), decodeReason(err))
		return
	}
	spec, mesh := o.Spec, map[string]any{}
	if inner, ok := spec.Values["meshConfig"].(map[string]any); ok {
		mesh = inner
	}
	for k, v := range spec.MeshConfig { // an IstioOperator's own field comes before its values
		mesh[k] = v
	}
	if spec.Values != nil {
		delete(spec.Values, "meshConfig")
	}
	revision, _ := spec.Values["revision"].(string)
	switch {
	case spec.Revision != "":
		revision = spec.Revision
	case h.kind == "IstioRevision":
		revision = o.Metadata.Name
	case spec.UpdateStrategy.Type == "RevisionBased":
		revision = o.Metadata.Name + "-" + strings.ReplaceAll(spec.Version, ".", "-")
	}
	version := spec.Version
	if tag, ok := spec.Tag.(string); ok && version == "" {
		version = tag
	}
	namespace := spec.Namespace
	if namespace == "" {
		namespace = o.Metadata.Namespace
	}
	if namespace == "" {
		namespace = "istio-system"
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: snapshot.InstallationPrefix + strings.ToLower(h.kind) + "-" + o.Metadata.Name},
		Data: map[string]string{
			"mesh": encoded(mesh), "values": encoded(spec.Values), "revision": revision, "version": version,
			"kind": h.kind, "group": gv.Group, "name": o.Metadata.Name,
		},
	}
	d.out = append(d.out, outcome{object: cm, source: src})
}

// encoded is the JSON of what was decoded from JSON: it cannot fail.
func encoded(v map[string]any) string {
	if v == nil {
		return "{}"
	}
	out, _ := json.Marshal(v)
	return string(out)
}
