package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var configurationQuick = Check{
	ID:         "configuration-quick",
	Sentence:   "Configuration reaches the proxies within seconds",
	Otherwise:  "Configuration reaches the proxies late",
	Severity:   audit.Warning,
	Confidence: Likely,
	Symptoms:   []Symptom{SymptomRollout, Symptom503},
	Cause:      "istiod is short of CPU or pushes to too many proxies: endpoints of pods that are gone stay in use.",
	Fix:        "Give istiod more CPU or replicas; 1.30.0 to 1.30.2 push to every proxy for metadata alone.",
	References: []string{"https://github.com/istio/istio/issues/60629"},
	Metrics:    []string{"configuration_lag"},
	Alert:      &Alert{Name: "SidestepConfigurationLag", Metric: "configuration_lag", Bound: "> 10", For: "10m", Summary: "istiod needs {{ $value | humanizeDuration }} to bring a change to the proxies."},
	Look: func(v *View) []Finding {
		return v.above("configuration_lag", 10, func(_ metric.Series, value float64) Finding {
			return Finding{Subject: mesh.Ref{Kind: "istiod", Name: "configuration"}, Message: fmt.Sprintf("One change in a hundred needs %s to reach the proxies.", duration(value))}
		})
	},
}
