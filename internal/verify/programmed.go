package verify

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A waypoint that has had an address and has no ready pod makes calls fail; one without an address is passed by.
var programmed = Gate{
	Name: "WaypointProgrammed", Deadline: 5 * time.Minute,
	Doc: "the waypoint has an address and a ready pod",
	Check: func(e *Evidence, s Subject) Result {
		for _, w := range e.Mesh.Waypoints {
			if w.Namespace != s.Object.Namespace || w.Name != s.Object.Name {
				continue
			}
			switch {
			case !w.Programmed:
				return notYet("istiod has given it no address yet%s", reasonOf(gatewayConditions(w), "Programmed"))
			case w.ReadyPods == 0:
				return notYet("it has no ready pod")
			}
			return pass("it has an address and %d ready pods", w.ReadyPods)
		}
		return notYet("there is no such waypoint")
	},
}

func gatewayConditions(w *mesh.WaypointGateway) []condition {
	var out []condition
	g, ok := w.Object.(*gatewayv1.Gateway)
	if !ok {
		return nil
	}
	for _, c := range g.Status.Conditions {
		out = append(out, condition{kind: c.Type, status: string(c.Status), reason: c.Reason, message: c.Message})
	}
	return out
}
