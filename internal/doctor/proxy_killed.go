package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var proxyKilled = Check{
	ID:         "proxy-killed",
	Sentence:   "Proxies have stayed within their memory limits for a day",
	Otherwise:  "A proxy was ended for want of memory",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomOOM, Symptom503},
	Cause:      "The proxy's memory limit is below what its configuration and connections need; in a hybrid mesh sidecars grow with every workload that moves.",
	Fix:        "Raise the limit, or narrow what the sidecar knows with a Sidecar resource.",
	References: []string{"https://istio.io/latest/docs/ops/best-practices/deployment/"},
	Metrics:    []string{"proxy_oom", "proxy_memory_ratio"},
	Alert:      &Alert{Name: "SidestepProxyOOM", Metric: "proxy_oom", Bound: "> 0", For: "0m", Summary: "istio-proxy of {{ $labels.namespace }}/{{ $labels.pod }} was ended for want of memory."},
	Look: func(v *View) []Finding {
		return v.above("proxy_oom", 0, func(s metric.Series, _ float64) Finding {
			return Finding{Subject: podRef(s), Message: fmt.Sprintf("istio-proxy of %s/%s was last ended for want of memory.", s.Labels["namespace"], s.Labels["pod"])}
		})
	},
}
