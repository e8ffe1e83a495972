package metric

var deniedConnections = Metric{
	Name: "denied_connections", Unit: Requests, Kind: Instant,
	Doc:     "connections per second that ztunnel refused by policy over 15 minutes, by caller and destination",
	NoData:  "none was refused, or ztunnel is not scraped",
	Sources: []Source{Ztunnel},
	Series:  []string{"istio_tcp_connections_closed_total"},
	Labels:  []string{"source_principal", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace"},
	Query: fixed(`sum by (source_principal, source_workload, source_workload_namespace, destination_workload, destination_workload_namespace) (
		rate(istio_tcp_connections_closed_total{reporter="destination", response_flags="DENY"}[15m])) > 0`),
}

var failedConnections = Metric{
	Name: "failed_connections", Unit: Requests, Kind: Instant,
	Doc: "connections per second that failed at ztunnel over 15 minutes for other reasons than policy, by reason and destination: CONNECT, TLS_FAILURE, H2_HANDSHAKE_FAILURE, " +
		"NETWORK_POLICY, IDENTITY_ERROR, CERT_REVOKED (Istio 1.29 and later)",
	NoData:  "none failed, ztunnel is older than 1.29, or it is not scraped",
	Sources: []Source{Ztunnel},
	Series:  []string{"istio_tcp_connections_failed_total"},
	Labels:  []string{"response_flags", "destination_workload", "destination_workload_namespace"},
	Query:   fixed(`sum by (response_flags, destination_workload, destination_workload_namespace) (rate(istio_tcp_connections_failed_total{response_flags!="DENY"}[15m])) > 0`),
}

var dnsFailures = Metric{
	Name: "dns_failure_ratio", Unit: Ratio, Kind: Instant,
	Doc:     "share of the questions that each ztunnel passed on to the cluster's DNS and got no answer to, over 5 minutes",
	NoData:  "ztunnel captures no DNS, or is not scraped",
	Sources: []Source{Ztunnel},
	Series:  []string{"istio_dns_upstream_failures_total", "istio_dns_upstream_requests_total"},
	Labels:  []string{"instance"},
	Query:   fixed(`sum by (instance) (rate(istio_dns_upstream_failures_total[5m])) / sum by (instance) (rate(istio_dns_upstream_requests_total[5m]))`),
}

var plaintextConnections = Metric{
	Name: "plaintext_connections", Unit: Requests, Kind: Instant,
	Doc:     "connections and requests per second without mutual TLS that each workload's proxy took over the last hour, by caller",
	NoData:  "every call is mutual TLS, or neither ztunnel nor sidecars are scraped",
	Sources: []Source{Ztunnel, IstioProxies},
	Series:  []string{"istio_tcp_connections_opened_total", "istio_requests_total"},
	Labels:  []string{"source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace"},
	Query: fixed(`sum by (source_workload, source_workload_namespace, destination_workload, destination_workload_namespace) (
		label_replace(rate(istio_tcp_connections_opened_total{reporter="destination", connection_security_policy!="mutual_tls"}[1h]), "of", "tcp", "", "")
		or label_replace(rate(istio_requests_total{reporter="destination", connection_security_policy!="mutual_tls"}[1h]), "of", "http", "", "")) > 0`),
}

var configLag = Metric{
	Name: "configuration_lag", Unit: Seconds, Kind: Instant,
	Doc:     "99th percentile over 15 minutes of the time from a change to istiod's having sent it to all proxies",
	NoData:  "istiod is not scraped, or sent nothing",
	Sources: []Source{Istiod},
	Series:  []string{"pilot_proxy_convergence_time_bucket"},
	Query:   fixed(`histogram_quantile(0.99, sum by (le) (rate(pilot_proxy_convergence_time_bucket[15m])))`),
}
