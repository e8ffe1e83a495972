package metric

import (
	"fmt"
	"time"
)

var proxiedRequests = Metric{
	Name: "proxied_requests", Unit: Requests, Kind: Instant,
	Doc:     "HTTP requests per second that sidecars and waypoints handled for each namespace; normalises proxy CPU",
	NoData:  "no HTTP traffic through a sidecar or waypoint, or proxies are not scraped; CPU is then not normalised",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"reporter", "namespace"},
	Query: func(p Params) string {
		return oneLine(fmt.Sprintf(`sum by (reporter, namespace) (label_replace(
			sum by (reporter, destination_service_namespace) (%s),
			"namespace", "$1", "destination_service_namespace", "(.*)"))`,
			deduplicated(`rate(istio_requests_total{reporter=~"destination|waypoint"}[`+span(p.traffic())+`])`)))
	},
}

var istiodPushes = Metric{
	Name: "istiod_pushes", Unit: Requests, Kind: Range, Step: time.Hour,
	Doc:     "configuration pushes per second by istiod; one of the signs that remaining sidecars pay for ambient being on",
	NoData:  "istiod is not scraped; the hybrid-tax check then rests on proxy CPU and memory alone",
	Sources: []Source{Istiod},
	Series:  []string{"pilot_xds_pushes"},
	Query:   func(Params) string { return `sum(rate(pilot_xds_pushes[1h]))` },
}

var zoneBytes = Metric{
	Name: "zone_bytes", Unit: BytesPerSecond, Kind: Instant,
	Doc: "bytes per second between zones, both directions of each connection, as the client's ztunnel saw them, by the " +
		"destination's namespace",
	NoData:  "no ambient traffic yet, or ztunnel older than Istio 1.25 (no zone labels): cross-zone traffic is estimated instead",
	Sources: []Source{Ztunnel},
	Series:  []string{"istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"},
	Labels:  []string{"source_zone", "destination_zone", "namespace"},
	Query: func(p Params) string {
		by := `source_zone, destination_zone, destination_workload_namespace`
		sel := `reporter="source", source_zone!="", destination_zone!=""`
		w := span(p.traffic())
		return oneLine(fmt.Sprintf(`sum by (source_zone, destination_zone, namespace) (label_replace(
			sum by (%[1]s) (%[2]s)
			+ sum by (%[1]s) (%[3]s),
			"namespace", "$1", "destination_workload_namespace", "(.*)"))`, by,
			deduplicated("rate(istio_tcp_sent_bytes_total{"+sel+"}["+w+"])"), deduplicated("rate(istio_tcp_received_bytes_total{"+sel+"}["+w+"])")))
	},
}

var meshBytes = Metric{
	Name: "mesh_bytes", Unit: BytesPerSecond, Kind: Instant,
	Doc: "bytes per second between workloads with sidecars, requests and responses, by namespace pair; with where pods run it " +
		"gives an estimate of cross-zone traffic before enrolment",
	NoData:  "no traffic between sidecars, or they are not scraped",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_request_bytes_sum", "istio_response_bytes_sum", "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"},
	Labels:  []string{"source_workload_namespace", "destination_service_namespace"},
	Query: func(p Params) string {
		// Sidecars bear no zone label; ztunnel does, and is left out by that.
		sel := `reporter="source", source_zone=""`
		w := span(p.traffic())
		by := `source_workload_namespace, destination_service_namespace`
		part := func(series string) string {
			return fmt.Sprintf(`label_replace(sum by (%s) (%s), "part", %q, "", "")`, by, deduplicated(fmt.Sprintf("rate(%s{%s}[%s])", series, sel, w)), series)
		}
		return oneLine(fmt.Sprintf(`sum by (%s) (%s or %s or %s or %s)`, by, part("istio_request_bytes_sum"),
			part("istio_response_bytes_sum"), part("istio_tcp_sent_bytes_total"), part("istio_tcp_received_bytes_total")))
	},
}

// traffic is the range of byte and request rates: a day, or the whole window when that is shorter.
func (p Params) traffic() time.Duration {
	if w := p.Window(); w > 0 && w < p.Traffic {
		return w
	}
	return p.Traffic
}
