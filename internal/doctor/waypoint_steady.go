package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var waypointSteady = Check{
	ID:         "waypoint-steady",
	Sentence:   "The number of a waypoint's pods settles",
	Otherwise:  "The number of a waypoint's pods goes up and down",
	Severity:   audit.Warning,
	Confidence: Likely,
	Symptoms:   []Symptom{Symptom503, SymptomLatency, SymptomRollout},
	Cause:      "The autoscaler goes back and forth: each scale-down ends connections that ztunnel goes on using until it notices.",
	Fix:        "Lengthen the autoscaler's behavior.scaleDown.stabilizationWindowSeconds to 10 minutes or more and raise minReplicas to what a quiet hour needs.",
	References: []string{"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"},
	Metrics:    []string{"waypoint_replica_changes"},
	Alert:      &Alert{Name: "SidestepWaypointChurn", Metric: "waypoint_replica_changes", Bound: "> 6", For: "0m", Summary: "The replicas of {{ $labels.namespace }}/{{ $labels.deployment }} changed {{ $value }} times in an hour."},
	Look: func(v *View) []Finding {
		used := v.waypointsInUse()
		return v.above("waypoint_replica_changes", 6, func(s metric.Series, value float64) Finding {
			for g := range used {
				if g.Namespace == s.Labels["namespace"] && g.Name == s.Labels["deployment"] {
					return Finding{Subject: g, Message: fmt.Sprintf("The replicas of waypoint %s/%s changed %s times in the last hour.", g.Namespace, g.Name, short(value))}
				}
			}
			return Finding{}
		})
	},
}
