package promql

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/sidestep-mesh/sidestep/internal/generate"
)

// alertFault is what makes one alert fire: it begins at a minute. Labels are those that the alert must bear.
type alertFault struct {
	inject func(h *hybrid, from int)
	labels map[string]string
	// within is how many minutes after the fault begins the alert has to fire.
	within int
}

func from(v float64, minute int, before float64) func(int) float64 {
	return between(v, minute, math.MaxInt, always(before))
}

// alertFaults has one for each alert.
var alertFaults = map[string]alertFault{
	"SidestepWaypointSaturated": {func(h *hybrid, m int) {
		h.replace("container_cpu_usage_seconds_total", ofWaypoint+`,image="x"`, from(0.95, m, 0.2), true)
	}, map[string]string{"namespace": "shop", "pod": "waypoint-1"}, 20},
	"SidestepWaypointUnavailable": {func(h *hybrid, m int) {
		h.replace("istio_requests_total", atWaypoint+`,response_code="503"`, from(5, m, 0), true)
	}, map[string]string{"destination_service_namespace": "shop", "destination_service_name": "web"}, 12},
	"SidestepWaypointChurn": {func(h *hybrid, m int) {
		h.replace("kube_deployment_spec_replicas", `namespace="shop",deployment="waypoint"`, func(now int) float64 { return 2 + float64(max(0, now-m)/5%2) }, false)
	}, map[string]string{"namespace": "shop", "deployment": "waypoint"}, 50},
	"SidestepPlaintext": {func(h *hybrid, m int) {
		h.replace("istio_tcp_connections_opened_total", plaintext, from(2, m, 0), true)
	},
		map[string]string{"source_workload": "cron", "destination_workload": "web"}, 70},
	"SidestepConnectionsDenied": {func(h *hybrid, m int) { h.replace("istio_tcp_connections_closed_total", denied, from(1, m, 0), true) },
		map[string]string{"source_workload": "cron", "destination_workload": "web"}, 25},
	"SidestepConnectionsFailed": {func(h *hybrid, m int) { h.replace("istio_tcp_connections_failed_total", failed, from(1, m, 0), true) },
		map[string]string{"response_flags": "CONNECT", "destination_workload": "web"}, 20},
	"SidestepPodsPending": {func(h *hybrid, m int) {
		h.replace("workload_manager_pending_proxy_count", `instance="a"`, from(2, m, 0), false)
	}, map[string]string{"instance": "a"}, 15},
	"SidestepZtunnelDisconnected": {func(h *hybrid, m int) { h.replace("ztunnel_connected", `instance="a"`, from(0, m, 1), false) }, map[string]string{"instance": "a"}, 5},
	"SidestepZtunnelMemory": {func(h *hybrid, m int) {
		h.replace("container_memory_working_set_bytes", ofZtunnel+`,image="x"`, from(9.6e8, m, 1e8), false)
	}, map[string]string{"pod": "ztunnel-a"}, 20},
	"SidestepZtunnelCPU": {func(h *hybrid, m int) {
		h.replace("container_cpu_usage_seconds_total", ofZtunnel+`,image="x"`, from(0.95, m, 0.2), true)
	}, map[string]string{"pod": "ztunnel-a"}, 25},
	"SidestepClockSkew": {func(h *hybrid, m int) {
		h.replace("node_timex_offset_seconds", `instance="a"`, from(-90, m, 0.001), false)
	},
		map[string]string{"instance": "a"}, 10},
	"SidestepClockUnsynchronised": {func(h *hybrid, m int) { h.replace("node_timex_sync_status", `instance="a"`, from(0, m, 1), false) },
		map[string]string{"instance": "a"}, 65},
	"SidestepCertificateExpiry": {func(h *hybrid, m int) {
		h.replace("istio_agent_cert_expiry_seconds", `namespace="old",pod="web-0",resource_name="default"`, from(600, m, 80000), false)
	}, map[string]string{"namespace": "old", "pod": "web-0"}, 15},
	"SidestepRootExpiry": {func(h *hybrid, m int) {
		h.replace("citadel_server_root_cert_expiry_timestamp", `pod="istiod"`, from(1e6, m, 3e8), false)
	}, nil, 65},
	"SidestepProxyOOM": {func(h *hybrid, m int) {
		h.replace("kube_pod_container_status_last_terminated_reason", killed, from(1, m, 0), false)
		h.replace("kube_pod_container_status_restarts_total", ofSidecar, func(now int) float64 { return math.Floor(float64(max(0, now-m+10)) / 10) }, false)
	}, map[string]string{"namespace": "old", "pod": "web-0"}, 5},
	"SidestepProxyMemory": {func(h *hybrid, m int) {
		h.replace("container_memory_working_set_bytes", ofSidecar+`,image="x"`, from(9.6e8, m, 1e8), false)
	}, map[string]string{"namespace": "old", "pod": "web-0"}, 20},
	"SidestepDNSFailures": {func(h *hybrid, m int) {
		h.replace("istio_dns_upstream_failures_total", `instance="a"`, from(5, m, 0.01), true)
	},
		map[string]string{"instance": "a"}, 20},
	"SidestepConfigurationLag": {func(h *hybrid, m int) {
		for _, le := range []string{"1", "10"} {
			h.replace("pilot_proxy_convergence_time_bucket", `le="`+le+`"`, from(0.1, m, 1), true)
		}
	}, nil, 20},
}

