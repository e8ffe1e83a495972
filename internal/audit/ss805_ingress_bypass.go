package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// ingressBypass: gateways go round waypoints unless told otherwise.
var ingressBypass = Rule{
	Code:       "SS805",
	Title:      "Calls from the ingress gateway go round the waypoint",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Facts: []Fact{FactServices, FactPolicies, FactMode, FactModel, FactSettings}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/", "istio/istio pilot/pkg/xds/endpoints/endpoint_builder.go (findServiceWaypoint)", "istio/istio pilot/pkg/config/kube/ingress"},
	Why: "An ingress gateway sends calls to the pods directly, so policies that only the waypoint enforces (JWT, paths, methods) do not hold for traffic from outside, which is where they " +
		"matter most. It honours the waypoint when label istio.io/ingress-use-waypoint: \"true\" is on the Service (1.24) or its namespace (1.25). On the Gateway object the label does nothing, " +
		"though a page of the documentation says so. Routes of the Gateway API, VirtualServices and Ingresses count alike; a gateway or an ingress controller of another project, or one that is not in the input, reads no such label.",
	Remedy: "Label the Service istio.io/ingress-use-waypoint: \"true\".",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint || !v.hasRequestPolicy() {
			return nil
		}
		if v.Mode() == mesh.Ambient {
			return gatewaysPast(v)
		}
		var out []Finding
		for _, s := range v.Services() {
			if s.Headless {
				continue
			}
			foreign := s.Exposed(mesh.ByForeignGateway, mesh.ByUnknownGateway)
			exposed := foreign
			if len(exposed) == 0 && (!s.IngressUseWaypoint || v.Settings().NoIngressWaypoints) {
				exposed = s.Exposed(mesh.ByGateway)
			}
			if len(exposed) > 0 {
				f := exposedFinding(v, s, exposed)
				f.Severity = Warning
				f.Message = fmt.Sprintf("%s exposes Service %s/%s; once a waypoint enforces its policies, the gateway goes round it.%s", exposureNames(exposed), s.Namespace, s.Name, notIstios(foreign))
				out = append(out, f)
			}
		}
		return out
	},
}

// gatewaysPast tells which of the routes to an ambient workload bring calls that its waypoint would refuse.
func gatewaysPast(v *View) []Finding {
	var out []Finding
	for _, way := range v.WaysRound() {
		if way.Sort != mesh.WayOfGateways && way.Sort != mesh.WayOfForeignGateways {
			continue
		}
		for _, s := range way.Services {
			exposed := slices.DeleteFunc(slices.Clone(way.Exposures), func(e mesh.Exposure) bool { return !slices.Contains(s.Exposures, e) })
			f := exposedFinding(v, s, exposed)
			f.Message = fmt.Sprintf("%s exposes Service %s/%s, and the gateway goes round its waypoint, where %s would refuse %s.", exposureNames(exposed), s.Namespace, s.Name, policyNames(way.Policies), way.Example)
			if way.Sort == mesh.WayOfForeignGateways {
				f.Message += notIstios(exposed)
			}
			out = append(out, f)
		}
	}
	return out
}

// exposedFinding is about a Service and the ways in that are not by its waypoint.
func exposedFinding(v *View, s *mesh.Service, exposed []mesh.Exposure) Finding {
	f := Finding{Subject: s.Ref, Evidence: []mesh.Evidence{at(s.Ref, labelField(mesh.LabelIngressUseWaypoint), "")}}
	for _, e := range exposed {
		f.Evidence = append(f.Evidence, e.By)
	}
	switch {
	case exposed[0].Sort != mesh.ByGateway:
		f.Remedy = "Let one of istiod's gateways serve the route and label the Service istio.io/ingress-use-waypoint: \"true\", or enforce the policy at the gateway and admit only that and the waypoint at ztunnel."
	case v.Settings().NoIngressWaypoints:
		f.Remedy = "Istiod's ENABLE_INGRESS_WAYPOINT_ROUTING is off, so that no label helps: switch it on and label the Service istio.io/ingress-use-waypoint: \"true\"."
	}
	return f
}

// notIstios says why no label helps with a way, empty where one does.
func notIstios(exposed []mesh.Exposure) string {
	switch {
	case len(exposed) == 0:
		return ""
	case exposed[0].Sort == mesh.ByUnknownGateway:
		return " The gateway is not in the input: whether it is istiod's, and reads label istio.io/ingress-use-waypoint, cannot be told."
	}
	return " The gateway is not istiod's, and does not read label istio.io/ingress-use-waypoint."
}

// hasRequestPolicy reports whether an HTTP proxy enforces something for the workload, or will have to.
func (v *View) hasRequestPolicy() bool {
	if len(v.Policies("RequestAuthentication")) > 0 {
		return true
	}
	return slices.ContainsFunc(v.Policies("AuthorizationPolicy"), func(p *mesh.Policy) bool {
		return p.Scope == mesh.ByTargetRefs || v.Fate(p).changes()
	})
}
