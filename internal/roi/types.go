// Package roi prices a mesh: what its proxies request and use, what a change of data plane would free, how
// many nodes that removes when pods are packed again, what that is worth, and what latency did. It is pure: objects, metric
// values, time and randomness come in as arguments.
package roi

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// Resources is CPU in millicores and memory in bytes.
type Resources struct {
	CPUMilli    int64 `json:"cpuMilli"`
	MemoryBytes int64 `json:"memoryBytes"`
}

// Plus adds.
func (r Resources) Plus(o Resources) Resources {
	return Resources{r.CPUMilli + o.CPUMilli, r.MemoryBytes + o.MemoryBytes}
}

// Minus subtracts; the result may be negative, and a negative saving is shown as such.
func (r Resources) Minus(o Resources) Resources {
	return Resources{r.CPUMilli - o.CPUMilli, r.MemoryBytes - o.MemoryBytes}
}

// Times multiplies.
func (r Resources) Times(n int64) Resources { return Resources{r.CPUMilli * n, r.MemoryBytes * n} }

// IsZero tells whether both are zero.
func (r Resources) IsZero() bool { return r == Resources{} }

// Role is what a pod is to the mesh.
type Role string

// Roles. A container called istio-proxy says nothing by itself: five of these run one.
const (
	Application Role = "application" // no mesh container, or one beside the application
	Waypoint    Role = "waypoint"
	Gateway     Role = "gateway"
	Ztunnel     Role = "ztunnel"
	CNI         Role = "istio-cni"
	Istiod      Role = "istiod"
	Undecided   Role = "gateway-or-waypoint" // metrics alone cannot tell
)

// Sidecar is how a proxy sits in an application pod.
type Sidecar string

// Kinds of sidecar.
const (
	NoSidecar Sidecar = ""
	Classic   Sidecar = "classic" // spec.containers
	Native    Sidecar = "native"  // spec.initContainers with restartPolicy Always
)

// Mode is the data plane of a pod's traffic.
type Mode string

// Modes, in the words of the versioned API.
const (
	ModeSidecar  Mode = "sidecar"
	ModeAmbient  Mode = "ambient"
	ModeWaypoint Mode = "ambient+waypoint"
	ModeNone     Mode = "none"
)

// Pod is one pod with what the mesh model says about it.
type Pod struct {
	Object *corev1.Pod
	Role   Role
	// Sidecar is how its proxy sits; NoSidecar for every role but Application.
	Sidecar Sidecar
	Mode    Mode
	// Workload is namespace/kind/name of what made the pod.
	Workload string
	// Wave is the wave of a plan the workload is in; empty without a plan.
	Wave string
}

// Finished tells whether the pod has stopped for good: it holds no resources.
func (p Pod) Finished() bool {
	return p.Object.Status.Phase == corev1.PodSucceeded || p.Object.Status.Phase == corev1.PodFailed
}

// Cluster is the state that is packed and priced. Pods that are finished are ignored everywhere.
type Cluster struct {
	Pods    []Pod
	Nodes   []*corev1.Node
	Budgets []*policyv1.PodDisruptionBudget
	// Claims and Volumes tie pods to zones.
	Claims  []*corev1.PersistentVolumeClaim
	Volumes []*corev1.PersistentVolume
	// NamespaceLabels resolve namespaceSelector in affinity terms.
	NamespaceLabels map[string]map[string]string
}

// WaypointPlan is the waypoints that a change adds for one namespace.
type WaypointPlan struct {
	Namespace string    `json:"namespace"`
	Wave      string    `json:"wave,omitempty"`
	Replicas  int       `json:"replicas"`
	Each      Resources `json:"each"`
}

// Change is the difference between two states of a mesh.
type Change struct {
	// Leaves are the workloads (namespace/kind/name) that give up their sidecar.
	Leaves map[string]bool
	// L7 are those of them whose traffic passes a waypoint afterwards.
	L7        map[string]bool
	Waypoints []WaypointPlan
	// Ztunnel and CNI are the requests per node of the two DaemonSets ambient needs; they are added to every
	// node that has none of them yet, if anything leaves.
	Ztunnel, CNI Resources
}

// Empty tells whether c changes nothing.
func (c Change) Empty() bool { return len(c.Leaves) == 0 && len(c.Waypoints) == 0 }

// Default requests of the Istio charts: sidecar and waypoint 100m/128Mi (istio-discovery values.yaml and its waypoint template),
// ztunnel 200m/512Mi since 1.23 (1.22.0: 500m/2048Mi), istio-cni 100m/100Mi.
var (
	DefaultSidecar  = Resources{100, 128 << 20}
	DefaultWaypoint = Resources{100, 128 << 20}
	DefaultZtunnel  = Resources{200, 512 << 20}
	DefaultCNI      = Resources{100, 100 << 20}
)

// finite replaces what may not be printed by zero and tells whether it did.
func finite(v float64) (float64, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// ratio divides; ok is false when the quotient does not exist.
func ratio(a, b float64) (q float64, ok bool) {
	if b == 0 {
		return 0, false
	}
	return finite(a / b)
}
