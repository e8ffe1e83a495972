package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var proxyMemoryRoom = Check{
	ID:         "proxy-memory",
	Sentence:   "Every proxy has memory to spare",
	Otherwise:  "A proxy is near its memory limit",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomOOM},
	Cause:      "A push of configuration needs more memory for a moment: near the limit the next one ends the proxy.",
	Fix:        "Raise the limit, or narrow what the sidecar knows with a Sidecar resource.",
	References: []string{"https://istio.io/latest/docs/ops/best-practices/deployment/"},
	Metrics:    []string{"proxy_memory_ratio"},
	Alert:      &Alert{Name: "SidestepProxyMemory", Metric: "proxy_memory_ratio", Bound: "> 0.9", For: "15m", Summary: "istio-proxy of {{ $labels.namespace }}/{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory limit."},
	Look: func(v *View) []Finding {
		return v.above("proxy_memory_ratio", 0.9, func(s metric.Series, value float64) Finding {
			return Finding{Subject: podRef(s), Message: fmt.Sprintf("istio-proxy of %s/%s uses %s of its memory limit.", s.Labels["namespace"], s.Labels["pod"], percent(value))}
		})
	},
}
