package audit

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// sidecarThroughHBONE: a sidecar's policies change because its callers do.
var sidecarThroughHBONE = Rule{
	Code:     "SS225",
	Title:    "A sidecar's policy means something else for ambient callers",
	Severity: Warning,
	Requires: VerdictNone,
	Modes:    []mesh.Mode{mesh.Sidecar},
	Inputs:   Inputs{Facts: []Fact{FactPolicies, FactProxy, FactWorkloads}},
	References: []string{
		"istio/istio pilot/pkg/networking/core/listener_inbound.go (buildInboundHBONEListeners)", "https://github.com/istio/istio/issues/46982",
	},
	Why: "Ambient callers and waypoints reach a sidecar through HBONE. Behind the tunnel its policies see no client address: ipBlocks and source.ip match nothing, notIpBlocks everything. Nor is there a server name: connection.sni matches nothing. " +
		"ALLOW, DENY and AUDIT still see the caller's identity, CUSTOM does not: istiod rebuilds the other filters for the tunnel and leaves that one looking for a TLS connection that is not there. So a " +
		"DENY by address stops denying, and external authorization by identity is skipped, the day the callers become ambient, though nothing changed at the workload. Measured with istiod's " +
		"configuration and a stock Envoy.",
	Remedy: "Keep the callers' sidecars until the policy goes by what the tunnel shows.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		ambient, others := v.CallersByMode()
		if !v.Proxy().HBONE || ambient+others == 0 {
			return nil // without HBONE ambient callers come in plaintext: SS112
		}
		var out []Finding
		add := func(p *mesh.Policy, what, remedy string, places *peerPlaces) {
			if places.none() {
				return
			}
			when := "once callers become ambient, calls"
			if ambient > 0 {
				when = fmt.Sprintf("calls of ambient callers (%s in the mesh)", count(ambient, "workload", "workloads"))
			}
			out = append(out, Finding{
				Message: fmt.Sprintf("%s goes by %s: %s reach this sidecar through HBONE, which does not show them, so there it %s.",
					p.Ref, what, when, places.effectUnseen(authz.Action(p.Action), strings.TrimPrefix(what, "client "))),
				Evidence: places.all(), Remedy: remedy,
			})
		}
		for _, p := range v.Policies("AuthorizationPolicy") {
			if p.Scope == mesh.ByTargetRefs || p.DryRun {
				continue
			}
			fate := v.Fate(p)
			add(p, "client addresses", withoutAddresses(p, verdict), &fate.addresses)
			add(p, "server names", "Go by the destination's ports, by principals or by hosts and paths instead of connection.sni, or keep the callers' sidecars.", &fate.names)
			if p.Action == string(authz.ActionCustom) {
				add(p, "client identities", "Take the identities out of the CUSTOM policy, so that the authorizer is asked about every caller and decides itself, or keep the callers' sidecars.", &fate.identities)
			}
		}
		return out
	},
}

// withoutAddresses is the way out for a policy by address at a sidecar.
func withoutAddresses(p *mesh.Policy, verdict Verdict) string {
	const remote = "remoteIpBlocks see X-Forwarded-For, which a caller can write itself: use them only behind a proxy that sets it."
	switch {
	case p.Action == string(authz.ActionCustom):
		return "Take the addresses out of the CUSTOM policy, so that the authorizer is asked about every caller and decides itself, or keep the callers' sidecars. " + remote
	case verdict == VerdictAmbient:
		return "Make this workload ambient before its callers: ztunnel sees their addresses. Otherwise go by principals or namespaces, or use a NetworkPolicy (HBONE comes to port 15008). " + remote
	}
	return "Go by principals or namespaces, use a NetworkPolicy (HBONE comes to port 15008), or keep the callers' sidecars. " + remote
}

// CallersByMode is the number of other application workloads in the mesh: those that call through HBONE
// now, and those that may some day.
func (v *View) CallersByMode() (ambient, sidecar int) {
	v.touch(FactWorkloads)
	ambient, sidecar = v.index.applicationsIn(mesh.Ambient), v.index.applicationsIn(mesh.Sidecar)
	switch v.w.Mode {
	case mesh.Ambient:
		ambient--
	case mesh.Sidecar:
		sidecar--
	}
	return ambient, sidecar
}

func (x *index) applicationsIn(mode mesh.Mode) int {
	if x.applications == nil {
		x.applications = map[mesh.Mode]int{}
		for _, w := range x.mesh.Workloads {
			if w.Role == mesh.Application {
				x.applications[w.Mode]++
			}
		}
	}
	return x.applications[mode]
}
