package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var ztunnelLinked = Check{
	ID:         "ztunnel-linked",
	Sentence:   "Every istio-cni agent is connected to its ztunnel",
	Otherwise:  "An istio-cni agent has lost its ztunnel",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomStartup, Symptom503},
	Cause:      "Without the connection no pod of the node can be enrolled, and new pods do not start.",
	Fix:        "Look at the ztunnel pod of this node and at the socket that both mount (/var/run/ztunnel).",
	References: []string{"istio/istio cni/pkg/nodeagent/ztunnelserver.go"},
	Metrics:    []string{"ztunnel_linked"},
	Alert:      &Alert{Name: "SidestepZtunnelDisconnected", Metric: "ztunnel_linked", Bound: "< 1", For: "2m", Summary: "No ztunnel is connected to the istio-cni agent at {{ $labels.instance }}."},
	Look: func(v *View) []Finding {
		return v.those("ztunnel_linked", func(value float64) bool { return value < 1 }, func(s metric.Series, _ float64) Finding {
			return Finding{Subject: mesh.Ref{Kind: "istio-cni", Name: s.Labels["instance"]}, Message: fmt.Sprintf("No ztunnel is connected to the istio-cni agent at %s.", s.Labels["instance"])}
		})
	},
}
