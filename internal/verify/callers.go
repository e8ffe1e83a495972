package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// The workload's own sidecar is the witness: once its Services are bound and its callers have moved, it sees nobody but the waypoint and
// whom the guard leaves alone. Whoever else calls goes past the waypoint, and the guard will refuse it.
var onlyThroughWaypoint = Gate{
	Name: "OnlyThroughWaypoint", Deadline: 30 * time.Minute, Metrics: true,
	Doc: "its own sidecar has seen calls from nobody but the waypoint and whom the guard leaves alone",
	Check: func(e *Evidence, s Subject) Result {
		r := e.Metrics.Result(metric.ObservedCallers)
		if r.Failed != "" || r.Partial {
			return notYet("who calls it is not known: %s", r.Why())
		}
		calls, past := 0.0, []string(nil)
		for _, x := range r.Series {
			v, ok := x.Last()
			if !ok || x.Labels["destination_workload"] != s.Workload.Name || x.Labels["destination_workload_namespace"] != s.Workload.Namespace {
				continue
			}
			calls += v
			if p := strings.TrimPrefix(x.Labels["source_principal"], "spiffe://"); !slices.Contains(s.Admitted, p) {
				past = append(past, fmt.Sprintf("%s/%s (%s)", x.Labels["source_workload_namespace"], x.Labels["source_workload"], orUnknown(p)))
			}
		}
		switch {
		case len(past) > 0 && len(s.AdmittedPorts) > 0:
			return notYet("%s called it past the waypoint; whether at an admitted port (%s) is not known, since no metric bears the port", strings.Join(past, ", "), strings.Join(s.AdmittedPorts, ", "))
		case len(past) > 0:
			return notYet("%s called it past the waypoint, and would be refused", strings.Join(past, ", "))
		case calls < fewestCalls:
			return notYet("its sidecars took %.0f calls, too few to tell: %d are needed", calls, fewestCalls)
		}
		return pass("all of %.0f calls came through the waypoint", calls)
	},
}

// fewestCalls is how many calls a statement about who calls rests on at least.
const fewestCalls = 20

func orUnknown(p string) string {
	if p == "" || p == "unknown" {
		return "without an identity"
	}
	return p
}

var noCalls = Gate{
	Name: "NoCalls", Deadline: 30 * time.Minute, Metrics: true,
	Doc: "the workload that moves has made no call that would be refused once it has moved",
	Check: func(e *Evidence, s Subject) Result {
		r := e.Metrics.Result(metric.ObservedCallers)
		if r.Failed != "" || r.Partial {
			return notYet("whom it calls is not known: %s", r.Why())
		}
		seen := 0.0
		for _, x := range r.Series {
			v, ok := x.Last()
			if !ok || x.Labels["destination_workload"] != s.Object.Name || x.Labels["destination_workload_namespace"] != s.Object.Namespace {
				continue
			}
			if x.Labels["source_workload"] == s.Workload.Name && x.Labels["source_workload_namespace"] == s.Workload.Namespace {
				return notYet("%s made %.0f calls to it, which would be refused", s.Workload, v)
			}
			seen += v
		}
		if seen < fewestCalls {
			return notYet("%s took %.0f calls in all, too few to tell that %s makes none", s.Object, seen, s.Workload)
		}
		return pass("of %.0f calls that %s took, none was made by %s", seen, s.Object, s.Workload)
	},
}
