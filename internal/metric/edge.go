package metric

import (
	"fmt"
	"strconv"
	"time"
)

// Like is compared with like only: the edge series are measured by one instrument (an ingress gateway, the
// application or a prober) that is there before and after. A sidecar's reporter must never be set
// against a waypoint's: they time different parts of the path, and L4 paths have no histogram at all.

func edgeQuantile(name string, q float64) Metric {
	return Metric{
		Name: name, Unit: Milliseconds, Kind: Range, Step: time.Hour,
		Doc: fmt.Sprintf("P%g latency by destination namespace, seen by an instrument that stays the same across the migration, hourly over the hour's own buckets",
			q*100),
		NoData:  "no series match the edge matcher: name the gateway, the application histogram or the probe with --edge",
		Sources: []Source{IstioProxies},
		Series:  []string{"istio_request_duration_milliseconds_bucket"},
		Labels:  []string{"namespace"},
		Query: func(p Params) string {
			scale := ""
			if p.LatencyScale != 1 {
				scale = " * " + strconv.FormatFloat(p.LatencyScale, 'g', -1, 64)
			}
			return oneLine(p.byNamespace(fmt.Sprintf(`histogram_quantile(%g, sum by (le, %s) (rate(%s_bucket{%s}[1h])))%s`,
				q, p.GroupBy, p.LatencyMetric, p.EdgeMatcher, scale)))
		},
	}
}

var (
	edgeP50 = edgeQuantile("edge_p50", 0.5)
	edgeP99 = edgeQuantile("edge_p99", 0.99)
)

var edgeRequests = Metric{
	Name: "edge_requests", Unit: Requests, Kind: Range, Step: time.Hour,
	Doc:     "requests per second by destination namespace, same instrument as the latency",
	NoData:  "no series match the edge matcher; latency verdicts are then withheld",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"namespace"},
	Query: func(p Params) string {
		return p.byNamespace(fmt.Sprintf(`sum by (%s) (rate(%s{%s}[1h]))`, p.GroupBy, p.RequestsMetric, p.EdgeMatcher))
	},
}

var edgeErrors = Metric{
	Name: "edge_errors", Unit: Ratio, Kind: Range, Step: time.Hour,
	Doc:     "share of failed requests by destination namespace, same instrument; 0 where there was traffic and no error",
	NoData:  "no requests at the edge in the window",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"namespace"},
	Query: func(p Params) string {
		all := fmt.Sprintf(`sum by (%s) (rate(%s{%s}[1h]))`, p.GroupBy, p.RequestsMetric, p.EdgeMatcher)
		failed := fmt.Sprintf(`sum by (%s) (rate(%s{%s,%s}[1h]))`, p.GroupBy, p.RequestsMetric, p.EdgeMatcher, p.ErrorMatcher)
		// No error series at all must read 0 where requests exist, and nothing where none do.
		return p.byNamespace(fmt.Sprintf(`((%s) or (%s) * 0) / ((%s) > 0)`, failed, all, all))
	},
}

// byNamespace renames the instrument's namespace label.
func (p Params) byNamespace(expr string) string {
	if p.GroupBy == "namespace" {
		return expr
	}
	return fmt.Sprintf(`sum by (namespace) (label_replace(%s, "namespace", "$1", %q, "(.*)"))`, expr, p.GroupBy)
}
