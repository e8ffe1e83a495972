package metric

import (
	"strings"
	"time"
)

// Four different things run a container called istio-proxy: a sidecar, a gateway, a waypoint and
// ztunnel. The expressions below tell them apart without the Kubernetes API. Each yields one series
// per (namespace, pod), value 1; kube-state-metrics replicas are merged by group by, and pods that are not
// Running (finished Jobs above all) are dropped.
const (
	running  = `(max by (namespace, pod) (kube_pod_status_phase{phase="Running"}) == 1)`
	hasProxy = `group by (namespace, pod) (kube_pod_container_info{container="istio-proxy"})`
	// An init container of that name can only be a native sidecar; restart_policy is absent before
	// kube-state-metrics 2.11.
	native = `group by (namespace, pod) (kube_pod_init_container_info{container="istio-proxy", restart_policy=~"Always|"})`
	// Counting containers, not series: two kube-state-metrics replicas show each container twice.
	manyContainers = `(count by (namespace, pod) (group by (namespace, pod, container) (kube_pod_container_info)) > 1)`
	ztunnelPod     = `(group by (namespace, pod) (kube_pod_owner{owner_kind="DaemonSet", owner_name=~"ztunnel.*"}))`
	// Pod labels are in kube-state-metrics only when allow-listed; the reporter of a proxy's own traffic is the
	// other witness: waypoints report "waypoint", gateways "source".
	waypointLabel = `group by (namespace, pod) (kube_pod_labels{label_gateway_networking_k8s_io_gateway_class_name="istio-waypoint"})`
	waypointPod   = `(` + waypointLabel + `
		or group by (namespace, pod) (istio_requests_total{reporter="waypoint"})
		or group by (namespace, pod) (istio_tcp_sent_bytes_total{reporter="waypoint"}))`
	gatewayLabel = `(group by (namespace, pod) (kube_pod_labels{label_gateway_networking_k8s_io_gateway_class_name=~"istio|istio-east-west|istio-remote"})
		or group by (namespace, pod) (kube_pod_labels{label_istio=~".*gateway.*"}))`
	gatewayTraffic = `(group by (namespace, pod) (istio_requests_total{reporter="source"})
		or group by (namespace, pod) (istio_tcp_sent_bytes_total{reporter="source", app!="ztunnel"}))`
)

// onlyGateways is every running pod with nothing but a proxy that is a gateway: what a label says, else what reports as "source" and is none of the others.
var onlyGateways = oneLine(`((` + hasProxy + ` and on (namespace, pod) (` + gatewayLabel + ` or on (namespace, pod) (` + gatewayTraffic + ` unless on (namespace, pod) ` + manyContainers + `)))
	unless on (namespace, pod) (` + ztunnelPod + ` or on (namespace, pod) ` + waypointPod + ` or on (namespace, pod) ` + native + `)) and on (namespace, pod) ` + running)

// Role names as they stand in the role label. Undecided is a pod with nothing but a proxy of which no series tells
// whether it is a gateway or a waypoint.
const (
	RoleSidecarClassic = "sidecar-classic"
	RoleSidecarNative  = "sidecar-native"
	RoleGateway        = "gateway"
	RoleWaypoint       = "waypoint"
	RoleZtunnel        = "ztunnel"
	RoleCNI            = "istio-cni"
	RoleIstiod         = "istiod"
	RoleUndecided      = "gateway-or-waypoint"
)

func labelled(expr, role string) string {
	return `label_replace(` + expr + `, "role", "` + role + `", "", "")`
}

var podRole = Metric{
	Name: "pod_role", Unit: Presence, Kind: Instant,
	Doc: "1 for every running pod that belongs to the mesh's data or control plane, with its role; " +
		"used where the Kubernetes API cannot be asked",
	NoData:  "no running pod with an Istio container, or kube-state-metrics is not scraped",
	Sources: []Source{KubeStateMetrics},
	Series: []string{"kube_pod_container_info", "kube_pod_init_container_info", "kube_pod_status_phase",
		"kube_pod_owner", "kube_pod_labels", "istio_requests_total", "istio_tcp_sent_bytes_total"},
	Labels: []string{"namespace", "pod", "role"},
	Query: func(Params) string {
		// The first witness that knows a pod decides, so each series is read once. A label comes before the count of containers: a
		// gateway chart with additionalContainers looks like a classic sidecar.
		const or, and = ` or on (namespace, pod) `, ` and on (namespace, pod) `
		proxies := `((` + strings.Join([]string{
			labelled(ztunnelPod, RoleZtunnel),
			labelled(waypointPod, RoleWaypoint),
			labelled(gatewayLabel, RoleGateway),
			labelled(`group by (namespace, pod) `+manyContainers, RoleSidecarClassic),
			labelled(gatewayTraffic, RoleGateway),
		}, or) + `)` + and + hasProxy + `)`
		all := strings.Join([]string{
			labelled(native, RoleSidecarNative),
			proxies,
			labelled(hasProxy, RoleUndecided),
			labelled(`group by (namespace, pod) (kube_pod_container_info{container="install-cni"})`, RoleCNI),
			labelled(`group by (namespace, pod) (kube_pod_container_info{container="discovery"})`, RoleIstiod),
		}, or)
		return oneLine(`(` + all + `)` + and + running)
	},
}

// SidecarPods is an expression with one series, value 1, for each running pod that has a sidecar: what pod_role calls sidecar-classic and
// sidecar-native, without the roles of the others.
func SidecarPods() string {
	const unless = ` unless on (namespace, pod) `
	classic := `(group by (namespace, pod) ` + manyContainers + ` and on (namespace, pod) ` + hasProxy + unless + ztunnelPod + unless + waypointPod + unless + gatewayLabel + `)`
	return oneLine(`(` + native + ` or on (namespace, pod) ` + classic + `) and on (namespace, pod) ` + running)
}

// sidecarPods tells when the last sidecar of a namespace went.
var sidecarPods = Metric{
	Name: "sidecar_pods", Unit: Count, Kind: Range, Step: time.Hour, Span: edgeSpan,
	Doc:     "running pods with a sidecar, by namespace, hourly for the last seven days of the window at most: when the last of them went is when the namespace had changed mode",
	NoData:  "no pod has a sidecar, or kube-state-metrics is not scraped; node_count tells the two apart",
	Sources: []Source{KubeStateMetrics},
	Series:  []string{"kube_pod_container_info", "kube_pod_init_container_info", "kube_pod_status_phase", "kube_pod_labels", "kube_pod_owner", "istio_requests_total", "istio_tcp_sent_bytes_total"},
	Labels:  []string{"namespace"},
	Query:   func(Params) string { return `count by (namespace) (` + SidecarPods() + `)` },
}
