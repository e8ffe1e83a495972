package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var rootFresh = Check{
	ID:         "root-certificate",
	Sentence:   "istiod's root certificate has months to go",
	Otherwise:  "istiod's root certificate expires within a month",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503},
	Cause:      "A root or intermediate that expires ends every connection of the mesh at once.",
	Fix:        "Rotate it now, with both roots trusted during the change.",
	References: []string{"https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/"},
	Metrics:    []string{"root_certificate_expiry"},
	Alert:      &Alert{Name: "SidestepRootExpiry", Metric: "root_certificate_expiry", Bound: "< 2592000", For: "1h", Summary: "istiod's root or intermediate certificate expires in {{ $value | humanizeDuration }}."},
	Look: func(v *View) []Finding {
		return v.those("root_certificate_expiry", func(value float64) bool { return value < 30*24*60*60 }, func(_ metric.Series, value float64) Finding {
			f := Finding{Subject: mesh.Ref{Kind: "istiod", Name: "root certificate"}, Message: fmt.Sprintf("istiod's root or intermediate certificate expires in %s.", duration(max(0, value)))}
			if value < 3*24*60*60 {
				f.Severity = audit.Error
			}
			return f
		})
	},
}
