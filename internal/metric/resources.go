package metric

import "fmt"

// meshContainers are the containers of Istio's data and control plane.
const meshContainers = `container=~"istio-proxy|discovery|install-cni"`

var proxyRequests = Metric{
	Name: "proxy_requests", Unit: Mixed, Kind: Instant,
	Doc: "CPU and memory requested by the Istio containers of each running pod; native sidecars are in a " +
		"separate kube-state-metrics family, which cost tools miss",
	NoData:  "kube-state-metrics is not scraped, or the containers set no requests",
	Sources: []Source{KubeStateMetrics},
	Series:  []string{"kube_pod_container_resource_requests", "kube_pod_init_container_resource_requests"},
	Labels:  []string{"namespace", "pod", "resource"},
	Query: func(Params) string {
		return oneLine(`sum by (namespace, pod, resource) (
			max by (namespace, pod, container, resource) (
				kube_pod_container_resource_requests{` + meshContainers + `, resource=~"cpu|memory"}
				or kube_pod_init_container_resource_requests{container="istio-proxy", resource=~"cpu|memory"}))
			and on (namespace, pod) ` + running)
	},
}

var proxyCPU = Metric{
	Name: "proxy_cpu", Unit: Cores, Kind: Instant,
	Doc: "mean CPU of each pod's Istio containers over the part of the window in which the pod ran, sampled hourly; " +
		"duplicate cAdvisor series of restarted containers are merged by max",
	NoData:  "cAdvisor is not scraped; usage cannot be given, requests can",
	Sources: []Source{CAdvisor},
	Series:  []string{"container_cpu_usage_seconds_total"},
	Labels:  []string{"namespace", "pod"},
	Query: func(p Params) string {
		return oneLine(fmt.Sprintf(`avg_over_time(sum by (namespace, pod) (max by (namespace, pod, container) (
			rate(container_cpu_usage_seconds_total{%s, image!=""}[%s])))[%s:%s])`,
			meshContainers, span(p.RateWindow), span(p.Window()), span(p.sampleStep())))
	},
}

var proxyMemory = Metric{
	Name: "proxy_memory", Unit: Bytes, Kind: Instant,
	Doc: "mean working set of each pod's Istio containers over the part of the window in which the pod ran, sampled " +
		"hourly; the working set leaves out page cache, unlike container_memory_usage_bytes",
	NoData:  "cAdvisor is not scraped; usage cannot be given, requests can",
	Sources: []Source{CAdvisor},
	Series:  []string{"container_memory_working_set_bytes"},
	Labels:  []string{"namespace", "pod"},
	Query: func(p Params) string {
		return oneLine(fmt.Sprintf(`avg_over_time(sum by (namespace, pod) (max by (namespace, pod, container) (
			container_memory_working_set_bytes{%s, image!=""}))[%s:%s])`, meshContainers, span(p.Window()), span(p.sampleStep())))
	},
}
