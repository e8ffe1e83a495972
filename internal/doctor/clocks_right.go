package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var clocksRight = Check{
	ID:         "clocks-right",
	Sentence:   "The clocks of all nodes are right to a minute",
	Otherwise:  "A node's clock is wrong by more than a minute",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503},
	Cause:      "Certificates are valid from two minutes before they are made: a node whose clock is further behind refuses new ones.",
	Fix:        "Repair the node's time source (chrony, systemd-timesyncd). Seconds of difference harm nothing.",
	References: []string{"istio/istio security/pkg/pki/util/generate_cert.go"},
	Metrics:    []string{"clock_offset"},
	Alert:      &Alert{Name: "SidestepClockSkew", Metric: "clock_offset", Bound: "> 60", For: "5m", Summary: "The clock of {{ $labels.instance }} is {{ $value | humanizeDuration }} off."},
	Look: func(v *View) []Finding {
		return v.above("clock_offset", 60, func(s metric.Series, value float64) Finding {
			f := Finding{Subject: mesh.Ref{Kind: "Node", Name: s.Labels["instance"]}, Message: fmt.Sprintf("The clock of %s is %s off.", s.Labels["instance"], duration(value))}
			if value < 120 {
				f.Severity = audit.Warning // inside what certificates tolerate, and on the way out of it
			}
			return f
		})
	},
}
