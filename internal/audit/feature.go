package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// Most rows of the decision table are one of three shapes: a waypoint takes the feature over as it is, a
// waypoint can but the object has to be written anew, or nothing but a sidecar does it. These functions
// give such a rule its Check, so that the same situation is told in the same words everywhere.

// waypointServes is for a feature that a waypoint reads from the very object the sidecar reads it from.
// For an ambient workload behind a waypoint the finding only says what the waypoint is there for. Where
// the feature acts on calls to hosts outside the mesh, the waypoint has to be an egress waypoint.
func waypointServes(what string, features ...mesh.Feature) func(*View) []Finding {
	return func(v *View) []Finding {
		var in, out []mesh.Evidence
		for _, u := range v.AtService(features...) {
			if u.Side == mesh.Outbound {
				out = append(out, u.Evidence...)
			} else {
				in = append(in, u.Evidence...)
			}
		}
		var findings []Finding
		if len(in) > 0 {
			findings = append(findings, atWaypoint(v, what, in))
		}
		if len(out) > 0 {
			findings = append(findings, Finding{
				Evidence: out,
				Message:  fmt.Sprintf("%s on calls that it makes (%s) needs an egress waypoint: ztunnel does not do it.", what, objects(out)),
				Remedy:   "Bind the ServiceEntry of the host to an egress waypoint (label istio.io/use-waypoint); the rule can stay as it is.",
			})
		}
		return findings
	}
}

func atWaypoint(v *View, what string, evidence []mesh.Evidence) Finding {
	from := objects(evidence)
	if v.Mode() != mesh.Ambient {
		return Finding{Evidence: evidence, Message: fmt.Sprintf("%s (%s) needs a waypoint: ztunnel does not do it.", what, from)}
	}
	by, served := v.ServedBy()
	if !served {
		return Finding{Evidence: evidence, Message: fmt.Sprintf("%s (%s) is not in effect: the workload is ambient and not every Service in front of it is bound to a waypoint.", what, from)}
	}
	return Finding{
		Severity: Info, Evidence: evidence,
		Message: fmt.Sprintf("%s (%s) is what waypoint %s/%s is needed for.", what, from, by.Namespace, by.Name),
		Remedy:  "Nothing to do; keep the waypoint.",
	}
}

// waypointAfterRewrite is for a feature that a waypoint can do, though not from the object at hand. The
// uses are View.Uses, or View.AtService where the object may stand on the clients' side.
func waypointAfterRewrite(ask func(*View, ...mesh.Feature) []mesh.Use, what, because string, features ...mesh.Feature) func(*View) []Finding {
	return func(v *View) []Finding {
		uses := ask(v, features...)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if v.Mode() == mesh.Ambient {
			return one(fmt.Sprintf("%s (%s) is not in effect on this ambient workload: %s.", what, objects(evidence), because), evidence...)
		}
		return one(fmt.Sprintf("%s (%s) would end with the sidecar: %s.", what, objects(evidence), because), evidence...)
	}
}

// onlySidecar is for a feature that nothing in ambient mode does.
func onlySidecar(what, because string, features ...mesh.Feature) func(*View) []Finding {
	return func(v *View) []Finding {
		uses := v.Uses(features...)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if v.Mode() == mesh.Ambient {
			return one(fmt.Sprintf("%s (%s) is lost on this ambient workload: %s.", what, places(v, evidence), because), evidence...)
		}
		return one(fmt.Sprintf("%s (%s) keeps the sidecar: %s.", what, places(v, evidence), because), evidence...)
	}
}

// onlyClientSidecar is for a feature of the calls that a workload makes, done by its own sidecar alone.
func onlyClientSidecar(what, because string, features ...mesh.Feature) func(*View) []Finding {
	return func(v *View) []Finding {
		uses := slices.DeleteFunc(v.Uses(features...), func(u mesh.Use) bool { return u.Side == mesh.Inbound })
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if v.Mode() == mesh.Ambient {
			return one(fmt.Sprintf("%s (%s) is lost for calls of this ambient workload: %s.", what, places(v, evidence), because), evidence...)
		}
		return one(fmt.Sprintf("%s (%s) keeps the sidecar of this caller: %s.", what, places(v, evidence), because), evidence...)
	}
}

// differs is for something that changes with the mode and that its owner should look at, though it needs no proxy.
func differs(message func(from string) string, features ...mesh.Feature) func(*View) []Finding {
	return func(v *View) []Finding {
		uses := v.Uses(features...)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		return one(message(places(v, evidence)), evidence...)
	}
}
