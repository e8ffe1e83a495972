package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var waypointSaturated = Check{
	ID:         "waypoint-saturated",
	Sentence:   "Waypoints have CPU to spare",
	Otherwise:  "A waypoint is short of CPU",
	Severity:   audit.Warning,
	Confidence: Certain,
	Symptoms:   []Symptom{SymptomLatency, Symptom503},
	Cause:      "The waypoint's pods use most of their CPU limit: requests queue in the proxy.",
	Fix:        "Add replicas or raise the limit, and scale on CPU rather than on connections: ztunnel puts many requests on few connections.",
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/"},
	Metrics:    []string{"waypoint_cpu_ratio"},
	Alert:      &Alert{Name: "SidestepWaypointSaturated", Metric: "waypoint_cpu_ratio", Bound: "> 0.8", For: "10m", Summary: "Waypoint pod {{ $labels.namespace }}/{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its CPU limit."},
	Look: func(v *View) []Finding {
		return v.above("waypoint_cpu_ratio", 0.8, func(s metric.Series, value float64) Finding {
			return Finding{Subject: podRef(s), Message: fmt.Sprintf("Waypoint pod %s/%s uses %s of its CPU limit.", s.Labels["namespace"], s.Labels["pod"], percent(value))}
		})
	},
}
