package generate

// atWaypoint selects what waypoints report of the namespaces chosen.
const atWaypoint = `reporter="waypoint", destination_service_namespace=~"$namespace"`

func waypointDashboard() Dashboard {
	return Dashboard{UID: "sidestep-waypoints", Title: "Sidestep / Waypoints", Doc: "Load, latency and health of waypoints, with what scales them.",
		Events: []Event{{Name: "Scaling", Title: "{{namespace}}/{{deployment}} scaled", Expr: squeeze("%s", ofWaypoints(`changes(kube_deployment_spec_replicas{namespace=~"$namespace"}[2m])`)+` > 0`)}},
		Panels: []Panel{
			{Title: "Requests", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "Requests that waypoints handled, by destination service.",
				Queries: []Query{{Legend: "{{destination_service_namespace}}/{{destination_service_name}}", Expr: `sum by (destination_service_namespace, destination_service_name) (rate(istio_requests_total{` + atWaypoint + `}[$__rate_interval]))`}}},
			{Title: "Answered with 5xx", Kind: timeseries, Unit: unitShare, Width: 12, Doc: "Share of requests that ended in a 5xx, by service. response_flags tells a waypoint's own 503 (UH, UF, URX) from an application's.",
				Queries: []Query{{Legend: "{{destination_service_namespace}}/{{destination_service_name}} {{response_flags}}", Expr: `sum by (destination_service_namespace, destination_service_name, response_flags) (rate(istio_requests_total{` + atWaypoint + `, response_code=~"5.."}[$__rate_interval]))
					/ on (destination_service_namespace, destination_service_name) group_left () sum by (destination_service_namespace, destination_service_name) (rate(istio_requests_total{` + atWaypoint + `}[$__rate_interval]))`}}},
			{Title: "Latency at the waypoint (P99)", Kind: timeseries, Unit: unitMillis, Width: 12, Doc: "From the waypoint on: the way from the client to the waypoint is not in it, so it must not stand beside a sidecar's.",
				Queries: []Query{{Legend: "{{destination_service_namespace}}/{{destination_service_name}}", Expr: `histogram_quantile(0.99, sum by (le, destination_service_namespace, destination_service_name) (rate(istio_request_duration_milliseconds_bucket{` + atWaypoint + `}[$__rate_interval])))`}}},
			{Title: "Requests by pod", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "ztunnel keeps its connections: a pod that a scale-up added may take no share.",
				Queries: []Query{{Legend: "{{namespace}}/{{pod}}", Expr: `sum by (namespace, pod) (rate(istio_requests_total{reporter="waypoint", namespace=~"$namespace"}[$__rate_interval]))`}}},
			{Title: "CPU of the limit", Kind: timeseries, Unit: unitShare, Width: 12, Doc: "CPU that each waypoint pod uses as a part of its limit; from 80% on requests queue.",
				Queries: []Query{{Legend: "{{namespace}}/{{pod}}", Expr: query("waypoint_cpu_ratio")}}},
			{Title: "Replicas wanted and ready", Kind: timeseries, Unit: unitCount, Width: 12, Doc: "Of the Deployments that have waypoint pods. Scaling is drawn over all panels as well.",
				Queries: []Query{{Legend: "{{namespace}}/{{deployment}} wanted", Expr: ofWaypoints(`kube_deployment_spec_replicas`)}, {Legend: "{{namespace}}/{{deployment}} ready", Expr: ofWaypoints(`kube_deployment_status_replicas_ready`)}}},
			{Title: "Replica changes in an hour", Kind: bargauge, Unit: unitCount, Width: 12, Doc: "Each scale-down ends connections; more than six changes an hour is an autoscaler that goes back and forth.",
				Queries: []Query{{Legend: "{{namespace}}/{{deployment}}", Expr: ofWaypoints(`changes(kube_deployment_spec_replicas[1h])`), Instant: true}}},
			{Title: "503 of all requests", Kind: bargauge, Unit: unitShare, Width: 12, Doc: "The share that alert SidestepWaypointUnavailable watches.",
				Queries: []Query{{Legend: "{{destination_service_namespace}}/{{destination_service_name}}", Expr: query("waypoint_unavailable_ratio"), Instant: true}}},
		}}
}

