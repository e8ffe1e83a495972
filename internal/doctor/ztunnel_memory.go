package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var ztunnelMemoryRoom = Check{
	ID:         "ztunnel-memory",
	Sentence:   "ztunnel has memory to spare on every node",
	Otherwise:  "ztunnel is near its memory limit",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomOOM, Symptom503},
	Cause:      "ztunnel's memory grows with the workloads of the mesh and the connections of its node; when it is killed all connections of the node end.",
	Fix:        "Raise its memory request and limit; a reconnect needs about 1 MiB more for 10,000 workloads at istiod's side (ISTIO_GPRC_MAXRECVMSGSIZE above 40,000).",
	References: []string{"istio/istio manifests/charts/ztunnel/values.yaml"},
	Metrics:    []string{"ztunnel_memory_ratio"},
	Alert:      &Alert{Name: "SidestepZtunnelMemory", Metric: "ztunnel_memory_ratio", Bound: "> 0.9", For: "15m", Summary: "ztunnel {{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory."},
	Look: func(v *View) []Finding {
		return v.above("ztunnel_memory_ratio", 0.9, func(s metric.Series, value float64) Finding {
			return Finding{Subject: podRef(s), Message: fmt.Sprintf("%s uses %s of its memory.", s.Labels["pod"], percent(value))}
		})
	},
}
