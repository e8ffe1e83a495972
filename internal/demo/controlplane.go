package demo

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	systemNamespace = "istio-system"
	nodeCount       = 50
)

// controlPlane makes two revisions of istiod, the node agents and the mesh-wide configuration.
func (b *builder) controlPlane() {
	b.add(systemNamespace, "namespace", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace,
		Labels: map[string]string{"kubernetes.io/metadata.name": systemNamespace}}})
	b.add(systemNamespace, "istiod", istiod(older, "-"+older.revision), istiod(newer, ""))
	b.add(systemNamespace, "configuration",
		meshConfig("istio-"+older.revision, older), meshConfig("istio", newer),
		injectorValues("istio-sidecar-injector-"+older.revision, older), injectorValues("istio-sidecar-injector", newer),
		strictMTLS())
	b.add(systemNamespace, "node-agents", nodeAgent("ztunnel", "istio-proxy", "ztunnel", "200m", "512Mi"), nodeAgent("istio-cni-node", "install-cni", "install-cni", "100m", "100Mi"))
	b.add(systemNamespace, "webhooks",
		webhook("istio-sidecar-injector", "istiod", newer.revision, "", true),
		webhook("istio-sidecar-injector-"+older.revision, "istiod-"+older.revision, older.revision, "", false),
		webhook("istio-revision-tag-"+oldRevision, "istiod-"+older.revision, older.revision, oldRevision, false))
	b.add(systemNamespace, "gateway-classes",
		&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "istio-waypoint"},
			Spec: gatewayv1.GatewayClassSpec{ControllerName: "istio.io/mesh-controller"}},
		&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "istio"},
			Spec: gatewayv1.GatewayClassSpec{ControllerName: "istio.io/gateway-controller"}})
}

func istiod(c control, suffix string) *appsv1.Deployment {
	replicas := int32(2)
	labels := map[string]string{"app": "istiod", "istio": "pilot", "istio.io/rev": c.revision}
	native := fmt.Sprint(c.native)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "istiod" + suffix, Labels: labels},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				ServiceAccountName: "istiod" + suffix,
				Containers: []corev1.Container{{Name: "discovery", Image: "docker.io/istio/pilot:" + c.version, Resources: requests("500m", "2Gi"), Env: []corev1.EnvVar{
					{Name: "REVISION", Value: c.revision},
					{Name: "PILOT_ENABLE_AMBIENT", Value: fmt.Sprint(c.hbone)},
					{Name: "ENABLE_NATIVE_SIDECARS", Value: native},
				}}},
			}}},
	}
}

func meshConfig(name string, c control) *corev1.ConfigMap {
	text := `rootNamespace: istio-system
trustDomain: cluster.local
extensionProviders:
- name: opa
  envoyExtAuthzGrpc:
    service: opa.identity.svc.cluster.local
    port: 9191
- name: otel
  opentelemetry:
    service: collector.telemetry.svc.cluster.local
    port: 4317
`
	if c.hbone {
		text += "defaultConfig:\n  proxyMetadata:\n    ISTIO_META_ENABLE_HBONE: \"true\"\n"
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: name,
		Labels: map[string]string{"istio.io/rev": c.revision}}, Data: map[string]string{"mesh": text}}
}

func injectorValues(name string, c control) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: name,
		Labels: map[string]string{"istio.io/rev": c.revision}}, Data: map[string]string{
		"values": `{"global":{"proxy":{"resources":{"requests":{"cpu":"100m","memory":"128Mi"}}}},"revision":"` + c.revision + `"}`,
		"config": "policy: enabled\n",
	}}
}

// nodeAgent is a DaemonSet of ambient with its chart's requests.
func nodeAgent(name, container, image, cpu, memory string) *appsv1.DaemonSet {
	labels := map[string]string{"app": name, "k8s-app": name}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: name, Labels: labels},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				ServiceAccountName: name,
				Containers:         []corev1.Container{{Name: container, Image: "docker.io/istio/" + image + ":" + newer.version, Resources: requests(cpu, memory)}},
			}}},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: nodeCount},
	}
}

