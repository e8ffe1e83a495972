package doctor

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

var waypointScaled = Check{
	ID:         "waypoint-scaled",
	Sentence:   "Every waypoint in use is scaled by something",
	Otherwise:  "Nothing scales a waypoint in use",
	Severity:   audit.Info,
	Confidence: Likely,
	Symptoms:   []Symptom{SymptomLatency, Symptom503},
	Cause:      "Nothing adds pods when traffic grows: a waypoint carries what many sidecars carried.",
	Fix:        "Add a HorizontalPodAutoscaler on CPU (80% of the request leaves room for a scale-up), or a KEDA ScaledObject on istio_requests_total{reporter=\"waypoint\"}. Connections are a poor measure: ztunnel puts many requests on few.",
	References: []string{"istio/istio releasenotes gateway-customization (1.26)"},
	NeedsPods:  true,
	Kinds:      []snapshot.Kind{{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}},
	Look: func(v *View) []Finding {
		scaled := map[mesh.Ref]*autoscalingv2.HorizontalPodAutoscaler{}
		for _, h := range snapshot.All[*autoscalingv2.HorizontalPodAutoscaler](v.Mesh.Snapshot) {
			scaled[mesh.Ref{Namespace: h.Namespace, Name: h.Spec.ScaleTargetRef.Name}] = h
		}
		var out []Finding
		for _, g := range sortedGateways(v.waypointsInUse()) {
			if v.waypointWorkload(g) == nil {
				continue
			}
			h := scaled[mesh.Ref{Namespace: g.Namespace, Name: g.Name}]
			switch {
			case h == nil:
				out = append(out, Finding{Subject: g, Message: fmt.Sprintf("No HorizontalPodAutoscaler scales waypoint %s/%s.", g.Namespace, g.Name)})
			case h.Spec.MinReplicas != nil && *h.Spec.MinReplicas >= h.Spec.MaxReplicas:
				out = append(out, Finding{Subject: g, Message: fmt.Sprintf("The HorizontalPodAutoscaler of waypoint %s/%s cannot scale: its least and its most are both %d.", g.Namespace, g.Name, h.Spec.MaxReplicas),
					Evidence: []mesh.Evidence{{Object: mesh.Ref{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: h.Namespace, Name: h.Name}, Field: "spec.maxReplicas", Value: fmt.Sprint(h.Spec.MaxReplicas)}}})
			}
		}
		return out
	},
}
