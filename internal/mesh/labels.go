package mesh

import (
	"istio.io/api/annotation"
	"istio.io/api/label"
)

// Names of labels and annotations. Every other package takes them from here, so that a name that
// Istio renames is changed in one place.

// Labels that choose the data plane.
var (
	LabelInject              = label.SidecarInject.Name        // pods: "true" or "false"
	LabelRevision            = label.IoIstioRev.Name           // namespaces, pods, gateways: revision or tag
	LabelTag                 = label.IoIstioTag.Name           // webhook configurations of a tag
	LabelDataplaneMode       = label.IoIstioDataplaneMode.Name // namespaces, pods: "ambient" or "none"
	LabelUseWaypoint         = label.IoIstioUseWaypoint.Name   // namespaces, services, pods: a Gateway's name or "none"
	LabelUseWaypointNS       = label.IoIstioUseWaypointNamespace.Name
	LabelUseWaypointCanary   = label.IoIstioUseWaypointCanary.Name
	LabelUseWaypointCanaryNS = label.IoIstioUseWaypointCanaryNamespace.Name
	LabelIngressUseWaypoint  = label.IoIstioIngressUseWaypoint.Name // services, namespaces: "true"
	LabelWaypointFor         = label.IoIstioWaypointFor.Name        // Gateway, GatewayClass
	LabelGatewayManaged      = label.GatewayManaged.Name
	LabelTLSMode             = label.SecurityTlsMode.Name
	LabelCanonicalName       = label.ServiceCanonicalName.Name // pods, written by the injector where absent
	LabelCanonicalRevision   = label.ServiceCanonicalRevision.Name
)

// Names that Istio's API packages have no constant for.
const (
	// LabelInjection is the namespace label of the default revision (charts/istio-control/istio-discovery
	// templates/mutatingwebhook.yaml).
	LabelInjection = "istio-injection"
	// LabelTunnel is written by the injector on pods whose sidecar accepts HBONE (files/injection-template.yaml).
	LabelTunnel = "networking.istio.io/tunnel"
	// LabelGatewayName and LabelGatewayClass are on the pods of a Gateway API gateway or waypoint.
	LabelGatewayName  = "gateway.networking.k8s.io/gateway-name"
	LabelGatewayClass = "gateway.networking.k8s.io/gateway-class-name"
	// LabelGatewayNameOld was on waypoint pods before 1.24.
	LabelGatewayNameOld = "istio.io/gateway-name"
	// LabelIstio is the role label of Istio's own charts: ingressgateway, egressgateway, pilot, ...
	LabelIstio = "istio"
	// LabelApp is what ztunnel, istiod and istio-cni pods bear in Istio's charts.
	LabelApp             = "app"
	labelK8sApp          = "k8s-app"
	labelPodTemplateHash = "pod-template-hash"
	labelVersion         = "app.kubernetes.io/version"
	labelVersionOfPods   = "version"
	labelAppName         = "app.kubernetes.io/name"
	labelOperatorVersion = "operator.istio.io/version"
	// LabelDefaultsForClass marks a ConfigMap with defaults for a gateway class.
	LabelDefaultsForClass = "gateway.istio.io/defaults-for-class"
	// LabelNamespaceName is set by Kubernetes on every Namespace.
	LabelNamespaceName = "kubernetes.io/metadata.name"
	// AnnotationMode is Sidestep's own: the mode an owner wants for a workload or namespace.
	AnnotationMode = "sidestep.dev/mode"
	// AnnotationForwardClientIdentity makes a waypoint write X-Forwarded-Client-Cert (1.30, release note 54995).
	AnnotationForwardClientIdentity = "ambient.istio.io/xfcc-include-client-identity"
	// AnnotationScrape is the Prometheus convention that metrics merging reads.
	AnnotationScrape = "prometheus.io/scrape"
)

// Annotations.
var (
	AnnotationInject                = annotation.SidecarInject.Name // deprecated in favour of the label
	AnnotationStatus                = annotation.SidecarStatus.Name
	AnnotationRevision              = annotation.IoIstioRev.Name
	AnnotationRedirection           = annotation.AmbientRedirection.Name
	AnnotationDryRun                = annotation.IoIstioDryRun.Name
	AnnotationProxyConfig           = annotation.ProxyConfig.Name
	AnnotationNativeSidecar         = annotation.SidecarNativeSidecar.Name
	AnnotationProxyCPU              = annotation.SidecarProxyCPU.Name
	AnnotationProxyMemory           = annotation.SidecarProxyMemory.Name
	annotationProxyCPULimit         = annotation.SidecarProxyCPULimit.Name
	annotationProxyMemoryLimit      = annotation.SidecarProxyMemoryLimit.Name
	AnnotationTemplates             = annotation.InjectTemplates.Name
	AnnotationMergeMetrics          = annotation.PrometheusMergeMetrics.Name
	AnnotationInterception          = annotation.SidecarInterceptionMode.Name
	AnnotationGatewayServiceAccount = annotation.GatewayServiceAccount.Name
	AnnotationNameOverride          = annotation.GatewayNameOverride.Name
	AnnotationTrafficDistribution   = annotation.NetworkingTrafficDistribution.Name
	AnnotationBypassInbound         = annotation.AmbientBypassInboundCapture.Name
	AnnotationCanaryWeight          = annotation.IoIstioUseWaypointCanaryWeight.Name
	AnnotationExportTo              = annotation.NetworkingExportTo.Name
	AnnotationControlPlaneClusters  = annotation.TopologyControlPlaneClusters.Name
	annotationRegistrationGroup     = annotation.IoIstioAutoRegistrationGroup.Name
)

