package generate

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// Goal is where the move ends, as an audit sees it.
type Goal struct {
	// Sidecars are pods that keep one; Removable those that have one and can lose it.
	Sidecars, Removable int
}

// GoalOf reads an audit.
func GoalOf(r *audit.Result) *Goal {
	return &Goal{Sidecars: r.Summary.Sidecars - r.Summary.SidecarsRemovable, Removable: r.Summary.SidecarsRemovable}
}

// query is an expression of the catalogue.
func query(name string) string {
	m, ok := metric.Lookup(name)
	if !ok {
		m, _ = metric.LookupHealth(name)
	}
	return m.Query(metric.Params{}.Defaults())
}

// ztunnel's series of the destination side name the workloads that are ambient.
const (
	ambientWorkload = `group by (destination_workload, destination_workload_namespace) (rate(istio_tcp_connections_opened_total{app="ztunnel", reporter="destination"}[1h]) > 0)`
	// The edge is measured by one instrument before and after the move: like is compared with like.
	edgeSeries = `istio_request_duration_milliseconds_bucket{reporter="source", source_workload=~".*(gateway|ingress).*", destination_workload_namespace=~"$namespace"}`
)

func edgeQuantile(q float64, join string) string {
	return fmt.Sprintf(`histogram_quantile(%g, sum by (le) (rate(%s[$__rate_interval]) %s on (destination_workload, destination_workload_namespace) (%s)))`, q, edgeSeries, join, ambientWorkload)
}

