package terms

import "slices"

// WaypointPlan is the waypoints that a change adds for one namespace.
type WaypointPlan struct {
	Namespace string    `json:"namespace"`
	Wave      string    `json:"wave,omitempty"`
	Replicas  int       `json:"replicas"`
	Each      Resources `json:"each"`
	// MostCPU is the millicores that they may come to where the usage of the sidecars is not known; Most the same in replicas of a waypoint that exists.
	MostCPU int64 `json:"mostCPUMilli,omitempty"`
	Most    int   `json:"mostReplicas,omitempty"`
}

// Change is the difference between two states of a mesh.
type Change struct {
	// Leaves are the workloads (namespace/kind/name) that give up their sidecar.
	Leaves map[string]bool
	// L7 are those of them whose traffic passes a waypoint afterwards.
	L7        map[string]bool
	Waypoints []WaypointPlan
	// More is how many pods each workload gets in addition, since its autoscaler counted the sidecar's request.
	More map[string]int
	// Ztunnel and CNI are the requests per node of the two DaemonSets ambient needs; they are added to every
	// node that has none of them yet, if anything leaves.
	Ztunnel, CNI Resources
}

// Takes reports whether the change takes the pod's sidecar away: its workload leaves, and ambient can capture the pod where it runs.
func (c Change) Takes(p Pod) bool {
	return p.Sidecar != NoSidecar && p.Uncaptured == "" && c.Leaves[p.Workload]
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

// Until is the part of the change that is done once the named waves are.
func (c Change) Until(cluster Cluster, waves []string) Change {
	out := c
	out.Leaves, out.L7, out.Waypoints = map[string]bool{}, map[string]bool{}, nil
	out.More = map[string]int{}
	for _, p := range cluster.Pods {
		if c.Takes(p) && slices.Contains(waves, p.Wave) {
			out.Leaves[p.Workload] = true
			if n := c.More[p.Workload]; n > 0 {
				out.More[p.Workload] = n
			}
			if c.L7[p.Workload] {
				out.L7[p.Workload] = true
			}
		}
	}
	for _, w := range c.Waypoints {
		if slices.Contains(waves, w.Wave) {
			out.Waypoints = append(out.Waypoints, w)
		}
	}
	return out
}
