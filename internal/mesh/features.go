package mesh

// The features a workload can rely on: one constant per row of the decision table of what survives
// in ambient mode, and one per group of pod annotations. Package audit says which mode each one
// needs; here stands only how it is recognised and where its meaning was read.
//
// Sources: "What is not supported" of https://istio.io/latest/docs/ambient/migrate/, the pages under
// https://istio.io/latest/docs/ambient/usage/, and istio/istio at the 1.31 line, named by path.

// Authorization and authentication. Side is Inbound throughout.
const (
	// L4Authz: an AuthorizationPolicy without targetRefs whose every attribute ztunnel evaluates
	// (pilot/pkg/serviceregistry/ambient/authorization.go: principals, namespaces, serviceAccounts,
	// ipBlocks, ports, and five "when" keys).
	L4Authz Feature = "l4-authz"
	// L7Authz: an AuthorizationPolicy without targetRefs, ALLOW or DENY, with an attribute that only
	// an HTTP proxy sees; Evidence names each such field. What ztunnel makes of it depends on the
	// action (same file): ALLOW drops the rule, DENY strips the attribute and may become inert.
	L7Authz Feature = "l7-authz"
	// ExtAuthz: action CUSTOM. ztunnel drops it whole, so leaving it means no external authorization.
	ExtAuthz Feature = "ext-authz"
	// AuditAuthz: action AUDIT. ztunnel drops it whole; nothing is refused because of it either way.
	AuditAuthz Feature = "audit-authz"
	// DryRunAuthz: annotation istio.io/dry-run on an AuthorizationPolicy. ztunnel before 1.29 enforces
	// such a policy when istiod sends it (release note authz-dry-run-ambient).
	DryRunAuthz Feature = "dry-run-authz"
	// WaypointPolicy: a policy of any kind whose targetRefs reach the workload through a waypoint it is
	// bound to. Sidecars and ztunnel ignore it, so it holds only as long as that waypoint is bound.
	WaypointPolicy Feature = "waypoint-policy"
	// RequestAuthn: a RequestAuthentication without targetRefs (JWT validation).
	RequestAuthn Feature = "request-authn"
	// JWTClaimRouting: a route that matches on @request.auth.claims, which needs RequestAuthentication
	// at the same proxy.
	JWTClaimRouting Feature = "jwt-claim-routing"
	// StrictMTLS: the effective PeerAuthentication is STRICT, on the workload or on a port. Not
	// redundant in ambient mode: ztunnel takes plaintext unless STRICT.
	StrictMTLS Feature = "strict-mtls"
	// PortLevelMTLS: portLevelMtls on a selector PeerAuthentication (works at ztunnel outside the root
	// namespace only).
	PortLevelMTLS Feature = "port-level-mtls"
	// DisabledMTLS: the effective mode is DISABLE somewhere. ztunnel ignores it.
	DisabledMTLS Feature = "disabled-mtls"
)

// HTTP routing, read from VirtualService, HTTPRoute and GRPCRoute. A use is recorded Inbound on the
// workloads behind the route's host, whose waypoint would have to apply it, and Outbound on clients
// only where the route is limited to some clients.
const (
	// HTTPMatch: a route that depends on path, header, method, query, authority or port.
	HTTPMatch Feature = "http-match"
	// TrafficSplit: more than one destination, or a weight (istio/istio docs: traffic shifting).
	TrafficSplit Feature = "traffic-split"
	// HeaderManipulation: request or response headers set, added or removed.
	HeaderManipulation Feature = "header-manipulation"
	// Rewrite: URI or authority rewrite, redirect, or direct response.
	Rewrite Feature = "rewrite"
	// Retries: an explicit retry policy in a route.
	Retries Feature = "retries"
	// Timeouts: an explicit request timeout in a route.
	Timeouts Feature = "timeouts"
	// Mirroring: mirrored traffic.
	Mirroring Feature = "mirroring"
	// CORS: a corsPolicy in a route.
	CORS Feature = "cors"
	// FaultInjection: delay or abort. No Gateway API counterpart: a waypoint takes it from a
	// VirtualService only (Alpha).
	FaultInjection Feature = "fault-injection"
	// SourceMatch: a VirtualService match on sourceLabels or sourceNamespace, dropped at a waypoint
	// (pilot/pkg/networking/core/listener_waypoint.go; release note 51565).
	SourceMatch Feature = "source-match"
	// DelegateRoute: a VirtualService that delegates, or is a delegate.
	DelegateRoute Feature = "delegate-route"
	// ClientNamespaceRoute: a VirtualService for a Service of another namespace. Sidecar clients obey it; a
	// waypoint reads only those of the Service's namespace or its own (getVirtualServiceForWaypoint).
	ClientNamespaceRoute Feature = "client-namespace-route"
	// TCPRouting: tcp routes of a VirtualService, or a TCPRoute on a Service. ztunnel routes nothing.
	TCPRouting Feature = "tcp-routing"
	// TLSRouting: tls (SNI) routes of a VirtualService, or a TLSRoute.
	TLSRouting Feature = "tls-routing"
	// MixedRoutes: a host that has both a VirtualService for the mesh and a Gateway API route;
	// documented as undefined (istio.io ambient/migrate/migrate-policies).
	MixedRoutes Feature = "mixed-routes"
)

