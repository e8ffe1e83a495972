// Package terms holds the words and numbers that the rooms of roi share: resources, roles, modes, and figures that may be shown.
package terms

import (
	"fmt"
	"math"
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

// String writes resources as Kubernetes does.
func (r Resources) String() string {
	return fmt.Sprintf("%dm/%sMi", r.CPUMilli, Number(float64(r.MemoryBytes)/(1<<20)))
}

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
	// ModeMixed stands for a namespace whose workloads are in several modes, where the series do not name the workload.
	ModeMixed Mode = "mixed"
)

// Finite replaces what may not be printed by zero and tells whether it did.
func Finite(v float64) (float64, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// Ratio divides; ok is false when the quotient does not exist.
func Ratio(a, b float64) (q float64, ok bool) {
	if b == 0 {
		return 0, false
	}
	return Finite(a / b)
}
