package demo

import (
	"crypto/sha256"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// control is one control plane.
type control struct {
	revision, version string
	native            bool // its sidecars are init containers that keep running
	hbone             bool // its sidecars accept calls from ztunnel
}

var (
	older = control{revision: "1-29-4", version: "1.29.4"}
	newer = control{revision: "1-31-1", version: "1.31.1", native: true, hbone: true}
)

// pod makes one pod of a workload, as the API server would show it: injected where its namespace asks.
func (s *service) pod(owner metav1.OwnerReference, t corev1.PodTemplateSpec, ordinal int) *corev1.Pod {
	b := s.b
	b.pods++
	controller := true
	owner.Controller = &controller
	owner.UID = uid(owner.Kind, s.team.name, owner.Name)
	t = *t.DeepCopy()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.team.name, Name: podName(owner, b.pods, ordinal),
			Labels: t.Labels, Annotations: t.Annotations, OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec: t.Spec,
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      fmt.Sprintf("10.%d.%d.%d", 128+b.pods/62500, b.pods/250%250, b.pods%250+1),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	if owner.Kind == "ReplicaSet" {
		p.Labels["pod-template-hash"] = templateHash
	}
	p.Spec.NodeName = nodeName(b.pods % nodeCount)
	switch {
	case p.Spec.HostNetwork:
	case s.team.ambient:
		p.Annotations["ambient.istio.io/redirection"] = "enabled"
	case s.team.revision == oldRevision:
		inject(p, older)
	default:
		inject(p, newer)
	}
	return p
}

func podName(owner metav1.OwnerReference, n, ordinal int) string {
	if owner.Kind == "StatefulSet" {
		return fmt.Sprintf("%s-%d", owner.Name, ordinal)
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(owner.Name, n)))
	return fmt.Sprintf("%s-%x", owner.Name, sum[:3])[:min(63, len(owner.Name)+6)]
}

// uid is an identifier that stays the same from run to run.
func uid(kind, namespace, name string) types.UID {
	sum := sha256.Sum256([]byte(kind + "/" + namespace + "/" + name))
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}

// inject does to a pod what a sidecar injector does, as far as anything can tell afterwards.
func inject(p *corev1.Pod, c control) {
	p.Annotations["sidecar.istio.io/status"] = `{"containers":["istio-proxy"],"initContainers":["istio-init"],"revision":"` + c.revision + `"}`
	p.Annotations["istio.io/rev"] = c.revision
	p.Labels["security.istio.io/tlsMode"] = "istio"
	p.Labels["service.istio.io/canonical-name"] = p.Labels["app"]
	proxy := corev1.Container{
		Name: "istio-proxy", Image: "docker.io/istio/proxyv2:" + c.version,
		Args:      []string{"proxy", "sidecar"},
		Env:       []corev1.EnvVar{{Name: "ISTIO_META_MESH_ID", Value: "cluster.local"}},
		Ports:     []corev1.ContainerPort{{Name: "http-envoy-prom", ContainerPort: 15090}},
		Resources: requests("100m", "128Mi"),
	}
	if c.hbone {
		p.Labels["networking.istio.io/tunnel"] = "http"
		proxy.Env = append(proxy.Env, corev1.EnvVar{Name: "ISTIO_META_ENABLE_HBONE", Value: "true"})
	}
	setup := corev1.Container{Name: "istio-init", Image: proxy.Image, Args: []string{"istio-iptables"}}
	p.Spec.InitContainers = append([]corev1.Container{setup}, p.Spec.InitContainers...)
	if c.native {
		always := corev1.ContainerRestartPolicyAlways
		proxy.RestartPolicy = &always
		p.Spec.InitContainers = append(p.Spec.InitContainers, proxy)
		return
	}
	p.Spec.Containers = append(p.Spec.Containers, proxy)
}
