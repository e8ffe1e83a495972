package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/report"
)

const moveUsage = "`NS[/[KIND/]NAME]=MODE`: suppose these workloads in mode ambient, waypoint (ambient behind a waypoint), sidecar or none; repeatable"

// targets are what --move takes.
var targets = []enrol.Target{enrol.Ambient, enrol.Waypoint, enrol.Sidecar, enrol.None}

// moved gives the facts of a mesh after --move, the mesh itself without any. A workload that cannot be in its mode is an error.
func moved(m *mesh.Mesh, moves []string) (*mesh.Mesh, error) {
	if len(moves) == 0 {
		return m, nil
	}
	to, err := parseMoves(m, moves)
	if err != nil {
		return nil, err
	}
	end, err := enrol.End(m, to, false)
	if err != nil {
		return nil, fmt.Errorf("--move: %w", err)
	}
	after, err := end.Build(m)
	if err != nil {
		return nil, fmt.Errorf("--move: %w", err)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(to), object.Ref.Compare) {
		if err := enrol.Arrived(after, ref, to[ref].Mode()); err != nil {
			return nil, fmt.Errorf("--move: %w", err)
		}
	}
	return after, nil
}

// parseMoves reads NS[/[KIND/]NAME]=MODE into where workloads go.
func parseMoves(m *mesh.Mesh, moves []string) (map[object.Ref]enrol.Target, error) {
	out := map[object.Ref]enrol.Target{}
	for _, move := range moves {
		what, mode, ok := strings.Cut(move, "=")
		if !ok || !slices.Contains(targets, enrol.Target(mode)) {
			return nil, fmt.Errorf("--move %s: want NS[/[KIND/]NAME]=ambient, =waypoint, =sidecar or =none", move)
		}
		found := false
		for _, w := range m.Workloads {
			if w.Role == mesh.Application && (what == w.Namespace || strings.Contains(what, "/") && report.Means(what, w.Namespace, w.Kind, w.Name)) {
				out[w.Ref], found = enrol.Target(mode), true
			}
		}
		if !found {
			return nil, fmt.Errorf("--move %s: no application workload is called so", move)
		}
	}
	return out, nil
}