// ofWaypoints keeps the Deployments of which a pod reports as a waypoint. A pod's name ends in two hashes, that of its ReplicaSet and its own.
func ofWaypoints(expr string) string {
	return `(max by (namespace, deployment) (` + expr + `) and on (namespace, deployment)
		group by (namespace, deployment) (label_replace(istio_requests_total{reporter="waypoint", namespace=~"$namespace"}, "deployment", "$1", "pod", "(.*)-[a-z0-9]+-[a-z0-9]+")))`
}

func securityDashboard() Dashboard {
	const to = `destination_workload_namespace=~"$namespace"`
	opened := func(more string) string {
		return `sum(rate(istio_tcp_connections_opened_total{app="ztunnel", reporter="destination", ` + to + more + `}[$__rate_interval]))`
	}
	return Dashboard{UID: "sidestep-security", Title: "Sidestep / mTLS and policy", Doc: "Who is in mutual TLS and why others are not; what is refused; who goes round a waypoint.",
		Panels: []Panel{
			{Title: "Connections by cause", Kind: timeseries, Unit: unitRate, Width: 12, Stacked: true,
				Doc: "What ztunnel accepted: mutual TLS, plaintext of a workload that the mesh knows (not enrolled, by pod address, or TLS turned off), and plaintext of somebody it does not know (outside the mesh, a process of the node).",
				Queries: []Query{{Legend: "mutual TLS", Expr: opened(`, connection_security_policy="mutual_tls"`)},
					{Legend: "plaintext, known workload", Expr: opened(`, connection_security_policy!="mutual_tls", source_workload!="unknown"`)},
					{Legend: "plaintext, unknown caller", Expr: opened(`, connection_security_policy!="mutual_tls", source_workload="unknown"`)}}},
			{Title: "Mutual TLS", Kind: stat, Unit: unitShare, Width: 6, Doc: "Share of accepted connections in mutual TLS: look at it before STRICT is set.",
				Queries: []Query{{Legend: "mutual TLS", Expr: opened(`, connection_security_policy="mutual_tls"`) + ` / ` + opened(``), Instant: true}}},
			{Title: "Refused", Kind: stat, Unit: unitRate, Width: 6, Doc: "Connections that ztunnel refuses by policy: the client sees a closed connection, never a 403.",
				Queries: []Query{{Legend: "refused", Expr: `sum(rate(istio_tcp_connections_closed_total{app="ztunnel", reporter="destination", response_flags="DENY", ` + to + `}[$__rate_interval])) or vector(0)`, Instant: true}}},
			{Title: "Failed by reason", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "TLS_FAILURE and IDENTITY_ERROR are certificates, CONNECT and NETWORK_POLICY the way to port 15008, DENY a policy. Istio 1.29 and later.",
				Queries: []Query{{Legend: "{{response_flags}}", Expr: `sum by (response_flags) (rate(istio_tcp_connections_failed_total{` + to + `}[$__rate_interval]))`}}},
			{Title: "Refused by caller", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "sidestep explain --log names the policy and the smallest change that admits the call.",
				Queries: []Query{{Legend: "{{source_workload_namespace}}/{{source_workload}} → {{destination_workload_namespace}}/{{destination_workload}}", Expr: `sum by (source_workload, source_workload_namespace, destination_workload, destination_workload_namespace) (rate(istio_tcp_connections_closed_total{reporter="destination", response_flags="DENY", ` + to + `}[$__rate_interval])) > 0`}}},
			{Title: "Plaintext by caller", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "What STRICT would refuse.",
				Queries: []Query{{Legend: "{{source_workload_namespace}}/{{source_workload}} → {{destination_workload_namespace}}/{{destination_workload}}", Expr: query("plaintext_connections")}}},
			{Title: "Who reaches pods behind ztunnel", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "For a workload behind a waypoint every caller but the waypoint's identity goes round it; sidestep doctor says which are.",
				Queries: []Query{{Legend: "{{source_principal}} → {{destination_workload_namespace}}/{{destination_workload}}", Expr: `sum by (source_principal, destination_workload, destination_workload_namespace) (rate(istio_tcp_connections_opened_total{app="ztunnel", reporter="destination", ` + to + `}[$__rate_interval])) > 0`}}},
		}}
}

