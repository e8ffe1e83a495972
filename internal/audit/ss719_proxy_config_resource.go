package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// proxyConfigResource: ProxyConfig objects configure sidecars.
var proxyConfigResource = Rule{
	Code:       "SS719",
	Title:      "A ProxyConfig ends with the sidecar",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ProxyConfigResource}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/proxy-config/"},
	Why:        "A ProxyConfig sets concurrency, environment or image of sidecars. It reaches a waypoint only if its selector names the waypoint's gateway-name label.",
	Remedy:     "Check what it sets; if the waypoint needs it as well, add one that selects gateway.networking.k8s.io/gateway-name.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s configures the sidecar only.", from)
	}, mesh.ProxyConfigResource),
}
