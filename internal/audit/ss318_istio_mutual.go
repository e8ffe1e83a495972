package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// istioMutual: spelled-out ISTIO_MUTUAL is said to keep some releases from using HBONE.
var istioMutual = Rule{
	Code:       "SS318",
	Title:      "A DestinationRule spells out ISTIO_MUTUAL",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ExplicitIstioMutual}},
	References: []string{"https://github.com/istio/istio/issues/53526", "istio/istio pilot/pkg/networking/core/cluster_tls.go"},
	Why: "Sidecars choose HBONE or Istio mTLS for each endpoint by themselves since 1.23. With ISTIO_MUTUAL spelled out users report that calls to " +
		"ambient workloads stay with legacy mTLS, which ztunnel does not speak.",
	Remedy: "Remove trafficPolicy.tls with mode ISTIO_MUTUAL: automatic mTLS does the same and knows HBONE.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s sets ISTIO_MUTUAL; sidecar callers may then fail to reach this workload once it is ambient.", from)
	}, mesh.ExplicitIstioMutual),
}
