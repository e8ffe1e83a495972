package authz

import (
	"net/netip"

	"github.com/sidestep-mesh/sidestep/internal/object"
)

// World is what a whole mesh looks like to authorization in one mode assignment.
// It is a plain value: build it by hand in a test, or derive it from a snapshot.
// Nothing in this package changes a World it is given.
type World struct {
	Config    Config
	Policies  Policies
	Workloads []Workload
	Services  []Service
	Waypoints []Waypoint
	// Unknown lists what could not be seen or is not modelled. Whatever it covers is
	// answered "unknown", which Diff counts as weaker.
	Unknown []Unknown
	// Outside are facts that are known to change decisions and that this package does not model, by what they are
	// about: a setting of the mesh, an annotation. Where two worlds differ in one, the comparison says so.
	Outside map[string]string
}

// Config is the part of the mesh configuration and of istiod's environment that
// changes what a policy means.
type Config struct {
	// RootNamespace is meshConfig.rootNamespace; empty means "istio-system".
	RootNamespace string
	// TrustDomain is meshConfig.trustDomain; empty means "cluster.local".
	TrustDomain string
	// TrustDomainAliases is meshConfig.trustDomainAliases.
	TrustDomainAliases []string
	// IstioMinor is the minor version of Istio 1.x; 0 means the newest one modelled (31).
	IstioMinor int
	// AutoAllowWaypoint is istiod's PILOT_AUTO_ALLOW_WAYPOINT_POLICY: every workload
	// bound to a waypoint gets an ALLOW policy for that waypoint's identity.
	AutoAllowWaypoint bool
	// LayeredWaypointPolicies is istiod's ENABLE_LAYERED_WAYPOINT_AUTHORIZATION_POLICIES.
	LayeredWaypointPolicies bool
	// AmbientDryRun is istiod's AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY: dry-run
	// policies reach ztunnel, which honours the flag only from 1.29 on.
	AmbientDryRun bool
	// NoGatewaySelectorPolicies is istiod's ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY
	// turned off: selectors then do not apply to Gateway API gateways. It is spelled so
	// that the zero Config is istiod's default.
	NoGatewaySelectorPolicies bool
	// ExtensionProviders names the meshConfig.extensionProviders usable by CUSTOM
	// policies. A CUSTOM policy that names another one denies what it matches.
	// Nil means the list could not be read: every provider is taken to exist.
	ExtensionProviders []ExtensionProvider
	// NoAutoMTLS is meshConfig.enableAutoMtls turned off: Envoys then speak plaintext unless a
	// DestinationRule says otherwise.
	NoAutoMTLS bool
	// PreferHBONE is istiod's PILOT_PREFER_SENDING_HBONE: Envoys that speak HBONE use it also to
	// sidecars that do, instead of legacy mTLS.
	PreferHBONE bool
	// NoHBONESend is istiod's PILOT_ENABLE_SENDING_HBONE turned off: Envoys are then told to tunnel to ambient pods and
	// are not given what to tunnel with.
	NoHBONESend bool
	// MultipleCustomProviders is istiod's PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS.
	MultipleCustomProviders bool
}

// ExtensionProvider is one external authorizer of meshConfig.extensionProviders.
type ExtensionProvider struct {
	Name string
	// TCP says that it also serves TCP filter chains: true for envoyExtAuthzGrpc,
	// false for envoyExtAuthzHttp.
	TCP bool
}

// Mode is the data plane mode in effect for a workload.
type Mode = object.Mode

// The three modes. ModeNone is a workload outside the mesh.
const (
	ModeNone    = object.None
	ModeSidecar = object.Sidecar
	ModeAmbient = object.Ambient
)

// Role says what a workload is to the mesh.
type Role = object.Role

// Roles that change how a workload calls or is called.
const (
	RoleApplication = object.Application
	// RoleGateway is an ingress, egress or east-west gateway: an Envoy that is a
	// destination for outside traffic and a caller with its own identity.
	RoleGateway = object.Gateway
	// RoleExternal is a destination outside the mesh that a ServiceEntry or an ExternalName Service
	// names. It never calls, and nothing but a waypoint enforces for it.
	RoleExternal = object.External
	// RoleWaypoint never originates calls of its own.
	RoleWaypoint = object.Waypoint
	// RoleOther is mesh machinery (istiod, ztunnel, CNI): neither caller nor destination here.
	RoleOther = object.Other
)

