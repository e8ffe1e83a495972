package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// dnsProxy: before 1.25 DNS capture was off in ambient mode.
var dnsProxy = Rule{
	Code:       "SS720",
	Title:      "Before 1.25 ambient mode does not proxy DNS by default",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Until:      24,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.DNSProxy}},
	References: []string{"istio/istio releasenotes ambient-dns-on (1.25)"},
	Why:        "The sidecar answers DNS for ServiceEntries. In ambient mode ztunnel does, on by default since 1.25 only.",
	Remedy:     "Install istio-cni with ambient.dnsCapture=true before the sidecar goes.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("DNS is proxied by the sidecar (%s); ambient mode does that only with ambient.dnsCapture=true before Istio 1.25.", from)
	}, mesh.DNSProxy),
}
