package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var ztunnelCPURoom = Check{
	ID:         "ztunnel-cpu",
	Sentence:   "ztunnel has CPU to spare on every node",
	Otherwise:  "ztunnel is short of CPU",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomLatency},
	Cause:      "ztunnel encrypts for every pod of its node; at its limit all of them wait.",
	Fix:        "Raise or drop the CPU limit; Istio's chart sets none.",
	References: []string{"istio/istio manifests/charts/ztunnel/values.yaml"},
	Metrics:    []string{"ztunnel_cpu_ratio"},
	Alert:      &Alert{Name: "SidestepZtunnelCPU", Metric: "ztunnel_cpu_ratio", Bound: "> 0.8", For: "15m", Summary: "ztunnel {{ $labels.pod }} uses {{ $value | humanizePercentage }} of its CPU limit."},
	Look: func(v *View) []Finding {
		return v.above("ztunnel_cpu_ratio", 0.8, func(s metric.Series, value float64) Finding {
			return Finding{Subject: podRef(s), Message: fmt.Sprintf("%s uses %s of its CPU limit.", s.Labels["pod"], percent(value))}
		})
	},
}
