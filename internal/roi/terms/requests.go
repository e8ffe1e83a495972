package terms

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Containers that injection adds. All of them go with the sidecar.
const (
	proxyContainer      = "istio-proxy"
	initContainer       = "istio-init"
	validationContainer = "istio-validation"
)

// Requests is what the scheduler reserves for the pod: the sum over containers and restartable init containers,
// or the largest plain init container with those started before it, plus overhead. It is Kubernetes' own
// arithmetic, so native sidecars count as they do on a node.
func Requests(pod *corev1.Pod) Resources {
	return ResourcesOf(resource.PodRequests(pod, resource.PodResourcesOptions{SkipPodLevelResources: false}))
}

// RequestsWithoutSidecar is Requests after the injected containers are gone. Where requests are set on the pod as a
// whole (spec.resources) nothing is freed, and the arithmetic shows it.
func RequestsWithoutSidecar(pod *corev1.Pod) Resources {
	return Requests(WithoutSidecar(pod))
}

// WithoutSidecar is a shallow copy of the pod without the injected containers.
func WithoutSidecar(pod *corev1.Pod) *corev1.Pod {
	out := *pod
	out.Spec.Containers = without(pod.Spec.Containers)
	out.Spec.InitContainers = without(pod.Spec.InitContainers)
	return &out
}

func without(in []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, 0, len(in))
	for _, c := range in {
		switch c.Name {
		case proxyContainer, initContainer, validationContainer:
		default:
			out = append(out, c)
		}
	}
	return out
}

// SidecarRequests is what the pod would request less without its sidecar. It can be below the
// container's own requests: a plain init container may be the larger of the two.
func SidecarRequests(p Pod) Resources {
	if p.Sidecar == NoSidecar {
		return Resources{}
	}
	return Requests(p.Object).Minus(RequestsWithoutSidecar(p.Object))
}

// After is the pod's requests once the change is made.
func (c Change) After(p Pod) Resources {
	if c.Takes(p) {
		return RequestsWithoutSidecar(p.Object)
	}
	return Requests(p.Object)
}

// ResourcesOf reads CPU and memory of a list.
func ResourcesOf(list corev1.ResourceList) Resources {
	return Resources{CPUMilli: list.Cpu().MilliValue(), MemoryBytes: list.Memory().Value()}
}

// SidecarIn tells how a proxy sits in an application pod, by the pod's structure alone. Ask it only for pods whose role is Application: gateways,
// waypoints and ztunnel have a container of the same name.
func SidecarIn(pod *corev1.Pod) Sidecar {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == proxyContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return Native
		}
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == proxyContainer {
			return Classic
		}
	}
	return NoSidecar
}

// List is what the scheduler reserves for the pod once the change is made, of every resource.
func (c Change) List(p Pod) corev1.ResourceList {
	pod := p.Object
	if c.Takes(p) {
		pod = WithoutSidecar(pod)
	}
	return resource.PodRequests(pod, resource.PodResourcesOptions{SkipPodLevelResources: false})
}
