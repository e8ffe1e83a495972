package metric

import (
	"fmt"
	"strconv"
	"time"
)

// Like is compared with like only: the edge series are measured by one instrument (an ingress gateway, the
// application or a prober) that is there before and after. A sidecar's reporter must never be set
// against a waypoint's: they time different parts of the path, and L4 paths have no histogram at all.

// edgeSpan is how much of the window the edge is read over: every hour of the week once. Gateways' histograms are the
// dearest series of all to read (each bucket of each service of each gateway pod at every scrape).
const edgeSpan = 7 * 24 * time.Hour

// Quantiles of the edge, as they stand in the quantile label.
const (
	P50 = "0.5"
	P99 = "0.99"
)

// edgeLatency asks for buckets and computes the quantiles here: the server would have to read every bucket once for each.
var edgeLatency = Metric{
	Name: "edge_latency", Unit: Milliseconds, Kind: Range, Step: time.Hour, Span: edgeSpan,
	Doc: "P50 and P99 latency by destination namespace, seen by an instrument that stays the same across the migration, hourly over the hour's own " +
		"buckets, for the last seven days of the window at most",
	NoData:  "no series match the edge matcher: name the gateway, the application histogram or the probe with --edge",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_request_duration_milliseconds_bucket"},
	Labels:  []string{"namespace", "quantile"},
	Query: func(p Params) string {
		return p.byNamespace("le", fmt.Sprintf(`sum by (le, %s) (rate(%s_bucket{%s}[1h]))`, p.GroupBy, p.LatencyMetric, p.EdgeMatcher))
	},
	Reduce: func(p Params, in []Series) []Series {
		return quantilesOf(in, []string{P50, P99}, p.LatencyScale)
	},
}

// Values of the result label of edge_requests.
const (
	AllRequests    = "all"
	FailedRequests = "failed"
)

var edgeRequests = Metric{
	Name: "edge_requests", Unit: Requests, Kind: Range, Step: time.Hour, Span: edgeSpan,
	Doc: "requests per second by destination namespace, same instrument and hours as the latency: all of them, and those that failed, " +
		"where any did",
	NoData:  "no series match the edge matcher; latency verdicts are then withheld",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"namespace", "result"},
	Query: func(p Params) string {
		part := func(result, matcher string) string {
			return fmt.Sprintf(`label_replace(sum by (%s) (rate(%s{%s}[1h])), "result", %q, "", "")`, p.GroupBy, p.RequestsMetric, matcher, result)
		}
		return p.byNamespace("result", part(AllRequests, p.EdgeMatcher)+` or `+part(FailedRequests, p.EdgeMatcher+","+p.ErrorMatcher))
	},
}

// byNamespace renames the instrument's namespace label; the other label stays.
func (p Params) byNamespace(other, expr string) string {
	if p.GroupBy == "namespace" {
		return expr
	}
	return fmt.Sprintf(`sum by (namespace, %s) (label_replace(%s, "namespace", "$1", %s, "(.*)"))`, other, expr, strconv.Quote(p.GroupBy))
}