// Ref names a namespaced object.
type Ref struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String gives namespace/name, preceded by the kind when there is one.
func (r Ref) String() string {
	s := r.Namespace + "/" + r.Name
	if r.Kind != "" {
		return r.Kind + " " + s
	}
	return s
}

// Pods names the pods of a workload, or a set of them that are alike where it has several sorts, as in the
// middle of a restart: each set is a caller and a destination of its own.
type Pods struct {
	Ref
	// Set tells the sets of one workload apart; empty where there is but one.
	Set string `json:"set,omitempty"`
}

// String gives the workload, and the set where it has a name.
func (p Pods) String() string {
	if p.Set == "" {
		return p.Ref.String()
	}
	return p.Ref.String() + " (" + p.Set + ")"
}

// Workload is a set of equal pods: those of a Deployment, a StatefulSet, a bare Pod, a VM. Where pods of one
// workload differ, each sort of them is one Workload, told apart by Set.
type Workload struct {
	Ref Ref
	Set string
	// Labels are the pod labels that selectors match.
	Labels map[string]string
	// ServiceAccount is the pods' service account; empty means "default".
	ServiceAccount string
	// TrustDomain is set only for workloads of another trust domain.
	TrustDomain string
	Mode        Mode
	// HBONE says that a sidecar listens on HBONE (ISTIO_META_ENABLE_HBONE). It has no meaning for other modes, and none for
	// the calls that the sidecar makes.
	HBONE bool
	// NoHBONESend says that its Envoy does not send HBONE, as all do unless they are told not to (istio/istio#50360):
	// ISTIO_META_DISABLE_HBONE_SEND, or a gRPC library in the place of an Envoy. Ambient pods are then called in plaintext.
	NoHBONESend bool
	// HostNetwork pods are never captured nor injected; Mode should be none.
	HostNetwork bool
	Role        Role
	// Gateway is the Gateway API Gateway that this workload implements (label
	// gateway.networking.k8s.io/gateway-name); it changes which policies attach.
	Gateway string
	// Ports are the container ports known to listen, beyond those that services target.
	Ports []Port
	// IPs are the pod addresses; empty when they are not known.
	IPs []netip.Addr
	// Waypoint is the use-waypoint binding in effect for the workload itself (calls
	// that address the pod), already resolved for labels on pod and namespace.
	Waypoint Binding
	// BypassInbound is annotation ambient.istio.io/bypass-inbound-capture of ambient pods: only calls
	// through HBONE pass ztunnel.
	BypassInbound bool
	// Narrow says that its sidecar may not know every service: a Sidecar resource names hosts, or
	// annotations leave ports or ranges out of outbound capture. What it does not know it calls in
	// plaintext, if at all.
	Narrow bool
	// TLSScope says which ClientTLS of services are meant for its calls; empty for those of nobody in
	// particular.
	TLSScope string
	// ExcludedInboundPorts are ports that the sidecar's capture leaves out.
	ExcludedInboundPorts []uint16
	// Unknown, when not empty, says why this workload's behaviour cannot be told.
	Unknown string
}

// Pods names the pods that it stands for.
func (w *Workload) Pods() Pods { return Pods{w.Ref, w.Set} }

// Protocol is how a port is treated by Envoy.
type Protocol string

// Protocols. Auto is a port whose protocol is not declared: Envoy sniffs it.
const (
	ProtocolHTTP Protocol = "http"
	ProtocolTCP  Protocol = "tcp"
	ProtocolAuto Protocol = "auto"
)

// Port is a port that a workload listens on.
type Port struct {
	Number   uint16
	Protocol Protocol
}

// Binding names the waypoint that a Service or workload asks for. The zero Binding
// asks for none.
type Binding struct {
	Namespace, Name string
}

// None says that no waypoint is asked for.
func (b Binding) None() bool { return b.Name == "" }

// String gives namespace/name.
func (b Binding) String() string { return b.Namespace + "/" + b.Name }

// ServicePort is one port of a Service.
type ServicePort struct {
	Name string
	Port uint16
	// TargetPort is the pods' port, with names resolved; 0 means the same as Port.
	TargetPort uint16
	Protocol   Protocol
	// Doubt, when not empty, says why the pods' port cannot be told; ZtunnelDoubt why it cannot for calls of ztunnel.
	Doubt, ZtunnelDoubt string
}