// Client-side traffic policy, read from DestinationRule and from Service or ServiceEntry. A use is
// recorded Inbound on the workloads behind the host; Outbound where only some clients have it.
const (
	// ConnectionPool: trafficPolicy.connectionPool, at any level.
	ConnectionPool Feature = "connection-pool"
	// OutlierDetection: trafficPolicy.outlierDetection, at any level.
	OutlierDetection Feature = "outlier-detection"
	// ClientTLS: trafficPolicy.tls other than ISTIO_MUTUAL: SIMPLE, MUTUAL, or DISABLE to a mesh workload.
	ClientTLS Feature = "client-tls"
	// ExplicitIstioMutual: trafficPolicy.tls ISTIO_MUTUAL spelled out (istio/istio#53526: some releases
	// then never use HBONE towards ambient workloads).
	ExplicitIstioMutual Feature = "explicit-istio-mutual"
	// LoadBalancing: a loadBalancer policy that is neither consistentHash nor locality.
	LoadBalancing Feature = "load-balancing"
	// ConsistentHash: session affinity.
	ConsistentHash Feature = "consistent-hash"
	// LocalityLB: localityLbSetting with distribute, failover or failoverPriority.
	LocalityLB Feature = "locality-lb"
	// ZoneAwareLB: zoneAwareLbSetting, "not supported in Ambient, only Sidecar mode" (istio/api 1.31).
	ZoneAwareLB Feature = "zone-aware-lb"
	// TrafficDistribution: spec.trafficDistribution or the annotation of that name; ztunnel honours it.
	TrafficDistribution Feature = "traffic-distribution"
	// Subsets: DestinationRule subsets that a route refers to, and the routes that do.
	Subsets Feature = "subsets"
	// ClientDestinationRule: a DestinationRule with workloadSelector: it acts for the clients it selects,
	// which ambient mode has no counterpart for. Side is Outbound, on those clients.
	ClientDestinationRule Feature = "client-destination-rule"
	// ClientNamespaceRule: a DestinationRule in another namespace than its host's.
	ClientNamespaceRule Feature = "client-namespace-rule"
	// UpstreamProxyProtocol: trafficPolicy.proxyProtocol or tunnel.
	UpstreamProxyProtocol Feature = "upstream-proxy-protocol"
)

// Extensions and telemetry.
const (
	// EnvoyFilter: an EnvoyFilter that is applied to the workload's sidecar.
	EnvoyFilter Feature = "envoy-filter"
	// RateLimit: an EnvoyFilter that configures local or global rate limiting.
	RateLimit Feature = "rate-limit"
	// WasmPlugin: a WasmPlugin without targetRefs.
	WasmPlugin Feature = "wasm-plugin"
	// TrafficExtension: a TrafficExtension (Lua or Wasm, 1.30) without targetRefs.
	TrafficExtension Feature = "traffic-extension"
	// ClientExtension: a WasmPlugin or TrafficExtension whose match names the client's side (mode CLIENT, or
	// CLIENT_AND_SERVER), so that it acts on the calls that the workload makes. Side is Outbound.
	ClientExtension Feature = "client-extension"
	// Tracing: tracing configured by a Telemetry. What mesh configuration turns on for every proxy is
	// Settings.DefaultTracing, and DefaultAccessLog for access logs.
	Tracing Feature = "tracing"
	// HTTPMetrics: metrics configured by a Telemetry; Evidence names the overrides where there are some.
	HTTPMetrics Feature = "http-metrics"
	// AccessLogging: access logging in a Telemetry, with or without a filter.
	AccessLogging Feature = "access-logging"
	// ProxyConfigResource: a ProxyConfig object that applies to the workload.
	ProxyConfigResource Feature = "proxy-config-resource"
)

