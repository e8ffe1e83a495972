package enrol

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// drafts gathers what a state changes; an object that is changed twice is changed further.
type drafts struct {
	m     *mesh.Mesh
	to    map[object.Ref]Target
	put   map[object.Ref]snapshot.Object
	order []object.Ref
	state State
	// byGateway are the identities of waypoints, by Gateway.
	identity map[object.Ref]string
}

// End returns the state in which every workload that to names is in its target: restarted from a labelled template, and behind
// a waypoint with a binding and a copy of every policy for each of its Services where the target asks for one. Workloads that
// to does not name stay as they are. A workload in its mode already is not restarted, but one that is to keep its sidecar
// is, where restart says so: it then listens on HBONE.
//
// A waypoint's workload is closed to whatever passes its waypoint by, by a DENY of all but the waypoint's identity (State.Guards):
// else its policies would not hold for calls to pod addresses, of sidecars and from outside the mesh.
func End(m *mesh.Mesh, to map[object.Ref]Target, restart bool) (State, error) {
	d := &drafts{m: m, to: to, put: map[object.Ref]snapshot.Object{}, identity: map[object.Ref]string{}}
	d.state.Guards = map[object.Ref]object.Ref{}
	d.state.Assume.AmbientInstalled = true
	for _, w := range m.Workloads {
		target, moves := to[w.Ref]
		if !moves || w.Role != object.Application {
			continue
		}
		if err := d.move(w, target, restart); err != nil {
			return State{}, err
		}
	}
	d.waypoints()
	for _, ref := range d.order {
		d.state.Change.Put = append(d.state.Change.Put, d.put[ref])
	}
	return d.state, nil
}

// draft keeps the latest form of an object.
func (d *drafts) draft(o snapshot.Object) {
	info, _ := snapshot.InfoOf(o)
	ref := object.Ref{Group: info.Group, Kind: info.Kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
	if d.put[ref] == nil {
		d.order = append(d.order, ref)
	}
	d.put[ref] = o
}

// move changes the mode of one workload.
func (d *drafts) move(w *mesh.Workload, to Target, restart bool) error {
	if w.Mode == to.Mode() {
		if restart && w.Mode == object.Sidecar && w.AfterRestart == object.Sidecar {
			return d.listen(w)
		}
		return nil
	}
	if err := Refused(w, to.Mode()); err != nil {
		return err
	}
	if w.AfterRestart != to.Mode() {
		objects, err := edited(d.m, w, labelsFor(to.Mode()), nil)
		if err != nil {
			return err
		}
		for _, o := range objects {
			d.draft(o)
		}
	}
	d.state.Change.Restart = append(d.state.Change.Restart, w.Ref)
	return nil
}

// listen restarts a sidecar so that it listens on HBONE.
func (d *drafts) listen(w *mesh.Workload) error {
	d.state.Change.Restart = append(d.state.Change.Restart, w.Ref)
	config, changed, ok := Listening(w.Template.Annotations)
	if !changed || !ok {
		return nil
	}
	objects, err := edited(d.m, w, nil, map[string]string{mesh.AnnotationProxyConfig: config})
	if err != nil {
		return err
	}
	for _, o := range objects {
		d.draft(o)
	}
	return nil
}

// behind lists the Services with an address of their own by which a workload is called; what has none can only be bound by its pods.
func behind(w *mesh.Workload) []*mesh.Service {
	return slices.DeleteFunc(slices.Clone(w.Services), func(s *mesh.Service) bool {
		return s.Headless || s.External || s.Kind != "Service"
	})
}
