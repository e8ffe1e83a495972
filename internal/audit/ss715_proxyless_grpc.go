package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// proxylessGRPC clients speak xDS themselves.
var proxylessGRPC = Rule{
	Code:       "SS715",
	Title:      "Proxyless gRPC cannot join ambient mode",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ProxylessGRPC}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/", "https://istio.io/latest/blog/2021/proxyless-grpc/"},
	Why:        "The gRPC library takes xDS configuration from an agent in the pod and cannot tunnel HBONE. There is no heavy proxy to save either.",
	Remedy:     "Leave it as it is, or take the xds:/// scheme out of the application and enrol it like any other.",
	Check:      onlySidecar("Proxyless gRPC", "it needs the agent in the pod and cannot speak HBONE", mesh.ProxylessGRPC),
}
