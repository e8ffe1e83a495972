package doctor

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var waypointBalanced = Check{
	ID:         "waypoint-balanced",
	Sentence:   "The pods of a waypoint share its requests evenly",
	Otherwise:  "One pod of a waypoint takes most of its requests",
	Severity:   audit.Warning,
	Confidence: Likely,
	Symptoms:   []Symptom{SymptomLatency},
	Cause:      "ztunnel keeps its connections: pods that a scale-up added, or that came up after a rollout, get no share of connections that are open already.",
	Fix:        "Restart the callers' connections by a rolling restart of the waypoint, run enough replicas from the start instead of scaling late, and bound the age of connections at the callers.",
	References: []string{"https://github.com/istio/istio/issues/58514"},
	Metrics:    []string{"waypoint_requests"},
	Look: func(v *View) []Finding {
		type load struct {
			sum, most float64
			pods      int
		}
		loads := map[mesh.Ref]*load{}
		for _, s := range v.Series("waypoint_requests") {
			value, ok := s.Last()
			for _, g := range sortedGateways(v.waypointsInUse()) {
				if ok && g.Namespace == s.Labels["namespace"] && strings.HasPrefix(s.Labels["pod"], g.Name+"-") {
					l := loads[g]
					if l == nil {
						l = &load{}
						loads[g] = l
					}
					l.sum, l.most, l.pods = l.sum+value, max(l.most, value), l.pods+1
				}
			}
		}
		var out []Finding
		for _, g := range sortedGateways(v.waypointsInUse()) {
			const enough = 10 // requests per second; below, chance looks like imbalance
			if l := loads[g]; l != nil && l.pods > 1 && l.sum >= enough && l.most > 2*l.sum/float64(l.pods) {
				out = append(out, Finding{Subject: g, Message: fmt.Sprintf("One of the %d pods of waypoint %s/%s takes %s of its requests.", l.pods, g.Namespace, g.Name, percent(l.most/l.sum)),
					Measured: fmt.Sprintf("waypoint_requests: %s of %s requests/s", short(l.most), short(l.sum))})
			}
		}
		return out
	},
}
