package metric

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// edgeInstruments are the gateways by what they are, not by how they are called.
var edgeInstruments = Metric{
	Name: "edge_instruments", Unit: Presence, Kind: Instant,
	Doc:     "workloads of gateway pods that report requests: the instrument of the edge metrics, unless another is named",
	NoData:  "no gateway pod reports requests, or kube-state-metrics is not scraped; name the instrument with --edge",
	Sources: []Source{IstioProxies, KubeStateMetrics},
	Series:  []string{"istio_requests_total", "istio_tcp_sent_bytes_total", "kube_pod_container_info", "kube_pod_init_container_info", "kube_pod_labels", "kube_pod_owner", "kube_pod_status_phase"},
	Labels:  []string{"source_workload", "source_workload_namespace"},
	Query: func(Params) string {
		return `group by (source_workload, source_workload_namespace) (istio_requests_total{reporter="source", source_workload!="unknown"} and on (namespace, pod) ` + onlyGateways + `)`
	},
}

// InstrumentMatcher makes the edge matcher from an answer to edge_instruments; empty when no gateway was seen.
func InstrumentMatcher(r Result) string {
	var names, namespaces []string
	for _, s := range r.Series {
		if w := s.Labels["source_workload"]; w != "" {
			names, namespaces = append(names, w), append(namespaces, s.Labels["source_workload_namespace"])
		}
	}
	if !r.Usable() || len(names) == 0 {
		return ""
	}
	return `reporter="source",source_workload=~"` + oneOf(names) + `",source_workload_namespace=~"` + oneOf(namespaces) + `"`
}

// oneOf is a regular expression of names, each once. Names of Kubernetes objects have one character that means something in it, the dot, which matches itself.
func oneOf(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "|")
}

// NeedsInstrument reports whether the gateways have to be found before m can be asked.
func (m Metric) NeedsInstrument(p Params) bool {
	edge := m.Name == edgeLatency.Name || m.Name == edgeRequests.Name || m.Name == edgeWorkloads.Name
	return edge && p.Defaults().EdgeMatcher == noInstrument
}

// failed are the matchers of failed requests of the instrument.
func (p Params) failed() []string {
	var out []string
	for _, errors := range []string{p.ErrorMatcher, p.ErrorMatcher2} {
		switch {
		case errors != "" && p.EdgeMatcher != "":
			out = append(out, p.EdgeMatcher+","+errors)
		case errors != "":
			out = append(out, errors)
		}
	}
	return out
}

// rates are the rates of the series that any of the matchers selects; no series may be selected by two. Copies of replicas count once, where it matters: quantiles of buckets that are all
// there twice are the same.
func rates(series, over string, matchers []string) string {
	parts := make([]string, len(matchers))
	for i, m := range matchers {
		parts[i] = fmt.Sprintf("rate(%s{%s}[%s])", series, m, over)
	}
	all := strings.Join(parts, " or ")
	if strings.HasSuffix(series, "_bucket") {
		return all
	}
	return deduplicated(all)
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
		part := func(result string, matchers ...string) string {
			return fmt.Sprintf(`label_replace(sum by (%s) (%s), "result", %q, "", "")`, p.GroupBy, rates(p.RequestsMetric, "1h", matchers), result)
		}
		return p.byNamespace("result", part(AllRequests, p.EdgeMatcher)+` or `+part(FailedRequests, p.failed()...))
	},
}

// Value of the result label of edge_workloads that marks buckets; the others are those of edge_requests.
const bucketRates = "bucket"

