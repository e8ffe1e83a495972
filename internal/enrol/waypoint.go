package enrol

import (
	"cmp"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// hbonePort is where waypoints listen.
const hbonePort = 15008

// waypoints puts a waypoint in front of every workload whose target asks for one.
func (d *drafts) waypoints() {
	policies := d.policies()
	for _, w := range d.m.Workloads {
		if d.to[w.Ref] != Waypoint || w.Role != object.Application {
			continue
		}
		var by object.Ref
		services := behind(w)
		for _, s := range services {
			by = d.bindService(s)
			for _, p := range policies.of(w) {
				d.copyFor(p, s)
			}
		}
		if len(services) == 0 {
			by = d.bindPods(w)
			for _, p := range policies.of(w) {
				d.copyAt(p, by)
			}
		}
		if len(policies.of(w)) > 0 {
			d.admitOnly(w, by, policies)
		}
	}
	d.retire(policies)
}

// bindService binds a Service to a waypoint of its namespace and returns that; one that is bound stays with its own.
func (d *drafts) bindService(s *mesh.Service) object.Ref {
	if s.Waypoint.Bound {
		return d.use(s.Waypoint.Gateway)
	}
	gateway := d.gateway(s.Namespace, "", "")
	d.label(s.Ref, map[string]string{mesh.LabelUseWaypoint: gateway.Name, mesh.LabelUseWaypointNS: "", mesh.LabelIngressUseWaypoint: "true"})
	return gateway
}

// bindPods gives a workload without such a Service a waypoint of its own.
func (d *drafts) bindPods(w *mesh.Workload) object.Ref {
	if w.Waypoint.Bound {
		return d.use(w.Waypoint.Gateway)
	}
	gateway := d.gateway(w.Namespace, w.Name+"-waypoint", "all")
	// The label goes where the mode's labels went.
	latest := *w
	if o := d.put[d.templateRef(w)]; o != nil {
		latest.Object = o
	}
	if objects, err := edited(d.m, &latest, map[string]string{mesh.LabelUseWaypoint: gateway.Name}, nil); err == nil {
		for _, o := range objects {
			if w.Kind == "Pod" {
				if have, ok := d.put[w.Ref].(*snapshot.Pod); ok {
					c := *have
					c.Labels = set(have.Labels, map[string]string{mesh.LabelUseWaypoint: gateway.Name})
					o = &c
				}
			}
			d.draft(o)
		}
		if !slices.Contains(d.state.Change.Restart, w.Ref) {
			d.state.Change.Restart = append(d.state.Change.Restart, w.Ref)
		}
	}
	return gateway
}

// templateRef names the object with a workload's template as drafts know it.
func (d *drafts) templateRef(w *mesh.Workload) object.Ref {
	info, ok := snapshot.InfoOf(w.Object)
	if !ok {
		return w.Ref
	}
	return object.Ref{Group: info.Group, Kind: info.Kind.Kind, Namespace: w.Object.GetNamespace(), Name: w.Object.GetName()}
}

// label sets labels of a Service.
func (d *drafts) label(service object.Ref, labels map[string]string) {
	o := d.put[service]
	if o == nil {
		s, ok := snapshot.Get[*corev1.Service](d.m.Snapshot, service.Namespace, service.Name)
		if !ok {
			return
		}
		o = s.DeepCopy()
	}
	o.SetLabels(set(o.GetLabels(), labels))
	d.draft(o)
}

// use marks a waypoint that is there as one that has to be at work.
func (d *drafts) use(gateway object.Ref) object.Ref {
	if !slices.Contains(d.state.Assume.Ready, gateway) {
		d.state.Assume.Ready = append(d.state.Assume.Ready, gateway)
	}
	if w := d.m.Waypoint(gateway); w != nil {
		d.identity[gateway] = w.Principal
	}
	return gateway
}

// gateway returns a waypoint of a namespace: the one that is there for Services, else a new one.
func (d *drafts) gateway(namespace, name, traffic string) object.Ref {
	if traffic == "" {
		for _, w := range d.m.Waypoints {
			if w.Namespace == namespace && (w.For == "service" || w.For == "all") && w.Class == mesh.ClassWaypoint {
				return d.use(w.Ref)
			}
		}
		name = "waypoint"
	}
	ref := object.Ref{Group: gatewayv1.GroupName, Kind: "Gateway", Namespace: namespace, Name: name}
	if d.put[ref] != nil {
		return ref
	}
	for { // a Gateway of another sort may have the name
		if _, taken := snapshot.Get[*gatewayv1.Gateway](d.m.Snapshot, namespace, ref.Name); !taken {
			break
		}
		ref.Name += "-waypoint"
	}
	g := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ref.Name, Labels: map[string]string{mesh.LabelWaypointFor: cmp.Or(traffic, "service")}},
		Spec: gatewayv1.GatewaySpec{GatewayClassName: mesh.ClassWaypoint,
			Listeners: []gatewayv1.Listener{{Name: "mesh", Port: hbonePort, Protocol: "HBONE"}}},
	}
	d.draft(g)
	d.identity[ref] = d.m.Settings.TrustDomain + "/ns/" + namespace + "/sa/" + ref.Name
	return d.use(ref)
}
