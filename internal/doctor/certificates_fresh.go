package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var certificatesFresh = Check{
	ID:         "certificates-fresh",
	Sentence:   "Every proxy's certificate has hours to go",
	Otherwise:  "A proxy's certificate is about to expire",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503},
	Cause:      "The proxy's agent cannot renew: istiod is unreachable from it or refuses to sign.",
	Fix:        "Look at the agent's log (pilot-agent) and at istiod; renewal is due at half of a certificate's day.",
	References: []string{"istio/istio security/pkg/nodeagent/cache/monitoring.go"},
	Metrics:    []string{"certificate_expiry"},
	Alert:      &Alert{Name: "SidestepCertificateExpiry", Metric: "certificate_expiry", Bound: "< 21600", For: "10m", Summary: "The certificate of {{ $labels.namespace }}/{{ $labels.pod }} expires in {{ $value | humanizeDuration }}."},
	Look: func(v *View) []Finding {
		return v.those("certificate_expiry", func(value float64) bool { return value < 6*60*60 }, func(s metric.Series, value float64) Finding {
			return Finding{Subject: podRef(s), Message: fmt.Sprintf("The certificate of %s/%s expires in %s.", s.Labels["namespace"], s.Labels["pod"], duration(max(0, value)))}
		})
	},
}
