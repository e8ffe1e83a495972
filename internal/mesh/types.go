// Package mesh derives facts from a snapshot: for every workload its role, the mode in effect, its
// identity, the services that select it, its waypoint, the policies and routes that touch it and the
// L7 features it uses. It decides nothing: package audit does.
package mesh

import (
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/route"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// The words that every room shares; see package object.
type (
	Ref  = object.Ref
	Mode = object.Mode
	Role = object.Role
)

// Modes and roles, as this package spells them.
const (
	Sidecar = object.Sidecar
	Ambient = object.Ambient
	None    = object.None

	Application = object.Application
	Waypoint    = object.Waypoint
	Gateway     = object.Gateway
	Ztunnel     = object.Ztunnel
	Istiod      = object.Istiod
	CNI         = object.CNI
)

// SidecarKind tells how a proxy sits in its pod.
type SidecarKind string

const (
	NoSidecar      SidecarKind = ""
	ClassicSidecar SidecarKind = "classic" // spec.containers
	NativeSidecar  SidecarKind = "native"  // spec.initContainers with restartPolicy Always
)

// Evidence is the object and the field that a fact was read from.
type Evidence struct {
	Object Ref `json:"object"`
	// Field is a path such as spec.rules[0].to[0].operation.methods or metadata.labels[istio.io/rev].
	Field string `json:"field,omitempty"`
	// Value is the field's value as text, shortened where long.
	Value string `json:"value,omitempty"`
}

// Because is one reason for a fact, with where it was read.
type Because struct {
	Text     string   `json:"text"`
	Evidence Evidence `json:"evidence"`
}

// Workload is everything known about one Deployment, StatefulSet, DaemonSet, Job, CronJob, Rollout,
// unowned ReplicaSet or bare Pod. A Job that a CronJob owns belongs to the CronJob.
type Workload struct {
	Ref
	Role Role
	// Mode is the mode in effect now; Why holds every reason in order of precedence.
	Mode Mode
	Why  []Because
	// Proxy describes the sidecar in effect, observed on pods or derived from the injection rules.
	Proxy Proxy
	// PodModes counts the live pods by the mode each one is in; all zero when Derived.
	PodModes PodModes
	// AfterRestart is the mode that new pods would get; it differs from Mode where a label was changed
	// and pods were not restarted. AfterRestartWhy holds its reasons.
	AfterRestart    Mode
	AfterRestartWhy []Because
	// NamespaceKnown tells that the Namespace object is in the snapshot. Without it the labels that
	// choose the mode are not known, and the modes above assume that there are none.
	NamespaceKnown bool
	// Object is the workload's own object (for an owner that the snapshot does not hold, one of its
	// pods); Template the pod template it makes pods from (for a bare pod, its own metadata and spec; nil
	// for a WorkloadEntry or WorkloadGroup).
	Object   snapshot.Object
	Template *corev1.PodTemplateSpec
	// Labels are the labels pods have; Annotations are the pods' annotations (template and injected).
	Labels, Annotations map[string]string
	// Pods are the live pods, empty when the input has none (manifests); Derived then says so.
	Pods    []*snapshot.Pod
	Derived bool
	// Sets are the pods parted by what tells them apart to the mesh: one where all are alike, more during a rollout or where
	// an Assume says so. There is always one.
	Sets []PodSet
	// Replicas is the number of pods wanted (for a DaemonSet, nodes it is scheduled on or 1 when
	// unknown; for Jobs, parallelism).
	Replicas       int
	ServiceAccount string
	// Principal is trustDomain/ns/NS/sa/SA, without the spiffe:// scheme, as policies match it.
	Principal   string
	HostNetwork bool
	// Assumed tells that the labels of the workload's namespace are not known and that it is judged as if injected.
	Assumed bool
	// Services select the workload's pods.
	Services []*Service
	// Policies are the policy objects that attach to it, whichever proxy would read them; Routes the
	// VirtualServices, DestinationRules and Gateway API routes for hosts of its Services.
	Policies []*Policy
	Routes   []*Policy
	// Uses lists the features in use, sorted by feature and side.
	Uses []Use
	// MTLS is the PeerAuthentication in effect.
	MTLS MTLS
	// Scope is the Sidecar resource in effect, nil without one.
	Scope *Policy
	// Waypoint is the binding in effect for traffic addressed to the workload itself (pod IP). It is never nil.
	Waypoint *Binding
	// Unknown lists kinds that could not be read and that this workload's verdict depends on.
	Unknown []snapshot.Kind

	orphan  bool   // its owner is not in the snapshot: replicas are counted from pods
	opaque  string // why the sidecar's access control cannot be told
	account string // of a WorkloadEntry or WorkloadGroup, empty where none is given
}

// PodModes counts pods by mode.
type PodModes struct {
	Sidecar, Ambient, None int
	// Pending counts those of Ambient whose redirection is not complete: they have no traffic.
	Pending int
}

// MTLS is the effective PeerAuthentication of a workload.
type MTLS struct {
	// Mode is STRICT, PERMISSIVE or DISABLE; PERMISSIVE where nothing is configured.
	Mode string
	// Ports holds what differs per workload port.
	Ports []PortMTLS
	// Evidence names the objects that decided, the most general first; empty for the default.
	Evidence []Evidence
}

// PortMTLS is the mode of one workload port.
type PortMTLS struct {
	Port uint32
	Mode string
}

// Strict tells that plaintext is refused on every port that is not listed otherwise.
func (m MTLS) Strict() bool { return m.Mode == "STRICT" }

// Proxy is the sidecar of a workload.
type Proxy struct {
	Kind SidecarKind
	// HBONE tells that the sidecar accepts HBONE (ISTIO_META_ENABLE_HBONE), needed before ambient
	// clients may call it. It sends HBONE whether it listens or not, unless NoHBONESend (istio/istio#50360;
	// pilot/pkg/xds/endpoints/endpoint_builder.go supportTunnel).
	HBONE, NoHBONESend bool
	// Revision is the control plane revision that injects (or injected) it; Version is the proxy image's tag.
	Revision, Version string
	// CPUMilli and MemoryBytes are the container's requests, per pod; RequestsKnown is false where they
	// could neither be read from a pod nor derived from the injector's values.
	CPUMilli, MemoryBytes int64
	RequestsKnown         bool
	// Mixed tells that only some of the pods have a sidecar (a rollout under way or half restarted).
	Mixed bool
}

// Service is a Kubernetes Service or a ServiceEntry (then Ref.Kind says so).
type Service struct {
	Ref
	Hosts    []string
	Headless bool
	Ports    []Port
	Selector map[string]string
	// Workloads are those whose pods the service selects, or that EndpointSlices put behind it.
	Workloads []*Workload
	// Outside are the endpoints of its EndpointSlices that are no workload of the snapshot.
	Outside []string
	// Waypoint is the binding in effect, never nil; IngressUseWaypoint whether ingress gateways honour it.
	Waypoint           *Binding
	IngressUseWaypoint bool
	// External tells that its endpoints are outside the mesh (MESH_EXTERNAL, or ExternalName).
	External bool
	// VIPs are its addresses, where known.
	VIPs []string
	// ExportTo lists the namespaces that see it; nil means all.
	ExportTo []string
	// Policies have it in their targetRefs, or a waypoint that it is bound to. Routes are for its hosts.
	Policies []*Policy
	Routes   []*Policy
	// Exposures are the ways in that are no client's of the mesh.
	Exposures []Exposure
	// Uses lists the features of its routes and traffic policies.
	Uses   []Use
	Object snapshot.Object

	sliced bool // EndpointSlices say what is behind it
	// reach is how EndpointSlices know the workloads that they put behind it.
	reach map[Ref]authz.Reach
}

// Port is a service port.
type Port struct {
	Name string
	// Port is the service's port; Target the workload's, 0 when it is named and unresolved.
	Port, Target int32
	// Protocol is the declared application protocol in lower case: http, http2, grpc, tcp, tls, mongo, ...;
	// empty when undeclared (Envoy sniffs, a waypoint too).
	Protocol string
	// TargetName is the name of a named target port.
	TargetName string
	// Doubt says why the port of the pods cannot be told, ZtunnelDoubt why that cannot which ztunnel calls; mostly empty.
	Doubt, ZtunnelDoubt string
}

// HTTP tells that an HTTP proxy sees requests on the port; sniffed ports count as such.
func (p Port) HTTP() bool {
	switch p.Protocol {
	case "", "http", "http2", "grpc", "grpc-web", "http_proxy":
		return true
	}
	return false
}

// unbound is the Binding of all that asks for no waypoint: most of a mesh, so they share one.
var unbound = &Binding{}

// Binding is the waypoint an object asks for by labels, and whether it gets it.
type Binding struct {
	// Asked tells that a use-waypoint label (of the object or its namespace) names a waypoint;
	// OptOut that the object says "none".
	Asked, OptOut bool
	Gateway       Ref
	// Bound tells that the binding takes effect; otherwise Refused says why, using istiod's reason names:
	// WaypointIsNotReady, AttachmentDenied, UnsupportedTrafficType, ...
	Bound    bool
	Refused  string
	Evidence Evidence
	// Assumed tells that Bound rests on a Gateway whose status is not known (manifests).
	Assumed bool
	// Inherited tells that the label is the namespace's.
	Inherited bool
	// Shadows is the namespace's waypoint where the object's own label takes precedence over another one;
	// ShadowsBound tells that it would have bound. Bound false and ShadowsBound true is coverage lost by a label.
	Shadows      Ref
	ShadowsBound bool
	// Canary is the second waypoint of a weighted pair (1.31), CanaryWeight its share in percent, and
	// CanaryRefused why it has no effect.
	Canary        Ref
	CanaryWeight  int
	CanaryRefused string
}

// Why a binding is refused, in istiod's words (pilot/pkg/serviceregistry/ambient/waypoints.go, model/service.go).
const (
	WaypointIsNotReady     = "WaypointIsNotReady"
	AttachmentDenied       = "AttachmentDenied"
	UnsupportedTrafficType = "UnsupportedTrafficType"
	CanarySameAsPrimary    = "CanarySameAsPrimary"
	CanaryInvalidWeight    = "CanaryInvalidWeight"
	// NotAWaypoint is not istiod's: the label names a Gateway of another sort, which istiod would bind
	// all the same and which cannot do a waypoint's work.
	NotAWaypoint = "NotAWaypoint"
)

// WaypointGateway is a Gateway of a waypoint class.
type WaypointGateway struct {
	Ref
	// For is service, workload, all or none.
	For            string
	Class          string
	ServiceAccount string
	Principal      string
	// Programmed tells that istiod reports it ready; unknown (manifests without status) counts as
	// StatusKnown false.
	Programmed, StatusKnown bool
	ReadyPods               int
	// Admits lists the namespaces whose objects may bind to it, sorted: its own, or what the listener's
	// allowedRoutes say; AdmitsAll stands for every one.
	Admits    []string
	AdmitsAll bool
	Object    snapshot.Object

	opaque string // why its access control cannot be told
}

// Policy is one policy or configuration object that touches a workload.
type Policy struct {
	Ref
	// Scope is how it reaches the workload.
	Scope Scope
	// Action is ALLOW, DENY, AUDIT or CUSTOM for an AuthorizationPolicy, else empty.
	Action string
	// DryRun tells that an AuthorizationPolicy bears the dry-run annotation.
	DryRun bool
	// PatchesAuthz tells that an EnvoyFilter touches access control: what such a proxy lets through
	// cannot be told.
	PatchesAuthz bool
	// Targets are its targetRefs, resolved.
	Targets []Target
	// Workloads is the number of application workloads that it attaches to.
	Workloads int
	Object    snapshot.Object
}

// Target is one targetRef of a policy.
type Target struct {
	Ref
	// Field is the path of the reference in the policy.
	Field string
	// Accepted tells that it resolves to a waypoint; otherwise Refused says why, using istiod's reason
	// names where there is one: TargetNotFound, AncestorNotBound, Invalid.
	Accepted bool
	Refused  string
}

// Why a targetRef is refused (istio.io/istio pilot/pkg/model/policyattachment.go and status conditions).
const (
	TargetNotFound   = "TargetNotFound"
	AncestorNotBound = "AncestorNotBound"
	TargetInvalid    = "Invalid"
)

// Scope is how a policy attaches.
type Scope string

const (
	BySelector   Scope = "selector"
	ByNamespace  Scope = "namespace"
	ByRoot       Scope = "root"
	ByTargetRefs Scope = "targetRefs"
)

// Use is one mesh feature a workload relies on, with every place it was read from.
type Use struct {
	Feature Feature
	// Evidence names the places, in a fixed order; Omitted counts those beyond the first 64.
	Evidence []Evidence
	Omitted  int
	// Side tells whether the feature acts on calls the workload receives or on calls it makes.
	Side Side
}

// Side is the end of a call a feature acts on.
type Side string

const (
	Inbound  Side = "inbound"
	Outbound Side = "outbound"
	Both     Side = "both"
)

// Feature is one row of the decision table (Istio's "what is not supported" list and what the code
// shows); package audit says which mode each one needs.
type Feature string

// Mesh is every fact of one snapshot.
type Mesh struct {
	Snapshot  *snapshot.Snapshot
	Settings  Settings
	Workloads []*Workload // sorted by namespace, kind, name
	Services  []*Service  // sorted by namespace, name
	Waypoints []*WaypointGateway
	// Policies holds every policy object, attached or not, sorted by kind, namespace, name.
	Policies []*Policy
	// Routes holds every route and DestinationRule, likewise.
	Routes []*Policy
	// RouteLosses is what the sidecars of any client do to calls and no workload's waypoint would keep, sorted by host.
	RouteLosses []RouteLoss
	// Uses are mesh-wide features, such as SPIRE.
	Uses []Use
	// Authorization holds every authorization object compiled, sorted by namespace and name, for
	// AuthzWorld; AuthzProblems is what is wrong with them.
	Authorization authz.Policies
	AuthzProblems []authz.Problem

	workloads  map[Ref]*Workload
	services   map[Ref]*Service
	waypoints  map[Ref]*WaypointGateway
	namespaces map[string]*namespace
	clientTLS  clientTLS
	routing    route.World
	// outside is authz.World.Outside.
	outside map[string]string
}
