package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// clientExtension: nothing in ambient mode acts for the caller.
var clientExtension = Rule{
	Code:     "SS506",
	Title:    "An extension acts on the calls that these workloads make",
	Severity: Error,
	Requires: VerdictSidecar,
	Inputs:   Inputs{Features: []mesh.Feature{mesh.ClientExtension}, Facts: []Fact{FactMode}},
	References: []string{
		"istio/istio pilot/pkg/model/extensions.go (matchMode)", "istio/istio pilot/pkg/networking/core/listener_waypoint.go",
		"https://istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin/#WasmPlugin-TrafficSelector",
	},
	Why: "A match with mode CLIENT, or CLIENT_AND_SERVER, runs the extension in the caller's own sidecar, on whatever it calls. ztunnel runs no extensions, and a waypoint stands before the Services that " +
		"are called: it counts as SERVER, and acts for every caller of theirs.",
	Remedy: "Move what the extension does into the application, or give it mode SERVER and targetRefs at the Services that are called, where it then acts on everybody's calls.",
	Check:  onlyClientSidecar("An extension on outgoing calls", "a waypoint stands before the Services that are called, and acts for no caller", mesh.ClientExtension),
}
