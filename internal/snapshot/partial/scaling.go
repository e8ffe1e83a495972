package partial

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ScaledObject is keda.sh/v1alpha1: an autoscaler by triggers.
// https://keda.sh/docs/latest/reference/scaledobject-spec/
type ScaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ScaledObjectSpec `json:"spec,omitempty"`
}

// ScaledObjectSpec names what is scaled, and by what.
type ScaledObjectSpec struct {
	ScaleTargetRef ObjectRef     `json:"scaleTargetRef,omitempty"`
	Triggers       []KedaTrigger `json:"triggers,omitempty"`
}

// KedaTrigger is one trigger; of its metadata only the queries are read.
type KedaTrigger struct {
	Type     string              `json:"type,omitempty"`
	Metadata KedaTriggerMetadata `json:"metadata,omitempty"`
}

// KedaTriggerMetadata holds what a trigger asks a metrics system.
type KedaTriggerMetadata struct {
	Query      string `json:"query,omitempty"`
	MetricName string `json:"metricName,omitempty"`
}

// Canary is flagger.app/v1beta1: a progressive delivery that metrics judge.
// https://docs.flagger.app/usage/metrics
type Canary struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              CanarySpec `json:"spec,omitempty"`
}

// CanarySpec is the part that names the target and the judges. Analysis was canaryAnalysis once.
type CanarySpec struct {
	Provider       string         `json:"provider,omitempty"`
	TargetRef      ObjectRef      `json:"targetRef,omitempty"`
	Analysis       CanaryAnalysis `json:"analysis,omitempty"`
	CanaryAnalysis CanaryAnalysis `json:"canaryAnalysis,omitempty"`
}

// CanaryAnalysis lists the metrics.
type CanaryAnalysis struct {
	Metrics []CanaryMetric `json:"metrics,omitempty"`
}

// CanaryMetric is a built-in metric by name, a query, or a template.
type CanaryMetric struct {
	Name        string             `json:"name,omitempty"`
	Query       string             `json:"query,omitempty"`
	TemplateRef *MetricTemplateRef `json:"templateRef,omitempty"`
}

// MetricTemplateRef names a MetricTemplate; without namespace it is the canary's.
type MetricTemplateRef struct {
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// MetricTemplate is flagger.app/v1beta1: a query that canaries share.
type MetricTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              MetricTemplateSpec `json:"spec,omitempty"`
}

// MetricTemplateSpec holds the query.
type MetricTemplateSpec struct {
	Query string `json:"query,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (in *ScaledObject) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *Canary) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *MetricTemplate) DeepCopyObject() runtime.Object { return clone(in) }
