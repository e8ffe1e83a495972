package metric

import (
	"fmt"
	"strings"
)

// presence costs one query and tells which exporters answer, so that a report can say which of its
// figures are possible before it asks for any.
var presence = Metric{
	Name: "presence", Unit: Presence, Kind: Instant,
	Doc:     "number of series per exporter, one result per exporter that has any",
	NoData:  "the server knows none of the exporters: wrong server, wrong tenant, or nothing was scraped in the last five minutes",
	Sources: []Source{KubeStateMetrics, CAdvisor, IstioProxies, Ztunnel, Istiod, OpenCost},
	Series: []string{"kube_pod_container_info", "container_memory_working_set_bytes", "istio_requests_total",
		"istio_tcp_sent_bytes_total", "pilot_xds", "node_total_hourly_cost"},
	Labels: []string{"source"},
	Query: func(Params) string {
		probes := []struct {
			source   Source
			selector string
		}{
			{KubeStateMetrics, `kube_pod_container_info`},
			{CAdvisor, `container_memory_working_set_bytes{container="istio-proxy"}`},
			{IstioProxies, `istio_requests_total`},
			// ztunnel's TCP series alone bear zone labels (Istio 1.25 and later).
			{Ztunnel, `istio_tcp_sent_bytes_total{source_zone!=""}`},
			{Istiod, `pilot_xds`},
			{OpenCost, `node_total_hourly_cost`},
		}
		parts := make([]string, len(probes))
		for i, p := range probes {
			parts[i] = fmt.Sprintf(`label_replace(count(%s), "source", %q, "", "")`, p.selector, string(p.source))
		}
		return strings.Join(parts, " or ")
	},
}
