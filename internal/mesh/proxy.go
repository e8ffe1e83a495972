package mesh

import (
	"cmp"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// readProxy describes the proxy of a workload: as seen on its pods, else as injection would make it.
func (b *builder) readProxy(w *Workload, inj injection) {
	if w.Role != Application {
		b.readOwnProxy(w)
		return
	}
	if w.Mode != Sidecar {
		return
	}
	for _, p := range w.Pods {
		if kind := sidecarKindOf(p); kind != NoSidecar {
			w.readPodProxy(p, kind)
		}
	}
	if w.Proxy.Kind != NoSidecar {
		return
	}
	b.deriveProxy(w, inj)
}

// readPodProxy adds what one pod shows. Pods may differ during a rollout: HBONE then holds only if every
// one has it, and requests are the largest seen.
func (w *Workload) readPodProxy(p *snapshot.Pod, kind SidecarKind) {
	first := w.Proxy.Kind == NoSidecar
	hbone := p.Labels[LabelTunnel] == TunnelHTTP
	if first || kind == ClassicSidecar {
		w.Proxy.Kind = kind
	}
	if first {
		w.Proxy.HBONE = hbone
		w.Proxy.Revision = p.Annotations[AnnotationRevision]
	}
	c := podProxyContainer(p)
	if c != nil {
		w.Proxy.NoHBONESend = w.Proxy.NoHBONESend || isTrue(envOf(c, envDisableHBONE))
		hbone = hbone || envOf(c, envEnableHBONE) == "true"
		w.Proxy.Version = cmp.Or(w.Proxy.Version, imageTag(c.Image))
		w.Proxy.CPUMilli = max(w.Proxy.CPUMilli, c.Resources.Requests.Cpu().MilliValue())
		w.Proxy.MemoryBytes = max(w.Proxy.MemoryBytes, c.Resources.Requests.Memory().Value())
		w.Proxy.RequestsKnown = true
	}
	if first {
		w.Proxy.HBONE = hbone
	} else {
		w.Proxy.HBONE = w.Proxy.HBONE && hbone
	}
}

// readOwnProxy describes the Envoy of a gateway or waypoint. Waypoints always speak HBONE; so do
// gateways of the Gateway API, and others where injection or their own environment says so.
func (b *builder) readOwnProxy(w *Workload) {
	if w.Role != Gateway && w.Role != Waypoint || w.Template == nil {
		return
	}
	spec := &w.Template.Spec
	if len(w.Pods) > 0 {
		spec = w.Pods[0].Spec
	}
	w.Proxy.HBONE = w.Role == Waypoint || b.mesh.Settings.HBONESidecars || w.Labels[LabelTunnel] == TunnelHTTP
	c := proxyContainer(spec.Containers)
	if c == nil {
		return
	}
	w.Proxy.Version = imageTag(c.Image)
	w.Proxy.HBONE = w.Proxy.HBONE || envOf(c, envEnableHBONE) == "true"
	w.Proxy.NoHBONESend = isTrue(envOf(c, envDisableHBONE))
	w.Proxy.CPUMilli, w.Proxy.MemoryBytes = c.Resources.Requests.Cpu().MilliValue(), c.Resources.Requests.Memory().Value()
	w.Proxy.RequestsKnown = !w.Derived || len(c.Resources.Requests) > 0
}

// deriveProxy says what injection would make.
func (b *builder) deriveProxy(w *Workload, inj injection) {
	s := &b.mesh.Settings
	w.Proxy.Kind = ClassicSidecar
	if kind := templateSidecar(w.Template); kind != NoSidecar {
		w.Proxy.Kind = kind
	} else if native, ok := w.Template.Annotations[AnnotationNativeSidecar]; ok {
		if native == "true" {
			w.Proxy.Kind = NativeSidecar
		}
	} else if s.NativeSidecars {
		w.Proxy.Kind = NativeSidecar
	}
	w.Proxy.Revision = inj.revision
	cp := b.planeOf(inj.revision)
	if cp == nil {
		cp = b.primaryConfig()
	}
	w.Proxy.HBONE = cp.mesh.proxyMetadata(envEnableHBONE) == "true" || s.HBONESidecars && cp.meshRef.Name == ""
	if v, ok := proxyMetadataAnnotation(w.Template.Annotations)[envEnableHBONE]; ok {
		w.Proxy.HBONE = v.text() == "true"
	}
	w.Proxy.NoHBONESend = isTrue(cp.mesh.proxyMetadata(envDisableHBONE))
	if v, ok := proxyMetadataAnnotation(w.Template.Annotations)[envDisableHBONE]; ok {
		w.Proxy.NoHBONESend = isTrue(v.text())
	}
	w.Proxy.CPUMilli, w.Proxy.MemoryBytes, w.Proxy.RequestsKnown = annotatedRequests(w.Template.Annotations)
	if !w.Proxy.RequestsKnown {
		w.Proxy.CPUMilli, w.Proxy.MemoryBytes, w.Proxy.RequestsKnown = cp.injector.requests()
	}
	if !w.Proxy.RequestsKnown && s.ProxyRequestsKnown {
		w.Proxy.CPUMilli, w.Proxy.MemoryBytes, w.Proxy.RequestsKnown = s.ProxyCPUMilli, s.ProxyMemoryBytes, true
	}
}

// annotatedRequests reads the sidecar's size from pod annotations. Any one of the four replaces the
// defaults altogether, and a limit without request is the request (files/injection-template.yaml).
func annotatedRequests(a map[string]string) (cpuMilli, memoryBytes int64, ok bool) {
	cpu := cmp.Or(a[AnnotationProxyCPU], a[annotationProxyCPULimit])
	mem := cmp.Or(a[AnnotationProxyMemory], a[annotationProxyMemoryLimit])
	if cpu == "" && mem == "" {
		return 0, 0, false
	}
	if q, err := resource.ParseQuantity(cpu); err == nil {
		cpuMilli = q.MilliValue()
	}
	if q, err := resource.ParseQuantity(mem); err == nil {
		memoryBytes = q.Value()
	}
	return cpuMilli, memoryBytes, true
}

// proxyMetadataAnnotation returns proxyMetadata of annotation proxy.istio.io/config, nil when absent or
// unreadable.
func proxyMetadataAnnotation(a map[string]string) map[string]scalar {
	return annotatedSettings(a).ProxyMetadata
}

// templateSidecar finds a proxy that somebody injected by hand (istioctl kube-inject) into a template. A
// container named istio-proxy without role argument only customises injection.
func templateSidecar(t *corev1.PodTemplateSpec) SidecarKind {
	if _, ok := t.Annotations[AnnotationStatus]; !ok && proxyRole(t) != "sidecar" {
		return NoSidecar
	}
	for _, c := range t.Spec.InitContainers {
		if c.Name == ProxyContainer {
			return NativeSidecar
		}
	}
	return ClassicSidecar
}

func proxyContainer(list []corev1.Container) *corev1.Container {
	for i := range list {
		if list[i].Name == ProxyContainer {
			return &list[i]
		}
	}
	return nil
}

func envOf(c *corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}