// edgeWorkloads is what the edge saw of each workload over a day, for a summary by mode: workloads of one namespace may be
// in several. It is recorded by bucket, since quantiles of several workloads cannot be put together.
var edgeWorkloads = Metric{
	Name: "edge_workloads", Unit: Requests, Kind: Instant,
	Doc: "requests per second by destination workload, same instrument as the latency, mean of the last day: all, failed, and by upper bound of their " +
		"latency in milliseconds; by namespace alone where no label names the workload",
	NoData:  "no series match the edge matcher: latency by mode is then withheld",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_request_duration_milliseconds_bucket", "istio_requests_total"},
	Labels:  []string{"namespace", "workload", "le", "result"},
	Query: func(p Params) string {
		by := p.GroupBy
		if p.WorkloadBy != "" {
			by += ", " + p.WorkloadBy
		}
		part := func(result, by, series string, matchers ...string) string {
			return fmt.Sprintf(`label_replace(sum by (%s) (%s), "result", %q, "", "")`, by, rates(series, span(p.traffic()), matchers), result)
		}
		all := strings.Join([]string{part(bucketRates, by+", le", p.LatencyMetric+"_bucket", p.EdgeMatcher), part(AllRequests, by, p.RequestsMetric, p.EdgeMatcher),
			part(FailedRequests, by, p.RequestsMetric, p.failed()...)}, " or ")
		for _, name := range [][2]string{{p.GroupBy, "namespace"}, {p.WorkloadBy, "workload"}} {
			if from, to := name[0], name[1]; from != "" && from != to {
				all = fmt.Sprintf(`label_replace(%s, %q, "$1", %q, "(.*)")`, all, to, from)
			}
		}
		return `sum by (namespace, workload, le, result) (` + all + `)`
	},
	Reduce: func(p Params, in []Series) []Series {
		for _, s := range in {
			if le, err := strconv.ParseFloat(s.Labels["le"], 64); err == nil {
				s.Labels["le"] = strconv.FormatFloat(le*p.LatencyScale, 'g', -1, 64)
			}
		}
		return in
	},
}

// EdgeSummary is what the edge saw of a group of workloads: milliseconds, and a ratio. What is not known is absent.
type EdgeSummary struct {
	P50, P99, Errors          float64
	HasLatency, HasErrorRatio bool
	// Requests is the rate that the figures rest on, per second.
	Requests float64
}

// SummariseEdge puts the workloads of an answer to edge_workloads together by the group that each is in. Workload is
// empty where the series do not name one; a group "" leaves it out.
func SummariseEdge(r Result, group func(namespace, workload string) string) map[string]EdgeSummary {
	type sums struct {
		buckets     map[float64]float64
		all, failed float64
	}
	by := map[string]*sums{}
	for _, s := range r.Series {
		v, ok := s.Last()
		name := group(s.Labels["namespace"], s.Labels["workload"])
		if !ok || name == "" {
			continue
		}
		if by[name] == nil {
			by[name] = &sums{buckets: map[float64]float64{}}
		}
		switch s.Labels["result"] {
		case AllRequests:
			by[name].all += v
		case FailedRequests:
			by[name].failed += v
		case bucketRates:
			if le, err := strconv.ParseFloat(s.Labels["le"], 64); err == nil {
				by[name].buckets[le] += v
			}
		}
	}
	out := map[string]EdgeSummary{}
	for name, x := range by {
		var buckets []bucket
		for le, count := range x.buckets {
			buckets = append(buckets, bucket{le, count})
		}
		e := EdgeSummary{P50: bucketQuantile(0.5, buckets), P99: bucketQuantile(0.99, buckets), Requests: x.all}
		if e.HasLatency = Finite(e.P50) && Finite(e.P99); !e.HasLatency {
			e.P50, e.P99 = 0, 0
		}
		if e.HasErrorRatio = x.all > 0; e.HasErrorRatio {
			e.Errors = x.failed / x.all
		}
		out[name] = e
	}
	return out
}

// byNamespace renames the instrument's namespace label; the other label stays.
func (p Params) byNamespace(other, expr string) string {
	if p.GroupBy == "namespace" {
		return expr
	}
	return fmt.Sprintf(`sum by (namespace, %s) (label_replace(%s, "namespace", "$1", %s, "(.*)"))`, other, expr, strconv.Quote(p.GroupBy))
}
