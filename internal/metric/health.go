package metric

import "fmt"

// Health lists the metrics of a running hybrid mesh, each an instant query over the last minutes or the last hour. They are
// apart from All, which is what costs are counted from.
func Health() []Metric {
	return []Metric{
		waypointCPU, waypointRequests, waypointChanges, waypointUnavailable, bypassConnections,
		clockOffset, clockUnsynced, certExpiry, rootExpiry,
		ztunnelMemory, ztunnelCPU, ztunnelConnected, ztunnelPending, proxyOOM, proxyMemory,
		deniedConnections, failedConnections, dnsFailures, plaintextConnections, configLag,
	}
}

// LookupHealth finds a health metric by name.
func LookupHealth(name string) (Metric, bool) {
	for _, m := range Health() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// fixed is a query that no parameter changes.
func fixed(format string, args ...any) func(Params) string {
	q := oneLine(fmt.Sprintf(format, args...))
	return func(Params) string { return q }
}

// limitOf is a container's limit by pod, native sidecars included.
func limitOf(resource, container string) string {
	return fmt.Sprintf(`max by (namespace, pod) (kube_pod_container_resource_limits{container=%[1]q, resource=%[2]q} or kube_pod_init_container_resource_limits{container=%[1]q, resource=%[2]q})`, container, resource)
}