func migrationDashboard(goal *Goal) Dashboard {
	role := query("pod_role")
	sidecars := fmt.Sprintf(`count((%s) and on (namespace, pod) kube_pod_status_phase{namespace=~"$namespace"})`, metric.SidecarPods())
	d := Dashboard{UID: "sidestep-migration", Title: "Sidestep / Migration", Doc: "How far the move to ambient mode is, and what it does to cost and latency."}
	mode := Panel{Title: "Pods by mode", Kind: timeseries, Unit: unitCount, Width: 12,
		Doc:     "Pods with a sidecar by namespace filter, and pods that ztunnel serves on all nodes (its workload manager counts them, without a namespace).",
		Queries: []Query{{Legend: "sidecar", Expr: sidecars}, {Legend: "ambient", Expr: `sum(workload_manager_active_proxy_count)`}}}
	progress := Panel{Title: "Moved", Kind: stat, Unit: unitShare, Width: 6,
		Doc:     "Ambient pods as a share of the pods in the mesh now.",
		Queries: []Query{{Legend: "ambient", Expr: fmt.Sprintf(`sum(workload_manager_active_proxy_count) / (sum(workload_manager_active_proxy_count) + (%s or vector(0)))`, sidecars), Instant: true}}}
	waiting := Panel{Title: "Pods that wait for ztunnel", Kind: stat, Unit: unitCount, Width: 6,
		Doc:     "Pods that a ztunnel was told of and does not serve yet: they have no traffic.",
		Queries: []Query{{Legend: "{{instance}}", Expr: `sum(workload_manager_pending_proxy_count)`, Instant: true}}}
	if goal != nil {
		mode.Doc += fmt.Sprintf(" The goal is what sidestep audit found when this dashboard was generated: %d pods keep a sidecar.", goal.Sidecars)
		mode.Queries = append(mode.Queries, Query{Legend: "goal: sidecars that stay", Expr: fmt.Sprintf("vector(%d)", goal.Sidecars)})
		progress.Title, progress.Doc = "Of the way", fmt.Sprintf("Share of the %d sidecars that the audit found removable which are gone.", goal.Removable)
		progress.Queries[0].Expr = fmt.Sprintf(`clamp(1 - ((%s or vector(0)) - %d) / %d, 0, 1)`, sidecars, goal.Sidecars, max(1, goal.Removable))
	}
	roles := fmt.Sprintf(`sum by (role) ((%s) * on (namespace, pod) group_left (role) (%s))`, "%s", role)
	d.Panels = []Panel{mode, progress, waiting,
		{Title: "CPU requested by role", Kind: timeseries, Unit: unitCores, Width: 12, Stacked: true,
			Doc:     "The cost ladder as it stands: what Istio's containers reserve, by the role of their pod. Sidecars sink as workloads move; ztunnel, istio-cni and waypoints take part of it back. Native sidecars are counted.",
			Queries: []Query{{Legend: "{{role}}", Expr: fmt.Sprintf(roles, requestedOf("cpu"))}}},
		{Title: "Memory requested by role", Kind: timeseries, Unit: unitBytes, Width: 12, Stacked: true,
			Doc:     "The same for memory.",
			Queries: []Query{{Legend: "{{role}}", Expr: fmt.Sprintf(roles, requestedOf("memory"))}}},
		{Title: "Cost of Istio's reserved CPU", Kind: timeseries, Unit: unitCost, Width: 12,
			Doc:     "Reserved cores, as a share of all allocatable ones, times what nodes cost an hour (node_total_hourly_cost of OpenCost, in its currency). Money is saved only when nodes go: see sidestep roi report.",
			Queries: []Query{{Legend: "Istio", Expr: fmt.Sprintf(`sum(%s) / sum(max by (node) (kube_node_status_allocatable{resource="cpu"})) * sum(max by (node) (node_total_hourly_cost))`, requestedOf("cpu"))}}},
		{Title: "Drift of the sidecars that stay", Kind: timeseries, Unit: unitBytes, Width: 12,
			Doc: "Working set of a sidecar, the mean over pods that run now and ran a week ago: sidecars learn every ambient workload, so those that stay may grow while others move (the hybrid tax).",
			Queries: []Query{
				{Legend: "now", Expr: fmt.Sprintf(`avg(%s and on (namespace, pod) %s)`, sidecarMemory(""), sidecarMemory(" offset 1w"))},
				{Legend: "a week ago", Expr: fmt.Sprintf(`avg(%s and on (namespace, pod) %s)`, sidecarMemory(" offset 1w"), sidecarMemory(""))},
			}},
		{Title: "Latency at the edge by mode of the destination (P99)", Kind: timeseries, Unit: unitMillis, Width: 12,
			Doc:     "What ingress gateways measured, by whether ztunnel serves the destination: one instrument, before and after. A sidecar's own histogram must not stand beside a waypoint's: they time different parts of the way.",
			Queries: []Query{{Legend: "ambient", Expr: edgeQuantile(0.99, "and")}, {Legend: "sidecar or none", Expr: edgeQuantile(0.99, "unless")}}},
		{Title: "Latency at the edge by mode of the destination (P50)", Kind: timeseries, Unit: unitMillis, Width: 12,
			Doc:     "The same for the median.",
			Queries: []Query{{Legend: "ambient", Expr: edgeQuantile(0.5, "and")}, {Legend: "sidecar or none", Expr: edgeQuantile(0.5, "unless")}}},
	}
	return d
}

// requestedOf is what each pod's Istio containers request of a resource.
func requestedOf(resource string) string {
	return fmt.Sprintf(`sum by (namespace, pod) (max by (namespace, pod, container) (kube_pod_container_resource_requests{container=~"istio-proxy|discovery|install-cni", resource=%[1]q}
		or kube_pod_init_container_resource_requests{container="istio-proxy", resource=%[1]q}))`, resource)
}

func sidecarMemory(offset string) string {
	return fmt.Sprintf(`(max by (namespace, pod) (container_memory_working_set_bytes{container="istio-proxy", image!="", namespace=~"$namespace"}%s)
		and on (namespace, pod) group by (namespace, pod) (container_memory_working_set_bytes{container!="istio-proxy", container!="POD", container!="", image!=""}%[1]s))`, offset)
}
