package mesh

import (
	"cmp"
	"fmt"
	"regexp"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

var (
	kindHPA          = snapshot.Kind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}
	kindScaledObject = snapshot.Kind{Group: "keda.sh", Kind: "ScaledObject"}
	kindCanary       = snapshot.Kind{Group: "flagger.app", Kind: "Canary"}
)

// Judge is an object that scales a workload, or decides on its rollout, by series that its proxy writes.
type Judge struct {
	Evidence
	// Rollout tells that it judges a rollout and does not scale.
	Rollout bool
}

// proxySeries finds a series of Istio's or Envoy's, by its own name or as a part of the name that an adapter
// gave it. ztunnel writes istio_tcp_ series, so these go on.
var proxySeries = regexp.MustCompile(`(^|[^a-zA-Z])(istio_(request|response)[a-z_]*|envoy_[a-z_]+)`)

// flaggerBuiltIn are the metrics of Flagger that its provider istio reads from istio_ series
// (https://docs.flagger.app/usage/metrics#builtin-metrics).
var flaggerBuiltIn = map[string]bool{"request-success-rate": true, "request-duration": true}

// Judges finds, for each workload by kind, namespace and name, who scales or judges it by series of its proxy.
func (m *Mesh) Judges() map[Ref][]Judge {
	out := map[Ref][]Judge{}
	add := func(target Ref, object Ref, field, value string, rollout bool) {
		out[target] = append(out[target], Judge{evidence(object, field, value), rollout})
	}
	for _, h := range snapshot.All[*autoscalingv2.HorizontalPodAutoscaler](m.Snapshot) {
		for i := range h.Spec.Metrics {
			if name := metricName(&h.Spec.Metrics[i]); proxySeries.MatchString(name) {
				add(target(h.Spec.ScaleTargetRef.Kind, h.Namespace, h.Spec.ScaleTargetRef.Name), refOf(kindHPA, h), fmt.Sprintf("spec.metrics[%d]", i), name, false)
			}
		}
	}
	for _, o := range snapshot.All[*partial.ScaledObject](m.Snapshot) {
		for i, t := range o.Spec.Triggers {
			if query := t.Metadata.Query + " " + t.Metadata.MetricName; proxySeries.MatchString(query) {
				add(target(o.Spec.ScaleTargetRef.Kind, o.Namespace, o.Spec.ScaleTargetRef.Name), refOf(kindScaledObject, o), fmt.Sprintf("spec.triggers[%d].metadata.query", i), t.Metadata.Query, false)
			}
		}
	}
	m.canaries(add)
	return out
}

// canaries adds what judges rollouts of Flagger. Calls go to a copy of the target that it makes, with an own name.
func (m *Mesh) canaries(add func(target, object Ref, field, value string, rollout bool)) {
	queries := map[Ref]string{}
	for _, t := range snapshot.All[*partial.MetricTemplate](m.Snapshot) {
		queries[Ref{Namespace: t.Namespace, Name: t.Name}] = t.Spec.Query
	}
	for _, o := range snapshot.All[*partial.Canary](m.Snapshot) {
		istio := o.Spec.Provider == "" || o.Spec.Provider == "istio"
		for part, analysis := range map[string]partial.CanaryAnalysis{"analysis": o.Spec.Analysis, "canaryAnalysis": o.Spec.CanaryAnalysis} {
			for i, metric := range analysis.Metrics {
				query := metric.Query
				if t := metric.TemplateRef; t != nil {
					query = queries[Ref{Namespace: cmp.Or(t.Namespace, o.Namespace), Name: t.Name}]
				}
				builtIn := istio && flaggerBuiltIn[metric.Name] && metric.Query == "" && metric.TemplateRef == nil
				if !builtIn && !proxySeries.MatchString(query) {
					continue
				}
				for _, name := range []string{o.Spec.TargetRef.Name, o.Spec.TargetRef.Name + "-primary"} {
					add(target(o.Spec.TargetRef.Kind, o.Namespace, name), refOf(kindCanary, o), fmt.Sprintf("spec.%s.metrics[%d]", part, i), metric.Name, true)
				}
			}
		}
	}
}

func target(kind, namespace, name string) Ref {
	return Ref{Kind: cmp.Or(kind, "Deployment"), Namespace: namespace, Name: name}
}

func metricName(m *autoscalingv2.MetricSpec) string {
	switch {
	case m.Pods != nil:
		return m.Pods.Metric.Name
	case m.Object != nil:
		return m.Object.Metric.Name
	case m.External != nil:
		return m.External.Metric.Name
	}
	return ""
}
