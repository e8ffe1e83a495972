package plan

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// stage is how far a workload has come.
type stage int

const (
	atStart stage = iota // as it was
	mixed                // old and new pods side by side
	moved                // new pods only
)

// states makes supposed states of a mesh and compares them with the start.
type states struct {
	start  *mesh.Mesh
	snap   *snapshot.Snapshot
	prover *authz.Prover
	each   func(n int, do func(int))
	proof  Proof
	// bindings are the waypoints that pods ask for at the start.
	bindings map[authz.Ref]authz.Binding
	// again are the pods of workloads that are restarted for HBONE.
	again map[mesh.Ref][]mesh.PodSet
}

func newStates(s *snapshot.Snapshot, start *mesh.Mesh, each func(n int, do func(int))) *states {
	p := &states{start: start, snap: s, each: each, bindings: map[authz.Ref]authz.Binding{}, again: map[mesh.Ref][]mesh.PodSet{}}
	world := p.world(start)
	for i := range world.Workloads {
		p.bindings[world.Workloads[i].Ref] = world.Workloads[i].Waypoint
	}
	p.prover = authz.NewProver(&world)
	return p
}

// supposed is one state, with who is how far.
type supposed struct {
	edits []Edit
	at    map[mesh.Ref]stage
	// restarted are workloads whose sidecars were made anew, ready the waypoints that count as running.
	restarted, ready []mesh.Ref
}

// change turns edits into the change that a snapshot takes. Later edits of one object see the earlier ones.
func change(s *snapshot.Snapshot, edits []Edit) (*snapshot.Snapshot, error) {
	var c snapshot.Change
	flush := func() error {
		next, err := s.Edit(c)
		if err != nil {
			return err
		}
		s, c = next, snapshot.Change{}
		return nil
	}
	touched := map[mesh.Ref]bool{}
	for _, e := range edits {
		if touched[e.Object] {
			if err := flush(); err != nil {
				return nil, err
			}
			clear(touched)
		}
		touched[e.Object] = true
		o, err := e.result(find(s, e.Object))
		if err != nil {
			return nil, err
		}
		if o == nil {
			info, err := kindOfRef(e.Object)
			if err != nil {
				return nil, err
			}
			r := e.Object
			r.Group = info.Group
			c.Remove = append(c.Remove, r)
			continue
		}
		c.Put = append(c.Put, o)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return s, nil
}

// mesh builds the facts of a state.
func (p *states) mesh(q supposed) (*mesh.Mesh, error) {
	snap, err := change(p.snap, q.edits)
	if err != nil {
		return nil, fmt.Errorf("suppose a state: %w", err)
	}
	assume := mesh.Assume{Ready: q.ready, Old: map[mesh.Ref][]mesh.PodSet{}, AmbientInstalled: true}
	again := map[mesh.Ref]bool{}
	for _, r := range q.restarted {
		again[r] = true
	}
	for _, w := range p.start.Workloads {
		sets := w.Sets
		if again[w.Ref] { // what is old by then was made anew once
			if sets, err = p.restarted(q, w.Ref); err != nil {
				return nil, err
			}
		}
		switch {
		case q.at[w.Ref] == mixed:
			assume.Old[w.Ref] = sets
		case q.at[w.Ref] == moved:
			assume.Restarted = append(assume.Restarted, w.Ref)
		case again[w.Ref] && len(q.at) == 0: // preparing: the restart is under way
			assume.Old[w.Ref] = w.Sets
		case again[w.Ref]:
			assume.Restarted = append(assume.Restarted, w.Ref)
		}
	}
	return mesh.Build(snap, assume), nil
}

// restarted are the pods of a workload after it was restarted for the sake of its sidecar.
func (p *states) restarted(q supposed, r mesh.Ref) ([]mesh.PodSet, error) {
	if sets, ok := p.again[r]; ok {
		return sets, nil
	}
	var edits []Edit
	for _, e := range q.edits {
		if e.Verb == Template && len(e.Annotations) > 0 && len(e.Labels) == 0 {
			edits = append(edits, e)
		}
	}
	snap, err := change(p.snap, edits)
	if err != nil {
		return nil, fmt.Errorf("suppose a restart: %w", err)
	}
	m := mesh.Build(snap, mesh.Assume{Restarted: q.restarted})
	for _, x := range q.restarted {
		if w := m.Workload(x.Kind, x.Namespace, x.Name); w != nil {
			p.again[x] = w.Sets
		}
	}
	return p.again[r], nil
}

// declared leaves out calls to ports that nothing declares: an order of moves is for calls that exist, and no need and no
// exception knows such a port. everyPort is for what must not be weaker, at any port.
var (
	declared  = authz.Options{PerScenario: 1, EveryWay: true, OnlyDeclaredPorts: true}
	everyPort = authz.Options{PerScenario: 1, EveryWay: true}
)

// compare compares a state with the start.
func (p *states) compare(q supposed, opts authz.Options) (authz.Result, error) {
	m, err := p.mesh(q)
	if err != nil {
		return authz.Result{}, err
	}
	world := p.world(m)
	return p.compareWorld(&world, opts), nil
}

// compareWorld compares a state that was built already.
func (p *states) compareWorld(world *authz.World, opts authz.Options) authz.Result {
	return p.compareWith(p.prover, world, opts)
}

// compareWith compares a state with that of another prover.
func (p *states) compareWith(with *authz.Prover, world *authz.World, opts authz.Options) authz.Result {
	parts := with.Parts(world, opts, min(partsPerComparison, 1+len(world.Workloads)/fewWorkloads))
	results := make([]authz.Result, len(parts))
	p.each(len(parts), func(i int) { results[i] = parts[i]() })
	out := authz.Merge(opts, results...)
	p.proof.Comparisons++
	p.proof.Scenarios += out.Stats.Scenarios
	p.proof.Regions += out.Stats.Regions
	p.proof.PodSets = max(p.proof.PodSets, len(world.Workloads))
	return out
}

const (
	// partsPerComparison lets a comparison use several cores; more parts than cores even out.
	partsPerComparison = 8
	// fewWorkloads are not worth a part of their own, each of which gathers the callers anew.
	fewWorkloads = 32
)

// world is a state as authorization sees it, with every set of pods by itself.
func (p *states) world(m *mesh.Mesh) authz.World {
	world := mesh.AuthzWorld(m)
	for i := range world.Workloads {
		if w := &world.Workloads[i]; strings.HasPrefix(w.Set, string(mesh.Old)) {
			w.Waypoint = p.bindings[w.Ref]
		}
	}
	return world
}