// Egress and configuration scope. Side is Outbound, but for SidecarIngress.
const (
	// SidecarEgress: a Sidecar with egress listeners whose hosts are narrower than everything.
	SidecarEgress Feature = "sidecar-egress"
	// SidecarListener: a Sidecar egress listener with an own port, bind or capture mode.
	SidecarListener Feature = "sidecar-listener"
	// SidecarIngress: Sidecar ingress listeners (port remap, unix socket, TLS termination). Inbound.
	SidecarIngress Feature = "sidecar-ingress"
	// SidecarConnectionPool: inboundConnectionPool of a Sidecar. Inbound.
	SidecarConnectionPool Feature = "sidecar-connection-pool"
	// RegistryOnly: outboundTrafficPolicy REGISTRY_ONLY from mesh config or a Sidecar (istio/istio#54281).
	RegistryOnly Feature = "registry-only"
	// ExportTo: a ServiceEntry or Service visible to some namespaces only, which ztunnel ignores (#55163);
	// or, Inbound, a route or traffic policy that only some namespaces have, which a waypoint applies for all.
	ExportTo Feature = "export-to"
	// EgressProxy: outboundTrafficPolicy.egressProxy of a Sidecar: calls to unknown hosts go to a proxy.
	EgressProxy Feature = "egress-proxy"
	// EgressServiceEntry: a MESH_EXTERNAL ServiceEntry visible to the workload's namespace. Recorded on
	// the ServiceEntry's own namespace only, where somebody wrote it for these workloads.
	EgressServiceEntry Feature = "egress-service-entry"
	// TLSOrigination: a DestinationRule with client TLS for an external host.
	TLSOrigination Feature = "tls-origination"
	// EgressWildcard: a ServiceEntry with a wildcard host or resolution NONE.
	EgressWildcard Feature = "egress-wildcard"
)

// The shape of the workload and its Services.
const (
	// OpaqueTCP: a Service port declared tcp, tls or a database protocol.
	OpaqueTCP Feature = "opaque-tcp"
	// UndeclaredProtocol: a TCP port without declared protocol; a waypoint sniffs it.
	UndeclaredProtocol Feature = "undeclared-protocol"
	// UDPPort: a UDP port; it passes unproxied in either mode.
	UDPPort Feature = "udp-port"
	// HeadlessService: clients reach pod IPs, so a service waypoint sees none of it (#54921).
	HeadlessService Feature = "headless-service"
	// NoService: no Service selects the workload, so a service waypoint never sees calls to it.
	NoService Feature = "no-service"
	// HostNetworkPod: neither injected nor captured.
	HostNetworkPod Feature = "host-network"
	// RunToCompletion: Job or CronJob; a sidecar has to be stopped, ztunnel has not.
	RunToCompletion Feature = "run-to-completion"
	// InitContainers: init containers besides the injected ones; they have mesh traffic in ambient mode only.
	InitContainers Feature = "init-containers"
	// NodeAgent: DaemonSet or privileged pod.
	NodeAgent Feature = "node-agent"
	// VirtualMachine: a WorkloadGroup or WorkloadEntry: a VM keeps its agent.
	VirtualMachine Feature = "virtual-machine"
	// WindowsNode: the pod asks for Windows nodes, where neither ztunnel nor istio-cni runs (#58099).
	WindowsNode Feature = "windows-node"
	// VirtualNode: the pod asks for a node that runs no DaemonSet (virtual-kubelet, Fargate), so that there is no ztunnel.
	VirtualNode Feature = "virtual-node"
	// ProxylessGRPC: injected with a grpc-* template; it cannot tunnel HBONE.
	ProxylessGRPC Feature = "proxyless-grpc"
	// IPv6: a Service with an IPv6 family.
	IPv6 Feature = "ipv6"
	// ForwardedClientCert: something reads or configures X-Forwarded-Client-Cert.
	ForwardedClientCert Feature = "forwarded-client-cert"
	// ProxyEndpoint: a container, in its command, environment, hooks, probes or mounts, names a port, a file or the process
	// of its own sidecar; snapshot.Mentions lists the words.
	ProxyEndpoint Feature = "proxy-endpoint"
	// MergedMetrics: prometheus.io/scrape with metrics merging on, so Prometheus scrapes the sidecar.
	MergedMetrics Feature = "merged-metrics"
	// DNSProxy: ISTIO_META_DNS_CAPTURE for the sidecar.
	DNSProxy Feature = "dns-proxy"
)

// What is not known, and mesh-wide facts that block or colour every workload (Mesh.Uses).
const (
	// UnknownField: an object that touches the workload has a field that this version of Sidestep does not
	// know, so what it does is not known either. Evidence names object and field.
	UnknownField Feature = "unknown-field"
	// SPIRE: workload certificates come from SPIRE (a hard blocker in the official guide).
	SPIRE Feature = "spire"
	// PrimaryRemote: the control plane runs in another cluster.
	PrimaryRemote Feature = "primary-remote"
	// MultiNetwork: several clusters or networks (Beta since 1.29).
	MultiNetwork Feature = "multi-network"
)

