package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// waypointBypass: the waypoint enforces, and some callers go round it.
var waypointBypass = Rule{
	Code:     "SS810",
	Title:    "Callers can go round the waypoint",
	Severity: Warning,
	Requires: VerdictNone,
	Inputs:   Inputs{Facts: []Fact{FactPolicies, FactMode, FactModel}},
	References: []string{"https://github.com/istio/istio/issues/57213", "https://github.com/istio/istio/issues/51445", "https://github.com/istio/istio/issues/44534",
		"https://istio.io/latest/docs/ambient/migrate/migrate-policies/"},
	Why: "Callers with sidecars, workloads outside the mesh, what comes in by a LoadBalancer, a node port or an ingress controller of another project, and callers by another Service that is not behind the waypoint never " +
		"meet it; its policies do not hold for them. Only a policy at the pods, which ztunnel enforces, can close that: one that admits the waypoint's identity alone, or STRICT against plaintext. The audit compares the mesh with one " +
		"in which all of them pass the waypoint, and names those whose calls the waypoint would refuse and the pods admit. Callers by pod address are nobody's in particular and are not named, and neither is the platform (kube-system).",
	Remedy: "Make the callers ambient and bind every Service of the pods. To close the rest add a selector policy DENY with notPrincipals naming the waypoint (and, while they last, callers with sidecars); it must not use targetRefs.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint || !v.hasRequestPolicy() {
			return nil
		}
		var out []Finding
		for _, way := range v.WaysRound() {
			if way.Sort == mesh.WayOfGateways || way.Sort == mesh.WayOfForeignGateways {
				continue // SS805's
			}
			f := Finding{Subject: v.Workload(), Message: whoGoesRound(&way) + whatIsLost(v, &way), Evidence: wayEvidence(&way)}
			if way.Sort == mesh.WayByHeadless {
				f.Severity = Info
				f.Message += " Clients that mean one pod, as those of a StatefulSet, have no other way."
			}
			out = append(out, f)
		}
		return out
	},
}

// whoGoesRound names those who have a way.
func whoGoesRound(way *mesh.WayRound) string {
	switch way.Sort {
	case mesh.WayOfSidecars:
		return fmt.Sprintf("Callers with sidecars (%s) go round the waypoint", callerNames(way.Callers))
	case mesh.WayOfPods:
		return fmt.Sprintf("Workloads outside the mesh (%s) call the pods in plaintext, past the waypoint", callerNames(way.Callers))
	case mesh.WayFromOutside:
		return fmt.Sprintf("What comes in by %s goes straight to the pods, past the waypoint", exposureNames(way.Exposures))
	}
	return fmt.Sprintf("%s leads to the same pods without the policies of their waypoint", serviceNames(way.Services))
}

// whatIsLost says what the waypoint does not get to refuse.
func whatIsLost(v *View, way *mesh.WayRound) string {
	if v.Mode() == mesh.Ambient {
		return fmt.Sprintf(", where %s would refuse %s.", policyNames(way.Policies), way.Example)
	}
	return ": once the policies hold there, such calls either meet none of them or are refused at the pods."
}

// callerNames names the first few workloads.
func callerNames(workloads []*mesh.Workload) string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.Namespace+"/"+w.Name)
	}
	return list(names)
}

func serviceNames(services []*mesh.Service) string {
	var names []string
	for _, s := range services {
		names = append(names, s.Ref.String())
	}
	return list(names)
}

// exposureNames names what opens ways: a Service with its type, or a route or an Ingress with its class.
func exposureNames(exposures []mesh.Exposure) string {
	var names []string
	for _, e := range exposures {
		name := e.By.Object.String()
		switch {
		case e.Sort == mesh.FromOutside:
			name += " (" + lastField(e.By.Field) + " " + e.By.Value + ")"
		case e.Class != "":
			name += " (class " + e.Class + ")"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return list(names)
}

func policyNames(policies []string) string {
	if len(policies) == 0 {
		return "a policy"
	}
	return list(policies)
}

// wayEvidence is what opens a way.
func wayEvidence(way *mesh.WayRound) []mesh.Evidence {
	var out []mesh.Evidence
	for _, e := range way.Exposures {
		out = append(out, e.By)
	}
	for _, s := range way.Services {
		if way.Sort == mesh.WayByService || way.Sort == mesh.WayByHeadless {
			out = append(out, at(s.Ref, labelField(mesh.LabelUseWaypoint), ""))
		}
	}
	for _, w := range way.Callers {
		if len(out) < mostCallers && way.Sort != mesh.WayByService && way.Sort != mesh.WayByHeadless {
			out = append(out, at(w.Ref, "", ""))
		}
	}
	return out
}

// mostCallers bounds the callers that evidence names.
const mostCallers = 8
