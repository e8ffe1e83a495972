package verify

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// mostSlow is by how much the share of slow requests may rise; slow is what only one in twenty was before.
const (
	mostSlow = 0.05
	fastOf   = 0.95
)

// Only callers' own reports are compared: a sidecar's and a waypoint's time different parts of the way.
var latency = Gate{
	Name: Latency, Deadline: 30 * time.Minute, Metrics: true,
	Doc: "no more of the workload's requests are slow than before it moved, as its callers see it",
	Check: func(e *Evidence, s Subject) Result {
		b, n := e.Baseline.Result(metric.WorkloadLatency), e.Metrics.Result(metric.WorkloadLatency)
		for _, r := range []metric.Result{b, n} {
			if why := answered(r); why != "" {
				return notYet("its latency is not known: %s", why)
			}
		}
		before, now := bucketsOf(b, s.Workload), bucketsOf(n, s.Workload)
		if len(before) == 0 || len(now) == 0 {
			return notYet("no caller that reports the latency of its requests was there both before and now: leave this gate out, or judge by an instrument of your own")
		}
		bound, all := 0.0, before[len(before)-1].count
		for _, x := range before {
			if bound = x.le; x.count >= fastOf*all {
				break
			}
		}
		return compareShares(fmt.Sprintf("the share of requests that take more than %g ms", bound), slower(before, bound), slower(now, bound), mostSlow)
	},
}

// bucket counts the requests that took at most le milliseconds.
type bucket struct{ le, count float64 }

func bucketsOf(r metric.Result, to mesh.Ref) []bucket {
	var out []bucket
	for _, s := range r.Series {
		v, ok := s.Last()
		le, err := strconv.ParseFloat(s.Labels["le"], 64)
		if ok && err == nil && s.Labels["destination_workload"] == to.Name && s.Labels["destination_workload_namespace"] == to.Namespace {
			out = append(out, bucket{le, v})
		}
	}
	slices.SortFunc(out, func(a, b bucket) int {
		switch {
		case a.le < b.le:
			return -1
		case a.le > b.le:
			return 1
		}
		return 0
	})
	return out
}

// slower is the share of requests above a bound of the histogram.
func slower(list []bucket, bound float64) share {
	all := list[len(list)-1].count
	for _, x := range list {
		if x.le == bound {
			return share{all - x.count, all}
		}
	}
	return share{0, 0} // other buckets than before: nothing can be said
}
