package doctor

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

var waypointAnswers = Check{
	ID:         "waypoint-answers",
	Sentence:   "Waypoints answer: hardly any call ends in their 503",
	Otherwise:  "Calls end in a waypoint's 503",
	Severity:   audit.Error,
	Confidence: Possible,
	Symptoms:   []Symptom{Symptom503, SymptomRollout},
	Cause:      "The waypoint has no healthy pod to send to, its pods are being replaced, or it holds HBONE connections to pods that are gone.",
	Fix:        "See waypoint-ready, waypoint-drain and idle-timeout; a preStop of some seconds at the application's pods lets endpoints go first. A waypoint rollout is the worst case: published runs still lose about 1% of calls with preStop 10 s and grace 40 s.",
	References: []string{"https://github.com/istio/istio/issues/58514"},
	Metrics:    []string{"waypoint_unavailable_ratio"},
	Alert:      &Alert{Name: "SidestepWaypointUnavailable", Metric: "waypoint_unavailable_ratio", Bound: "> 0.01", For: "5m", Summary: "{{ $value | humanizePercentage }} of the calls to {{ $labels.destination_service_namespace }}/{{ $labels.destination_service_name }} end in a waypoint's 503."},
	Look: func(v *View) []Finding {
		return v.above("waypoint_unavailable_ratio", 0.01, func(s metric.Series, value float64) Finding {
			ns, name := s.Labels["destination_service_namespace"], s.Labels["destination_service_name"]
			return Finding{Subject: mesh.Ref{Kind: "Service", Namespace: ns, Name: name}, Message: fmt.Sprintf("%s of the calls to Service %s/%s end in a 503 of its waypoint.", percent(value), ns, name)}
		})
	},
}
