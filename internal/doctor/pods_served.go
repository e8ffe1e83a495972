package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var podsServed = Check{
	ID:         "pods-served",
	Sentence:   "ztunnel serves every pod that it was told of",
	Otherwise:  "Pods wait for a ztunnel that was told of them",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomStartup, Symptom503},
	Cause:      "ztunnel cannot enter the pod's network namespace or gets no identity for it: the pod has no traffic.",
	Fix:        "Look at the log of the ztunnel at this instance; restart it when the pod's network namespace is gone.",
	References: []string{"istio/ztunnel src/inpod/statemanager.rs"},
	Metrics:    []string{"ztunnel_pending_pods"},
	Alert:      &Alert{Name: "SidestepPodsPending", Metric: "ztunnel_pending_pods", Bound: "> 0", For: "5m", Summary: "{{ $value }} pods wait for the ztunnel at {{ $labels.instance }}."},
	Look: func(v *View) []Finding {
		return v.above("ztunnel_pending_pods", 0, func(s metric.Series, value float64) Finding {
			return Finding{Subject: mesh.Ref{Kind: "ztunnel", Name: s.Labels["instance"]}, Message: fmt.Sprintf("%s pods wait for the ztunnel at %s.", short(value), s.Labels["instance"])}
		})
	},
}
