package verify

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// mostErrors is by how much the share of failed requests may rise: one in a hundred.
const mostErrors = 0.01

var errorRate = Gate{
	Name: ErrorRate, Deadline: 30 * time.Minute, Metrics: true,
	Doc: "no more of the workload's requests fail than before it moved",
	Check: func(e *Evidence, s Subject) Result {
		before, now, why := both(e, metric.WorkloadCalls, s.Workload)
		if why != "" {
			return notYet("its requests are not known: %s", why)
		}
		_, was := seen(before)
		_, is := seen(now)
		if len(was) == 0 && len(is) == 0 {
			if connections := flowsTo(e.Metrics.Result(metric.WorkloadConnections), s.Workload); total(connections).all() >= fewestCalls {
				return pass("it takes no HTTP requests that anybody counts, before or now; gate %s judges its connections", ConnectionFailures)
			}
			return notYet("nobody has called it")
		}
		if len(is) == 0 {
			return notYet("nobody counts its requests any more: with ztunnel alone no proxy reads HTTP. Gate %s judges its connections; leave this one out if that is enough", ConnectionFailures)
		}
		a, b := total(was), total(is)
		return compareShares("the share of failed requests", share{a.failed, a.all()}, share{b.failed, b.all()}, mostErrors)
	},
}
