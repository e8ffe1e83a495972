package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var deniedCalls = Check{
	ID:         "denied",
	Sentence:   "Policies at ztunnel admit every call that is made",
	Otherwise:  "ztunnel refuses calls by policy",
	Severity:   audit.Info,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom403},
	Cause:      "A policy refuses it: the client sees a closed connection, never an HTTP 403.",
	Fix:        "Pipe the destination ztunnel's log line into sidestep explain --log -: it names the policy and the smallest change that admits the call.",
	References: []string{"istio/ztunnel src/proxy/inbound.rs"},
	Metrics:    []string{"denied_connections"},
	Alert:      &Alert{Name: "SidestepConnectionsDenied", Metric: "denied_connections", Bound: "> 0", For: "15m", Summary: "ztunnel refuses connections of {{ $labels.source_workload_namespace }}/{{ $labels.source_workload }} to {{ $labels.destination_workload_namespace }}/{{ $labels.destination_workload }}."},
	Look: func(v *View) []Finding {
		return v.above("denied_connections", 0, func(s metric.Series, value float64) Finding {
			ns, name := s.Labels["destination_workload_namespace"], s.Labels["destination_workload"]
			return Finding{Subject: mesh.Ref{Kind: "Deployment", Namespace: ns, Name: name}, Message: fmt.Sprintf("ztunnel refuses %s/%s at %s/%s by policy, %s connections/s.",
				s.Labels["source_workload_namespace"], s.Labels["source_workload"], ns, name, short(value))}
		})
	},
}
