package verify

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// mostFailures is how many of a workload's connections may fail: one in a hundred.
const mostFailures = 0.01

// There is no baseline: before a workload moves, ztunnel counts none of its connections.
var connectionFailures = Gate{
	Name: ConnectionFailures, Deadline: 30 * time.Minute, Metrics: true,
	Doc: "hardly any of the connections to the workload fails at ztunnel for another reason than policy",
	Check: func(e *Evidence, s Subject) Result {
		r := e.Metrics.Result(metric.WorkloadConnections)
		if why := answered(r); why != "" {
			return notYet("its connections are not known: %s", why)
		}
		t := total(flowsTo(r, s.Workload))
		got := share{t.failed, t.ok + t.failed}
		low, high := got.wilson()
		switch {
		case got.all < fewestCalls:
			return notYet("ztunnel took %.0f connections to it, too few to tell: %d are needed", got.all, fewestCalls)
		case low > mostFailures:
			return fail(New, "%.2f%% of %.0f connections to it failed", 100*got.ratio(), got.all)
		case high < mostFailures || got.so == 0:
			return pass("%.0f of %.0f connections to it failed", got.so, got.all)
		}
		return notYet("%.0f of %.0f connections to it failed: too few to tell whether that is more than one in a hundred", got.so, got.all)
	},
}
