package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// judgeKinds are the kinds with objects that scale or judge by series; judgeSources those that say what a name stands for.
var (
	judgeKinds   = []snapshot.Kind{kindHPA, kindScaledObject, kindCanary, kindRollout}
	judgeSources = []snapshot.Kind{kindMetricTemplate, kindAnalysisTemplate, kindClusterAnalysisTemplate, kindPrometheusRule, kindConfigMap}
)

// autoscalingMetrics: an autoscaler, or the judge of a rollout, that loses its input.
var autoscalingMetrics = Rule{
	Code:     "SS606",
	Title:    "An autoscaler or the analysis of a rollout reads metrics of the sidecar",
	Severity: Warning,
	Requires: VerdictWaypoint,
	Modes:    []mesh.Mode{mesh.Sidecar},
	Inputs:   Inputs{Kinds: append(judgeKinds[:len(judgeKinds):len(judgeKinds)], judgeSources...), Facts: []Fact{FactWorkloads}},
	References: []string{
		"https://istio.io/latest/docs/reference/config/metrics/", "istio/istio pkg/bootstrap/config.go", "https://keda.sh/docs/latest/scalers/prometheus/",
		"https://docs.flagger.app/usage/metrics", "https://argo-rollouts.readthedocs.io/en/stable/features/analysis/",
		"https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md",
	},
	Why: "What scales by istio_requests_total or an envoy_ series (a HorizontalPodAutoscaler, directly or by a name that prometheus-adapter gives it, or a ScaledObject) stops scaling when the series ends; " +
		"a Flagger Canary or an Argo Rollout that is judged by one finds no values and rolls back. A waypoint gives the istio_ series again, with reporter=waypoint; " +
		"the envoy_ series of the workload's own proxy are gone for good.",
	Remedy: "Scale and judge by CPU or an application metric, or bind the Service to a waypoint and change the query to reporter=\"waypoint\".",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, j := range v.Judges() {
			does := "scales"
			if j.Rollout {
				does = "judges rollouts"
			}
			object := fmt.Sprintf("%s %s/%s", j.Object.Kind, j.Object.Namespace, j.Object.Name)
			message := fmt.Sprintf("%s %s by %s, which reads a series of the sidecar.", object, does, j.Value)
			if j.Unknown != "" {
				message = fmt.Sprintf("%s %s by %s: %s, so it may read a series of the sidecar.", object, does, j.Value, j.Unknown)
			}
			out = append(out, one(message, j.Evidence)...)
		}
		var hidden []string
		for _, k := range judgeKinds {
			if known := v.Snapshot().KnowledgeIn(k, v.Workload().Namespace); known.State == snapshot.Hidden {
				hidden = append(hidden, fmt.Sprintf("%s (%s)", k.Kind, known.Reason))
			}
		}
		if len(hidden) > 0 {
			f := one(fmt.Sprintf("Could not read %s: one of them may scale or judge this workload by a series of the sidecar.", strings.Join(hidden, ", ")), at(v.Workload(), "", ""))
			f[0].Remedy = "Grant verb list on these kinds and audit again (sidestep audit --print-rbac prints the whole ClusterRole)."
			out = append(out, f...)
		}
		return out
	},
}

// Judges are the objects that scale the workload or judge its rollouts by series of its sidecar.
func (v *View) Judges() []mesh.Judge {
	v.touch(FactWorkloads)
	x := v.index
	if x.judges == nil {
		x.judges = x.mesh.Judges()
	}
	return x.judges[mesh.Ref{Kind: v.w.Kind, Namespace: v.w.Namespace, Name: v.w.Name}]
}
