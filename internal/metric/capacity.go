package metric

import "time"

// Capacity lists the metrics that waypoints are sized from. They are apart from All and Health, which are asked far more often.
func Capacity() []Metric { return []Metric{serviceRequests, serviceBytes, waypointCores} }

// LookupCapacity finds one by name.
func LookupCapacity(name string) (Metric, bool) {
	for _, m := range Capacity() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

const (
	capacityStep = 5 * time.Minute
	// HTTP that reaches a service is reported by the server's sidecar or by its waypoint; a call that passes both is one call.
	byService = `destination_service_namespace, destination_service_name`
)

var serviceRequests = Metric{
	Name: "service_requests", Unit: Requests, Kind: Range, Step: capacityStep,
	Doc:     "HTTP requests per second that reach each service, as its sidecars or its waypoint report them, every 5 minutes",
	NoData:  "no HTTP traffic through sidecars or waypoints, or they are not scraped: a path through ztunnel alone reports no requests",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"destination_service_namespace", "destination_service_name"},
	Query: fixed(`max by (%[1]s) (sum by (reporter, %[1]s) (rate(istio_requests_total{reporter=~"destination|waypoint"}[5m])))`,
		byService),
}

var serviceBytes = Metric{
	Name: "service_payload", Unit: Bytes, Kind: Instant,
	Doc:     "mean bytes of a request and its response together, over a day, for each service",
	NoData:  "no HTTP traffic, or sizes are not reported: the price of a request is then that of small ones",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_request_bytes_sum", "istio_response_bytes_sum", "istio_request_bytes_count"},
	Labels:  []string{"destination_service_namespace", "destination_service_name"},
	Query: fixed(`(sum by (%[1]s) (rate(istio_request_bytes_sum{reporter=~"destination|waypoint"}[1d])) + sum by (%[1]s) (rate(istio_response_bytes_sum{reporter=~"destination|waypoint"}[1d])))
		/ (sum by (%[1]s) (rate(istio_request_bytes_count{reporter=~"destination|waypoint"}[1d])) > 0)`, byService),
}

var waypointCores = Metric{
	Name: "waypoint_cores_per_request", Unit: "core seconds", Kind: Instant,
	Doc:     "CPU that waypoint pods spend on one request, over a day, by namespace of the waypoint",
	NoData:  "no waypoint handles requests yet: Istio's published figure is used",
	Sources: []Source{CAdvisor, IstioProxies},
	Series:  []string{"container_cpu_usage_seconds_total", "istio_requests_total"},
	Labels:  []string{"namespace"},
	Query: fixed(`sum by (namespace) (max by (namespace, pod) (rate(container_cpu_usage_seconds_total{container="istio-proxy", image!=""}[1d])) and on (namespace, pod) %s)
		/ (sum by (namespace) (rate(istio_requests_total{reporter="waypoint"}[1d])) > 1)`, waypointPod),
}
