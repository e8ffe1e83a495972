package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var dnsAnswers = Check{
	ID:         "dns-answers",
	Sentence:   "ztunnel's DNS gets answers from the cluster's",
	Otherwise:  "ztunnel's DNS gets no answers from the cluster's",
	Severity:   audit.Error,
	Confidence: Likely,
	Symptoms:   []Symptom{SymptomDNS},
	Cause:      "Since 1.25 ztunnel captures the pods' DNS and passes on what it does not know: the cluster's DNS does not answer it, or a NetworkPolicy drops it.",
	Fix:        "Check the cluster's DNS and policies on port 53 from the pods; ambient.istio.io/dns-capture=false on a pod takes it out.",
	References: []string{"istio/istio releasenotes ambient-dns-on (1.25)"},
	Metrics:    []string{"dns_failure_ratio"},
	Alert:      &Alert{Name: "SidestepDNSFailures", Metric: "dns_failure_ratio", Bound: "> 0.05", For: "10m", Summary: "{{ $value | humanizePercentage }} of the DNS questions of the ztunnel at {{ $labels.instance }} get no answer."},
	Look: func(v *View) []Finding {
		return v.above("dns_failure_ratio", 0.05, func(s metric.Series, value float64) Finding {
			return Finding{Subject: mesh.Ref{Kind: "ztunnel", Name: s.Labels["instance"]}, Message: fmt.Sprintf("%s of the DNS questions that the ztunnel at %s passes on get no answer.", percent(value), s.Labels["instance"])}
		})
	},
}