// Some faults have a sibling that another alert rightly sees.
var alsoFires = map[string][]string{
	"SidestepZtunnelMemory": {"SidestepProxyMemory"}, // ztunnel's container is an istio-proxy as well
}

// ruler scrapes a mesh and evaluates the generated rules as a Prometheus server does: recording rules are appended to the storage, alerts wait
// for their time.
type ruler struct {
	mesh    *hybrid
	groups  []*rules.Group
	storage *teststorage.TestStorage
	series  []labels.Labels
	sums    []float64
	scraped int // minutes
}

func newRuler(t *testing.T, h *hybrid) *ruler {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sidestep.rules.yaml")
	if err := os.WriteFile(file, []byte(generate.Plain(generate.Alerts())), 0o600); err != nil {
		t.Fatal(err)
	}
	s := teststorage.New(t)
	m := rules.NewManager(&rules.ManagerOptions{QueryFunc: rules.EngineQueryFunc(engine(t), s), Appendable: s, Queryable: s, Context: context.Background(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: promslog.NewNopLogger(), Parser: parser.NewParser(parser.Options{})})
	loaded, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r := &ruler{mesh: h, storage: s, sums: make([]float64, len(h.sources))}
	for _, one := range h.sources {
		l, err := parser.NewParser(parser.Options{}).ParseMetric(one.name + "{" + one.labels + "}")
		if err != nil {
			t.Fatal(err)
		}
		r.series = append(r.series, l)
	}
	for _, g := range loaded {
		r.groups = append(r.groups, g)
	}
	// What is recorded comes before what reads it.
	slices.SortFunc(r.groups, func(a, b *rules.Group) int { return strings.Compare(b.Name(), a.Name()) })
	return r
}

// scrape appends the samples of the minutes up to one.
func (r *ruler) scrape(t *testing.T, minute int) {
	t.Helper()
	for ; r.scraped <= minute; r.scraped++ {
		a := r.storage.Appender(context.Background())
		for i, s := range r.mesh.sources {
			v := s.value(r.scraped)
			if s.counter {
				r.sums[i] += v * 60
				v = r.sums[i]
			}
			if _, err := a.Append(0, r.series[i], int64(r.scraped)*60_000, v); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// firing evaluates all rules at a minute and gives the alerts that fire then.
func (r *ruler) firing(t *testing.T, minute int) map[string][]*rules.Alert {
	t.Helper()
	r.scrape(t, minute)
	out := map[string][]*rules.Alert{}
	at := epoch.Add(time.Duration(minute) * time.Minute)
	for _, g := range r.groups {
		g.Eval(context.Background(), at)
		for _, rule := range g.Rules() {
			if err := rule.LastError(); err != nil {
				t.Fatalf("%s: %v", rule.Name(), err)
			}
		}
		for _, a := range g.AlertingRules() {
			for _, one := range a.ActiveAlerts() {
				if one.State == rules.StateFiring {
					out[a.Name()] = append(out[a.Name()], one)
				}
			}
		}
	}
	return out
}

// Each alert fires on its fault, in time, with labels that name the culprit and a summary that reads; until then, and of the others, none does.
func TestEachAlertFiresOnItsFaultAlone(t *testing.T) {
	for _, g := range generate.Alerts() {
		for _, r := range g.Rules {
			if _, ok := alertFaults[r.Alert]; r.Alert != "" && !ok {
				t.Errorf("%s has no fault that it is tried on", r.Alert)
			}
		}
	}
	const begins = 80
	for name, f := range alertFaults {
		h := healthy()
		f.inject(h, begins)
		r := newRuler(t, h)
		seen := -1
		for minute := begins - 4; minute <= begins+f.within; minute += 2 {
			for alert, list := range r.firing(t, minute) {
				if alert != name && !slices.Contains(alsoFires[name], alert) {
					t.Fatalf("%s fires on the fault of %s", alert, name)
				}
				if alert != name || seen >= 0 {
					continue
				}
				seen = minute
				for l, want := range f.labels {
					if got := list[0].Labels.Get(l); got != want {
						t.Errorf("%s: label %s is %q, want %q", name, l, got, want)
					}
				}
				if s := list[0].Annotations.Get("summary"); s == "" || strings.Contains(s, "{{") || strings.Contains(s, "<no value>") || strings.Contains(s, " /") {
					t.Errorf("%s: summary %q", name, s)
				}
			}
		}
		if seen < begins {
			t.Errorf("%s: fires at minute %d of its fault, want it in 0 to %d", name, seen-begins, f.within)
		}
	}
}

// A week of a mesh that works: load by day and night, an autoscaler that follows it, a rollout of every part, certificates that are renewed, a
// single refused, failed and plaintext connection, a DNS server that restarts, a push to everybody. Nothing of it is worth waking anybody.
func TestNoAlertFiresInAHealthyWeek(t *testing.T) {
	const week, day = 7 * 24 * 60, 24 * 60
	h := healthy()
	load := func(m int) float64 { return 0.55 - 0.4*math.Cos(2*math.Pi*float64(m%day)/day) } // 0.15 to 0.95
	pods := func(m int) float64 { return math.Ceil(4 * load(m)) }
	h.replace("istio_requests_total", atWaypoint+`,response_code="200"`, func(m int) float64 { return 100 * load(m) }, true)
	h.replace("kube_deployment_spec_replicas", `namespace="shop",deployment="waypoint"`, pods, false)
	h.replace("container_cpu_usage_seconds_total", ofWaypoint+`,image="x"`, func(m int) float64 { return 2.8 * load(m) / pods(m) }, true)
	h.replace("container_cpu_usage_seconds_total", ofZtunnel+`,image="x"`, func(m int) float64 { return 0.6 * load(m) }, true)
	h.replace("container_memory_working_set_bytes", ofZtunnel+`,image="x"`, func(m int) float64 { return 2e8 + 5e8*load(m) }, false)
	h.replace("container_memory_working_set_bytes", ofSidecar+`,image="x"`, func(m int) float64 { return 2e8 + 1e5*float64(m%3000) }, false)
	rollout := func(v float64, f func(int) float64) func(int) float64 { return between(v, 3*day+600, 3*day+602, f) }
	h.replace("workload_manager_pending_proxy_count", `instance="a"`, rollout(3, always(0)), false)
	h.replace("ztunnel_connected", `instance="a"`, between(0, 3*day+600, 3*day+601, always(1)), false)
	h.replace("istio_requests_total", atWaypoint+`,response_code="503"`, rollout(0.5, always(0.001)), true)
	h.replace("istio_tcp_connections_failed_total", failed, rollout(0.5, always(0)), true)
	h.replace("istio_tcp_connections_closed_total", denied, between(1./60, 2*day, 2*day+1, always(0)), true)
	h.replace("istio_tcp_connections_opened_total", plaintext, between(1./60, 4*day, 4*day+1, always(0)), true)
	h.replace("istio_dns_upstream_failures_total", `instance="a"`, between(10, 5*day, 5*day+1, always(0.01)), true)
	h.replace("istio_agent_cert_expiry_seconds", `namespace="old",pod="web-0",resource_name="default"`, func(m int) float64 { return 86400 - 60*float64(m%720) }, false)
	h.replace("node_timex_offset_seconds", `instance="a"`, func(m int) float64 { return 0.02 * math.Sin(float64(m)) }, false)
	h.replace("node_timex_sync_status", `instance="a"`, between(0, day, day+20, always(1)), false) // a node that has just started
	for le, share := range map[string]float64{"1": 0.9, "10": 0.95} {
		h.replace("pilot_proxy_convergence_time_bucket", `le="`+le+`"`, between(share, 6*day, 6*day+1, always(1)), true)
	}
	// One proxy was ended for want of memory long ago and has run ever since; its last state says so for ever.
	h.replace("kube_pod_container_status_last_terminated_reason", killed, always(1), false)
	h.replace("kube_pod_container_status_restarts_total", ofSidecar, always(1), false)
	r := newRuler(t, h)
	fired := map[string]int{}
	// Each minute is looked at for two hours from where something happens, the rest of the week by the half hour.
	events := []int{day, 2 * day, 3*day + 600, 4 * day, 5 * day, 6 * day}
	for minute := 60; minute < week; minute++ {
		near := slices.ContainsFunc(events, func(e int) bool { return minute >= e-5 && minute < e+90 })
		if !near && minute%30 != 0 {
			continue
		}
		for alert := range r.firing(t, minute) {
			if fired[alert] == 0 {
				t.Errorf("%s fires at %s", alert, fmt.Sprintf("day %d, minute %d", minute/day, minute%day))
			}
			fired[alert]++
		}
	}
	if pods(0) == pods(day/2) {
		t.Error("the autoscaler of the week does nothing")
	}
}
