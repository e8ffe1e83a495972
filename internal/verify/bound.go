package verify

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

var waypointBound = Gate{
	Name: "WaypointBound", Deadline: 5 * time.Minute,
	Doc: "istiod leads the Service's calls through its waypoint",
	Check: func(e *Evidence, s Subject) Result {
		if s.Object.Kind != "Service" {
			return pass("istiod writes condition WaypointBound on Services alone")
		}
		o, ok := snapshot.Get[*corev1.Service](e.Mesh.Snapshot, s.Object.Namespace, s.Object.Name)
		if !ok {
			return notYet("there is no such Service")
		}
		c, ok := conditionNamed(serviceConditions(o), mesh.ConditionWaypointBound)
		switch {
		case !ok:
			return notYet("istiod has not written condition WaypointBound")
		case c.status == "True" && !stale(c, o.Generation):
			return pass("WaypointBound is True")
		case c.reason == "WaypointIsNotReady":
			return notYet("the waypoint is not ready: %s", c.message)
		}
		return notYet("WaypointBound is %s: %s (%s)", c.status, c.reason, c.message)
	},
}
