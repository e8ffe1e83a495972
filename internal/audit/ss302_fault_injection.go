package audit

import "github.com/sidestep-mesh/sidestep/internal/mesh"

// faultInjection has no Gateway API counterpart.
var faultInjection = Rule{
	Code:       "SS302",
	Title:      "Fault injection needs a waypoint that obeys a VirtualService (Alpha)",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     atService([]mesh.Feature{mesh.FaultInjection}, FactMode),
	References: []string{"https://istio.io/latest/docs/ambient/migrate/migrate-policies/", "https://github.com/openshift/openshift-docs/pull/111191"},
	Why: "The Gateway API has no fault filter, so an HTTPRoute cannot delay or abort requests. With sidecars the caller's proxy does it; for ambient callers only a waypoint can, " +
		"from a VirtualService in the Service's namespace. That is an Alpha feature and must not be mixed with HTTPRoutes for the same host; vendors advise to keep sidecars instead.",
	Remedy: "Remove the fault when the experiment is over. If it has to stay, keep the VirtualService at the waypoint (Alpha), or set sidestep.dev/mode: sidecar here and on the callers.",
	Check:  waypointAfterRewrite((*View).AtService, "Fault injection", "the Gateway API has no such filter, and a waypoint obeys a VirtualService as an Alpha feature only", mesh.FaultInjection),
}
