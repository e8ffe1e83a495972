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
	Doc: "mean CPU of each pod's Istio containers over the part of the window in which the pod ran, from 8 samples spread over it; " +
		"duplicate cAdvisor series of restarted containers are merged by max",
	NoData:  "cAdvisor is not scraped; usage cannot be given, requests can",
	Sources: []Source{CAdvisor},
	Series:  []string{"container_cpu_usage_seconds_total"},
	Labels:  []string{"namespace", "pod"},
	Query: func(p Params) string {
		over := max(p.RateWindow, min(time.Hour, p.Window()/usageSamples))
		return p.sampled(over, func(at string) string {
			return fmt.Sprintf(`rate(container_cpu_usage_seconds_total{%s,image!=""}[%s]%s)`, meshContainers, span(over), at)
		})
	},
}

var proxyMemory = Metric{
	Name: "proxy_memory", Unit: Bytes, Kind: Instant,
	Doc: "mean working set of each pod's Istio containers over the part of the window in which the pod ran, from 8 samples " +
		"spread over it; the working set leaves out page cache, unlike container_memory_usage_bytes",
	NoData:  "cAdvisor is not scraped; usage cannot be given, requests can",
	Sources: []Source{CAdvisor},
	Series:  []string{"container_memory_working_set_bytes"},
	Labels:  []string{"namespace", "pod"},
	Query: func(p Params) string {
		return p.sampled(0, func(at string) string {
			return fmt.Sprintf(`container_memory_working_set_bytes{%s,image!=""}%s`, meshContainers, at)
		})
	},
}

// usageSamples is how many instants of the window usage is sampled at.
const usageSamples = 8

// sampled averages a selector over instants spread over the window, one in each of 8 equal strata, at a phase that wanders
// so that no hour of the day is preferred. A range or a subquery over two weeks would make the server decode every sample of every proxy, hundreds of
// millions in a large mesh; this touches a chunk a sample, and costs less. over is how far back the selector itself looks. A pod that ran for part of the window is
// averaged over that part. A pod has one of the containers at most, so the maximum by pod merges duplicates and nothing else.
func (p Params) sampled(over time.Duration, selector func(offset string) string) string {
	step := (p.Window() - over) / usageSamples
	parts := make([]string, usageSamples)
	for i := range parts {
		phase := time.Duration(i*5%usageSamples) * step / usageSamples
		at := ""
		if offset := (time.Duration(i)*step + phase).Truncate(time.Second); offset > 0 {
			at = " offset " + span(offset)
		}
		parts[i] = fmt.Sprintf(`label_replace(max by (namespace,pod) (%s),"at","%d","","")`, selector(at), i)
	}
	return `avg by (namespace, pod) (` + union(parts) + `)`
}

// union joins by "or" as a balanced tree: each "or" copies both its sides, so a chain costs the square of its length.
func union(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	half := len(parts) / 2
	return "(" + union(parts[:half]) + " or " + union(parts[half:]) + ")"
}
