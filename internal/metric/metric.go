// Package metric is the PromQL catalogue: one file per metric with its name, unit, query and what
// "no data" means. The number of queries is fixed, whatever the size of the mesh, and every query is
// bounded in range and in points. Nothing here talks to a network.
package metric

import (
	"fmt"
	"strings"
	"time"
)

// Unit is the unit of a metric's values.
type Unit string

// Units in use. They are base units, as Prometheus recommends.
const (
	Cores          Unit = "cores"
	Bytes          Unit = "bytes"
	BytesPerSecond Unit = "bytes/s"
	Requests       Unit = "requests/s"
	Ratio          Unit = "ratio"
	Milliseconds   Unit = "ms"
	Seconds        Unit = "s"
	Nodes          Unit = "nodes"
	PricePerHour   Unit = "currency/h"
	Presence       Unit = "series"
	Count          Unit = "count"
	Mixed          Unit = "by resource label: cpu in cores, memory in bytes, pods as a count"
)

// Source is the exporter a metric's series come from; a report names it when they are missing.
type Source string

// Sources of series.
const (
	KubeStateMetrics Source = "kube-state-metrics"
	CAdvisor         Source = "cAdvisor"
	IstioProxies     Source = "Istio proxies"
	Ztunnel          Source = "ztunnel"
	Istiod           Source = "istiod"
	OpenCost         Source = "OpenCost"
	NodeExporter     Source = "node-exporter"
	IstioCNI         Source = "istio-cni"
)

// Kind tells how a metric is asked for.
type Kind string

// Instant metrics are evaluated once, at the end of the window; sampled ones at several instants spread over it;
// range metrics at every step of it.
const (
	Instant Kind = "instant"
	Sampled Kind = "sampled"
	Range   Kind = "range"
)

// Metric is one entry of the catalogue.
type Metric struct {
	// Name is stable: it is the key in recorded dumps and baselines.
	Name string
	Unit Unit
	Kind Kind
	// Step is the resolution of a range metric, and Span how much of the window, up to its end, it covers at most; zero
	// means all.
	Step, Span time.Duration
	// Samples is at how many instants a sampled metric is evaluated.
	Samples int
	// Doc says what a value is; NoData what an empty answer means (never "zero" unless it says so).
	Doc, NoData string
	Sources     []Source
	// Series lists the series the query reads, so that a missing one can be named.
	Series []string
	// Labels are those a result series bears.
	Labels []string
	// Query renders the PromQL.
	Query func(Params) string
	// Reduce, when set, turns the server's series into the metric's own: what is cheaper to compute here than there.
	Reduce func(Params, []Series) []Series
}

// Params fills in a query. The zero value is completed by Defaults.
type Params struct {
	// Start and End bound the window. End is also the instant of instant queries.
	Start, End time.Time
	// RateWindow is the range of rate(); at least four scrape intervals.
	RateWindow time.Duration
	// Traffic is the range of byte and request rates that instant queries average over.
	Traffic time.Duration
	// EdgeMatcher selects the invariant latency series: those that exist before and after enrolment.
	// It is a label matcher list without braces, for example `reporter="source",source_workload="edge"`.
	EdgeMatcher string
	// LatencyMetric is the base name of the histogram (without _bucket) and LatencyScale what one of its
	// units is in milliseconds (1 for Istio's, 1000 for a histogram in seconds).
	LatencyMetric string
	LatencyScale  float64
	// GroupBy is the label of the edge series that names the destination namespace.
	GroupBy string
	// WorkloadBy is the label that names the destination workload; empty when none does.
	WorkloadBy string
	// Cluster is a label matcher, such as cluster="prod", that every selector gets: a server for several clusters would add them up. Empty for none.
	Cluster string
	// RequestsMetric counts requests of the same instrument; ErrorMatcher selects its errors.
	RequestsMetric, ErrorMatcher string
	// ErrorMatcher2 selects errors that ErrorMatcher does not, of the same counter; empty for none. The two share no series.
	ErrorMatcher2 string
}

// Failed requests: by HTTP status (0 is a connection that broke), and, where that is fine, by gRPC status: a call that fails at once with UNAVAILABLE has HTTP status 200 and looks fast. The codes are
// those that OpenTelemetry's conventions count as a server's errors (UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS), and RESOURCE_EXHAUSTED, which a proxy gives when it is
// overloaded.
const (
	httpErrors = `response_code=~"5..|0"`
	grpcErrors = `response_code!~"5..|0",grpc_response_status=~"2|4|8|12|13|14|15"`
)

// noInstrument selects nothing: until the gateways are known there is no instrument, and none is better than one of another kind. Ingress gateways report as "source" in every phase of a
// migration; a sidecar's or a waypoint's reporter does not survive it, so an application may not get in because it is called payment-gateway.
const noInstrument = `reporter="source",source_workload=""`

// Defaults completes p.
func (p Params) Defaults() Params {
	if p.RateWindow <= 0 {
		p.RateWindow = 5 * time.Minute
	}
	if p.Traffic <= 0 {
		p.Traffic = 24 * time.Hour
	}
	own := p.LatencyMetric != "" // an application's or a prober's histogram is an instrument by itself
	if p.LatencyMetric == "" {
		p.LatencyMetric, p.LatencyScale = "istio_request_duration_milliseconds", 1
		if p.WorkloadBy == "" {
			p.WorkloadBy = "destination_workload"
		}
	}
	if p.LatencyScale <= 0 {
		p.LatencyScale = 1
	}
	if p.EdgeMatcher == "" && !own {
		p.EdgeMatcher = noInstrument
	}
	if p.GroupBy == "" {
		p.GroupBy = "destination_service_namespace"
	}
	if p.RequestsMetric == "" {
		p.RequestsMetric = "istio_requests_total"
		if p.ErrorMatcher == "" {
			p.ErrorMatcher, p.ErrorMatcher2 = httpErrors, grpcErrors
		}
	}
	return p
}

// Window is the length of the window.
func (p Params) Window() time.Duration { return p.End.Sub(p.Start) }

// span writes a duration as PromQL does, in the largest whole unit.
func span(d time.Duration) string {
	switch {
	case d >= 24*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", max(1, int(d/time.Second)))
}

// oneLine squeezes a query that is written over several lines for reading.
func oneLine(q string) string { return strings.Join(strings.Fields(q), " ") }
