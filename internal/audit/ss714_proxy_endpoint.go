package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// proxyEndpoint: the application depends on its sidecar being there.
var proxyEndpoint = Rule{
	Code:       "SS714",
	Title:      "The application talks to its own sidecar",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ProxyEndpoint}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/before-you-begin/"},
	Why: "A container names the sidecar's admin or health port, quitquitquit, or files under /etc/istio/proxy. Without a sidecar such a call fails: a start script that waits " +
		"for :15021 waits for ever, a Job that ends with quitquitquit fails at its end.",
	Remedy: "Remove the call: ambient pods need neither to wait for a proxy nor to stop it.",
	Check:  onlySidecar("A call to the own sidecar", "nothing answers on its ports and paths in ambient mode", mesh.ProxyEndpoint),
}
