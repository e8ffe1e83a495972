package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// headlessStrict: sidecars call ambient pods behind a headless Service in plaintext.
var headlessStrict = Rule{
	Code:       "SS809",
	Title:      "Calls of sidecars to an ambient headless Service arrive in plaintext",
	Severity:   Error,
	Requires:   VerdictAmbient,
	First:      true,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.HeadlessService, mesh.StrictMTLS}, Facts: []Fact{FactWorkloads, FactMode, FactPolicies}},
	References: []string{"https://github.com/istio/istio/issues/54921", "istio/istio pilot/pkg/networking/core/cluster_tls.go"},
	Why: "A sidecar never uses HBONE towards the addresses of a headless Service. Once the pods behind it are ambient such calls arrive in plaintext, which STRICT refuses, until the callers " +
		"are ambient as well. Under PERMISSIVE they are let in without an identity: a DENY by principal, namespace or service account no longer matches, an ALLOW refuses them. One ambient pod among " +
		"those of the Service is enough (istiod infers the mode of the Service from all of them). It hits databases and brokers in StatefulSets.",
	Remedy: "Migrate its callers first, or set PERMISSIVE on these pods until they are.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		headless := v.Uses(mesh.HeadlessService)
		if len(headless) == 0 || verdict == VerdictSidecar && v.Mode() == mesh.Sidecar {
			return nil
		}
		others := v.SidecarCallers()
		f := Finding{}
		if v.Mode() == mesh.Sidecar {
			others-- // itself
			f.Severity = Warning
		}
		if others <= 0 {
			return nil
		}
		when := "Once ambient, calls"
		if v.Mode() == mesh.Ambient {
			when = "Calls"
		}
		if strict := v.Uses(mesh.StrictMTLS); len(strict) > 0 {
			f.Evidence = append(gather(headless), gather(strict)...)
			f.Message = when + " from sidecars by the headless Service arrive in plaintext and STRICT refuses them: its callers have to go first."
			return []Finding{f}
		}
		var out []Finding
		for _, p := range v.Policies("AuthorizationPolicy") {
			identities := &v.Fate(p).identities
			if p.Scope == mesh.ByTargetRefs || p.DryRun || identities.none() || identityEffect[authz.Action(p.Action)] == "" {
				continue
			}
			f.Evidence = append(identities.all(), gather(headless)...)
			f.Message = fmt.Sprintf("%s from sidecars by the headless Service arrive in plaintext, without an identity: there %s %s.", when, p.Ref, identities.effectUnseen(authz.Action(p.Action), "identities"))
			f.Remedy = "Migrate its callers first."
			out = append(out, f)
		}
		return out
	},
}
