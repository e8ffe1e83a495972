package metric

import (
	"fmt"
	"time"
)

// meshContainers are the containers of Istio's data and control plane.
const meshContainers = `container=~"istio-proxy|discovery|install-cni"`

var proxyRequests = Metric{
	Name: "proxy_requests", Unit: Mixed, Kind: Instant,
	Doc: "CPU and memory requested by the Istio containers of each running pod; native sidecars are in a " +
		"separate kube-state-metrics family, which cost tools miss. Before 2.0 the resource is part of the name",
	NoData:  "kube-state-metrics is not scraped, or the containers set no requests",
	Sources: []Source{KubeStateMetrics},
	Series: []string{"kube_pod_container_resource_requests", "kube_pod_init_container_resource_requests",
		"kube_pod_container_resource_requests_cpu_cores", "kube_pod_container_resource_requests_memory_bytes"},
	Labels: []string{"namespace", "pod", "resource"},
	Query: func(Params) string {
		return oneLine(`sum by (namespace, pod, resource) (
			max by (namespace, pod, container, resource) (
				kube_pod_container_resource_requests{` + meshContainers + `, resource=~"cpu|memory"}
				or kube_pod_init_container_resource_requests{container="istio-proxy", resource=~"cpu|memory"}
				or label_replace(kube_pod_container_resource_requests_cpu_cores{` + meshContainers + `}, "resource", "cpu", "", "")
				or label_replace(kube_pod_container_resource_requests_memory_bytes{` + meshContainers + `}, "resource", "memory", "", "")))
			and on (namespace, pod) ` + running)
	},
}

// proxyUsage reads CPU and memory in one request, since each is a request per instant.
var proxyUsage = Metric{
	Name: "proxy_usage", Unit: Mixed, Kind: Sampled, Samples: 6,
	Doc: "CPU (mean of up to an hour) and working set of each pod's Istio containers, at 6 instants spread over the window and the hours of the day; " +
		"a pod that ran for part of the window is seen in that part. A sum of the pod has no container name and is not read. Duplicate cAdvisor series of restarted containers are merged by max. " +
		"The working set leaves out page cache, unlike container_memory_usage_bytes",
	NoData:  "cAdvisor is not scraped; usage cannot be given, requests can",
	Sources: []Source{CAdvisor},
	Series:  []string{"container_cpu_usage_seconds_total", "container_memory_working_set_bytes"},
	Labels:  []string{"namespace", "pod", "resource"},
	Query: func(p Params) string {
		// Reading two weeks of every proxy would make the server decode hundreds of millions of samples in a large mesh.
		over := max(p.RateWindow, min(time.Hour, p.Window()/6))
		// A pod has one of the containers at most, so the maximum by pod merges duplicates and nothing else.
		return oneLine(fmt.Sprintf(`label_replace(max by (namespace, pod) (rate(container_cpu_usage_seconds_total{%[1]s}[%[2]s])), "resource", "cpu", "", "")
			or label_replace(max by (namespace, pod) (container_memory_working_set_bytes{%[1]s}), "resource", "memory", "", "")`,
			meshContainers, span(over)))
	},
}
