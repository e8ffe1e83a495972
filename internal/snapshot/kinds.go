package snapshot

import (
	"reflect"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	k8snetv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// KindInfo describes one kind that a verdict can depend on.
type KindInfo struct {
	Kind
	// Resource is the plural name, as RBAC and the API path spell it.
	Resource string
	// Versions are the API versions accepted, the preferred one first. All of them
	// decode into the same Go type: their schemas agree.
	Versions []string
	// Namespaced tells a namespaced kind from a cluster-scoped one.
	Namespaced bool
	// Optional kinds come with a CRD that a healthy cluster may lack.
	Optional bool
	// CostOnly kinds are those that no verdict depends on, only the number of nodes.
	CostOnly bool
	// FilesOnly kinds are read from manifests alone; no API server has them, or it makes another kind of them.
	FilesOnly bool
	// LabelSelector is for those objects of the kind that a cluster is asked for; empty for all.
	LabelSelector string
	// New returns an empty object of the kind's Go type.
	New func() Object

	goType  reflect.Type
	newList func([]entry) column
}

func kind[T any, P interface {
	*T
	Object
}](group, name, resource string, namespaced, optional bool, versions ...string) KindInfo {
	return KindInfo{
		Kind: Kind{Group: group, Kind: name}, Resource: resource, Versions: versions,
		Namespaced: namespaced, Optional: optional,
		New:    func() Object { return P(new(T)) },
		goType: reflect.TypeFor[P](), newList: newList[P],
	}
}

// costOnly marks a kind that no verdict depends on.
func costOnly(k KindInfo) KindInfo {
	k.CostOnly = true
	return k
}

// filesOnly marks a kind that is not asked of an API server.
func filesOnly(k KindInfo) KindInfo {
	k.FilesOnly = true
	return k
}

// endpointSlices are those that people, operators and the mirroring of Endpoints write. The control plane writes one and more for each
// Service with a selector, as large as all pods together, and they say nothing that pods and selectors do not.
func endpointSlices() KindInfo {
	k := kind[discoveryv1.EndpointSlice]("discovery.k8s.io", "EndpointSlice", "endpointslices", true, false, "v1")
	k.LabelSelector = discoveryv1.LabelManagedBy + "!=" + sliceController
	return k
}

// API groups with kinds that steer the mesh.
const (
	GatewayGroup    = "gateway.networking.k8s.io"
	IstioNetworking = "networking.istio.io"
	IstioSecurity   = "security.istio.io"
)

// GatewayModule begins the path of every Go package of the Gateway API.
const GatewayModule = "sigs.k8s.io/gateway-api/"

// kinds is the whole vocabulary of a snapshot. Secrets are absent on purpose and must stay so.
var kinds = []KindInfo{
	kind[corev1.Namespace]("", "Namespace", "namespaces", false, false, "v1"),
	kind[corev1.Node]("", "Node", "nodes", false, false, "v1"),
	kind[Pod]("", "Pod", "pods", true, false, "v1"),
	kind[corev1.Service]("", "Service", "services", true, false, "v1"),
	endpointSlices(),
	// The control plane mirrors Endpoints into EndpointSlices (https://kubernetes.io/docs/concepts/services-networking/service/).
	filesOnly(kind[corev1.Endpoints]("", "Endpoints", "endpoints", true, true, "v1")), //nolint:staticcheck // deprecated, and still written
	kind[corev1.ServiceAccount]("", "ServiceAccount", "serviceaccounts", true, false, "v1"),
	kind[corev1.ConfigMap]("", "ConfigMap", "configmaps", true, false, "v1"),
	kind[corev1.ResourceQuota]("", "ResourceQuota", "resourcequotas", true, false, "v1"),
	kind[appsv1.Deployment]("apps", "Deployment", "deployments", true, false, "v1"),
	kind[appsv1.StatefulSet]("apps", "StatefulSet", "statefulsets", true, false, "v1"),
	kind[appsv1.DaemonSet]("apps", "DaemonSet", "daemonsets", true, false, "v1"),
	kind[appsv1.ReplicaSet]("apps", "ReplicaSet", "replicasets", true, false, "v1"),
	kind[corev1.ReplicationController]("", "ReplicationController", "replicationcontrollers", true, false, "v1"),
	filesOnly(kind[partial.PodMaker]("sidestep.dev", "PodMaker", "podmakers", true, true, "v1")),
	kind[batchv1.Job]("batch", "Job", "jobs", true, false, "v1"),
	kind[batchv1.CronJob]("batch", "CronJob", "cronjobs", true, false, "v1"),
	kind[autoscalingv2.HorizontalPodAutoscaler]("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, false, "v2"),
	kind[policyv1.PodDisruptionBudget]("policy", "PodDisruptionBudget", "poddisruptionbudgets", true, false, "v1"),
	costOnly(kind[corev1.PersistentVolumeClaim]("", "PersistentVolumeClaim", "persistentvolumeclaims", true, false, "v1")),
	costOnly(kind[corev1.PersistentVolume]("", "PersistentVolume", "persistentvolumes", false, false, "v1")),
	kind[k8snetv1.NetworkPolicy]("networking.k8s.io", "NetworkPolicy", "networkpolicies", true, false, "v1"),
	kind[k8snetv1.Ingress]("networking.k8s.io", "Ingress", "ingresses", true, false, "v1"),
	kind[k8snetv1.IngressClass]("networking.k8s.io", "IngressClass", "ingressclasses", false, false, "v1"),
	kind[admissionv1.MutatingWebhookConfiguration]("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false, false, "v1"),

	kind[partial.Rollout]("argoproj.io", "Rollout", "rollouts", true, true, "v1alpha1"),
	kind[partial.AnalysisTemplate]("argoproj.io", "AnalysisTemplate", "analysistemplates", true, true, "v1alpha1"),
	kind[partial.ClusterAnalysisTemplate]("argoproj.io", "ClusterAnalysisTemplate", "clusteranalysistemplates", false, true, "v1alpha1"),
	kind[partial.ScaledObject]("keda.sh", "ScaledObject", "scaledobjects", true, true, "v1alpha1"),
	kind[partial.Canary]("flagger.app", "Canary", "canaries", true, true, "v1beta1"),
	kind[partial.MetricTemplate]("flagger.app", "MetricTemplate", "metrictemplates", true, true, "v1beta1"),
	kind[partial.PrometheusRule]("monitoring.coreos.com", "PrometheusRule", "prometheusrules", true, true, "v1"),
	kind[partial.FelixConfiguration]("crd.projectcalico.org", "FelixConfiguration", "felixconfigurations", false, true, "v1"),
	kind[partial.Installation]("operator.tigera.io", "Installation", "installations", false, true, "v1"),
	kind[partial.CiliumClusterwideNetworkPolicy]("cilium.io", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", false, true, "v2"),
	kind[partial.CiliumNetworkPolicy]("cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies", true, true, "v2"),
	kind[partial.AdminNetworkPolicy]("policy.networking.k8s.io", "AdminNetworkPolicy", "adminnetworkpolicies", false, true, "v1alpha1"),
	kind[partial.BaselineAdminNetworkPolicy]("policy.networking.k8s.io", "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", false, true, "v1alpha1"),
	kind[partial.CalicoNetworkPolicy]("projectcalico.org", "NetworkPolicy", "networkpolicies", true, true, "v3"),
	kind[partial.CalicoGlobalNetworkPolicy]("projectcalico.org", "GlobalNetworkPolicy", "globalnetworkpolicies", false, true, "v3"),
	kind[partial.CalicoCRDNetworkPolicy]("crd.projectcalico.org", "NetworkPolicy", "networkpolicies", true, true, "v1"),
	kind[partial.CalicoCRDGlobalNetworkPolicy]("crd.projectcalico.org", "GlobalNetworkPolicy", "globalnetworkpolicies", false, true, "v1"),

	kind[gatewayv1.GatewayClass](GatewayGroup, "GatewayClass", "gatewayclasses", false, true, "v1", "v1beta1"),
	kind[gatewayv1.Gateway](GatewayGroup, "Gateway", "gateways", true, true, "v1", "v1beta1"),
	kind[gatewayv1.HTTPRoute](GatewayGroup, "HTTPRoute", "httproutes", true, true, "v1", "v1beta1"),
	kind[gatewayv1.GRPCRoute](GatewayGroup, "GRPCRoute", "grpcroutes", true, true, "v1", "v1alpha2"),
	kind[gatewayv1alpha2.TCPRoute](GatewayGroup, "TCPRoute", "tcproutes", true, true, "v1alpha2", "v1"),
	kind[gatewayv1alpha2.TLSRoute](GatewayGroup, "TLSRoute", "tlsroutes", true, true, "v1alpha2", "v1alpha3", "v1"),
	kind[gatewayv1.BackendTLSPolicy](GatewayGroup, "BackendTLSPolicy", "backendtlspolicies", true, true, "v1", "v1alpha3"),
	kind[gatewayv1beta1.ReferenceGrant](GatewayGroup, "ReferenceGrant", "referencegrants", true, true, "v1beta1", "v1", "v1alpha2"),

	kind[networkingv1.VirtualService](IstioNetworking, "VirtualService", "virtualservices", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1.DestinationRule](IstioNetworking, "DestinationRule", "destinationrules", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1.Gateway](IstioNetworking, "Gateway", "gateways", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1.ServiceEntry](IstioNetworking, "ServiceEntry", "serviceentries", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1.Sidecar](IstioNetworking, "Sidecar", "sidecars", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1.WorkloadEntry](IstioNetworking, "WorkloadEntry", "workloadentries", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1.WorkloadGroup](IstioNetworking, "WorkloadGroup", "workloadgroups", true, true, "v1", "v1beta1", "v1alpha3"),
	kind[networkingv1alpha3.EnvoyFilter](IstioNetworking, "EnvoyFilter", "envoyfilters", true, true, "v1alpha3"),
	kind[networkingv1beta1.ProxyConfig](IstioNetworking, "ProxyConfig", "proxyconfigs", true, true, "v1beta1"),
	kind[securityv1.AuthorizationPolicy](IstioSecurity, "AuthorizationPolicy", "authorizationpolicies", true, true, "v1", "v1beta1"),
	kind[securityv1.RequestAuthentication](IstioSecurity, "RequestAuthentication", "requestauthentications", true, true, "v1", "v1beta1"),
	kind[securityv1.PeerAuthentication](IstioSecurity, "PeerAuthentication", "peerauthentications", true, true, "v1", "v1beta1"),
	kind[telemetryv1.Telemetry]("telemetry.istio.io", "Telemetry", "telemetries", true, true, "v1", "v1alpha1"),
	kind[extensionsv1alpha1.WasmPlugin]("extensions.istio.io", "WasmPlugin", "wasmplugins", true, true, "v1alpha1"),
	kind[extensionsv1alpha1.TrafficExtension]("extensions.istio.io", "TrafficExtension", "trafficextensions", true, true, "v1alpha1"),
}

// Kinds lists every kind a snapshot can hold, in a fixed order.
func Kinds() []KindInfo { return append([]KindInfo(nil), kinds...) }

// ServedKinds lists the kinds that an API server is asked for, in the same order.
func ServedKinds() []KindInfo {
	return slices.DeleteFunc(Kinds(), func(k KindInfo) bool { return k.FilesOnly })
}

// KindOf returns the description of a group and kind, and whether a snapshot can hold it.
func KindOf(k Kind) (KindInfo, bool) {
	for _, info := range kinds {
		if info.Kind == k {
			return info, true
		}
	}
	return KindInfo{}, false
}

// InfoOf returns the description of an object's kind, and whether a snapshot can hold it.
func InfoOf(o Object) (KindInfo, bool) {
	if _, ok := o.(*corev1.Pod); ok {
		o = (*Pod)(nil)
	}
	return infoOf(reflect.TypeOf(o))
}

func infoOf(t reflect.Type) (KindInfo, bool) {
	for _, info := range kinds {
		if info.goType == t {
			return info, true
		}
	}
	return KindInfo{}, false
}