// Values.
const (
	ModeAmbient            = "ambient"
	ModeNone               = "none"
	InjectionEnabled       = "enabled"
	InjectionDisabled      = "disabled"
	RedirectionPending     = "pending"
	RedirectionEnabled     = "enabled"
	WaypointNone           = "none"
	TunnelHTTP             = "http"
	DefaultRevision        = "default"
	ClassWaypoint          = "istio-waypoint"
	ClassAgentWaypoint     = "istio-agentgateway-waypoint"
	ClassEastWest          = "istio-east-west"
	ManagedByMesh          = "istio.io-mesh-controller"
	ManagedByAgentWaypoint = "istio.io-agentgateway-waypoint-controller"
	ManagedByGateway       = "istio.io-gateway-controller"
	ManagedByEastWest      = "istio.io-eastwest-controller"
)

// Names of Gateway API controllers and of a listener protocol, which look like labels and are none
// (pkg/config/constants).
const (
	controllerMesh  = "istio.io/mesh-controller"
	controllerAgent = "istio.io/agentgateway-waypoint-controller"
	// controllerGateway is that of the classes whose pods istiod makes.
	controllerGateway = "istio.io/gateway-controller"
	// ingressController is that of IngressClasses that istiod serves (pilot/pkg/config/kube/ingress).
	ingressController = "istio.io/ingress-controller"
	proxyProtocol     = "istio.io/PROXY"
)

// ConditionWaypointBound is the condition of a Service that istiod leads through a waypoint (pilot/pkg/model/service.go).
const ConditionWaypointBound = "istio.io/WaypointBound"

// istioDomain ends the prefix of every label and annotation of Istio's.
const istioDomain = "istio.io"

// ProxyContainer is the name of the proxy's container in every pod that has one: sidecars, waypoints,
// gateways and ztunnel alike.
const ProxyContainer = "istio-proxy"

// tuning, and the groups below, sort pod annotations by what becomes of them in ambient mode.
var tuningAnnotations = []string{
	annotation.SidecarProxyCPU.Name, annotation.SidecarProxyCPULimit.Name,
	annotation.SidecarProxyMemory.Name, annotation.SidecarProxyMemoryLimit.Name,
	annotation.SidecarLogLevel.Name, annotation.SidecarComponentLogLevel.Name, annotation.SidecarAgentLogLevel.Name,
	annotation.SidecarRewriteAppHTTPProbers.Name, annotation.SidecarNativeSidecar.Name,
	annotation.SidecarStatsInclusionPrefixes.Name, annotation.SidecarStatsInclusionRegexps.Name,
	annotation.SidecarStatsInclusionSuffixes.Name, annotation.SidecarStatsHistogramBuckets.Name,
	annotation.SidecarStatsHistogramBins.Name, annotation.SidecarStatsFlushInterval.Name,
	annotation.SidecarStatsEvictionInterval.Name, annotation.SidecarExtraStatTags.Name,
	annotation.SidecarStatsCompression.Name, annotation.SidecarProxyImageType.Name,
	annotation.SidecarStatusPort.Name,
	annotation.SidecarStatusReadinessApplicationPorts.Name, annotation.SidecarStatusReadinessFailureThreshold.Name,
	annotation.SidecarStatusReadinessInitialDelaySeconds.Name, annotation.SidecarStatusReadinessPeriodSeconds.Name,
}

var (
	trafficExcludeInboundPorts   = annotation.SidecarTrafficExcludeInboundPorts.Name
	trafficIncludeInboundPorts   = annotation.SidecarTrafficIncludeInboundPorts.Name
	trafficIncludeOutboundRanges = annotation.SidecarTrafficIncludeOutboundIPRanges.Name
	trafficExcludeOutboundRanges = annotation.SidecarTrafficExcludeOutboundIPRanges.Name
	trafficIncludeOutboundPorts  = annotation.SidecarTrafficIncludeOutboundPorts.Name
	trafficExcludeOutboundPorts  = annotation.SidecarTrafficExcludeOutboundPorts.Name
	trafficStatusPort            = annotation.SidecarStatusPort.Name
)

var trafficAnnotations = []string{
	trafficIncludeInboundPorts, trafficExcludeInboundPorts,
	trafficIncludeOutboundPorts, trafficExcludeOutboundPorts, trafficIncludeOutboundRanges, trafficExcludeOutboundRanges,
}

// annotationFeatures maps the remaining pod annotations, one to one.
var annotationFeatures = []struct {
	name    string
	feature Feature
}{
	{annotation.ProxyConfig.Name, ProxyConfigAnnotation},
	{annotation.ProxyOverrides.Name, ProxyOverridesAnnotation},
	{annotation.SidecarDiscoveryAddress.Name, DiscoveryAddressAnnotation},
	{annotation.SidecarProxyImage.Name, ProxyImageAnnotation},
	{annotation.PrometheusMergeMetrics.Name, MergeMetricsAnnotation},
	{annotation.SidecarBootstrapOverride.Name, BootstrapOverride},
	{annotation.SidecarUserVolume.Name, UserVolume},
	{annotation.SidecarUserVolumeMount.Name, UserVolume},
	{annotation.SidecarTrafficExcludeInterfaces.Name, ExcludeInterfaces},
	{annotation.SidecarTrafficKubevirtInterfaces.Name, KubevirtInterfaces},
	{annotation.AmbientBypassInboundCapture.Name, AmbientAnnotations},
	{annotation.AmbientDnsCapture.Name, AmbientAnnotations},
	{annotation.IoIstioRerouteVirtualInterfaces.Name, AmbientAnnotations},
	{annotation.SidecarInject.Name, InjectAnnotation},
}