// Target gives the pods' port.
func (p ServicePort) Target() uint16 {
	if p.TargetPort == 0 {
		return p.Port
	}
	return p.TargetPort
}

// Service is a Kubernetes Service or a ServiceEntry.
type Service struct {
	Namespace, Name string
	// Entry says that this is a ServiceEntry.
	Entry    bool
	Ports    []ServicePort
	Headless bool
	// VIPs are the cluster addresses; empty when they are not known.
	VIPs []netip.Addr
	// Workloads are those whose pods the Service selects, or that its EndpointSlices name.
	Workloads []Pods
	// Reach is how EndpointSlices know some of the Workloads; ReachPod for the others.
	Reach map[Pods]Reach
	// Waypoint is the use-waypoint binding in effect, labels on Service and namespace resolved.
	Waypoint Binding
	// Canary, when not empty, names a second waypoint that takes a share of its connections: which one a
	// call passes cannot be told.
	Canary string
	// IngressUseWaypoint is istio.io/ingress-use-waypoint on Service or namespace.
	IngressUseWaypoint bool
	// ClientTLS is what DestinationRules tell Envoys that call it, by Workload.TLSScope; the entry
	// without scope is for all others. None means that none says anything.
	ClientTLS map[string]ClientTLS
}

// ClientTLS is what the DestinationRule in effect tells an Envoy about its calls to a service.
type ClientTLS struct {
	// Mode is for all ports but those in Ports, which are the service's.
	Mode  TLSMode
	Ports map[uint16]TLSMode
	// Passthrough is the load balancer PASSTHROUGH, which calls the address that the caller asked for.
	Passthrough bool
	// By names the DestinationRule.
	By string
	// Unknown, when not empty, says why it cannot be told.
	Unknown string
}

// at is the mode for a service port.
func (c *ClientTLS) at(port uint16) TLSMode {
	if m, ok := c.Ports[port]; ok {
		return m
	}
	return c.Mode
}

// TLSMode is the tls.mode of a DestinationRule; empty leaves it to istiod (auto mTLS).
type TLSMode string

// Modes of a DestinationRule.
const (
	TLSAuto        TLSMode = ""
	TLSDisable     TLSMode = "DISABLE"
	TLSSimple      TLSMode = "SIMPLE"
	TLSMutual      TLSMode = "MUTUAL"
	TLSIstioMutual TLSMode = "ISTIO_MUTUAL"
)

// WaypointFor is the traffic a waypoint accepts, from label istio.io/waypoint-for.
type WaypointFor string

// Values of istio.io/waypoint-for. Empty means service.
const (
	ForService  WaypointFor = "service"
	ForWorkload WaypointFor = "workload"
	ForAll      WaypointFor = "all"
	ForNone     WaypointFor = "none"
)

// Waypoint is a Gateway of a waypoint class.
type Waypoint struct {
	Namespace, Name string
	For             WaypointFor
	// ServiceAccount of its pods; empty means the Gateway's name.
	ServiceAccount string
	// Class is the gatewayClassName; empty means "istio-waypoint".
	Class string
	// Programmed says that istiod once saw a ready pod and wrote its address. A Gateway
	// that was never programmed is ignored: traffic goes straight to the pods.
	Programmed bool
	// Ready says that a pod of it is ready now. A programmed waypoint without ready
	// pods makes the traffic that it is bound to fail.
	Ready bool
	// Admits lists other namespaces whose objects may bind to it (listener
	// allowedRoutes); "*" means all of them. Its own namespace is always admitted.
	Admits []string
	// Unknown, when not empty, says why its behaviour cannot be told (an EnvoyFilter
	// or a class that is not modelled).
	Unknown string
}

// Unknown is a gap in what the World knows.
type Unknown struct {
	// What was not readable or is not modelled: a kind such as "AuthorizationPolicy".
	What string
	// Namespace it is limited to; empty means everywhere.
	Namespace string
	// Workload it is limited to; empty means all in the namespace.
	Workload string
	// Why, in words ("listing is forbidden", "EnvoyFilter patches RBAC").
	Why string
}
