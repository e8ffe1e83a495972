package mesh

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// roleOf tells what a workload is for from its labels and pod template. Labels alone are not enough
// (people label their own applications app=istiod in tests) and neither are containers alone (a
// gateway of the gateway chart has no real container before injection), so each role asks for a label
// or argument that only Istio's charts and controllers set.
func roleOf(labels map[string]string, t *corev1.PodTemplateSpec) Role {
	pod := t.Labels
	switch {
	case isWaypoint(labels, pod, t):
		return Waypoint
	case isZtunnel(pod, t):
		return Ztunnel
	case isGateway(labels, pod, t):
		return Gateway
	case hasContainer(t, "discovery") && (hasArg(t, "discovery") || pod[LabelApp] == "istiod" || pod[LabelIstio] == "pilot"):
		return Istiod
	case hasContainer(t, "install-cni") && (hasImage(t, "install-cni") || pod[labelK8sApp] == "istio-cni-node"):
		return CNI
	}
	return Application
}

func isWaypoint(labels, pod map[string]string, t *corev1.PodTemplateSpec) bool {
	for _, l := range []map[string]string{labels, pod} {
		switch l[LabelGatewayManaged] {
		case ManagedByMesh, ManagedByAgentWaypoint:
			return true
		}
		switch l[LabelGatewayClass] {
		case ClassWaypoint, ClassAgentWaypoint:
			return true
		}
	}
	return proxyRole(t) == "waypoint"
}

func isZtunnel(pod map[string]string, t *corev1.PodTemplateSpec) bool {
	return proxyRole(t) == "ztunnel" || pod[LabelApp] == "ztunnel" && (hasContainer(t, ProxyContainer) || hasImage(t, "ztunnel"))
}

// isGateway recognises Gateway API gateways, the gateway chart (a container to be filled by injection)
// and the classic ingress and egress gateways.
func isGateway(labels, pod map[string]string, t *corev1.PodTemplateSpec) bool {
	for _, l := range []map[string]string{labels, pod} {
		switch l[LabelGatewayManaged] {
		case ManagedByGateway, ManagedByEastWest:
			return true
		}
	}
	if proxyRole(t) == "router" || slices.Contains(splitList(t.Annotations[AnnotationTemplates]), "gateway") {
		return true
	}
	// A pod whose only container is the proxy has no application beside it.
	return len(t.Spec.Containers) == 1 && t.Spec.Containers[0].Name == ProxyContainer && proxyRole(t) != "sidecar"
}

// proxyRole returns the role argument of a proxy container: sidecar, router, waypoint or ztunnel; empty
// without one.
func proxyRole(t *corev1.PodTemplateSpec) string {
	for _, list := range [][]corev1.Container{t.Spec.Containers, t.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == ProxyContainer && len(c.Args) >= 2 && c.Args[0] == "proxy" {
				return c.Args[1]
			}
		}
	}
	return ""
}

func hasContainer(t *corev1.PodTemplateSpec, name string) bool {
	return slices.ContainsFunc(t.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
}

func hasArg(t *corev1.PodTemplateSpec, arg string) bool {
	return slices.ContainsFunc(t.Spec.Containers, func(c corev1.Container) bool { return slices.Contains(c.Args, arg) })
}

func hasImage(t *corev1.PodTemplateSpec, name string) bool {
	return slices.ContainsFunc(t.Spec.Containers, func(c corev1.Container) bool { return imageName(c.Image) == name })
}

// splitList splits a comma-separated annotation.
func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
