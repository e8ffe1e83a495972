package standin

import (
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const proxyContainer = "istio-proxy"

// appCPU is what an application container uses of its request; a real one varies.
const appCPU = 0.35

// usage is what a container uses: cores and bytes.
func (x *exposition) usage(p *podView, c *corev1.Container) (cpu, bytes float64) {
	if c.Name == proxyContainer {
		cost := x.model.sidecar
		switch p.role {
		case waypointProxy, gatewayProxy:
			cost = x.model.waypoint
		case ztunnelProxy:
			cost = x.model.ztunnel
		}
		return cost.cpu(p.rps), cost.bytes(p.rps)
	}
	return c.Resources.Requests.Cpu().AsApproximateFloat64() * appCPU, c.Resources.Requests.Memory().AsApproximateFloat64() * 0.6
}

// running are the containers of a pod that a kubelet would have cgroups for.
func running(p *podView) []corev1.Container {
	if p.Status.Phase != corev1.PodRunning {
		return nil
	}
	all := slices.Clone(p.Spec.Containers)
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}

// exposeCadvisor writes what the kubelet's /metrics/cadvisor has: a row for each
// container and one for the whole pod (container="").
func exposeCadvisor(x *exposition) {
	for _, p := range x.mesh.pods {
		var podCPU, podBytes float64
		var at int64
		if skew := x.skew(p.Spec.NodeName); skew != 0 {
			at = x.now.UnixMilli() + int64(skew*1000)
		}
		base := labels{
			"job", "kubelet", "metrics_path", "/metrics/cadvisor", "instance", p.Spec.NodeName + ":10250", "node", p.Spec.NodeName,
			"namespace", p.Namespace, "pod", p.Name,
		}
		containers := running(p)
		for i := range containers {
			c := &containers[i]
			cpu, bytes := x.usage(p, c)
			podCPU, podBytes = podCPU+cpu, podBytes+bytes
			x.cgroup(append(base[:len(base):len(base)], "container", c.Name, "image", c.Image,
				"name", c.Name, "id", "/kubepods/pod"+string(p.UID)+"/"+c.Name), cpu, bytes, at)
		}
		if len(containers) > 0 {
			x.cgroup(append(base[:len(base):len(base)], "container", "", "image", "", "name", "", "id", "/kubepods/pod"+string(p.UID)), podCPU, podBytes, at)
		}
	}
}

// cgroup writes one row. The time of its samples, in milliseconds, is the node's where that is another.
func (x *exposition) cgroup(l labels, cpu, bytes float64, at int64) {
	for _, c := range []*counter{
		x.grow("container_cpu_usage_seconds_total", append(l[:len(l):len(l)], "cpu", "total"), cpu),
		x.gauge("container_memory_working_set_bytes", l, math.Floor(bytes)),
		x.gauge("container_memory_usage_bytes", l, math.Floor(bytes*1.3)), // with page cache
	} {
		c.at = at
	}
}

// skew is by how much the clock of a node is ahead, in seconds.
func (x *exposition) skew(node string) float64 {
	if !slices.Contains(x.clock.Nodes, node) {
		return 0
	}
	return time.Duration(x.clock.Node).Seconds()
}

// exposeKubeState writes what kube-state-metrics has of pods and nodes, without
// the pod labels that it shows only when an allowlist asks for them.
func exposeKubeState(x *exposition) {
	for _, p := range x.mesh.pods {
		exposePodState(x, p)
	}
	for _, n := range x.mesh.nodes {
		node := labels{"job", "kube-state-metrics", "node", n.Name}
		x.gauge("kube_node_info", append(node[:len(node):len(node)], "kubelet_version", n.Status.NodeInfo.KubeletVersion,
			"os_image", n.Status.NodeInfo.OSImage, "kernel_version", n.Status.NodeInfo.KernelVersion), 1)
		resources(x, "kube_node_status_allocatable", node, n.Status.Allocatable)
		resources(x, "kube_node_status_capacity", node, n.Status.Capacity)
		for _, c := range n.Status.Conditions {
			for _, status := range []string{"true", "false", "unknown"} {
				is := 0.0
				if status == conditionWord(c.Status) {
					is = 1
				}
				x.gauge("kube_node_status_condition", append(node[:len(node):len(node)], "condition", string(c.Type), "status", status), is)
			}
		}
	}
}

func conditionWord(s corev1.ConditionStatus) string {
	switch s {
	case corev1.ConditionTrue:
		return "true"
	case corev1.ConditionFalse:
		return "false"
	}
	return "unknown"
}

func exposePodState(x *exposition, p *podView) {
	pod := labels{"job", "kube-state-metrics", "namespace", p.Namespace, "pod", p.Name, "uid", string(p.UID)}
	with := func(more ...string) labels { return append(pod[:len(pod):len(pod)], more...) }
	ownerKind, ownerName, controller := "", "", "false"
	if owner := metav1.GetControllerOf(p.Pod); owner != nil {
		ownerKind, ownerName, controller = owner.Kind, owner.Name, "true"
	}
	x.gauge("kube_pod_info", with("node", p.Spec.NodeName, "pod_ip", p.Status.PodIP, "host_ip", p.Status.HostIP,
		"created_by_kind", ownerKind, "created_by_name", ownerName, "host_network", strconv.FormatBool(p.Spec.HostNetwork)), 1)
	x.gauge("kube_pod_owner", with("owner_kind", ownerKind, "owner_name", ownerName, "owner_is_controller", controller), 1)
	x.gauge("kube_pod_created", pod, float64(p.CreationTimestamp.Unix()))
	for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown, corev1.PodRunning} {
		is := 0.0
		if p.Status.Phase == phase {
			is = 1
		}
		x.gauge("kube_pod_status_phase", with("phase", string(phase)), is)
	}
	for _, c := range p.Status.Conditions {
		if c.Type != corev1.PodReady {
			continue
		}
		for _, status := range []string{"true", "false", "unknown"} {
			is := 0.0
			if status == conditionWord(c.Status) {
				is = 1
			}
			x.gauge("kube_pod_status_ready", with("condition", status), is)
		}
		if c.Status == corev1.ConditionTrue {
			x.gauge("kube_pod_status_ready_time", pod, float64(c.LastTransitionTime.Unix()))
		}
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		restart := ""
		if c.RestartPolicy != nil {
			restart = string(*c.RestartPolicy)
		}
		x.gauge("kube_pod_init_container_info", with("container", c.Name, "image", c.Image, "restart_policy", restart), 1)
		container := with("container", c.Name, "node", p.Spec.NodeName)
		resources(x, "kube_pod_init_container_resource_requests", container, c.Resources.Requests)
		resources(x, "kube_pod_init_container_resource_limits", container, c.Resources.Limits)
	}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		x.gauge("kube_pod_container_info", with("container", c.Name, "image", c.Image), 1)
		container := with("container", c.Name, "node", p.Spec.NodeName)
		resources(x, "kube_pod_container_resource_requests", container, c.Resources.Requests)
		resources(x, "kube_pod_container_resource_limits", container, c.Resources.Limits)
		x.gauge("kube_pod_container_status_restarts_total", with("container", c.Name), 0)
	}
}

