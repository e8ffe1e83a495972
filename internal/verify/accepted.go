package verify

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// Istiod writes ZtunnelAccepted on every AuthorizationPolicy without targetRefs once ambient mode is on, whether or not it selects an
// ambient pod, and WaypointAccepted on those with (pilot/pkg/serviceregistry/kube/controller/ambient). Other kinds get neither.
var policyAccepted = Gate{
	Name: "PolicyAccepted", Deadline: 5 * time.Minute,
	Doc: "istiod has taken the policy in as it was meant",
	Check: func(e *Evidence, s Subject) Result {
		if s.Object.Kind != "AuthorizationPolicy" {
			return pass("istiod writes no condition on a %s", s.Object.Kind)
		}
		o, ok := snapshot.Get[*securityv1.AuthorizationPolicy](e.Mesh.Snapshot, s.Object.Namespace, s.Object.Name)
		if !ok {
			if s.Step == "retire" || s.Back {
				return pass("it is gone")
			}
			return notYet("there is no such policy")
		}
		list := istioConditions(o.Status.GetConditions())
		if len(o.Spec.GetTargetRefs()) > 0 || o.Spec.GetTargetRef() != nil {
			return acceptedAtWaypoint(list, o.Generation)
		}
		return acceptedAtZtunnel(list, o.Generation, s.Step)
	},
}

func acceptedAtWaypoint(list []condition, generation int64) Result {
	c, ok := conditionNamed(list, "WaypointAccepted")
	switch {
	case !ok:
		return notYet("istiod has not written condition WaypointAccepted")
	case stale(c, generation):
		return notYet("condition WaypointAccepted is about an earlier version of it")
	case c.reason == "AncestorNotBound":
		return pass("its Service is not bound yet, as it should be at this point (%s)", c.message)
	case c.status == "True" && c.reason == "Accepted":
		return pass("WaypointAccepted is True")
	case c.status == "True":
		return fail(NoSide, "WaypointAccepted is True with reason %s: %s", c.reason, c.message) // PartiallyInvalid: a part of it is not enforced
	}
	return notYet("WaypointAccepted is %s: %s (%s)", c.status, c.reason, c.message)
}

func acceptedAtZtunnel(list []condition, generation int64, step string) Result {
	c, ok := conditionNamed(list, "ZtunnelAccepted")
	switch {
	case !ok:
		return notYet("istiod has not written condition ZtunnelAccepted")
	case stale(c, generation):
		return notYet("condition ZtunnelAccepted is about an earlier version of it")
	case c.status == "True" && c.reason == "Accepted":
		return pass("ZtunnelAccepted is True")
	case step == "exempt":
		return pass("ztunnel reads as much of it as before: %s (%s)", c.reason, c.message) // the waypoint's copy enforces the rest
	}
	return fail(NoSide, "ZtunnelAccepted is %s with reason %s: %s", c.status, c.reason, c.message)
}

// stale reports whether a condition speaks of an earlier version of its object.
func stale(c condition, generation int64) bool { return c.generation != 0 && c.generation < generation }
