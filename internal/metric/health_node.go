package metric

var clockOffset = Metric{
	Name: "clock_offset", Unit: Seconds, Kind: Instant,
	Doc:     "how far each node's clock is from its time source, without sign",
	NoData:  "node-exporter is not scraped, or its timex collector is off",
	Sources: []Source{NodeExporter},
	Series:  []string{"node_timex_offset_seconds"},
	Labels:  []string{"instance"},
	Query:   fixed(`max by (instance) (abs(node_timex_offset_seconds))`),
}

var clockUnsynced = Metric{
	Name: "clock_unsynced", Unit: Presence, Kind: Instant,
	Doc:     "1 for each node whose kernel says that its clock is not kept in step with a time source",
	NoData:  "every clock is in step, or node-exporter is not scraped: clock_offset tells which",
	Sources: []Source{NodeExporter},
	Series:  []string{"node_timex_sync_status"},
	Labels:  []string{"instance"},
	Query:   fixed(`(max by (instance) (node_timex_sync_status) == bool 0) == 1`),
}

var certExpiry = Metric{
	Name: "certificate_expiry", Unit: Seconds, Kind: Instant,
	Doc:     "seconds until the certificate of each Envoy expires; they last a day and are renewed at half of it",
	NoData:  "no sidecar, gateway or waypoint is scraped; ztunnel has no such series",
	Sources: []Source{IstioProxies},
	Series:  []string{"istio_agent_cert_expiry_seconds"},
	Labels:  []string{"namespace", "pod"},
	Query:   fixed(`min by (namespace, pod) (istio_agent_cert_expiry_seconds{resource_name="default"} or istio_agent_cert_expiry_seconds{resource_name=""})`),
}

var rootExpiry = Metric{
	Name: "root_certificate_expiry", Unit: Seconds, Kind: Instant,
	Doc:     "seconds until istiod's root certificate and its own chain expire, the lesser of the two",
	NoData:  "istiod is not scraped, or does not sign certificates itself",
	Sources: []Source{Istiod},
	Series:  []string{"citadel_server_root_cert_expiry_timestamp", "citadel_server_cert_chain_expiry_timestamp"},
	Query:   fixed(`min(min(citadel_server_root_cert_expiry_timestamp > 0) or min(citadel_server_cert_chain_expiry_timestamp > 0)) - time()`),
}

var ztunnelMemory = Metric{
	Name: "ztunnel_memory_ratio", Unit: Ratio, Kind: Instant,
	Doc:     "working set of each ztunnel as a part of its limit, or of its request where it has no limit",
	NoData:  "ztunnel has neither limit nor request, or cAdvisor or kube-state-metrics is not scraped",
	Sources: []Source{CAdvisor, KubeStateMetrics},
	Series:  []string{"container_memory_working_set_bytes", "kube_pod_container_resource_limits", "kube_pod_container_resource_requests"},
	Labels:  []string{"namespace", "pod"},
	Query: fixed(`(max by (namespace, pod) (container_memory_working_set_bytes{container="istio-proxy", image!=""}) / on (namespace, pod)
		(%s or max by (namespace, pod) (kube_pod_container_resource_requests{container="istio-proxy", resource="memory"}))) and on (namespace, pod) %s`, limitOf("memory", "istio-proxy"), ztunnelPod),
}

var ztunnelCPU = Metric{
	Name: "ztunnel_cpu_ratio", Unit: Ratio, Kind: Instant,
	Doc:     "CPU that each ztunnel used over 5 minutes, as a part of its limit",
	NoData:  "ztunnel has no CPU limit, as in Istio's chart, or cAdvisor or kube-state-metrics is not scraped",
	Sources: []Source{CAdvisor, KubeStateMetrics},
	Series:  []string{"container_cpu_usage_seconds_total", "kube_pod_container_resource_limits"},
	Labels:  []string{"namespace", "pod"},
	Query: fixed(`(max by (namespace, pod) (rate(container_cpu_usage_seconds_total{container="istio-proxy", image!=""}[5m])) / on (namespace, pod) %s) and on (namespace, pod) %s`,
		limitOf("cpu", "istio-proxy"), ztunnelPod),
}

var ztunnelConnected = Metric{
	Name: "ztunnel_linked", Unit: Presence, Kind: Instant,
	Doc:     "1 for each istio-cni agent to which a ztunnel of its node is connected, 0 for one without: pods there can neither be enrolled nor started",
	NoData:  "istio-cni is not scraped",
	Sources: []Source{IstioCNI},
	Series:  []string{"ztunnel_connected"},
	Labels:  []string{"instance"},
	Query:   fixed(`max by (instance) (ztunnel_connected)`),
}

var ztunnelPending = Metric{
	Name: "ztunnel_pending_pods", Unit: Count, Kind: Instant,
	Doc:     "pods that each ztunnel was told of and does not serve yet; they have no traffic",
	NoData:  "no pod waits, or ztunnel is not scraped",
	Sources: []Source{Ztunnel},
	Series:  []string{"workload_manager_pending_proxy_count"},
	Labels:  []string{"instance"},
	Query:   fixed(`min by (instance) (min_over_time(workload_manager_pending_proxy_count[5m])) > 0`),
}

var proxyOOM = Metric{
	Name: "proxy_oom", Unit: Presence, Kind: Instant,
	Doc:     "1 for each pod whose istio-proxy restarted within a day and was last ended for want of memory",
	NoData:  "none was, or kube-state-metrics is not scraped",
	Sources: []Source{KubeStateMetrics},
	Series: []string{"kube_pod_container_status_last_terminated_reason", "kube_pod_init_container_status_last_terminated_reason",
		"kube_pod_container_status_restarts_total", "kube_pod_init_container_status_restarts_total"},
	Labels: []string{"namespace", "pod"},
	// The reason stands for as long as the pod does: without the restarts an alert would never end.
	Query: fixed(`max by (namespace, pod) (kube_pod_container_status_last_terminated_reason{container="istio-proxy", reason="OOMKilled"}
		or kube_pod_init_container_status_last_terminated_reason{container="istio-proxy", reason="OOMKilled"}) == 1
		and on (namespace, pod) max by (namespace, pod) (increase(kube_pod_container_status_restarts_total{container="istio-proxy"}[1d])
		or increase(kube_pod_init_container_status_restarts_total{container="istio-proxy"}[1d])) > 0`),
}

var proxyMemory = Metric{
	Name: "proxy_memory_ratio", Unit: Ratio, Kind: Instant,
	Doc:     "working set of each istio-proxy as a part of its limit",
	NoData:  "no istio-proxy has a memory limit, or cAdvisor or kube-state-metrics is not scraped",
	Sources: []Source{CAdvisor, KubeStateMetrics},
	Series:  []string{"container_memory_working_set_bytes", "kube_pod_container_resource_limits"},
	Labels:  []string{"namespace", "pod"},
	Query:   fixed(`max by (namespace, pod) (container_memory_working_set_bytes{container="istio-proxy", image!=""}) / on (namespace, pod) %s`, limitOf("memory", "istio-proxy")),
}
