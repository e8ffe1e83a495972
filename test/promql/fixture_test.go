package promql

import (
	"fmt"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// The fixture is two hours of a small mesh with everything that misleads: four things called istio-proxy, native sidecars, finished Jobs, two
// kube-state-metrics replicas, doubled cAdvisor series, restarts, missing series and NaN.
type fixture struct{ b strings.Builder }

var (
	epoch  = time.Unix(0, 0).UTC()
	params = metric.Params{Start: epoch, End: epoch.Add(2 * time.Hour)}
)

const samples = 120 // one a minute

func (f *fixture) series(name, labels, values string) {
	fmt.Fprintf(&f.b, "  %s{%s} %s\n", name, labels, values)
}

func (f *fixture) gauge(name, labels string, v float64) {
	f.series(name, labels, fmt.Sprintf("%gx%d", v, samples))
}

// rate is a counter that grows by perSecond.
func (f *fixture) rate(name, labels string, perSecond float64) {
	f.series(name, labels, fmt.Sprintf("0+%gx%d", perSecond*60, samples))
}

type container struct {
	name     string
	init     bool // a native sidecar
	cpu, mem float64
}

type pod struct {
	ns, name, phase string
	daemonSet       string
	labels          string // of kube_pod_labels, when allow-listed
	containers      []container
	replicas        int // kube-state-metrics replicas that show it
	noUsage         bool
}

func (f *fixture) pod(p pod) {
	if p.phase == "" {
		p.phase = "Running"
	}
	for r := range max(1, p.replicas) {
		id := fmt.Sprintf(`namespace="%s",pod="%s",instance="ksm-%d"`, p.ns, p.name, r)
		for _, phase := range []string{"Pending", "Running", "Succeeded", "Failed"} {
			v := 0.0
			if phase == p.phase {
				v = 1
			}
			f.gauge("kube_pod_status_phase", id+`,phase="`+phase+`"`, v)
		}
		if p.daemonSet != "" {
			f.gauge("kube_pod_owner", id+`,owner_kind="DaemonSet",owner_name="`+p.daemonSet+`"`, 1)
		} else {
			f.gauge("kube_pod_owner", id+`,owner_kind="ReplicaSet",owner_name="`+p.name+`"`, 1)
		}
		if p.labels != "" {
			f.gauge("kube_pod_labels", id+","+p.labels, 1)
		}
		f.gauge("kube_pod_created", id, 100)
		f.gauge("kube_pod_status_ready_time", id, 107)
		for _, c := range p.containers {
			cid := id + `,container="` + c.name + `"`
			if c.init {
				f.gauge("kube_pod_init_container_info", cid+`,restart_policy="Always"`, 1)
				f.gauge("kube_pod_init_container_resource_requests", cid+`,resource="cpu",unit="core"`, c.cpu)
				f.gauge("kube_pod_init_container_resource_requests", cid+`,resource="memory",unit="byte"`, c.mem)
				continue
			}
			f.gauge("kube_pod_container_info", cid, 1)
			if c.cpu > 0 {
				f.gauge("kube_pod_container_resource_requests", cid+`,resource="cpu",unit="core"`, c.cpu)
				f.gauge("kube_pod_container_resource_requests", cid+`,resource="memory",unit="byte"`, c.mem)
			}
		}
	}
	if p.noUsage || p.phase != "Running" {
		return
	}
	for _, c := range p.containers {
		f.usage(p.ns, p.name, c.name, "a", c.cpu/2, c.mem/2)
	}
}

func (f *fixture) usage(ns, pod, container, id string, cpu, mem float64) {
	l := fmt.Sprintf(`namespace="%s",pod="%s",container="%s",image="x",id="/kubepods/%s"`, ns, pod, container, id)
	f.rate("container_cpu_usage_seconds_total", l, cpu)
	f.gauge("container_memory_working_set_bytes", l, mem)
	f.gauge("container_memory_usage_bytes", l, mem*2) // with page cache
}

const mib = float64(1 << 20)

func proxy() container  { return container{name: "istio-proxy", cpu: 0.1, mem: 128 * mib} }
func app() container    { return container{name: "app", cpu: 0.5, mem: 512 * mib} }
func native() container { return container{name: "istio-proxy", init: true, cpu: 0.1, mem: 128 * mib} }

// roles is the matrix: every pod with the role that a person would give it.
var roles = map[string]string{
	"shop/classic-1":        metric.RoleSidecarClassic,
	"shop/native-1":         metric.RoleSidecarNative,
	"shop/native-old-ksm":   metric.RoleSidecarNative,
	"shop/twice-scraped":    metric.RoleSidecarClassic,
	"shop/restarted":        metric.RoleSidecarClassic,
	"shop/doubled":          metric.RoleSidecarClassic,
	"shop/no-usage":         metric.RoleSidecarNative,
	"shop/nan":              metric.RoleSidecarClassic,
	"shop/waypoint":         metric.RoleWaypoint,
	"shop/waypoint-by-use":  metric.RoleWaypoint,
	"edge/ingress":          metric.RoleGateway,
	"edge/ingress-by-label": metric.RoleGateway,
	"edge/ingress-extra":    metric.RoleGateway,
	"edge/twice-scraped-gw": metric.RoleGateway,
	"edge/silent":           metric.RoleUndecided,
	"istio-system/ztunnel":  metric.RoleZtunnel,
	"istio-system/ztunnel2": metric.RoleZtunnel,
	"istio-system/cni":      metric.RoleCNI,
	"istio-system/istiod":   metric.RoleIstiod,
	// shop/plain, shop/finished-job, shop/failed and shop/pending have none.
}

const waypointLabel = `label_gateway_networking_k8s_io_gateway_class_name="istio-waypoint"`

func matrix() string {
	f := &fixture{}
	f.b.WriteString("load 1m\n")
	for _, p := range []pod{
		{ns: "shop", name: "plain", containers: []container{app()}},
		{ns: "shop", name: "classic-1", containers: []container{app(), proxy()}},
		{ns: "shop", name: "native-1", containers: []container{app(), native()}},
		{ns: "shop", name: "twice-scraped", replicas: 2, containers: []container{app(), proxy()}},
		{ns: "shop", name: "doubled", containers: []container{app(), proxy()}},
		{ns: "shop", name: "no-usage", noUsage: true, containers: []container{app(), native()}},
		{ns: "shop", name: "finished-job", phase: "Succeeded", containers: []container{app(), proxy()}},
		{ns: "shop", name: "failed", phase: "Failed", containers: []container{app(), native()}},
		{ns: "shop", name: "pending", phase: "Pending", containers: []container{app(), proxy()}},
		{ns: "shop", name: "waypoint", labels: waypointLabel, containers: []container{proxy()}},
		{ns: "shop", name: "waypoint-by-use", containers: []container{proxy()}},
		{ns: "edge", name: "ingress", containers: []container{{name: "istio-proxy", cpu: 2, mem: 1024 * mib}}},
		{ns: "edge", name: "ingress-by-label", labels: `label_istio="ingressgateway"`, containers: []container{proxy()}},
		{ns: "edge", name: "ingress-extra", labels: `label_istio="ingressgateway"`, containers: []container{proxy(), {name: "log-shipper", cpu: 0.01, mem: mib}}},
		{ns: "edge", name: "twice-scraped-gw", replicas: 2, labels: `label_gateway_networking_k8s_io_gateway_class_name="istio"`, containers: []container{proxy()}},
		{ns: "edge", name: "silent", containers: []container{proxy()}},
		{ns: "istio-system", name: "ztunnel", daemonSet: "ztunnel", containers: []container{{name: "istio-proxy", cpu: 0.2, mem: 512 * mib}}},
		{ns: "istio-system", name: "ztunnel2", daemonSet: "ztunnel", replicas: 2, containers: []container{{name: "istio-proxy", cpu: 0.2, mem: 512 * mib}}},
		{ns: "istio-system", name: "cni", daemonSet: "istio-cni-node", containers: []container{{name: "install-cni", cpu: 0.1, mem: 100 * mib}}},
		{ns: "istio-system", name: "istiod", containers: []container{{name: "discovery", cpu: 0.5, mem: 2048 * mib}}},
	} {
		f.pod(p)
	}
	f.oddities()
	f.traffic()
	f.nodes()
	return f.b.String()
}

// oddities are pods whose series cannot be written by rule.
func (f *fixture) oddities() {
	// kube-state-metrics before 2.11 has no restart_policy label.
	id := `namespace="shop",pod="native-old-ksm"`
	f.gauge("kube_pod_status_phase", id+`,phase="Running"`, 1)
	f.gauge("kube_pod_container_info", id+`,container="app"`, 1)
	f.gauge("kube_pod_init_container_info", id+`,container="istio-proxy"`, 1)
	f.gauge("kube_pod_init_container_resource_requests", id+`,container="istio-proxy",resource="cpu"`, 0.1)
	f.gauge("kube_pod_init_container_resource_requests", id+`,container="istio-proxy",resource="memory"`, 128*mib)
	f.usage("shop", "native-old-ksm", "istio-proxy", "a", 0.05, 64*mib)
	// After a restart cAdvisor shows the old and the new cgroup for some minutes; here all the time.
	f.usage("shop", "doubled", "istio-proxy", "b", 0.05, 64*mib)
	// A proxy that restarted after an hour: its counter begins again at zero.
	f.pod(pod{ns: "shop", name: "restarted", noUsage: true, containers: []container{app(), proxy()}})
	l := `namespace="shop",pod="restarted",container="istio-proxy",image="x",id="/kubepods/a"`
	f.series("container_cpu_usage_seconds_total", l, "0+3x59 0+3x60")
	f.gauge("container_memory_working_set_bytes", l, 64*mib)
	// A broken exporter.
	f.pod(pod{ns: "shop", name: "nan", noUsage: true, containers: []container{app(), proxy()}})
	l = `namespace="shop",pod="nan",container="istio-proxy",image="x",id="/kubepods/a"`
	f.series("container_cpu_usage_seconds_total", l, strings.Repeat("NaN ", samples))
	f.series("container_memory_working_set_bytes", l, strings.Repeat("NaN ", samples))
}

func (f *fixture) traffic() {
	f.rate("istio_requests_total", `namespace="shop",pod="waypoint-by-use",reporter="waypoint",destination_service_namespace="shop",response_code="200"`, 20)
	edge := `namespace="edge",pod="ingress",reporter="source",source_workload="ingress-gateway",source_workload_namespace="edge",destination_service_namespace="shop"`
	f.rate("istio_requests_total", edge+`,response_code="200"`, 9)
	f.rate("istio_requests_total", edge+`,response_code="503"`, 1)
	// A gRPC call that fails has HTTP status 200.
	for status, n := range map[string]float64{"0": 2, "5": 1, "14": 2} {
		f.rate("istio_requests_total", `namespace="edge",pod="ingress",reporter="source",source_workload="ingress-gateway",source_workload_namespace="edge",destination_service_namespace="calm",response_code="200",grpc_response_status="`+status+`"`, n)
	}
	// An application of that name is no gateway: it has a sidecar, and its series end when it moves.
	app := `namespace="shop",pod="classic-1",reporter="source",source_workload="payment-gateway",source_workload_namespace="shop",destination_service_namespace="shop"`
	f.rate("istio_requests_total", app+`,response_code="200"`, 100)
	f.rate("istio_request_duration_milliseconds_bucket", app+`,le="1"`, 100)
	f.rate("istio_request_duration_milliseconds_bucket", app+`,le="+Inf"`, 100)
	for _, ns := range []string{"shop", "calm"} {
		for le, n := range map[string]float64{"1": 0, "5": 5, "10": 9, "25": 10, "+Inf": 10} {
			f.rate("istio_request_duration_milliseconds_bucket", fmt.Sprintf(
				`reporter="source",source_workload="ingress-gateway",source_workload_namespace="edge",destination_service_namespace="%s",le="%s"`, ns, le), n)
		}
	}
	sidecar := `namespace="shop",pod="classic-1",source_workload_namespace="shop",destination_service_namespace="bank"`
	f.rate("istio_requests_total", sidecar+`,reporter="destination",response_code="200"`, 30)
	f.rate("istio_request_bytes_sum", sidecar+`,reporter="source"`, 1000)
	f.rate("istio_response_bytes_sum", sidecar+`,reporter="source"`, 3000)
	f.rate("istio_tcp_sent_bytes_total", sidecar+`,reporter="source"`, 500)
	for _, z := range [][2]string{{"a", "a"}, {"a", "b"}} {
		l := fmt.Sprintf(`app="ztunnel",namespace="istio-system",pod="ztunnel",reporter="source",source_zone="%s",destination_zone="%s",destination_workload_namespace="bank"`, z[0], z[1])
		f.rate("istio_tcp_sent_bytes_total", l, 100)
		f.rate("istio_tcp_received_bytes_total", l, 300)
	}
	f.rate("pilot_xds_pushes", `type="cds",pod="istiod"`, 2)
	f.gauge("pilot_xds", `pod="istiod"`, 10)
}

func (f *fixture) nodes() {
	for n := range 3 {
		for r := range 2 {
			id := fmt.Sprintf(`node="node-%d",instance="ksm-%d"`, n, r)
			f.gauge("kube_node_info", id, 1)
			f.gauge("kube_node_status_allocatable", id+`,resource="cpu",unit="core"`, 3.9)
			f.gauge("kube_node_status_allocatable", id+`,resource="memory",unit="byte"`, 15*1024*mib)
			f.gauge("kube_node_status_allocatable", id+`,resource="pods",unit="integer"`, 58)
		}
		f.gauge("node_total_hourly_cost", fmt.Sprintf(`node="node-%d",instance_type="m6i.xlarge"`, n), 0.192)
	}
}
