package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// autoscalingMetrics: an autoscaler that loses its input.
var autoscalingMetrics = Rule{
	Code:       "SS606",
	Title:      "An autoscaler reads metrics of the sidecar",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Modes:      []mesh.Mode{mesh.Sidecar},
	Inputs:     Inputs{Kinds: []snapshot.Kind{kindHPA}},
	References: []string{"https://istio.io/latest/docs/reference/config/metrics/", "istio/istio pkg/bootstrap/config.go"},
	Why: "A HorizontalPodAutoscaler that scales by istio_requests_total or an envoy_ series stops scaling when the series ends. A waypoint gives the istio_ series again, with reporter=waypoint; " +
		"the envoy_ series of the workload's own proxy are gone for good.",
	Remedy: "Scale by CPU or an application metric, or bind the Service to a waypoint and change the query to reporter=\"waypoint\".",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, h := range v.Autoscalers() {
			for i, m := range h.Spec.Metrics {
				name := metricName(&m)
				if strings.HasPrefix(name, "istio_") || strings.HasPrefix(name, "envoy_") {
					out = append(out, one(fmt.Sprintf("HorizontalPodAutoscaler %s/%s scales by %s, a series of the sidecar.", h.Namespace, h.Name, name),
						at(mesh.Ref{Group: kindHPA.Group, Kind: kindHPA.Kind, Namespace: h.Namespace, Name: h.Name}, fmt.Sprintf("spec.metrics[%d]", i), name))...)
				}
			}
		}
		return out
	},
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

// Autoscalers are the HorizontalPodAutoscalers of the workload.
func (v *View) Autoscalers() []*autoscalingv2.HorizontalPodAutoscaler {
	x := v.index
	if x.autoscalers == nil {
		x.autoscalers = map[mesh.Ref][]*autoscalingv2.HorizontalPodAutoscaler{}
		for _, h := range snapshot.All[*autoscalingv2.HorizontalPodAutoscaler](x.mesh.Snapshot) {
			target := mesh.Ref{Kind: h.Spec.ScaleTargetRef.Kind, Namespace: h.Namespace, Name: h.Spec.ScaleTargetRef.Name}
			x.autoscalers[target] = append(x.autoscalers[target], h)
		}
	}
	return x.autoscalers[mesh.Ref{Kind: v.w.Kind, Namespace: v.w.Namespace, Name: v.w.Name}]
}
