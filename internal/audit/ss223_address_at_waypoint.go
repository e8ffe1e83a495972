package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// addressAtWaypoint: a waypoint cannot see the address it is asked to look at.
var addressAtWaypoint = Rule{
	Code:     "SS223",
	Title:    "A policy at a waypoint goes by client address, which is not seen there",
	Severity: Error,
	Requires: VerdictNone,
	Inputs:   Inputs{Facts: []Fact{FactPolicies}},
	References: []string{
		"https://github.com/istio/istio/issues/46982", "istio/istio pilot/pkg/security/authz/model/generator.go", "istio/istio pilot/pkg/networking/core/listener_waypoint.go",
	},
	Why: "istiod writes ipBlocks and source.ip as the address of the connection's peer. At a waypoint that is Envoy's own internal listener (envoy://internal_client_address/), so ipBlocks " +
		"match nothing and notIpBlocks everything: an ALLOW by address admits nobody, a DENY by address never denies, and nobody is told. Measured with istiod's configuration and a stock Envoy. " +
		"remoteIpBlocks and remote.ip do work: behind the tunnel they see the caller's address, or the last one in X-Forwarded-For where the caller sends that header.",
	Remedy: "Go by principals or namespaces, which a waypoint does see. Use remoteIpBlocks (remote.ip) where every caller is a proxy that sets X-Forwarded-For, since a caller can write that header itself.",
	Whole: func(m *MeshView) []Finding {
		var out []Finding
		for _, p := range m.Policies() {
			if p.Kind != kindAuthorizationPolicy.Kind || !slices.ContainsFunc(p.Targets, func(t mesh.Target) bool { return t.Accepted }) {
				continue // at no waypoint: SS209 tells why
			}
			fate := m.Fate(p)
			if fate.addresses.none() {
				continue
			}
			action := fate.compiled.Action
			f := Finding{
				Message:  fmt.Sprintf("%s goes by client address, and a waypoint sees none: it %s.", p.Ref, fate.addresses.effectUnseen(action, "addresses")),
				Evidence: fate.addresses.all(),
			}
			if p.DryRun || action == authz.ActionAudit || action == authz.ActionCustom && len(fate.addresses.named) == 0 {
				f.Severity = Warning // nobody passes or is refused for it
			}
			out = append(out, f)
		}
		return out
	},
}
