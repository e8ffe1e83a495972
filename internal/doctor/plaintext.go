package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var plaintextShare = Check{
	ID:         "plaintext",
	Sentence:   "Every call into the mesh is mutual TLS",
	Otherwise:  "Calls into the mesh are in plaintext",
	Severity:   audit.Info,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom403},
	Cause:      "The caller is outside the mesh, addresses pods directly, or a DestinationRule turns TLS off. STRICT would refuse it.",
	Fix:        "Enrol the caller or correct the DestinationRule before STRICT is set; sidestep authz shadow says which logged calls it would refuse.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/verify-mtls-enabled/"},
	Metrics:    []string{"plaintext_connections"},
	Alert:      &Alert{Name: "SidestepPlaintext", Metric: "plaintext_connections", Bound: "> 0", For: "1h", Summary: "{{ $labels.source_workload_namespace }}/{{ $labels.source_workload }} calls {{ $labels.destination_workload_namespace }}/{{ $labels.destination_workload }} in plaintext."},
	Look: func(v *View) []Finding {
		return v.above("plaintext_connections", 0, func(s metric.Series, value float64) Finding {
			ns, name := s.Labels["destination_workload_namespace"], s.Labels["destination_workload"]
			return Finding{Subject: mesh.Ref{Kind: "Deployment", Namespace: ns, Name: name}, Message: fmt.Sprintf("%s/%s calls %s/%s in plaintext, %s times a second.",
				s.Labels["source_workload_namespace"], s.Labels["source_workload"], ns, name, short(value))}
		})
	},
}