// webhook makes an injector configuration with the rules of Istio's charts: by namespace label and by
// pod label, for a revision, a tag, or the default.
func webhook(name, service, revision, tag string, isDefault bool) *admissionv1.MutatingWebhookConfiguration {
	match := func(key string, op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: values}
	}
	none := admissionv1.SideEffectClassNone
	path := "/inject"
	hook := func(name string, namespace, pod []metav1.LabelSelectorRequirement) admissionv1.MutatingWebhook {
		return admissionv1.MutatingWebhook{
			Name: name, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: systemNamespace, Name: service, Path: &path}},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: namespace},
			ObjectSelector:    &metav1.LabelSelector{MatchExpressions: pod},
		}
	}
	asked := revision
	if tag != "" {
		asked = tag
	}
	notOff := match("sidecar.istio.io/inject", metav1.LabelSelectorOpNotIn, "false")
	noInjection := match("istio-injection", metav1.LabelSelectorOpDoesNotExist)
	noRevision := match("istio.io/rev", metav1.LabelSelectorOpDoesNotExist)
	w := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "sidecar-injector", "istio.io/rev": revision}},
		Webhooks: []admissionv1.MutatingWebhook{
			hook("rev.namespace.sidecar-injector.istio.io",
				[]metav1.LabelSelectorRequirement{match("istio.io/rev", metav1.LabelSelectorOpIn, asked), noInjection},
				[]metav1.LabelSelectorRequirement{notOff}),
			hook("rev.object.sidecar-injector.istio.io",
				[]metav1.LabelSelectorRequirement{noRevision, noInjection},
				[]metav1.LabelSelectorRequirement{notOff, match("istio.io/rev", metav1.LabelSelectorOpIn, asked)}),
		},
	}
	if tag != "" {
		w.Labels["istio.io/tag"] = tag
	}
	if isDefault {
		w.Webhooks = append(w.Webhooks,
			hook("namespace.sidecar-injector.istio.io",
				[]metav1.LabelSelectorRequirement{match("istio-injection", metav1.LabelSelectorOpIn, "enabled")},
				[]metav1.LabelSelectorRequirement{notOff}),
			hook("object.sidecar-injector.istio.io",
				[]metav1.LabelSelectorRequirement{noInjection, noRevision},
				[]metav1.LabelSelectorRequirement{match("sidecar.istio.io/inject", metav1.LabelSelectorOpIn, "true"), noRevision}))
	}
	return w
}

func nodeName(i int) string { return fmt.Sprintf("node-%02d", i) }

func (b *builder) nodes() {
	allocatable := requests("15500m", "60Gi").Requests
	allocatable[corev1.ResourcePods] = resource.MustParse("234") // 8 interfaces of 30 addresses, less their own, and 2
	for i := range nodeCount {
		b.add("cluster", "nodes", &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Labels: map[string]string{
				"kubernetes.io/os":                 "linux",
				"node.kubernetes.io/instance-type": "m6i.4xlarge",
				"topology.kubernetes.io/zone":      fmt.Sprintf("zone-%c", 'a'+i%3),
			}},
			Status: corev1.NodeStatus{
				NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "v1.34.2", OperatingSystem: "linux", Architecture: "amd64"},
				Allocatable: allocatable,
			},
		})
	}
}

// waypoint makes a Gateway that istiod reports ready.
func waypoint(namespace string) *gatewayv1.Gateway {
	byIP := gatewayv1.IPAddressType
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "waypoint", Labels: map[string]string{"istio.io/waypoint-for": "service"}},
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "istio-waypoint",
			Listeners: []gatewayv1.Listener{{Name: "mesh", Port: 15008, Protocol: "HBONE"}}},
		Status: gatewayv1.GatewayStatus{Addresses: []gatewayv1.GatewayStatusAddress{{Type: &byIP, Value: "10.96.255.2"}}, Conditions: []metav1.Condition{
			{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted"},
			{Type: "Programmed", Status: metav1.ConditionTrue, Reason: "Programmed"},
		}},
	}
}

// waypointPod is one ready pod of a waypoint.
func waypointPod(d *appsv1.Deployment, ordinal int) *corev1.Pod {
	t := d.Spec.Template.DeepCopy()
	controller := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: fmt.Sprintf("%s-%s-%d", d.Name, templateHash, ordinal), Labels: t.Labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: d.Name + "-" + templateHash, Controller: &controller}}},
		Spec: t.Spec,
		Status: corev1.PodStatus{Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// waypointDeployment is what istiod makes for a waypoint.
func waypointDeployment(namespace string) *appsv1.Deployment {
	replicas := int32(2)
	labels := map[string]string{
		"gateway.networking.k8s.io/gateway-name": "waypoint", "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
		"gateway.istio.io/managed": "istio.io-mesh-controller", "istio.io/dataplane-mode": "none", "sidecar.istio.io/inject": "false",
	}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "waypoint", Labels: labels},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				ServiceAccountName: "waypoint",
				Containers: []corev1.Container{{Name: "istio-proxy", Image: "docker.io/istio/proxyv2:" + newer.version,
					Args: []string{"proxy", "waypoint"}, Resources: requests("100m", "128Mi")}},
			}}},
		Status: appsv1.DeploymentStatus{Replicas: replicas, ReadyReplicas: replicas}}
}

// ingress makes the gateway that outside traffic comes through.
func ingress(namespace string) *appsv1.Deployment {
	replicas := int32(3)
	labels := map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway"}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "istio-ingressgateway", Labels: labels},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"inject.istio.io/templates": "gateway"}},
				Spec: corev1.PodSpec{ServiceAccountName: "istio-ingressgateway", Containers: []corev1.Container{{
					Name: "istio-proxy", Image: "docker.io/istio/proxyv2:" + newer.version, Args: []string{"proxy", "router"},
					Resources: requests("100m", "128Mi")}}},
			}}}
}

func ingressService(namespace string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "istio-ingressgateway"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.255.1",
			Selector: map[string]string{"istio": "ingressgateway"},
			Ports:    []corev1.ServicePort{{Name: "https", Port: 443, TargetPort: intstr.FromInt32(8443), Protocol: corev1.ProtocolTCP}}}}
}
