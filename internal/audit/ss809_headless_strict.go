package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// headlessStrict: sidecars cannot reach ambient pods behind a headless Service under STRICT.
var headlessStrict = Rule{
	Code:       "SS809",
	Title:      "Callers with sidecars cannot reach an ambient headless Service under STRICT",
	Severity:   Error,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.HeadlessService, mesh.StrictMTLS}, Facts: []Fact{FactWorkloads, FactMode}},
	References: []string{"https://github.com/istio/istio/issues/54921", "istio/istio pilot/pkg/networking/core/cluster_tls.go"},
	Why: "A sidecar never uses HBONE towards the addresses of a headless Service. Once the pods behind it are ambient such calls arrive in plaintext, which STRICT refuses, until the callers " +
		"are ambient as well. It hits databases and brokers in StatefulSets.",
	Remedy: "Migrate its callers first, or set PERMISSIVE on these pods until they are.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		headless := v.Uses(mesh.HeadlessService)
		if len(headless) == 0 || len(v.Uses(mesh.StrictMTLS)) == 0 || verdict == VerdictSidecar && v.Mode() == mesh.Sidecar {
			return nil
		}
		callers := v.SidecarCallers()
		evidence := append(gather(headless), gather(v.Uses(mesh.StrictMTLS))...)
		if v.Mode() == mesh.Ambient {
			if callers == 0 {
				return nil
			}
			return one("Calls from sidecars by the headless Service arrive in plaintext and are refused by STRICT.", evidence...)
		}
		if callers < 2 {
			return nil // none but itself
		}
		return []Finding{{
			Severity: Warning, Evidence: evidence,
			Message: "Once ambient, calls from sidecars by the headless Service arrive in plaintext and STRICT refuses them: its callers have to go first.",
		}}
	},
}
