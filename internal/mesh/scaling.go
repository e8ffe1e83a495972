package mesh

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

var (
	kindHPA                     = snapshot.Kind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}
	kindScaledObject            = snapshot.Kind{Group: "keda.sh", Kind: "ScaledObject"}
	kindCanary                  = snapshot.Kind{Group: "flagger.app", Kind: "Canary"}
	kindRollout                 = snapshot.Kind{Group: "argoproj.io", Kind: "Rollout"}
	kindAnalysisTemplate        = snapshot.Kind{Group: "argoproj.io", Kind: "AnalysisTemplate"}
	kindClusterAnalysisTemplate = snapshot.Kind{Group: "argoproj.io", Kind: "ClusterAnalysisTemplate"}
	kindPrometheusRule          = snapshot.Kind{Group: "monitoring.coreos.com", Kind: "PrometheusRule"}
)

// Judge is an object that scales a workload, or decides on its rollout, by series that its proxy writes.
type Judge struct {
	Evidence
	// Rollout reports whether it judges a rollout; otherwise it scales.
	Rollout bool
	// Unknown says why nobody can tell by what it goes; empty where the series are known to be a proxy's.
	Unknown string
}

// judging gathers judges. What they judge is named by kind, namespace and name, without group.
type judging struct {
	mesh   *Mesh
	series *proxySeries
	out    map[Ref][]Judge
}

// Judges finds, for each workload by kind, namespace and name (without group), who scales or judges it by series of
// its proxy, or by queries that are not in the input.
func (m *Mesh) Judges() map[Ref][]Judge {
	j := &judging{mesh: m, series: m.proxySeries(), out: map[Ref][]Judge{}}
	scaled := j.scaledObjects()
	j.autoscalers(scaled)
	j.canaries()
	j.rollouts()
	return j.out
}

func (j *judging) add(target Ref, judge Judge) { j.out[target] = append(j.out[target], judge) }

// autoscalers adds HorizontalPodAutoscalers. Those that KEDA made go by the query of their ScaledObject.
func (j *judging) autoscalers(scaled map[Ref]bool) {
	for _, h := range snapshot.All[*autoscalingv2.HorizontalPodAutoscaler](j.mesh.Snapshot) {
		to := target(h.Spec.ScaleTargetRef.Kind, h.Namespace, h.Spec.ScaleTargetRef.Name)
		for i := range h.Spec.Metrics {
			name := metricName(&h.Spec.Metrics[i])
			e := evidence(refOf(kindHPA, h), fmt.Sprintf("spec.metrics[%d]", i), name)
			switch {
			case kedaMetric.MatchString(name) && scaledObjectOf(h) != "":
				if owner := scaledObjectOf(h); !scaled[Ref{Namespace: h.Namespace, Name: owner}] {
					j.add(to, Judge{Evidence: e, Unknown: fmt.Sprintf("the query is in ScaledObject %s/%s, which is not in the input", h.Namespace, owner)})
				}
			case j.series.named(name):
				j.add(to, Judge{Evidence: e})
			}
		}
	}
}

// kedaMetric is the name that KEDA gives the value of a trigger of type prometheus: the trigger's number first, and
// before release 2.10 the trigger's own metricName behind it.
var kedaMetric = regexp.MustCompile(`^s[0-9]+-prometheus($|-)`)

// scaledObjectOf returns the ScaledObject that an autoscaler was made for, empty without one. KEDA says it in a label
// and, unless told otherwise, in the name.
func scaledObjectOf(h *autoscalingv2.HorizontalPodAutoscaler) string {
	for _, owner := range h.OwnerReferences {
		if owner.Kind == kindScaledObject.Kind {
			return owner.Name
		}
	}
	if name := h.Labels["scaledobject.keda.sh/name"]; name != "" {
		return name
	}
	name, ok := strings.CutPrefix(h.Name, "keda-hpa-")
	if !ok {
		return ""
	}
	return name
}

// scaledObjects adds KEDA's, and returns all of them by namespace and name.
func (j *judging) scaledObjects() map[Ref]bool {
	all := map[Ref]bool{}
	for _, o := range snapshot.All[*partial.ScaledObject](j.mesh.Snapshot) {
		all[Ref{Namespace: o.Namespace, Name: o.Name}] = true
		for i, t := range o.Spec.Triggers {
			if j.series.read(t.Metadata.Query) || j.series.named(t.Metadata.MetricName) {
				j.add(target(o.Spec.ScaleTargetRef.Kind, o.Namespace, o.Spec.ScaleTargetRef.Name),
					Judge{Evidence: evidence(refOf(kindScaledObject, o), fmt.Sprintf("spec.triggers[%d].metadata.query", i), cmp.Or(t.Metadata.Query, t.Metadata.MetricName))})
			}
		}
	}
	return all
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
