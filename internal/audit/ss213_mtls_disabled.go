package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// mtlsDisabled: PeerAuthentication DISABLE has no meaning in ambient mode.
var mtlsDisabled = Rule{
	Code:       "SS213",
	Title:      "PeerAuthentication DISABLE is ignored in ambient mode",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.DisabledMTLS}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/before-you-begin/", "istio/istio architecture/ambient/peer-authentication.md"},
	Why: "ztunnel cannot turn HBONE off: calls it makes stay encrypted, and calls it takes are treated as PERMISSIVE. " +
		"The official guide names DISABLE as a blocker. It is usually there for a client or a port that must see plaintext.",
	Remedy: "Remove DISABLE (PERMISSIVE takes plaintext as well), or keep the sidecar while something depends on it.",
	Check:  onlySidecar("mTLS mode DISABLE", "ztunnel ignores it, taking HBONE as well as plaintext and always sending HBONE", mesh.DisabledMTLS),
}