func resources(x *exposition, name string, l labels, list corev1.ResourceList) {
	for _, r := range []struct {
		name corev1.ResourceName
		unit string
	}{{corev1.ResourceCPU, "core"}, {corev1.ResourceMemory, "byte"}, {corev1.ResourcePods, "integer"}} {
		if quantity, ok := list[r.name]; ok {
			x.gauge(name, append(l[:len(l):len(l)], "resource", string(r.name), "unit", r.unit), quantity.AsApproximateFloat64())
		}
	}
}

// exposeNodes writes what node-exporter has of processors, memory and the clock.
func exposeNodes(x *exposition) {
	cpu, bytes := map[string]float64{}, map[string]float64{}
	for _, p := range x.mesh.pods {
		containers := running(p)
		for i := range containers {
			c, b := x.usage(p, &containers[i])
			cpu[p.Spec.NodeName] += c
			bytes[p.Spec.NodeName] += b
		}
	}
	for _, n := range x.mesh.nodes {
		l := labels{"job", "node-exporter", "instance", n.Name, "nodename", n.Name}
		cores := n.Status.Capacity.Cpu().AsApproximateFloat64()
		x.grow("node_cpu_seconds_total", append(l[:len(l):len(l)], "cpu", "0", "mode", "user"), cpu[n.Name])
		x.grow("node_cpu_seconds_total", append(l[:len(l):len(l)], "cpu", "0", "mode", "idle"), math.Max(0, cores-cpu[n.Name]))
		total := n.Status.Capacity.Memory().AsApproximateFloat64()
		x.gauge("node_memory_MemTotal_bytes", l, total)
		x.gauge("node_memory_MemAvailable_bytes", l, math.Max(0, total-bytes[n.Name]))
		skew := x.skew(n.Name)
		x.gauge("node_time_seconds", l, float64(x.now.UnixMilli())/1000+skew)
		x.gauge("node_timex_offset_seconds", l, skew)
		synced := 1.0
		if skew != 0 {
			synced = 0
		}
		x.gauge("node_timex_sync_status", l, synced)
	}
}
