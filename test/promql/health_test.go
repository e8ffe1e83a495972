package promql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// source is one series of a scenario: what it is called, its labels, and its value at a minute.
type source struct {
	name, labels string
	value        func(minute int) float64
	counter      bool // value is a rate per second, the series is what it adds up to
}

// hybrid is a small hybrid mesh as Prometheus would scrape it each minute: a waypoint of two pods, a ztunnel, a sidecar, and the
// exporters around them.
type hybrid struct{ sources []source }

func (h *hybrid) gauge(name, labels string, value func(int) float64) {
	h.sources = append(h.sources, source{name: name, labels: labels, value: value})
}

func (h *hybrid) rate(name, labels string, perSecond func(int) float64) {
	h.sources = append(h.sources, source{name: name, labels: labels, value: perSecond, counter: true})
}

// replace gives a series another value, or adds it where it is not there.
func (h *hybrid) replace(name, labels string, value func(int) float64, counter bool) {
	for i, s := range h.sources {
		if s.name == name && s.labels == labels {
			h.sources[i].value = value
			return
		}
	}
	h.sources = append(h.sources, source{name: name, labels: labels, value: value, counter: counter})
}

func always(v float64) func(int) float64 { return func(int) float64 { return v } }

// between is v from one minute to another and otherwise what it was.
func between(v float64, from, to int, otherwise func(int) float64) func(int) float64 {
	return func(m int) float64 {
		if m >= from && m < to {
			return v
		}
		return otherwise(m)
	}
}

// script writes the series as promqltest reads them.
func (h *hybrid) script(minutes int) string {
	return "load 1m\n" + h.lines(minutes)
}

func (h *hybrid) lines(minutes int) string {
	var b strings.Builder
	for _, s := range h.sources {
		fmt.Fprintf(&b, "  %s{%s}", s.name, s.labels)
		sum := 0.0
		for m := range minutes {
			v := s.value(m)
			if s.counter {
				sum += v * 60
				v = sum
			}
			fmt.Fprintf(&b, " %g", v)
		}
		b.WriteString("\n")
	}
	return b.String()
}

const (
	atWaypoint = `reporter="waypoint",namespace="shop",pod="waypoint-1",destination_service_namespace="shop",destination_service_name="web",connection_security_policy="mutual_tls"`
	cronToWeb  = `source_workload="cron",source_workload_namespace="legacy",destination_workload="web",destination_workload_namespace="shop",destination_service_name="web"`
	shopToWeb  = `source_workload="waypoint",source_workload_namespace="shop",destination_workload="web",destination_workload_namespace="shop",destination_service_name="web"`
	ofWaypoint = `namespace="shop",pod="waypoint-1",container="istio-proxy"`
	ofZtunnel  = `namespace="istio-system",pod="ztunnel-a",container="istio-proxy"`
	ofSidecar  = `namespace="old",pod="web-0",container="istio-proxy"`
	plaintext  = cronToWeb + `,reporter="destination",source_principal="unknown",connection_security_policy="unknown"`
	denied     = cronToWeb + `,reporter="destination",source_principal="spiffe://cluster.local/ns/legacy/sa/cron",response_flags="DENY"`
	failed     = `response_flags="CONNECT",destination_workload="web",destination_workload_namespace="shop"`
	killed     = ofSidecar + `,reason="OOMKilled"`
)

// healthy has no fault.
func healthy() *hybrid {
	h := &hybrid{}
	for _, id := range []string{ofWaypoint, ofZtunnel, ofSidecar} {
		h.rate("container_cpu_usage_seconds_total", id+`,image="x"`, always(0.2))
		h.gauge("container_memory_working_set_bytes", id+`,image="x"`, always(1e8))
		h.gauge("kube_pod_container_resource_limits", id+`,resource="cpu"`, always(1))
		h.gauge("kube_pod_container_resource_limits", id+`,resource="memory"`, always(1e9))
		h.gauge("kube_pod_container_status_restarts_total", id, always(0))
	}
	h.gauge("kube_pod_owner", `namespace="istio-system",pod="ztunnel-a",owner_kind="DaemonSet",owner_name="ztunnel"`, always(1))
	h.rate("istio_requests_total", atWaypoint+`,response_code="200"`, always(50))
	h.rate("istio_requests_total", atWaypoint+`,response_code="503"`, always(0))
	h.gauge("kube_deployment_spec_replicas", `namespace="shop",deployment="waypoint"`, always(2))
	h.gauge("workload_manager_pending_proxy_count", `instance="a"`, always(0))
	h.rate("istio_tcp_connections_opened_total", shopToWeb+`,reporter="destination",source_principal="spiffe://cluster.local/ns/shop/sa/waypoint",connection_security_policy="mutual_tls"`, always(2))
	h.rate("istio_tcp_connections_opened_total", plaintext, always(0))
	h.rate("istio_tcp_connections_closed_total", denied, always(0))
	h.rate("istio_tcp_connections_failed_total", failed, always(0))
	h.rate("istio_dns_upstream_requests_total", `instance="a"`, always(10))
	h.rate("istio_dns_upstream_failures_total", `instance="a"`, always(0.01))
	h.gauge("node_timex_offset_seconds", `instance="a"`, always(0.001))
	h.gauge("node_timex_sync_status", `instance="a"`, always(1))
	h.gauge("istio_agent_cert_expiry_seconds", `namespace="old",pod="web-0",resource_name="default"`, always(80000))
	h.gauge("citadel_server_root_cert_expiry_timestamp", `pod="istiod"`, always(3e8))
	h.gauge("ztunnel_connected", `instance="a"`, always(1))
	for _, le := range []string{"1", "10", "30", "+Inf"} {
		h.rate("pilot_proxy_convergence_time_bucket", `le="`+le+`"`, always(1))
	}
	return h
}

// everythingWrong gives every part of the mesh a fault, from the first minute on.
func everythingWrong() *hybrid {
	h := healthy()
	for _, f := range alertFaults {
		f.inject(h, 0)
	}
	return h
}

// Every query of the health catalogue is understood by the engine, and answers with the labels it promises where there is something to see.
func TestHealthQueriesAnswer(t *testing.T) {
	s := promqltest.LoadedStorage(t, everythingWrong().script(samples))
	for _, m := range metric.Health() {
		got := run(t, s, m, params)
		if len(got) == 0 {
			t.Errorf("%s has no answer: %s", m.Name, m.Query(params.Defaults()))
			continue
		}
		for _, l := range m.Labels {
			if _, ok := got[0].Labels[l]; !ok {
				t.Errorf("%s: its answer has no label %s: %v", m.Name, l, got[0].Labels)
			}
		}
	}
}
