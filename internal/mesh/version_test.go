package mesh

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMinorOfControlPlane(t *testing.T) {
	for sentence, c := range map[string]struct {
		image  string
		labels map[string]string
		want   int
	}{
		"a plain tag":                              {"docker.io/istio/pilot:1.31.0", nil, 31},
		"a registry with a port":                   {"registry:5000/istio/pilot:1.29.4", nil, 29},
		"a registry with a port and no tag":        {"registry:5000/istio/pilot", nil, 0},
		"a tag and a digest":                       {"gcr.io/istio/pilot:1.28.0-distroless@sha256:0123", nil, 28},
		"a digest alone, and the chart's label":    {"gcr.io/istio/pilot@sha256:0123", map[string]string{"app.kubernetes.io/version": "1.27.1"}, 27},
		"a digest alone, and the operator's label": {"gcr.io/istio/pilot@sha256:0123", map[string]string{"operator.istio.io/version": "1.26.0"}, 26},
		"a pre-release":                            {"istio/pilot:1.30-alpha.deadbeef", nil, 30},
		"a vendor's tag":                           {"quay.io/sail/pilot:v1.26.2", nil, 26},
		"a tag that is no version":                 {"istio/pilot:latest", nil, 0},
		"a tag that only starts like one":          {"istio/pilot:1.2x", nil, 0},
		"a tag that says more than the label":      {"istio/pilot:1.31.0", map[string]string{"app.kubernetes.io/version": "1.0.0"}, 31},
		"nothing":                                  {"", nil, 0},
	} {
		tpl := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "discovery", Image: c.image}}}}
		if got := minorOfWorkload(c.labels, tpl); got != c.want {
			t.Errorf("%s: minor of %q is %d, want %d", sentence, c.image, got, c.want)
		}
	}
}

func TestRoles(t *testing.T) {
	container := func(name, image string, args ...string) corev1.Container {
		return corev1.Container{Name: name, Image: image, Args: args}
	}
	for sentence, c := range map[string]struct {
		labels, annotations map[string]string
		containers          []corev1.Container
		want                Role
	}{
		"an application":                              {containers: []corev1.Container{container("app", "app:1")}, want: Application},
		"an application with a sidecar":               {containers: []corev1.Container{container("app", "app:1"), container("istio-proxy", "proxyv2:1", "proxy", "sidecar")}, want: Application},
		"an application that is labelled istiod":      {labels: map[string]string{"app": "istiod"}, containers: []corev1.Container{container("app", "app:1")}, want: Application},
		"a waypoint by its argument":                  {containers: []corev1.Container{container("istio-proxy", "proxyv2:1", "proxy", "waypoint")}, want: Waypoint},
		"a waypoint by its class":                     {labels: map[string]string{"gateway.networking.k8s.io/gateway-class-name": "istio-waypoint"}, containers: []corev1.Container{container("istio-proxy", "p")}, want: Waypoint},
		"a Gateway API gateway":                       {labels: map[string]string{"gateway.istio.io/managed": "istio.io-gateway-controller"}, containers: []corev1.Container{container("istio-proxy", "p", "proxy", "router")}, want: Gateway},
		"an east-west gateway":                        {labels: map[string]string{"gateway.istio.io/managed": "istio.io-eastwest-controller"}, containers: []corev1.Container{container("istio-proxy", "p")}, want: Gateway},
		"a classic ingress gateway":                   {labels: map[string]string{"istio": "ingressgateway"}, containers: []corev1.Container{container("istio-proxy", "p", "proxy", "router")}, want: Gateway},
		"the gateway chart before injection":          {annotations: map[string]string{"inject.istio.io/templates": "gateway"}, containers: []corev1.Container{container("istio-proxy", "auto")}, want: Gateway},
		"an application with the label of an ingress": {labels: map[string]string{"istio": "ingressgateway"}, containers: []corev1.Container{container("nginx", "nginx:1")}, want: Application},
		"ztunnel":                               {labels: map[string]string{"app": "ztunnel"}, containers: []corev1.Container{container("istio-proxy", "istio/ztunnel:1.31.0", "proxy", "ztunnel")}, want: Ztunnel},
		"istiod":                                {labels: map[string]string{"app": "istiod"}, containers: []corev1.Container{container("discovery", "istio/pilot:1.31.0", "discovery")}, want: Istiod},
		"istio-cni":                             {containers: []corev1.Container{container("install-cni", "istio/install-cni:1.31.0")}, want: CNI},
		"another CNI with the container's name": {containers: []corev1.Container{container("install-cni", "calico/cni:3.29")}, want: Application},
	} {
		tpl := &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: c.labels, Annotations: c.annotations}, Spec: corev1.PodSpec{Containers: c.containers}}
		if got := roleOf(nil, tpl); got != c.want {
			t.Errorf("%s has role %s, want %s", sentence, got, c.want)
		}
	}
}
