package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// proxyConfig: anything can stand in proxy.istio.io/config.
var proxyConfig = Rule{
	Code:       "SS702",
	Title:      "Annotation proxy.istio.io/config ends with the sidecar",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ProxyConfigAnnotation}},
	References: []string{"https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig"},
	Why: "Tracing, concurrency, statistics, start-up order and proxy metadata of this annotation configure one sidecar. holdApplicationUntilProxyStarts is not needed in " +
		"ambient mode; the rest has no place there but the waypoint's own configuration.",
	Remedy: "Check each setting: drop what only concerned the sidecar, and put tracing or statistics on the waypoint's Gateway.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s is read by the sidecar only; check what each setting is for.", from)
	}, mesh.ProxyConfigAnnotation),
}
