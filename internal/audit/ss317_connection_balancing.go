package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// connectionBalancing: one HTTP/2 connection carries all requests.
var connectionBalancing = Rule{
	Code:       "SS317",
	Title:      "gRPC and HTTP/2 calls are balanced by connection without a waypoint",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Modes:      []mesh.Mode{mesh.Sidecar},
	Inputs:     Inputs{Facts: []Fact{FactServices, FactWorkloads}},
	References: []string{"https://istio.io/latest/docs/ambient/architecture/data-plane/"},
	Why: "A sidecar balances every request. ztunnel picks a pod for a connection, and a gRPC client keeps one connection for hours: pods that are added by a scale-up get no calls. " +
		"No configuration asks for the balancing of today, so this does not change the verdict.",
	Remedy: "Bind the Service to a waypoint if calls must spread over the pods, or let clients balance or reconnect.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictAmbient || v.Replicas() < 2 {
			return nil
		}
		var evidence []mesh.Evidence
		for _, s := range v.Services() {
			for i, p := range s.Ports {
				if (p.Protocol == "grpc" || p.Protocol == "http2") && !s.Headless {
					evidence = append(evidence, at(s.Ref, fmt.Sprintf("spec.ports[%d]", i), p.Protocol))
				}
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("Calls to %s will be balanced by connection and no longer by request: a client with one connection stays with one of %d pods.", objects(evidence), v.Replicas()), evidence...)
	},
}
