package demo

import (
	telemetry "istio.io/api/telemetry/v1alpha1"
	istiotype "istio.io/api/type/v1beta1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	k8snetv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// namespaceExtras are what a team has for its namespace as a whole.
var namespaceExtras = map[string]func(*builder, *corev1.Namespace){
	// L4: only some namespaces may call.
	"callers-only": func(b *builder, ns *corev1.Namespace) {
		b.add(ns.Name, "configuration", namespacePolicy(ns.Name, ns.Name, "edge", "checkout", "orders", "istio-ingress"))
	},
	// Calls to what the mesh does not know are refused, by the caller's sidecar.
	"registry-only": func(b *builder, ns *corev1.Namespace) {
		b.add(ns.Name, "configuration", registryOnly(ns.Name))
	},
	// A policy of Kubernetes' own that lets nothing in but the application's port.
	"default-deny-network": func(b *builder, ns *corev1.Namespace) {
		b.add(ns.Name, "configuration", defaultDeny(ns.Name))
	},
	// A waypoint that is named and does not exist.
	"missing-waypoint": func(_ *builder, ns *corev1.Namespace) {
		ns.Labels["istio.io/use-waypoint"] = "waypoint"
	},
	// A waypoint for the services that ask for it.
	"waypoint": func(b *builder, ns *corev1.Namespace) {
		d := waypointDeployment(ns.Name)
		b.add(ns.Name, "waypoint", waypoint(ns.Name), d)
		for i := range int(*d.Spec.Replicas) {
			b.add(ns.Name, "pods", waypointPod(d, i))
		}
	},
	// An owner's wish that the findings contradict for some workloads.
	"wants-ambient": func(_ *builder, ns *corev1.Namespace) {
		ns.Annotations = map[string]string{"sidestep.dev/mode": "ambient"}
	},
	// Traces of every call.
	"namespace-tracing": func(b *builder, ns *corev1.Namespace) {
		t := &telemetryv1.Telemetry{ObjectMeta: metaIn(ns.Name, "tracing")}
		t.Spec.Selector = &istiotype.WorkloadSelector{MatchLabels: map[string]string{"app": "alerts"}}
		t.Spec.Tracing = []*telemetry.Tracing{{Providers: []*telemetry.ProviderRef{{Name: "otel"}}}}
		b.add(ns.Name, "configuration", t)
	},
}

func defaultDeny(namespace string) *k8snetv1.NetworkPolicy {
	tcp := corev1.ProtocolTCP
	port := intstr.FromInt32(8080)
	return &k8snetv1.NetworkPolicy{ObjectMeta: metaIn(namespace, "application-port-only"), Spec: k8snetv1.NetworkPolicySpec{
		PolicyTypes: []k8snetv1.PolicyType{k8snetv1.PolicyTypeIngress},
		Ingress:     []k8snetv1.NetworkPolicyIngressRule{{Ports: []k8snetv1.NetworkPolicyPort{{Protocol: &tcp, Port: &port}}}},
	}}
}

// outside makes what is beside the mesh: ingress, monitoring, the cluster's own.
func (b *builder) outside() {
	namespace := func(name string) {
		b.add(name, "namespace", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name}}})
	}
	namespace("istio-ingress")
	b.add("istio-ingress", "gateway", ingress("istio-ingress"), ingressService("istio-ingress"))
	namespace("monitoring")
	b.add("monitoring", "workloads", notInjected("monitoring", "prometheus"), notInjected("monitoring", "grafana"))
	namespace("kube-system")
	b.add("kube-system", "workloads", notInjected("kube-system", "coredns"))
}

func notInjected(namespace, name string) *appsv1.Deployment {
	replicas := int32(2)
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				ServiceAccountName: name,
				Containers:         []corev1.Container{{Name: "app", Image: "registry.example.com/" + name + ":1.0"}},
			}}}}
}
