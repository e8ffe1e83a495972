package audit

import "github.com/sidestep-mesh/sidestep/internal/snapshot"

// Kinds that rules read themselves.
var (
	kindNamespace               = snapshot.Kind{Kind: "Namespace"}
	kindPod                     = snapshot.Kind{Kind: "Pod"}
	kindService                 = snapshot.Kind{Kind: "Service"}
	kindGateway                 = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "Gateway"}
	kindHTTPRoute               = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}
	kindGRPCRoute               = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "GRPCRoute"}
	kindTCPRoute                = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "TCPRoute"}
	kindTLSRoute                = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "TLSRoute"}
	kindGatewayClass            = snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"}
	kindVirtualService          = snapshot.Kind{Group: "networking.istio.io", Kind: "VirtualService"}
	kindNetworkPolicy           = snapshot.Kind{Group: "networking.k8s.io", Kind: "NetworkPolicy"}
	kindAdminPolicy             = snapshot.Kind{Group: "policy.networking.k8s.io", Kind: "AdminNetworkPolicy"}
	kindBaselinePolicy          = snapshot.Kind{Group: "policy.networking.k8s.io", Kind: "BaselineAdminNetworkPolicy"}
	kindCiliumPolicy            = snapshot.Kind{Group: "cilium.io", Kind: "CiliumNetworkPolicy"}
	kindCiliumClusterwide       = snapshot.Kind{Group: "cilium.io", Kind: "CiliumClusterwideNetworkPolicy"}
	kindCalicoPolicy            = snapshot.Kind{Group: "projectcalico.org", Kind: "NetworkPolicy"}
	kindCalicoGlobal            = snapshot.Kind{Group: "projectcalico.org", Kind: "GlobalNetworkPolicy"}
	kindCalicoCRDPolicy         = snapshot.Kind{Group: "crd.projectcalico.org", Kind: "NetworkPolicy"}
	kindCalicoCRDGlobal         = snapshot.Kind{Group: "crd.projectcalico.org", Kind: "GlobalNetworkPolicy"}
	kindConfigMap               = snapshot.Kind{Kind: "ConfigMap"}
	kindFelix                   = snapshot.Kind{Group: "crd.projectcalico.org", Kind: "FelixConfiguration"}
	kindInstallation            = snapshot.Kind{Group: "operator.tigera.io", Kind: "Installation"}
	kindHPA                     = snapshot.Kind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}
	kindScaledObject            = snapshot.Kind{Group: "keda.sh", Kind: "ScaledObject"}
	kindCanary                  = snapshot.Kind{Group: "flagger.app", Kind: "Canary"}
	kindMetricTemplate          = snapshot.Kind{Group: "flagger.app", Kind: "MetricTemplate"}
	kindRollout                 = snapshot.Kind{Group: "argoproj.io", Kind: "Rollout"}
	kindAnalysisTemplate        = snapshot.Kind{Group: "argoproj.io", Kind: "AnalysisTemplate"}
	kindClusterAnalysisTemplate = snapshot.Kind{Group: "argoproj.io", Kind: "ClusterAnalysisTemplate"}
	kindPrometheusRule          = snapshot.Kind{Group: "monitoring.coreos.com", Kind: "PrometheusRule"}
	kindPodDisruptionBudget     = snapshot.Kind{Group: "policy", Kind: "PodDisruptionBudget"}
	kindAuthorizationPolicy     = snapshot.Kind{Group: "security.istio.io", Kind: "AuthorizationPolicy"}
	kindWebhook                 = snapshot.Kind{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}
)
