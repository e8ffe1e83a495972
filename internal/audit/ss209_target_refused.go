package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// targetRefused: a policy that is attached to nothing.
var targetRefused = Rule{
	Code:     "SS209",
	Title:    "A policy's targetRef takes no effect",
	Severity: Error,
	Requires: VerdictNone,
	Inputs:   Inputs{Facts: []Fact{FactPolicies, FactSettings}},
	References: []string{
		"https://github.com/istio/istio/issues/57315", "istio/istio pilot/pkg/model/policyattachment.go", "https://istio.io/latest/docs/ambient/usage/l7-features/",
	},
	Why: "A policy with targetRefs is read by waypoints alone. If the target does not exist, is not bound to a waypoint, or is of a kind that cannot be targeted from that namespace " +
		"(GatewayClass istio-waypoint works in the root namespace only), nobody enforces it: a published tool left a namespace open that way.",
	Remedy: "Correct the reference, or bind the Service to a waypoint (label istio.io/use-waypoint) before anything relies on the policy.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, p := range m.Policies() {
			for _, t := range p.Targets {
				if t.Accepted {
					continue
				}
				f := Finding{Evidence: []mesh.Evidence{at(p.Ref, t.Field, t.Kind+"/"+t.Name)}}
				switch t.Refused {
				case mesh.AncestorNotBound:
					f.Severity = Warning
					f.Message = fmt.Sprintf("%s targets %s, which is bound to no waypoint: nobody enforces it yet (AncestorNotBound).", p.Ref, t.Ref)
					f.Remedy = "Bind it: label istio.io/use-waypoint on the Service or its namespace, naming a waypoint that is ready."
				case mesh.TargetNotFound:
					f.Message = fmt.Sprintf("%s targets %s, which does not exist: nobody enforces it (TargetNotFound).", p.Ref, t.Ref)
				default:
					f.Message = fmt.Sprintf("%s cannot target %s from its namespace: nobody enforces it (%s).", p.Ref, t.Ref, t.Refused)
					if t.Kind == "GatewayClass" {
						f.Remedy = fmt.Sprintf("Move the policy to the root namespace %s and target GatewayClass istio-waypoint, or target a Gateway or Service.", m.Settings().RootNamespace)
					}
				}
				out = append(out, f)
			}
		}
		return out
	},
}
