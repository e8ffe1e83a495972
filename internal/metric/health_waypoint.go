package metric

var waypointCPU = Metric{
	Name: "waypoint_cpu_ratio", Unit: Ratio, Kind: Instant,
	Doc:     "CPU that each waypoint pod used over 5 minutes, as a part of its limit",
	NoData:  "no waypoint pod has a CPU limit, or cAdvisor or kube-state-metrics is not scraped",
	Sources: []Source{CAdvisor, KubeStateMetrics},
	Series:  []string{"container_cpu_usage_seconds_total", "kube_pod_container_resource_limits"},
	Labels:  []string{"namespace", "pod"},
	Query: fixed(`(max by (namespace, pod) (rate(container_cpu_usage_seconds_total{container="istio-proxy", image!=""}[5m])) / on (namespace, pod) %s) and on (namespace, pod) %s`,
		limitOf("cpu", "istio-proxy"), waypointPod),
}

var waypointRequests = Metric{
	Name: "waypoint_requests", Unit: Requests, Kind: Instant,
	Doc:     "requests per second of each waypoint pod over 15 minutes",
	NoData:  "no HTTP request passes a waypoint, or waypoints are not scraped",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"namespace", "pod"},
	Query:   fixed(`sum by (namespace, pod) (rate(istio_requests_total{reporter="waypoint"}[15m]))`),
}

var waypointChanges = Metric{
	Name: "waypoint_replica_changes", Unit: Count, Kind: Instant,
	Doc:     "how often the wanted number of pods of each Deployment changed in the last hour",
	NoData:  "kube-state-metrics is not scraped",
	Sources: []Source{KubeStateMetrics},
	Series:  []string{"kube_deployment_spec_replicas"},
	Labels:  []string{"namespace", "deployment"},
	Query:   fixed(`max by (namespace, deployment) (changes(kube_deployment_spec_replicas[1h])) > 0`),
}

var waypointUnavailable = Metric{
	Name: "waypoint_unavailable_ratio", Unit: Ratio, Kind: Instant,
	Doc:     "share of requests that each waypoint answered with 503 over 15 minutes, by destination service",
	NoData:  "no HTTP request passes a waypoint, or waypoints are not scraped",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_requests_total"},
	Labels:  []string{"destination_service_namespace", "destination_service_name"},
	Query: fixed(`sum by (destination_service_namespace, destination_service_name) (rate(istio_requests_total{reporter="waypoint", response_code="503"}[15m]))
		/ sum by (destination_service_namespace, destination_service_name) (rate(istio_requests_total{reporter="waypoint"}[15m]))`),
}

var bypassConnections = Metric{
	Name: "inbound_connections", Unit: Requests, Kind: Instant,
	Doc: "connections per second that reached each workload over the last hour, by who the destination's proxy saw as the caller; for a workload behind a waypoint " +
		"every caller but the waypoint has gone round it",
	NoData:  "no TCP series of ztunnel or sidecars is scraped",
	Sources: []Source{Ztunnel},
	Series:  []string{"istio_tcp_connections_opened_total"},
	Labels:  []string{"source_principal", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace", "destination_service_name"},
	Query: fixed(`sum by (source_principal, source_workload, source_workload_namespace, destination_workload, destination_workload_namespace, destination_service_name) (
		rate(istio_tcp_connections_opened_total{reporter="destination"}[1h])) > 0`),
}
