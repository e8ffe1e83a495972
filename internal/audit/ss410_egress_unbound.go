package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var egressUnbound = Rule{
	Code:     "SS410",
	Title:    "What sidecars do to calls to a host outside ends with them",
	Severity: Warning,
	Requires: VerdictNone,
	Inputs:   Inputs{Facts: []Fact{FactRoutes, FactWorkloads}},
	References: []string{
		"istio/istio pilot/pkg/model/push_context.go (publicByGateway, destinationRule)", "https://github.com/istio/istio/issues/59576",
		"https://istio.io/latest/docs/ambient/usage/waypoint/",
	},
	Why: "Sidecars apply routes and rules by host, whatever stands behind it: a ServiceEntry, a Service without selector, pods outside the mesh, or nothing that the mesh knows. " +
		"An object without exportTo acts in the sidecars of all namespaces, also where it stands beside an egress gateway or in the root namespace. ztunnel does none of it: calls go straight out, and where a sidecar " +
		"originated TLS they leave in plaintext.",
	Remedy: "Bind the ServiceEntry or Service to an egress waypoint (label istio.io/use-waypoint) and keep the route and the rule in its namespace, before the first caller moves.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, l := range m.RouteLosses() {
			if f, ok := outsideLoss(m, l); ok {
				out = append(out, f)
			}
		}
		return out
	},
}

// outsideLoss judges one host. Those whose only objects stand beside all of their callers are told to the callers
// themselves, and what a bound waypoint keeps is no loss.
func outsideLoss(m *MeshView, l mesh.RouteLoss) (Finding, bool) {
	if l.Kind != mesh.Outside || l.Service != nil && l.Service.Waypoint.Bound && l.Kept {
		return Finding{}, false
	}
	if m.CallersBeside(onlyNamespace(l.Evidence)) == 0 {
		return Finding{}, false
	}
	f := Finding{Evidence: l.Evidence}
	f.Message = fmt.Sprintf("Calls to %s: %s (%s) ends with each caller's sidecar; ztunnel does not do it.", l.Host, featureWords(l.Features), objects(l.Evidence))
	switch {
	case l.Edge:
		f.Severity = Info
		f.Message = fmt.Sprintf("Calls from inside the mesh to %s are routed by %s; without a sidecar they go where the name resolves to, which is meant for calls from outside.", l.Host, objects(l.Evidence))
		f.Remedy = "Nothing, if callers inside use the Service's own name."
	case l.Service == nil:
		f.Remedy = "No Service or ServiceEntry has the host, so nothing can be bound to a waypoint: let callers use the Service's name, or make a ServiceEntry of the host and bind it."
	case !l.Kept:
		f.Remedy = fmt.Sprintf("Move the object into namespace %s, beside %s, which a waypoint reads; bind that to an egress waypoint before callers move.", l.Service.Namespace, l.Service.Ref)
	}
	return f, true
}

// onlyNamespace is the namespace of all objects, empty where there are several.
func onlyNamespace(evidence []mesh.Evidence) string {
	ns := ""
	for i, e := range evidence {
		if i > 0 && e.Object.Namespace != ns {
			return ""
		}
		ns = e.Object.Namespace
	}
	return ns
}

// featureWords names features for people, each once.
func featureWords(features []mesh.Feature) string {
	var out []string
	for _, f := range features {
		if w := strings.ReplaceAll(string(f), "-", " "); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return strings.Join(out, ", ")
}
