package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var clocksKept = Check{
	ID:         "clocks-kept",
	Sentence:   "Every node's clock is kept in step with a time source",
	Otherwise:  "A node's clock is not kept in step with a time source",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503},
	Cause:      "The kernel's clock runs free: nothing corrects it before it leaves what certificates tolerate.",
	Fix:        "Start the node's time service. A virtual machine may keep time by its hypervisor and report this for good: then silence it.",
	References: []string{"https://github.com/prometheus/node_exporter/blob/master/collector/timex.go"},
	Metrics:    []string{"clock_unsynced", "clock_offset"},
	Alert:      &Alert{Name: "SidestepClockUnsynchronised", Metric: "clock_unsynced", Bound: ">= 1", For: "1h", Summary: "The clock of {{ $labels.instance }} is not kept in step."},
	Look: func(v *View) []Finding {
		return v.above("clock_unsynced", 0, func(s metric.Series, _ float64) Finding {
			return Finding{Subject: mesh.Ref{Kind: "Node", Name: s.Labels["instance"]}, Message: fmt.Sprintf("The clock of %s is not kept in step with a time source.", s.Labels["instance"])}
		})
	},
}