func ztunnelDashboard() Dashboard {
	const zones = `app="ztunnel", reporter="source", source_zone!="", destination_zone!="", destination_workload_namespace=~"$namespace"`
	bytes := `sum by (source_zone, destination_zone) (rate(istio_tcp_sent_bytes_total{` + zones + `}[$__rate_interval]) + rate(istio_tcp_received_bytes_total{` + zones + `}[$__rate_interval]))`
	// A label cannot be compared with another: the pairs of a zone with itself are made of one label, and taken away.
	same := `label_replace(group by (source_zone) (istio_tcp_sent_bytes_total{` + zones + `}), "destination_zone", "$1", "source_zone", "(.*)")`
	return Dashboard{UID: "sidestep-ztunnel", Title: "Sidestep / ztunnel", Doc: "ztunnel by node, traffic between zones, certificates, clocks and the control plane.",
		Panels: []Panel{
			{Title: "Pods served by node", Kind: timeseries, Unit: unitCount, Width: 12, Stacked: true, Doc: "Pods that the ztunnel of each node serves.",
				Queries: []Query{{Legend: "{{instance}}", Expr: `sum by (instance) (workload_manager_active_proxy_count)`}}},
			{Title: "Connections opened by node", Kind: timeseries, Unit: unitRate, Width: 12, Doc: "New connections that pods of the node open.",
				Queries: []Query{{Legend: "{{instance}}", Expr: `sum by (instance) (rate(istio_tcp_connections_opened_total{app="ztunnel", reporter="source"}[$__rate_interval]))`}}},
			{Title: "CPU by ztunnel", Kind: timeseries, Unit: unitCores, Width: 12, Doc: "It encrypts for every pod of its node.",
				Queries: []Query{{Legend: "{{pod}}", Expr: `max by (namespace, pod) (rate(container_cpu_usage_seconds_total{container="istio-proxy", image!=""}[$__rate_interval])) and on (namespace, pod) ` + ofZtunnel}}},
			{Title: "Memory by ztunnel, of limit or request", Kind: timeseries, Unit: unitShare, Width: 12, Doc: "It grows with the workloads of the mesh and the connections of its node.",
				Queries: []Query{{Legend: "{{pod}}", Expr: query("ztunnel_memory_ratio")}}},
			{Title: "Bytes between zones", Kind: timeseries, Unit: unitBytesPS, Width: 12, Doc: "Both directions of each connection as the client's ztunnel saw them, from zone to another zone: what a provider charges. Istio 1.25 and later.",
				Queries: []Query{{Legend: "{{source_zone}} → {{destination_zone}}", Expr: bytes + ` unless on (source_zone, destination_zone) ` + same}}},
			{Title: "Share of bytes that stay in their zone", Kind: timeseries, Unit: unitShare, Width: 12, Doc: "ztunnel prefers no zone unless trafficDistribution asks for it; a waypoint may add a hop to another.",
				Queries: []Query{{Legend: "same zone", Expr: `sum(` + bytes + ` and on (source_zone, destination_zone) ` + same + `) / sum(` + bytes + `)`}}},
			{Title: "DNS questions without answer", Kind: timeseries, Unit: unitShare, Width: 12, Doc: "Of those that ztunnel passed on to the cluster's DNS.",
				Queries: []Query{{Legend: "{{instance}}", Expr: query("dns_failure_ratio")}}},
			{Title: "Clocks", Kind: timeseries, Unit: unitSeconds, Width: 12, Doc: "How far each node's clock is off; certificates are valid from two minutes before they are made.",
				Queries: []Query{{Legend: "{{instance}}", Expr: query("clock_offset")}}},
			{Title: "Least time to a certificate's end", Kind: timeseries, Unit: unitSeconds, Width: 12, Doc: "Of the Envoys of each namespace: they last a day and are renewed at half of it.",
				Queries: []Query{{Legend: "{{namespace}}", Expr: `min by (namespace) (` + query("certificate_expiry") + `)`}}},
			{Title: "From a change to all proxies (P99)", Kind: timeseries, Unit: unitSeconds, Width: 12, Doc: "istiod's convergence time.",
				Queries: []Query{{Legend: "istiod", Expr: query("configuration_lag")}}},
		}}
}

const ofZtunnel = `group by (namespace, pod) (kube_pod_owner{owner_kind="DaemonSet", owner_name=~"ztunnel.*"})`
