package metric

import (
	"fmt"
	"strings"
)

// ObservedCalls is the name of the metric that says who calls whom.
const ObservedCalls = "observed_calls"

// Calls is what a plan asks about who calls whom.
func Calls() []Metric { return []Metric{observedCalls} }

// Whoever reports a call is believed: a call too many makes a plan wait for somebody, a call too few makes it fail later.
var observedCalls = Metric{
	Name: ObservedCalls, Unit: Count, Kind: Instant,
	Doc:     "requests and TCP connections over the window between workloads, by Service, whoever reports them",
	NoData:  "no proxy reported a call, or proxies are not scraped: every caller that a policy admits then counts as one that calls",
	Sources: []Source{IstioProxies, Ztunnel},
	Series:  []string{"istio_requests_total", "istio_tcp_connections_opened_total"},
	Labels: []string{"source_principal", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace",
		"destination_service_name", "destination_service_namespace"},
	Query: func(p Params) string {
		by := "source_principal, source_workload, source_workload_namespace, destination_workload, destination_workload_namespace, destination_service_name, destination_service_namespace"
		part := func(series, of string) string {
			return fmt.Sprintf(`label_replace(increase(%s[%s]), "of", %q, "", "")`, series, p.over(), of)
		}
		return oneLine(fmt.Sprintf(`sum by (%s) (%s) > 0`, by, strings.Join([]string{part("istio_requests_total", "http"), part("istio_tcp_connections_opened_total", "tcp")}, " or ")))
	},
}
