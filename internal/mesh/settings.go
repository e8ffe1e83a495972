package mesh

import (
	"cmp"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Settings are the mesh-wide facts. Known is false where the snapshot holds no mesh configuration and
// defaults were assumed.
type Settings struct {
	Known              bool
	RootNamespace      string
	SystemNamespace    string
	TrustDomain        string
	TrustDomainAliases []string
	// ClusterDomain is istiod's --domain: Services are NAME.NAMESPACE.svc.DOMAIN.
	ClusterDomain string
	// Client is what every client's proxy does to calls by mesh configuration.
	Client ClientDefaults
	// Networks names the networks of the mesh, and AmbientMultiNetwork is istiod's AMBIENT_ENABLE_MULTI_NETWORK.
	Networks            []string
	AmbientMultiNetwork bool
	// Minor is the Istio 1.x minor of the control plane, 0 when unknown.
	Minor int
	// AmbientEnabled tells that PILOT_ENABLE_AMBIENT is on.
	AmbientEnabled bool
	// OutboundRegistryOnly is meshConfig.outboundTrafficPolicy REGISTRY_ONLY.
	OutboundRegistryOnly bool
	// Minors are the minors of every control plane found, sorted; Minor is the lowest.
	Minors []int
	// ZtunnelMinor is ztunnel's own minor, 0 when unknown.
	ZtunnelMinor int
	// AutoAllowWaypoint, LayeredWaypointAuthz and AmbientDryRun are istiod's PILOT_AUTO_ALLOW_WAYPOINT_POLICY,
	// ENABLE_LAYERED_WAYPOINT_AUTHORIZATION_POLICIES and AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY.
	AutoAllowWaypoint, LayeredWaypointAuthz, AmbientDryRun bool
	// NoGatewaySelectorPolicies and MultipleCustomProviders are istiod's
	// ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY switched off, and PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS.
	NoGatewaySelectorPolicies, MultipleCustomProviders bool
	// NoAutoMTLS is meshConfig.enableAutoMtls switched off, PrivateDestinationRules is
	// meshConfig.defaultDestinationRuleExportTo ".", PreferHBONE istiod's PILOT_PREFER_SENDING_HBONE,
	// and NoHBONESend istiod's PILOT_ENABLE_SENDING_HBONE turned off.
	NoAutoMTLS, PrivateDestinationRules, PreferHBONE, NoHBONESend bool
	// NoIngressWaypoints is istiod's ENABLE_INGRESS_WAYPOINT_ROUTING switched off.
	NoIngressWaypoints bool
	// ExtensionProviders are meshConfig.extensionProviders; nil with Known false.
	ExtensionProviders []ExtensionProvider
	// DefaultTracing and DefaultAccessLog tell that mesh configuration turns tracing or access logs on
	// for every proxy.
	DefaultTracing, DefaultAccessLog bool
	// PrometheusMerge is meshConfig.enablePrometheusMerge, true by default.
	PrometheusMerge bool
	// DNSCapture tells that sidecars proxy DNS by default.
	DNSCapture bool
	// ExcludedNamespaces are those that istio-cni leaves alone.
	ExcludedNamespaces []string
	// IstiodFound, ZtunnelFound and CNIFound tell which parts of the control plane the snapshot holds.
	IstiodFound, ZtunnelFound, CNIFound bool
	// NativeSidecars is what injection yields for new pods: true where ENABLE_NATIVE_SIDECARS or the
	// 1.27 default (all kubelets >= 1.33) says so.
	NativeSidecars bool
	// HBONESidecars tells that injection sets ISTIO_META_ENABLE_HBONE.
	HBONESidecars bool
	// WebhooksFound tells that the snapshot holds an injector's webhooks, without which nobody can tell which tags there are.
	WebhooksFound bool
	// Revisions are the injector revisions and tags known from webhooks.
	Revisions []Revision
	// ProxyCPUMilli and ProxyMemoryBytes are the default sidecar requests per pod, from the injector's values.
	ProxyCPUMilli, ProxyMemoryBytes int64
	// ProxyRequestsKnown tells that they were read; otherwise they are the chart's defaults.
	ProxyRequestsKnown bool
	Evidence           []Evidence
	// Problems are configuration texts that could not be read; defaults stand in for them.
	Problems []Because
}

// ExtensionProvider is one of meshConfig.extensionProviders.
type ExtensionProvider struct {
	Name string
	// Type is the provider's field name, such as envoyExtAuthzHttp.
	Type string
}

// Revision is one injector revision and the tags that point to it.
type Revision struct {
	Name string
	Tags []string
	// Default tells that istio-injection=enabled selects it.
	Default bool
}

// Defaults of Istio's charts, which stand in where the snapshot says nothing.
const (
	defaultSystemNamespace = "istio-system"
	defaultTrustDomain     = "cluster.local"
	defaultProxyCPUMilli   = 100
	defaultProxyMemory     = 128 << 20
)

// minKubeletForNative is the Kubernetes minor whose sidecar containers are stable; Istio 1.27 injects
// native sidecars once every kubelet has it (pkg/kube/inject/webhook.go DetectNativeSidecar).
const minKubeletForNative = 33

// readSettings gathers mesh-wide facts, once control planes and webhooks are known.
func (b *builder) readSettings() {
	s := &b.mesh.Settings
	s.SystemNamespace = b.systemNamespace()
	primary := b.primaryConfig()
	mc := primary.mesh
	s.Known = primary.meshRef.Name != ""
	s.RootNamespace = cmp.Or(mc.RootNamespace, s.SystemNamespace)
	s.TrustDomain = cmp.Or(mc.TrustDomain, defaultTrustDomain)
	s.TrustDomainAliases = mc.TrustDomainAliases
	s.ClusterDomain = cmp.Or(primary.domain, primary.valuesDomain(), defaultClusterDomain)
	s.Client = primary.client
	s.PrometheusMerge = mc.EnablePrometheusMerge == nil || *mc.EnablePrometheusMerge
	s.DefaultTracing = len(mc.DefaultProviders.Tracing) > 0
	s.DefaultAccessLog = mc.AccessLogFile != "" || len(mc.DefaultProviders.AccessLogging) > 0
	s.DNSCapture = mc.proxyMetadata(envDNSCapture) == "true"
	s.ExtensionProviders = mc.extensionProviders()
	s.ProxyCPUMilli, s.ProxyMemoryBytes = defaultProxyCPUMilli, defaultProxyMemory
	if cpu, mem, ok := primary.injector.requests(); ok {
		s.ProxyCPUMilli, s.ProxyMemoryBytes, s.ProxyRequestsKnown = cpu, mem, true
	}
	for _, cp := range b.planes {
		if cp.mesh.OutboundTrafficPolicy.Mode == registryOnly {
			s.OutboundRegistryOnly = true
			s.Evidence = append(s.Evidence, evidence(cp.meshRef, "data.mesh: outboundTrafficPolicy.mode", registryOnly))
		}
		if cp.minor > 0 && !slices.Contains(s.Minors, cp.minor) {
			s.Minors = append(s.Minors, cp.minor)
		}
		s.IstiodFound = s.IstiodFound || cp.istiod.Name != ""
		s.AmbientMultiNetwork = s.AmbientMultiNetwork || cp.env("AMBIENT_ENABLE_MULTI_NETWORK") == "true"
		s.Networks = append(s.Networks, cp.networks...)
		s.AmbientEnabled = s.AmbientEnabled || cp.env("PILOT_ENABLE_AMBIENT") == "true"
		s.AutoAllowWaypoint = s.AutoAllowWaypoint || cp.env("PILOT_AUTO_ALLOW_WAYPOINT_POLICY") == "true"
		s.LayeredWaypointAuthz = s.LayeredWaypointAuthz || cp.env("ENABLE_LAYERED_WAYPOINT_AUTHORIZATION_POLICIES") == "true"
		s.NoHBONESend = s.NoHBONESend || cp.env("PILOT_ENABLE_SENDING_HBONE") == "false"
		s.AmbientDryRun = s.AmbientDryRun || cp.env("AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY") == "true"
	}
	s.NoAutoMTLS = mc.EnableAutoMTLS != nil && !*mc.EnableAutoMTLS
	s.PrivateDestinationRules = slices.Contains(mc.DestinationRuleExportTo, ".")
	s.NoIngressWaypoints = primary.env("ENABLE_INGRESS_WAYPOINT_ROUTING") == "false"
	s.PreferHBONE = primary.env("PILOT_ENABLE_AMBIENT") == "true" && primary.env("PILOT_PREFER_SENDING_HBONE") == "true"
	s.NoGatewaySelectorPolicies = primary.env("ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY") == "false"
	s.MultipleCustomProviders = primary.env("PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS") == "true"
	slices.Sort(s.Minors)
	slices.Sort(s.Networks)
	s.Networks = slices.Compact(s.Networks)
	if len(s.Minors) > 0 {
		s.Minor = s.Minors[0]
	}
	s.HBONESidecars = mc.proxyMetadata(envEnableHBONE) == "true"
	s.NativeSidecars = b.nativeByDefault(primary)
	if s.Known {
		s.Evidence = append(s.Evidence, evidence(primary.meshRef, "data.mesh", ""))
	}
	b.readNodeAgents()
	b.readMeshUses()
}

// systemNamespace is where the control plane or its configuration lives.
func (b *builder) systemNamespace() string {
	for _, cp := range b.planes {
		if cp.istiod.Name != "" {
			return cp.istiod.Namespace
		}
	}
	for _, cp := range b.planes {
		if cp.meshRef.Name != "" {
			return cp.namespace
		}
	}
	return defaultSystemNamespace
}

// nativeByDefault tells whether new pods get native sidecars.
func (b *builder) nativeByDefault(cp *controlPlane) bool {
	mode := cp.env("ENABLE_NATIVE_SIDECARS")
	if mode == "" && cp.minor >= 27 {
		mode = "auto"
	}
	if mode != "auto" {
		return mode == "true"
	}
	nodes := snapshot.All[*corev1.Node](b.snap)
	for _, n := range nodes {
		if minorOf(n.Status.NodeInfo.KubeletVersion) < minKubeletForNative {
			return false
		}
	}
	return len(nodes) > 0
}

// readNodeAgents looks for ztunnel and istio-cni, and for what istio-cni leaves alone.
func (b *builder) readNodeAgents() {
	s := &b.mesh.Settings
	for _, ds := range snapshot.All[*appsv1.DaemonSet](b.snap) {
		switch roleOf(ds.Labels, &ds.Spec.Template) {
		case Ztunnel:
			s.ZtunnelFound = true
			if s.ZtunnelMinor == 0 {
				s.ZtunnelMinor = minorOfWorkload(ds.Labels, &ds.Spec.Template)
			}
		case CNI:
			s.CNIFound = true
		}
	}
	for _, cm := range snapshot.All[*corev1.ConfigMap](b.snap) {
		if cm.Name == cniConfigMap {
			b.readCNIConfig(cm)
		}
	}
	slices.Sort(s.ExcludedNamespaces)
}

// cniConfigMap is the ConfigMap of the istio-cni chart.
const cniConfigMap = "istio-cni-config"

// enablement is one pair of selectors of istio-cni: a pod is enrolled when one pair selects it.
type enablement struct{ pods, namespaces selector }

// readCNIConfig reads whom istio-cni enrols (istio-cni templates/configmap-cni.yaml).
func (b *builder) readCNIConfig(cm *corev1.ConfigMap) {
	s := &b.mesh.Settings
	for _, ns := range splitList(cm.Data["EXCLUDE_NAMESPACES"]) {
		if !slices.Contains(s.ExcludedNamespaces, ns) {
			s.ExcludedNamespaces = append(s.ExcludedNamespaces, ns)
		}
	}
	text := cm.Data["AMBIENT_ENABLEMENT_SELECTOR"]
	if text == "" {
		return
	}
	var pairs []struct {
		PodSelector       *metav1.LabelSelector `json:"podSelector"`
		NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
	}
	err := yaml.Unmarshal([]byte(text), &pairs)
	for _, p := range pairs {
		pods, err1 := selectorOf(p.PodSelector)
		namespaces, err2 := selectorOf(p.NamespaceSelector)
		err = cmp.Or(err, err1, err2)
		b.enablement = append(b.enablement, enablement{pods, namespaces})
	}
	if err != nil {
		b.enablement = nil
		b.problem(refOf(kindConfigMap, cm), "data.AMBIENT_ENABLEMENT_SELECTOR", "not readable, the default rule is assumed: "+err.Error())
	}
}
