package metric

import (
	"fmt"
	"strings"
)

// Migration lists what the gates of a migration look at, each an instant query over the window: asked for the last minutes, and for the
// same length of time just before a wave began.
func Migration() []Metric {
	return []Metric{observedCallers, workloadCalls, workloadConnections, workloadLatency}
}

// LookupMigration finds a metric of Migration by name.
func LookupMigration(name string) (Metric, bool) {
	for _, m := range Migration() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// over is the length of the window, as PromQL writes it.
func (p Params) over() string { return span(p.Window()) }

// Values of the result label of workload_calls and workload_connections.
const (
	ResultOK     = "ok"
	ResultFailed = "failed"
	ResultDenied = "denied"
)

// Names of the metrics of a migration.
const (
	WorkloadCalls       = "workload_calls"
	WorkloadConnections = "workload_connections"
	WorkloadLatency     = "workload_latency"
)

const byEdge = "reporter, source_principal, source_workload, source_workload_namespace, destination_workload, destination_workload_namespace, result"

// counted is the growth of a counter over the window, with a result.
func (p Params) counted(series, matcher, result, mark string) string {
	return fmt.Sprintf(`label_replace(label_replace(increase(%s{%s}[%s]), "result", %q, "", ""), "of", %q, "", "")`, series, matcher, p.over(), result, mark)
}

var workloadCalls = Metric{
	Name: WorkloadCalls, Unit: Count, Kind: Instant,
	Doc:     "HTTP requests over the window by reporter, caller, destination and result: denied (401, 403), failed (5xx or no answer) and ok",
	NoData:  "no proxy that reads HTTP took a request; with ztunnel alone none does",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"reporter", "source_principal", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace", "result"},
	Query: func(p Params) string {
		return oneLine(fmt.Sprintf(`sum by (%s) (%s) > 0`, byEdge, strings.Join([]string{
			p.counted("istio_requests_total", `response_code=~"401|403"`, ResultDenied, "http"),
			p.counted("istio_requests_total", `response_code=~"5..|0"`, ResultFailed, "http"),
			p.counted("istio_requests_total", `response_code!~"401|403|5..|0"`, ResultOK, "http")}, " or ")))
	},
}

// Of ztunnel, connections that were refused by policy are counted where they are closed, since they are opened first, and other
// failures by a counter of their own (1.29 and later).
var workloadConnections = Metric{
	Name: WorkloadConnections, Unit: Count, Kind: Instant,
	Doc:     "TCP connections over the window that ztunnel counted, by reporter, caller, destination and result: opened (ok), refused by policy (denied), and failed for another reason",
	NoData:  "ztunnel took no connection, or is not scraped",
	Sources: []Source{Ztunnel},
	Series:  []string{"istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total", "istio_tcp_connections_failed_total"},
	Labels:  []string{"reporter", "source_principal", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace", "result"},
	Query: func(p Params) string {
		return oneLine(fmt.Sprintf(`sum by (%s) (%s) > 0`, byEdge, strings.Join([]string{
			p.counted("istio_tcp_connections_opened_total", `app="ztunnel"`, ResultOK, "opened"),
			p.counted("istio_tcp_connections_closed_total", `app="ztunnel", response_flags="DENY"`, ResultDenied, "denied"),
			p.counted("istio_tcp_connections_failed_total", `response_flags!="DENY"`, ResultFailed, "failed")}, " or ")))
	},
}

var workloadLatency = Metric{
	Name: WorkloadLatency, Unit: Count, Kind: Instant,
	Doc:     "HTTP requests over the window by reporter, destination and upper bound of their latency in milliseconds; set a reporter against itself only, since others time other parts of the way",
	NoData:  "no proxy that reads HTTP took a request; with ztunnel alone none does",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_request_duration_milliseconds_bucket"},
	Labels:  []string{"reporter", "destination_workload", "destination_workload_namespace", "le"},
	Query: func(p Params) string {
		return oneLine(fmt.Sprintf(`sum by (reporter, destination_workload, destination_workload_namespace, le) (increase(istio_request_duration_milliseconds_bucket{reporter="source"}[%s]))`, p.over()))
	},
}

// ObservedCallers is the name of the metric that says who called whose sidecar.
const ObservedCallers = "observed_callers"

// A sidecar's own word on who called it, by identity: behind a waypoint that is the waypoint's. Requests and connections are counted
// together, since either shows that somebody calls.
var observedCallers = Metric{
	Name: ObservedCallers, Unit: Count, Kind: Instant,
	Doc:     "requests and TCP connections over the window that the sidecars of each workload took, by caller and its identity",
	NoData:  "no sidecar took a call, or sidecars are not scraped",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total", "istio_tcp_connections_opened_total"},
	Labels:  []string{"source_principal", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace"},
	Query: func(p Params) string {
		by := "source_principal, source_workload, source_workload_namespace, destination_workload, destination_workload_namespace"
		part := func(series, of string) string {
			return fmt.Sprintf(`label_replace(increase(%s{reporter="destination", app!="ztunnel"}[%s]), "of", %q, "", "")`, series, p.over(), of)
		}
		return oneLine(fmt.Sprintf(`sum by (%s) (%s) > 0`, by, strings.Join([]string{part("istio_requests_total", "http"), part("istio_tcp_connections_opened_total", "tcp")}, " or ")))
	},
}