// Pod annotations, grouped by what becomes of them (names: istio/api annotation/annotations.yaml).
const (
	// TuningAnnotations: size, logging and statistics of the sidecar; they end with it. Evidence names each one.
	TuningAnnotations Feature = "tuning-annotations"
	// ProxyConfigAnnotation: proxy.istio.io/config.
	ProxyConfigAnnotation Feature = "proxy-config-annotation"
	// ProxyOverridesAnnotation: proxy.istio.io/overrides, or an own istio-proxy container in the template.
	ProxyOverridesAnnotation Feature = "proxy-overrides"
	// DiscoveryAddressAnnotation: sidecar.istio.io/discoveryAddress.
	DiscoveryAddressAnnotation Feature = "discovery-address"
	// ProxyImageAnnotation: sidecar.istio.io/proxyImage.
	ProxyImageAnnotation Feature = "proxy-image"
	// InjectTemplatesAnnotation: inject.istio.io/templates other than the gateway and grpc ones.
	InjectTemplatesAnnotation Feature = "inject-templates"
	// MergeMetricsAnnotation: prometheus.istio.io/merge-metrics.
	MergeMetricsAnnotation Feature = "merge-metrics-annotation"
	// BootstrapOverride: sidecar.istio.io/bootstrapOverride, or a bootstrap file of a ProxyConfig or the mesh's default.
	BootstrapOverride Feature = "bootstrap-override"
	// UserVolume: sidecar.istio.io/userVolume or userVolumeMount.
	UserVolume Feature = "user-volume"
	// InterceptionMode: TPROXY or NONE, from sidecar.istio.io/interceptionMode, a ProxyConfig or the mesh's default.
	InterceptionMode Feature = "interception-mode"
	// TrafficExclusion: traffic.sidecar.istio.io/{include,exclude}{Inbound,Outbound}Ports,
	// {include,exclude}OutboundIPRanges, or the injector's default of one: ambient mode captures all or nothing.
	TrafficExclusion Feature = "traffic-exclusion"
	// ExcludeInterfaces: traffic.sidecar.istio.io/excludeInterfaces.
	ExcludeInterfaces Feature = "exclude-interfaces"
	// KubevirtInterfaces: traffic.sidecar.istio.io/kubevirtInterfaces, replaced by
	// istio.io/reroute-virtual-interfaces in both modes.
	KubevirtInterfaces Feature = "kubevirt-interfaces"
	// AmbientAnnotations: annotations that ambient mode itself reads (bypass-inbound-capture,
	// dns-capture, reroute-virtual-interfaces).
	AmbientAnnotations Feature = "ambient-annotations"
	// InjectAnnotation: sidecar.istio.io/inject as an annotation: deprecated, and it cannot make the
	// webhook match (pkg/kube/inject/inject.go injectRequired).
	InjectAnnotation Feature = "inject-annotation"
)

// Features lists every Feature, in the order above, so that a test can prove that each one is judged.
func Features() []Feature {
	return []Feature{
		L4Authz, L7Authz, ExtAuthz, AuditAuthz, DryRunAuthz, WaypointPolicy, RequestAuthn, JWTClaimRouting,
		StrictMTLS, PortLevelMTLS, DisabledMTLS,
		HTTPMatch, TrafficSplit, HeaderManipulation, Rewrite, Retries, Timeouts, Mirroring, CORS,
		FaultInjection, SourceMatch, DelegateRoute, ClientNamespaceRoute, TCPRouting, TLSRouting, MixedRoutes,
		ConnectionPool, OutlierDetection, ClientTLS, ExplicitIstioMutual, LoadBalancing, ConsistentHash,
		LocalityLB, ZoneAwareLB, TrafficDistribution, Subsets, ClientDestinationRule, ClientNamespaceRule,
		UpstreamProxyProtocol,
		EnvoyFilter, RateLimit, WasmPlugin, TrafficExtension, ClientExtension, Tracing, HTTPMetrics, AccessLogging, ProxyConfigResource,
		SidecarEgress, SidecarListener, SidecarIngress, SidecarConnectionPool, RegistryOnly, EgressProxy, ExportTo,
		EgressServiceEntry, TLSOrigination, EgressWildcard,
		OpaqueTCP, UndeclaredProtocol, UDPPort, HeadlessService, NoService, HostNetworkPod, RunToCompletion,
		InitContainers, NodeAgent, VirtualMachine, WindowsNode, VirtualNode, ProxylessGRPC, IPv6, ForwardedClientCert,
		ProxyEndpoint, MergedMetrics, DNSProxy,
		UnknownField, SPIRE, PrimaryRemote, MultiNetwork,
		TuningAnnotations, ProxyConfigAnnotation, ProxyOverridesAnnotation, DiscoveryAddressAnnotation,
		ProxyImageAnnotation, InjectTemplatesAnnotation, MergeMetricsAnnotation, BootstrapOverride, UserVolume,
		InterceptionMode, TrafficExclusion, ExcludeInterfaces, KubevirtInterfaces, AmbientAnnotations, InjectAnnotation,
	}
}
