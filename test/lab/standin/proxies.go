package standin

import (
	"strconv"
)

// exposers are the pods of a workload that show its traffic, and the share of each.
func (m *mesh) exposers(pods []*podView) ([]*podView, float64) {
	if m.everyPod || len(pods) == 0 {
		return pods, 1 / float64(max(1, len(pods)))
	}
	return pods[:1], 1
}

// scrapeLabels are what relabelling adds to a pod's series (job kubernetes-pods of Istio's own Prometheus addon).
func scrapeLabels(p *podView) labels {
	l := labels{"job", "kubernetes-pods", "namespace", p.Namespace, "pod", p.Name, "instance", p.Status.PodIP + ":15020", "app", p.app}
	if p.role == waypointProxy || p.role == gatewayProxy {
		l = append(l, "gateway_networking_k8s_io_gateway_name", p.Labels[labelGatewayName])
	}
	return l
}

// ends are the labels that name both ends of a call, as Envoy and ztunnel write them.
func ends(client, server *podView, e *edge) labels {
	ns := e.servers[0].Namespace
	return labels{
		"source_workload", client.workload, "source_workload_namespace", client.Namespace,
		"source_canonical_service", client.app, "source_canonical_revision", client.version,
		"source_principal", client.principal(), "source_app", client.app, "source_version", client.version,
		"source_cluster", "Kubernetes",
		"destination_workload", server.workload, "destination_workload_namespace", server.Namespace,
		"destination_canonical_service", server.app, "destination_canonical_revision", server.version,
		"destination_principal", server.principal(), "destination_app", server.app, "destination_version", server.version,
		"destination_cluster", "Kubernetes",
		"destination_service", e.service + "." + ns + ".svc.cluster.local",
		"destination_service_name", e.service, "destination_service_namespace", ns,
	}
}

// exposeEnvoy writes what sidecars and waypoints report: HTTP series, or TCP series for TCP calls.
func exposeEnvoy(x *exposition) {
	for i := range x.mesh.edges {
		e := &x.mesh.edges[i]
		client, server := e.clients[0], e.servers[0]
		meshed := func(p *podView) bool { return p.sidecar || p.ambient }
		security := "none"
		if meshed(client) && meshed(server) {
			security = "mutual_tls"
		}
		if client.sidecar || client.role == gatewayProxy {
			x.envoySide(e, e.clients, "source", "unknown", ends(client, server, e))
		}
		if server.sidecar {
			// Behind a waypoint the server sees the waypoint as its client.
			seen := client
			if len(e.waypoints) > 0 {
				seen = e.waypoints[0]
			}
			x.envoySide(e, e.servers, "destination", security, ends(seen, server, e))
		}
		if len(e.waypoints) > 0 {
			x.envoySide(e, e.waypoints, "waypoint", "mutual_tls", ends(client, server, e))
		}
	}
}

// added is what the proxies on the way of a call add to it, in milliseconds, up to the reporter's point of view.
func (x *exposition) added(e *edge, reporter string) float64 {
	client, server := e.clients[0], e.servers[0]
	half := x.model.sidecarPairMS / 2
	var all float64
	switch {
	case len(e.waypoints) > 0:
		all = x.model.waypointMS
	case client.ambient && server.ambient:
		all = x.model.l4MS
	default:
		for _, p := range []*podView{client, server} {
			if p.sidecar {
				all += half
			} else if p.ambient {
				all += x.model.l4MS / 2
			}
		}
	}
	switch reporter {
	case "destination":
		return half // only the server's own proxy is inside what it measures
	case "waypoint":
		return all / 2 // the way from the client to the waypoint is not seen
	}
	return all
}

func (x *exposition) envoySide(e *edge, pods []*podView, reporter, security string, both labels) {
	exposers, share := x.mesh.exposers(pods)
	for _, p := range exposers {
		l := append(scrapeLabels(p), "reporter", reporter, "connection_security_policy", security)
		l = append(l, both...)
		rps := e.RPS * share
		if e.Protocol == "tcp" {
			l = append(l, "request_protocol", "tcp", "response_flags", "-")
			x.tcp(l, rps)
			continue
		}
		failing := e.Errors
		if reporter == "waypoint" || reporter == "source" && len(e.waypoints) > 0 {
			failing = 1 - (1-failing)*(1-x.model.waypointErrors)
		}
		cdf, mean := latency(e.ServiceMS, x.added(e, reporter))
		for _, answer := range []struct {
			code, flags string
			share       float64
		}{{"200", "-", 1 - failing}, {"503", "UF", failing}} {
			if answer.share <= 0 {
				continue
			}
			a := append(l[:len(l):len(l)], "request_protocol", "http", "response_code", answer.code, "grpc_response_status", "", "response_flags", answer.flags)
			x.count("istio_requests_total", a, rps*answer.share)
			x.count("istio_request_bytes_sum", a, rps*answer.share*bytesPerRequest)
			x.count("istio_response_bytes_sum", a, rps*answer.share*bytesPerRequest*2)
			if x.mesh.edgeLatencyAlone && p.role == application {
				continue
			}
			x.histogram("istio_request_duration_milliseconds", a, istioBuckets, rps*answer.share, mean, wholeMilliseconds(cdf))
		}
	}
}

