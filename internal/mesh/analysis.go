package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
)

// flaggerBuiltIn are the metrics of Flagger that its provider istio reads from istio_ series
// (https://docs.flagger.app/usage/metrics#builtin-metrics).
var flaggerBuiltIn = map[string]bool{"request-success-rate": true, "request-duration": true}

// flaggerElsewhere are the providers whose built-in metrics are series of something else. Flagger takes every other one,
// and none, for Istio's (fluxcd/flagger pkg/metrics/observers/factory.go).
var flaggerElsewhere = []string{"appmesh", "linkerd", "contour", "gloo", "nginx", "kubernetes", "skipper", "traefik", "osm", "kuma", "knative", "apisix"}

func readsIstio(provider string) bool {
	return !slices.ContainsFunc(flaggerElsewhere, func(p string) bool { return strings.HasPrefix(provider, p) })
}

// canaries adds what judges rollouts of Flagger. Calls go to a copy of the target that it makes, with an own name.
func (j *judging) canaries() {
	templates := map[Ref]*partial.MetricTemplate{}
	for _, t := range snapshot.All[*partial.MetricTemplate](j.mesh.Snapshot) {
		templates[Ref{Namespace: t.Namespace, Name: t.Name}] = t
	}
	for _, o := range snapshot.All[*partial.Canary](j.mesh.Snapshot) {
		for _, part := range []struct {
			name    string
			metrics []partial.CanaryMetric
		}{{"analysis", o.Spec.Analysis.Metrics}, {"canaryAnalysis", o.Spec.CanaryAnalysis.Metrics}} {
			for i, metric := range part.metrics {
				judge := Judge{Rollout: true, Evidence: evidence(refOf(kindCanary, o), fmt.Sprintf("spec.%s.metrics[%d]", part.name, i), metric.Name)}
				reads := j.series.read(metric.Query)
				switch t := metric.TemplateRef; {
				case t != nil:
					ref := Ref{Namespace: cmp.Or(t.Namespace, o.Namespace), Name: t.Name}
					if template := templates[ref]; template != nil {
						reads = j.series.read(template.Spec.Query)
					} else {
						judge.Unknown = fmt.Sprintf("the query is in MetricTemplate %s/%s, which is not in the input", ref.Namespace, ref.Name)
					}
				case metric.Query == "":
					reads = flaggerBuiltIn[metric.Name] && readsIstio(o.Spec.Provider)
				}
				if !reads && judge.Unknown == "" {
					continue
				}
				for _, name := range []string{o.Spec.TargetRef.Name, o.Spec.TargetRef.Name + "-primary"} {
					j.add(target(o.Spec.TargetRef.Kind, o.Namespace, name), judge)
				}
			}
		}
	}
}

// rollouts adds the analyses of Argo Rollouts.
func (j *judging) rollouts() {
	templates := map[Ref]partial.AnalysisTemplateSpec{}
	for _, t := range snapshot.All[*partial.AnalysisTemplate](j.mesh.Snapshot) {
		templates[refOf(kindAnalysisTemplate, t)] = t.Spec
	}
	for _, t := range snapshot.All[*partial.ClusterAnalysisTemplate](j.mesh.Snapshot) {
		templates[refOf(kindClusterAnalysisTemplate, t)] = t.Spec
	}
	for _, o := range snapshot.All[*partial.Rollout](j.mesh.Snapshot) {
		for _, a := range analysesOf(&o.Spec.Strategy) {
			reads, unknown := j.analysis(templates, templateRef(a.ref, o.Namespace), map[Ref]bool{})
			if !reads && unknown == "" {
				continue
			}
			if reads {
				unknown = ""
			}
			judge := Judge{Rollout: true, Unknown: unknown, Evidence: evidence(refOf(kindRollout, o), a.field, a.ref.TemplateName)}
			j.add(target(kindRollout.Kind, o.Namespace, o.Name), judge)
			if from := o.Spec.WorkloadRef; from != nil { // the pods have the template of another object
				j.add(target(from.Kind, o.Namespace, from.Name), judge)
			}
		}
	}
}

// namedAnalysis is a template that a strategy names, and where.
type namedAnalysis struct {
	field string
	ref   partial.AnalysisTemplateRef
}

func analysesOf(s *partial.RolloutStrategy) []namedAnalysis {
	var out []namedAnalysis
	add := func(field string, refs []partial.AnalysisTemplateRef) {
		for _, ref := range refs {
			out = append(out, namedAnalysis{field, ref})
		}
	}
	analysis := func(field string, a *partial.RolloutAnalysis) {
		if a != nil {
			add(field, a.Templates)
		}
	}
	if c := s.Canary; c != nil {
		analysis("spec.strategy.canary.analysis", c.Analysis)
		for i, step := range c.Steps {
			analysis(fmt.Sprintf("spec.strategy.canary.steps[%d].analysis", i), step.Analysis)
			if step.Experiment != nil {
				add(fmt.Sprintf("spec.strategy.canary.steps[%d].experiment", i), step.Experiment.Analyses)
			}
		}
	}
	if b := s.BlueGreen; b != nil {
		analysis("spec.strategy.blueGreen.prePromotionAnalysis", b.PrePromotionAnalysis)
		analysis("spec.strategy.blueGreen.postPromotionAnalysis", b.PostPromotionAnalysis)
	}
	return out
}

func templateRef(a partial.AnalysisTemplateRef, namespace string) Ref {
	if a.ClusterScope {
		return Ref{Group: kindClusterAnalysisTemplate.Group, Kind: kindClusterAnalysisTemplate.Kind, Name: a.TemplateName}
	}
	return Ref{Group: kindAnalysisTemplate.Group, Kind: kindAnalysisTemplate.Kind, Namespace: namespace, Name: a.TemplateName}
}

// analysis reports whether a template, or one that it includes, reads series of a proxy, and which template is not in
// the input. seen ends circles.
func (j *judging) analysis(templates map[Ref]partial.AnalysisTemplateSpec, ref Ref, seen map[Ref]bool) (reads bool, unknown string) {
	spec, ok := templates[ref]
	if !ok {
		return false, fmt.Sprintf("the query is in %s %s, which is not in the input", ref.Kind, strings.TrimPrefix(ref.Namespace+"/"+ref.Name, "/"))
	}
	if seen[ref] {
		return false, ""
	}
	seen[ref] = true
	for _, m := range spec.Metrics {
		for _, q := range []*partial.AnalysisQuery{m.Provider.Prometheus, m.Provider.Datadog} {
			if q != nil && (j.series.read(q.Query) || slices.ContainsFunc(slices.Sorted(maps.Values(q.Queries)), j.series.read)) {
				return true, ""
			}
		}
	}
	for _, t := range spec.Templates {
		r, u := j.analysis(templates, templateRef(t, ref.Namespace), seen)
		if r {
			return true, ""
		}
		unknown = cmp.Or(unknown, u)
	}
	return false, unknown
}
