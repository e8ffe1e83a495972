package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// servicePorts: a waypoint sees other port numbers.
var servicePorts = Rule{
	Code:       "SS216",
	Title:      "A policy that has to move to a waypoint names the pods' port numbers",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Facts: []Fact{FactPolicies, FactServices}},
	References: []string{"istio/istio pilot/pkg/networking/core/listener_waypoint.go", "istio/istio pilot/pkg/security/authz/model/generator.go"},
	Why: "Sidecar and ztunnel compare a policy's ports with the port the pod listens on. A connection to a service waypoint is addressed to the Service, so there the same field is " +
		"compared with the Service's port. A copy with the old number matches nothing: an ALLOW then refuses, a DENY lets pass.",
	Remedy: "Write the Service's port number in the copy for the waypoint.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint {
			return nil
		}
		moved := map[int32]int32{} // pod port to Service port, where they differ
		for _, s := range v.Services() {
			for _, p := range s.Ports {
				if p.Target != 0 && p.Target != p.Port && !s.Headless {
					moved[p.Target] = p.Port
				}
			}
		}
		if len(moved) == 0 {
			return nil
		}
		var out []Finding
		for _, p := range v.Policies("AuthorizationPolicy") {
			fate := v.Fate(p)
			if p.Scope == mesh.ByTargetRefs || !fate.changes() {
				continue // at a waypoint already, or stays at ztunnel
			}
			for i := range fate.compiled.Rules {
				for _, port := range rulePorts(&fate.compiled.Rules[i]) {
					to, differs := moved[port]
					if !differs {
						continue
					}
					out = append(out, one(fmt.Sprintf("%s names port %d of the pods; at a waypoint the same call has the Service's port %d.", p.Ref, port, to),
						at(p.Ref, fmt.Sprintf("spec.rules[%d]", i), fmt.Sprint(port)))...)
				}
			}
		}
		return out
	},
}

// rulePorts are the port numbers that a rule names.
func rulePorts(r *authz.Rule) []int32 {
	var texts []string
	for _, o := range r.To {
		texts = slices.Concat(texts, o.Ports, o.NotPorts)
	}
	for _, w := range r.When {
		if w.Key == "destination.port" {
			texts = slices.Concat(texts, w.Values, w.NotValues)
		}
	}
	var out []int32
	for _, t := range texts {
		if n, err := strconv.ParseInt(t, 10, 32); err == nil && !slices.Contains(out, int32(n)) {
			out = append(out, int32(n)) // what is no number is SS219's
		}
	}
	return out
}
