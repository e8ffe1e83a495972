package doctor

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var nobodyWentRound = Check{
	ID:         "nobody-went-round",
	Sentence:   "Every call that was measured passed its waypoint",
	Otherwise:  "Callers go round a waypoint now",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom403},
	Cause:      "A caller with a sidecar, an ingress gateway without the label, somebody who calls the pod's address, or somebody outside the mesh reaches the pods directly: what the waypoint enforces and routes does not apply to these calls.",
	Fix:        "Move the caller to ambient mode, label the Service istio.io/ingress-use-waypoint for gateways, and admit only the waypoint's identity at the workload.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/"},
	Metrics:    []string{"inbound_connections"},
	Look: func(v *View) []Finding {
		guard := map[[2]string]string{}
		for _, s := range v.Mesh.Services {
			if wp := v.Mesh.Waypoint(s.Waypoint.Gateway); s.Waypoint.Bound && wp != nil {
				for _, w := range s.Workloads {
					if w.Mode == mesh.Ambient {
						guard[[2]string{w.Namespace, w.Name}] = wp.Principal
					}
				}
			}
		}
		return v.above("inbound_connections", 0, func(s metric.Series, value float64) Finding {
			ns, name := s.Labels["destination_workload_namespace"], s.Labels["destination_workload"]
			waypoint, guarded := guard[[2]string{ns, name}]
			who := strings.TrimPrefix(s.Labels["source_principal"], "spiffe://")
			if !guarded || who == waypoint {
				return Finding{}
			}
			if who == "" || who == "unknown" {
				who = fmt.Sprintf("a caller without identity (%s/%s)", s.Labels["source_workload_namespace"], s.Labels["source_workload"])
			}
			return Finding{Subject: mesh.Ref{Kind: "Deployment", Namespace: ns, Name: name}, Message: fmt.Sprintf("%s reaches %s/%s past its waypoint, %s connections/s.", who, ns, name, short(value))}
		})
	},
}
