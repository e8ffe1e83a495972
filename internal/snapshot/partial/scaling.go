package partial

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// RolloutStrategy names the analyses that judge a Rollout.
// https://argo-rollouts.readthedocs.io/en/stable/features/analysis/
type RolloutStrategy struct {
	Canary    *RolloutCanary    `json:"canary,omitempty"`
	BlueGreen *RolloutBlueGreen `json:"blueGreen,omitempty"`
}

// RolloutCanary has analyses in the background, in steps and in experiments.
type RolloutCanary struct {
	Analysis *RolloutAnalysis `json:"analysis,omitempty"`
	Steps    []RolloutStep    `json:"steps,omitempty"`
}

// RolloutStep is one step; those without analysis are empty here.
type RolloutStep struct {
	Analysis   *RolloutAnalysis   `json:"analysis,omitempty"`
	Experiment *RolloutExperiment `json:"experiment,omitempty"`
}

// RolloutExperiment is a step that runs versions side by side; its analyses name one template each.
type RolloutExperiment struct {
	Analyses []AnalysisTemplateRef `json:"analyses,omitempty"`
}

// RolloutBlueGreen has an analysis before and one after the switch.
type RolloutBlueGreen struct {
	PrePromotionAnalysis  *RolloutAnalysis `json:"prePromotionAnalysis,omitempty"`
	PostPromotionAnalysis *RolloutAnalysis `json:"postPromotionAnalysis,omitempty"`
}

// RolloutAnalysis names templates.
type RolloutAnalysis struct {
	Templates []AnalysisTemplateRef `json:"templates,omitempty"`
}

// AnalysisTemplateRef names an AnalysisTemplate of the same namespace, or a ClusterAnalysisTemplate.
type AnalysisTemplateRef struct {
	TemplateName string `json:"templateName,omitempty"`
	ClusterScope bool   `json:"clusterScope,omitempty"`
}

// AnalysisTemplate is argoproj.io/v1alpha1: measurements that Rollouts share.
type AnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              AnalysisTemplateSpec `json:"spec,omitempty"`
}

// ClusterAnalysisTemplate is an AnalysisTemplate for every namespace.
type ClusterAnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              AnalysisTemplateSpec `json:"spec,omitempty"`
}

// AnalysisTemplateSpec holds the measurements, and further templates whose measurements are taken too.
type AnalysisTemplateSpec struct {
	Metrics   []AnalysisMetric      `json:"metrics,omitempty"`
	Templates []AnalysisTemplateRef `json:"templates,omitempty"`
}

// AnalysisMetric is one measurement.
type AnalysisMetric struct {
	Name     string           `json:"name,omitempty"`
	Provider AnalysisProvider `json:"provider,omitempty"`
}

// AnalysisProvider is where a measurement is taken. Of Datadog both forms are read.
type AnalysisProvider struct {
	Prometheus *AnalysisQuery `json:"prometheus,omitempty"`
	Datadog    *AnalysisQuery `json:"datadog,omitempty"`
}

// AnalysisQuery is what a metrics system is asked.
type AnalysisQuery struct {
	Query   string            `json:"query,omitempty"`
	Queries map[string]string `json:"queries,omitempty"`
}

// PrometheusRule is monitoring.coreos.com/v1: recorded series and alerts.
// https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule
type PrometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              PrometheusRuleSpec `json:"spec,omitempty"`
}

// PrometheusRuleSpec holds groups of rules.
type PrometheusRuleSpec struct {
	Groups []PrometheusRuleGroup `json:"groups,omitempty"`
}

// PrometheusRuleGroup is a group of rules.
type PrometheusRuleGroup struct {
	Rules []PrometheusRuleItem `json:"rules,omitempty"`
}

// PrometheusRuleItem records a series or raises an alert.
type PrometheusRuleItem struct {
	Record string             `json:"record,omitempty"`
	Alert  string             `json:"alert,omitempty"`
	Expr   intstr.IntOrString `json:"expr,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (in *ScaledObject) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *Canary) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *MetricTemplate) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *AnalysisTemplate) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *ClusterAnalysisTemplate) DeepCopyObject() runtime.Object { return clone(in) }

// DeepCopyObject implements runtime.Object.
func (in *PrometheusRule) DeepCopyObject() runtime.Object { return clone(in) }