// bytesPerRequest is the size of a request's body and half that of an answer's; Istio's figures are for 1 KB.
const bytesPerRequest = 1_000

// bytesPerConnection is what a TCP call moves each way; the call graph speaks of connections.
const bytesPerConnection = 20_000

func (x *exposition) tcp(l labels, perSecond float64) {
	x.count("istio_tcp_connections_opened_total", l, perSecond)
	x.count("istio_tcp_connections_closed_total", l, perSecond)
	x.count("istio_tcp_sent_bytes_total", l, perSecond*bytesPerConnection)
	x.count("istio_tcp_received_bytes_total", l, perSecond*bytesPerConnection/4)
}

// pooling is how many requests share one connection that ztunnel sees.
const pooling = 20

// exposeZtunnel writes what the ztunnels of both nodes report of a call: TCP only,
// with zones. No latency: ztunnel measures none.
//
// Derived, not seen: behind a waypoint the client's ztunnel names the waypoint as the destination workload.
func exposeZtunnel(x *exposition) {
	type flow struct{ client, server *podView }
	byNode := map[string]*podView{}
	for _, p := range x.mesh.pods {
		if p.role == ztunnelProxy {
			byNode[p.Spec.NodeName] = p
		}
	}
	for i := range x.mesh.edges {
		e := &x.mesh.edges[i]
		rate := e.RPS / pooling
		if e.Protocol == "tcp" {
			rate = e.RPS
		}
		hops := []flow{{e.clients[0], e.servers[0]}}
		if len(e.waypoints) > 0 {
			hops = []flow{{e.clients[0], e.waypoints[0]}, {e.waypoints[0], e.servers[0]}}
		}
		for _, hop := range hops {
			if hop.client.ambient {
				x.ztunnelSide(e, "source", hop.client, hop.server, byNode[hop.client.Spec.NodeName], rate)
			}
			if hop.server.ambient {
				x.ztunnelSide(e, "destination", hop.client, hop.server, byNode[hop.server.Spec.NodeName], rate)
			}
		}
	}
	for _, p := range byNode {
		active := 0
		for _, q := range x.mesh.pods {
			if q.ambient && q.Spec.NodeName == p.Spec.NodeName {
				active++
			}
		}
		x.gauge("workload_manager_active_proxy_count", scrapeLabels(p), float64(active))
	}
}

func (x *exposition) ztunnelSide(e *edge, reporter string, client, server, ztunnel *podView, perSecond float64) {
	if ztunnel == nil {
		return
	}
	security := "mutual_tls"
	if client.principal() == "unknown" || server.principal() == "unknown" {
		security = "unknown"
	}
	l := append(scrapeLabels(ztunnel), "reporter", reporter, "request_protocol", "tcp", "response_flags", "-", "connection_security_policy", security)
	l = append(l, ends(client, server, e)...)
	l = append(l, "source_region", client.region, "source_zone", client.zone, "destination_region", server.region, "destination_zone", server.zone)
	x.tcp(l, perSecond)
}

// exposeApplications writes the one latency that is measured the same way in
// every mode: the callers' own client histogram (names of OpenTelemetry's HTTP conventions).
func exposeApplications(x *exposition) {
	if x.mesh.edgeLatencyAlone {
		return
	}
	for i := range x.mesh.edges {
		e := &x.mesh.edges[i]
		if e.Protocol == "tcp" {
			continue
		}
		cdf, mean := latency(e.ServiceMS, x.added(e, "application"))
		failing := e.Errors
		if len(e.waypoints) > 0 {
			failing = 1 - (1-failing)*(1-x.model.waypointErrors)
		}
		exposers, share := x.mesh.exposers(e.clients)
		for _, p := range exposers {
			for code, part := range map[int]float64{200: 1 - failing, 503: failing} {
				if part <= 0 {
					continue
				}
				l := labels{
					"job", "application", "namespace", p.Namespace, "pod", p.Name, "service_name", p.app,
					"server_address", e.service + "." + e.servers[0].Namespace, "http_response_status_code", strconv.Itoa(code),
				}
				x.histogram("http_client_request_duration_seconds", l, otelBuckets, e.RPS*share*part, mean/1000,
					func(s float64) float64 { return cdf(s * 1000) })
			}
		}
	}
}
