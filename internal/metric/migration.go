package metric

import (
	"fmt"
	"strings"
)

// Migration lists what the gates of a migration look at, each an instant query over the window: asked for the last minutes, and for the
// same length of time just before a wave began.
func Migration() []Metric {
	return []Metric{observedCallers}
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
