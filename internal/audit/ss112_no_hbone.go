package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// noHBONE: ambient callers fall back to plaintext.
var noHBONE = Rule{
	Code:       "SS112",
	Title:      "The sidecar does not listen on HBONE yet",
	Severity:   Warning,
	Requires:   VerdictNone,
	First:      true,
	Modes:      []mesh.Mode{mesh.Sidecar},
	Inputs:     Inputs{Facts: []Fact{FactProxy, FactSettings, FactTemplate}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/", "https://github.com/istio/istio/issues/53942", "https://github.com/istio/istio/pull/50360"},
	Why: "ztunnel speaks HBONE and plaintext, not the older Istio mTLS. A sidecar that was injected before the ambient profile was installed accepts no HBONE, so ambient " +
		"callers reach it in plaintext, and not at all under STRICT. The calls that it makes are not concerned: every sidecar sends HBONE to ambient pods, whether it listens or not.",
	Remedy: "Restart the workload before any of its callers becomes ambient.",
	Check: func(v *View) []Finding {
		s, p := v.Settings(), v.Proxy()
		if !s.HBONESidecars || p.HBONE || p.Kind == mesh.NoSidecar || v.Template() == nil {
			return nil // without it in the injector no restart would help (SS904); a VM is SS905's
		}
		return one("The sidecar was injected without HBONE; ambient callers would reach it in plaintext.", at(v.Workload(), "", ""))
	},
}
