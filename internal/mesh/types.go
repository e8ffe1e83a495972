// Package mesh derives facts from a snapshot: for every workload its role, the mode in effect, its
// identity, the services that select it, its waypoint, the policies and routes that touch it and the
// L7 features it uses. It decides nothing: package audit does.
package mesh

import (
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// Mode is the data plane a workload's traffic goes through.
type Mode string

const (
	Sidecar Mode = "sidecar" // an istio-proxy in the pod
	Ambient Mode = "ambient" // ztunnel on the node, perhaps a waypoint
	None    Mode = "none"    // outside the mesh
)

// Role is what a workload is for; only application workloads are classified.
type Role string

const (
	Application Role = "application"
	Waypoint    Role = "waypoint"
	Gateway     Role = "gateway"
	Ztunnel     Role = "ztunnel"
	Istiod      Role = "istiod"
	CNI         Role = "cni"
)

// SidecarKind tells how a proxy sits in its pod.
type SidecarKind string

const (
	NoSidecar      SidecarKind = ""
	ClassicSidecar SidecarKind = "classic" // spec.containers
	NativeSidecar  SidecarKind = "native"  // spec.initContainers with restartPolicy Always
)

// Ref names an object. Kind is the plain kind name; Group is empty for core and workload kinds
// where the kind is unambiguous.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

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
	// AfterRestart is the mode that new pods would get; it differs from Mode where a label was changed
	// and pods were not restarted.
	AfterRestart Mode
	// Object is the workload's own object; Template the pod template it makes pods from (for a bare pod,
	// its own metadata and spec).
	Object   snapshot.Object
	Template *corev1.PodTemplateSpec
	// Labels are the labels pods have; Annotations are the pods' annotations (template and injected).
	Labels, Annotations map[string]string
	// Pods are the live pods, empty when the input has none (manifests); Derived then says so.
	Pods    []*corev1.Pod
	Derived bool
	// Replicas is the number of pods wanted (for a DaemonSet, nodes it is scheduled on or 1 when
	// unknown; for Jobs, parallelism).
	Replicas       int
	ServiceAccount string
	// Principal is trustDomain/ns/NS/sa/SA, without the spiffe:// scheme, as policies match it.
	Principal   string
	HostNetwork bool
	// Services select the workload's pods. Policies and Routes touch it. Uses lists the features in use.
	Services []*Service
	Policies []*Policy
	Uses     []Use
	// Waypoint is the binding in effect for traffic addressed to the workload itself (pod IP).
	Waypoint Binding
	// Unknown lists kinds that could not be read and that this workload's verdict depends on.
	Unknown []snapshot.Kind
}

// Proxy is the sidecar of a workload.
type Proxy struct {
	Kind SidecarKind
	// HBONE tells that the sidecar accepts HBONE (ISTIO_META_ENABLE_HBONE), needed before ambient
	// clients may call it.
	HBONE bool
	// Revision is the control plane revision that injects (or injected) it; Version is the proxy image's tag.
	Revision, Version string
	// CPUMilli and MemoryBytes are the container's requests, per pod.
	CPUMilli, MemoryBytes int64
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
	// Workloads are those whose pods the service selects.
	Workloads []*Workload
	// Waypoint is the binding in effect; IngressUseWaypoint whether ingress gateways honour it.
	Waypoint           Binding
	IngressUseWaypoint bool
	Object             snapshot.Object
}

// Port is a service port.
type Port struct {
	Name string
	// Port is the service's port; Target the workload's, 0 when it is named and unresolved.
	Port, Target int32
	// Protocol is the declared application protocol in lower case: http, http2, grpc, tcp, tls, mongo, ...;
	// empty when undeclared (Envoy sniffs, a waypoint too).
	Protocol string
}

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
}

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
	Object                  snapshot.Object
}

// Policy is one policy or configuration object that touches a workload.
type Policy struct {
	Ref
	// Scope is how it reaches the workload.
	Scope Scope
	// Action is ALLOW, DENY, AUDIT or CUSTOM for an AuthorizationPolicy, else empty.
	Action string
	Object snapshot.Object
}

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
	Feature  Feature
	Evidence []Evidence
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
}

// Settings are the mesh-wide facts. Known is false where the snapshot holds no mesh configuration and
// defaults were assumed.
type Settings struct {
	Known              bool
	RootNamespace      string
	SystemNamespace    string
	TrustDomain        string
	TrustDomainAliases []string
	// Minor is the Istio 1.x minor of the control plane, 0 when unknown.
	Minor int
	// AmbientEnabled tells that PILOT_ENABLE_AMBIENT is on.
	AmbientEnabled bool
	// OutboundRegistryOnly is meshConfig.outboundTrafficPolicy REGISTRY_ONLY.
	OutboundRegistryOnly bool
	// NativeSidecars is what injection yields for new pods: true where ENABLE_NATIVE_SIDECARS or the
	// 1.27 default (all kubelets >= 1.33) says so.
	NativeSidecars bool
	// HBONESidecars tells that injection sets ISTIO_META_ENABLE_HBONE.
	HBONESidecars bool
	// Revisions are the injector revisions and tags known from webhooks.
	Revisions []Revision
	// Proxy is the default sidecar request per pod, from the injector's values.
	ProxyCPUMilli, ProxyMemoryBytes int64
	Evidence                        []Evidence
}

// Revision is one injector revision and the tags that point to it.
type Revision struct {
	Name string
	Tags []string
	// Default tells that istio-injection=enabled selects it.
	Default bool
}
