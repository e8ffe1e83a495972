package netpol

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
)

var (
	kindAdmin    = snapshot.Kind{Group: "policy.networking.k8s.io", Kind: "AdminNetworkPolicy"}
	kindBaseline = snapshot.Kind{Group: "policy.networking.k8s.io", Kind: "BaselineAdminNetworkPolicy"}
)

// adminPolicies compiles AdminNetworkPolicy, by priority, and its baseline
// (https://network-policy-api.sigs.k8s.io/api-overview/). Neither refuses what no rule of it matches.
func adminPolicies(s *snapshot.Snapshot) []*Policy {
	var out []*Policy
	for _, o := range snapshot.All[*partial.AdminNetworkPolicy](s) {
		out = append(out, adminPolicy(kindAdmin, o, adminStage, &o.Spec))
	}
	for _, o := range snapshot.All[*partial.BaselineAdminNetworkPolicy](s) {
		out = append(out, adminPolicy(kindBaseline, o, baselineStage, &o.Spec))
	}
	return out
}

func adminPolicy(kind snapshot.Kind, o snapshot.Object, st stage, spec *partial.AdminPolicySpec) *Policy {
	p := &Policy{Kind: kind, Object: o, stage: st, order: float64(spec.Priority), selects: adminSubject(spec.Subject)}
	for d, list := range [][]partial.AdminRule{spec.Ingress, spec.Egress} {
		for i, r := range list {
			field, peers := fmt.Sprintf("spec.ingress[%d]", i), r.From
			if Direction(d) == Egress {
				field, peers = fmt.Sprintf("spec.egress[%d]", i), r.To
			}
			rule, why := adminRule(field, r, peers)
			if why != "" {
				p.NotJudged, p.sides = why, [2]side{{governs: len(spec.Ingress) > 0}, {governs: len(spec.Egress) > 0}}
				return p
			}
			p.sides[d].rules = append(p.sides[d].rules, rule)
		}
	}
	return p
}

func adminRule(field string, r partial.AdminRule, peers []partial.AdminPeer) (Rule, string) {
	out := Rule{Field: field, allPorts: r.Ports == nil}
	switch r.Action {
	case "Allow":
	case "Deny":
		out.action = deny
	case "Pass":
		out.action = pass
	default:
		return out, fmt.Sprintf("%s.action %q", field, r.Action)
	}
	for _, p := range peers {
		switch {
		case p.Namespaces != nil || p.Pods != nil:
			out.peers = append(out.peers, peer{pods: adminSubject(p.AdminSubject)})
		case len(p.Networks) > 0:
			for _, n := range p.Networks {
				out.peers = append(out.peers, peer{block: parseBlock(n, nil, false)})
			}
		case p.Nodes != nil, len(p.DomainNames) > 0: // no pods
		default:
			return out, field + " names peers in a way that is not known here"
		}
	}
	if r.Ports == nil {
		return out, ""
	}
	for _, p := range *r.Ports {
		switch {
		case p.PortNumber != nil:
			if isTCP(p.PortNumber.Protocol) {
				out.ports = append(out.ports, ports{from: p.PortNumber.Port, to: p.PortNumber.Port})
			}
		case p.PortRange != nil:
			if isTCP(p.PortRange.Protocol) {
				out.ports = append(out.ports, ports{from: p.PortRange.Start, to: p.PortRange.End})
			}
		case p.NamedPort != "":
			out.ports = append(out.ports, ports{name: p.NamedPort})
		}
	}
	return out, ""
}

func isTCP(protocol string) bool { return protocol == "" || protocol == "TCP" }

func adminSubject(s partial.AdminSubject) func(*End) bool {
	switch {
	case s.Namespaces != nil:
		return namespaceSelector(s.Namespaces)
	case s.Pods != nil:
		namespaces, pods := namespaceSelector(&s.Pods.NamespaceSelector), podSelector(&s.Pods.PodSelector)
		return func(e *End) bool { return namespaces(e) && pods(e) }
	}
	return matchesNone
}
