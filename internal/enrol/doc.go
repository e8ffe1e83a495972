// Package enrol makes the change that takes workloads into another mode, as a person would write it: labels of pod templates,
// restarts, and for a waypoint the Gateway, the binding of Services, and policies where they have to stand then. It judges
// nothing; who wants to know what a change does supposes it (mesh.Build) and compares.
package enrol

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Target is where a workload goes.
type Target string

// Targets. Waypoint is ambient mode with a waypoint in front.
const (
	None     Target = Target(object.None)
	Sidecar  Target = Target(object.Sidecar)
	Ambient  Target = Target(object.Ambient)
	Waypoint Target = "waypoint"
)

// Mode is the data plane of a target.
func (t Target) Mode() object.Mode {
	if t == Waypoint {
		return object.Ambient
	}
	return object.Mode(t)
}

// State is a state that is supposed: what changes, and what the facts of it rest on besides.
type State struct {
	Change snapshot.Change
	Assume mesh.Assume
	// Guards are the policies that close the way past a waypoint, by workload.
	Guards map[object.Ref]object.Ref
}

// Build gives the facts of a state that is supposed on top of m.
func (s State) Build(m *mesh.Mesh) (*mesh.Mesh, error) {
	snap, err := m.Snapshot.Edit(s.Change)
	if err != nil {
		return nil, err
	}
	s.Assume.Restarted = s.Change.Restart
	return mesh.Build(snap, s.Assume), nil
}

// Guarded reports whether a difference is that of a call which passes the waypoint of a workload by, and which the guard there
// refuses: it is meant. Where another policy refuses it as well, the guard would have.
func (s State) Guarded(d authz.Divergence) bool {
	to := d.Request.To.Workload.Ref
	_, ok := s.Guards[object.Ref{Kind: to.Kind, Namespace: to.Namespace, Name: to.Name}]
	return ok && d.Kind == authz.Stricter && d.After.By == authz.PointZtunnel &&
		!slices.ContainsFunc(d.After.Hops, func(h authz.Hop) bool { return h.Point == authz.PointWaypoint })
}
