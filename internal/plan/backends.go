package plan

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// checkBackends keeps the sidecars of workloads whose routes lead to pods with policies of their own. A waypoint enforces those of
// the Service that was addressed and then goes to the backend's pods, whose guard lets it pass; with sidecars the backend's pods
// enforced theirs (pilot/pkg/networking/core: getWaypointDestinationCluster takes the policies of the addressed Service). The
// comparison of states does not follow routes, so that this is a rule.
func (y *synthesis) checkBackends() {
	for _, v := range y.movers {
		if v.verdict != audit.VerdictWaypoint {
			continue
		}
		for _, s := range v.services {
			for _, r := range s.Routes {
				y.checkRoute(v, s, r)
			}
		}
	}
}

func (y *synthesis) checkRoute(v *mover, s *mesh.Service, r *mesh.Policy) {
	for _, name := range backendsOf(r.Object) {
		to := y.mesh.Service(name[0], name[1])
		if to == nil || to == s {
			continue
		}
		for _, w := range to.Workloads {
			for _, pol := range w.Policies {
				if pol.Scope == mesh.ByTargetRefs || pol.Kind != kindPolicy && pol.Kind != kindRequestAuthn || slices.Contains(v.w.Policies, pol) {
					continue
				}
				v.stay(Because{CodeRoutes, fmt.Sprintf("%s leads its calls to Service %s/%s, whose pods have %s: a waypoint would enforce what holds for %s/%s alone", r.Ref, to.Namespace, to.Name, pol.Ref, s.Namespace, s.Name)})
				return
			}
		}
	}
}

// backendsOf lists the Services (namespace and name) that a route leads to.
func backendsOf(o snapshot.Object) [][2]string {
	var out [][2]string
	add := func(refs []gatewayv1.BackendRef) {
		for _, b := range refs {
			ns := o.GetNamespace()
			if b.Namespace != nil {
				ns = string(*b.Namespace)
			}
			out = append(out, [2]string{ns, string(b.Name)})
		}
	}
	switch r := o.(type) {
	case *networkingv1.VirtualService:
		for _, host := range destinationHosts(r) {
			out = append(out, serviceOfHost(host, r.Namespace))
		}
	case *gatewayv1.HTTPRoute:
		for i := range r.Spec.Rules {
			for _, b := range r.Spec.Rules[i].BackendRefs {
				add([]gatewayv1.BackendRef{b.BackendRef})
			}
		}
	case *gatewayv1.GRPCRoute:
		for i := range r.Spec.Rules {
			for _, b := range r.Spec.Rules[i].BackendRefs {
				add([]gatewayv1.BackendRef{b.BackendRef})
			}
		}
	}
	return out
}
