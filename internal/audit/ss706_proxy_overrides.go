package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// proxyOverrides: the workload shapes its own istio-proxy container.
var proxyOverrides = Rule{
	Code:       "SS706",
	Title:      "The pod template shapes the sidecar container",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ProxyOverridesAnnotation}},
	References: []string{"https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#customizing-injection"},
	Why:        "A container named istio-proxy in the template (or proxy.istio.io/overrides) changes the injected sidecar: lifecycle hooks, volumes, environment, resources. It ends with the sidecar.",
	Remedy:     "Remove the container from the template together with the sidecar; if it mounts volumes for an extension, solve that at the waypoint first.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("The pod template shapes the istio-proxy container (%s); left there, it would run as an ordinary container in ambient mode.", from)
	}, mesh.ProxyOverridesAnnotation),
}
