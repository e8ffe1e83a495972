package metric

import "time"

var nodeCount = Metric{
	Name: "node_count", Unit: Nodes, Kind: Range, Step: time.Hour,
	Doc:     "nodes in the cluster, hourly; also shows how far back the server's data reaches and how fresh it is",
	NoData:  "kube-state-metrics is not scraped, or was not during the window",
	Sources: []Source{KubeStateMetrics},
	Series:  []string{"kube_node_info"},
	Query:   func(Params) string { return `count(group by (node) (kube_node_info))` },
}

var nodePrice = Metric{
	Name: "node_price", Unit: PricePerHour, Kind: Instant,
	Doc:     "hourly price of each node as OpenCost sees it",
	NoData:  "OpenCost is not installed or not scraped; prices come from a CSV, a flag or the dated table",
	Sources: []Source{OpenCost},
	Series:  []string{"node_total_hourly_cost"},
	Labels:  []string{"node", "instance_type"},
	Query:   func(Params) string { return `max by (node, instance_type) (node_total_hourly_cost)` },
}

var podStartup = Metric{
	Name: "pod_startup", Unit: Seconds, Kind: Instant,
	Doc: "seconds from creation to the last change to ready, of running pods; a pod that lost and regained readiness " +
		"reads too long, so reports use medians",
	NoData:  "kube-state-metrics older than 2.8 (no kube_pod_status_ready_time), or not scraped",
	Sources: []Source{KubeStateMetrics},
	Series:  []string{"kube_pod_status_ready_time", "kube_pod_created"},
	Labels:  []string{"namespace", "pod"},
	Query: func(Params) string {
		return oneLine(`(max by (namespace, pod) (kube_pod_status_ready_time)
			- on (namespace, pod) max by (namespace, pod) (kube_pod_created)) and on (namespace, pod) ` + running)
	},
}
