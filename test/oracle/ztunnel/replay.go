// Package ztunnel replays ztunnel's authorization decision on the resources that istiod sends it.
//
// It states in Go what istio/ztunnel does in src/rbac.rs (Authorization::matches, RbacMatch::is_empty, StringMatch) and
// src/state.rs (ProxyState::assert_rbac, PolicyStore). The input is the protobuf of xDS type istio.security.Authorization.
package ztunnel

import (
	"net/netip"
	"strings"

	"istio.io/istio/pkg/workloadapi/security"
)

// Connection is what ztunnel knows of an inbound connection.
type Connection struct {
	Source      netip.Addr
	Destination netip.AddrPort
	// Identity is the peer's SPIFFE identity without "spiffe://", empty for plaintext.
	Identity string
}

// State is the part of ztunnel's store that decides about one workload.
type State struct {
	// Namespace of the destination workload.
	Namespace string
	// Attached holds the keys (namespace/name) in the workload's authorization_policies.
	Attached []string
	Policies []*security.Authorization
}

// Allowed says whether ztunnel lets the connection in.
func (s State) Allowed(c Connection) bool {
	attached := map[string]bool{}
	for _, k := range s.Attached {
		attached[k] = true
	}
	var allow, deny []*security.Authorization
	for _, p := range s.Policies {
		if p.DryRun || !s.inScope(p, attached) {
			continue
		}
		if p.Action == security.Action_DENY {
			deny = append(deny, p)
		} else {
			allow = append(allow, p)
		}
	}
	for _, p := range deny {
		if matches(p, c) {
			return false
		}
	}
	for _, p := range allow {
		if matches(p, c) {
			return true
		}
	}
	return len(allow) == 0
}

func (s State) inScope(p *security.Authorization, attached map[string]bool) bool {
	switch p.Scope {
	case security.Scope_GLOBAL:
		return true
	case security.Scope_NAMESPACE:
		return p.Namespace == s.Namespace
	default:
		return attached[p.Namespace+"/"+p.Name]
	}
}

// matches: any group (a rule of the policy), all its clauses, any match of a clause. No group at all matches nothing.
func matches(p *security.Authorization, c Connection) bool {
	for _, group := range p.Groups {
		all := true
		for _, clause := range group.Rules {
			if !clauseMatches(clause.Matches, c) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// clauseMatches skips empty matches: a clause that has only empty ones never matches, one without any always does.
func clauseMatches(ms []*security.Match, c Connection) bool {
	for _, m := range ms {
		if !empty(m) && matchMatches(m, c) {
			return true
		}
	}
	return len(ms) == 0
}

func empty(m *security.Match) bool {
	return len(m.Namespaces)+len(m.NotNamespaces)+len(m.ServiceAccounts)+len(m.NotServiceAccounts)+
		len(m.Principals)+len(m.NotPrincipals)+len(m.SourceIps)+len(m.NotSourceIps)+
		len(m.DestinationIps)+len(m.NotDestinationIps)+len(m.DestinationPorts)+len(m.NotDestinationPorts) == 0
}

func matchMatches(m *security.Match, c Connection) bool {
	id := parseIdentity(c.Identity)
	contains := func(ip netip.Addr) func(*security.Address) bool {
		return func(a *security.Address) bool { return addressContains(a, ip) }
	}
	port := func(p uint32) bool { return uint16(p) == c.Destination.Port() }
	account := func(a *security.ServiceAccountMatch) bool {
		return id != nil && a.Namespace == id.namespace && a.ServiceAccount == id.serviceAccount
	}
	principal := func(s *security.StringMatch) bool { return id != nil && stringMatches(s, c.Identity) }
	namespace := func(s *security.StringMatch) bool {
		if id == nil {
			return stringMatches(s, "")
		}
		return stringMatches(s, id.namespace)
	}
	return both(m.DestinationIps, m.NotDestinationIps, contains(c.Destination.Addr())) &&
		both(m.SourceIps, m.NotSourceIps, contains(c.Source)) &&
		both(m.DestinationPorts, m.NotDestinationPorts, port) &&
		both(m.ServiceAccounts, m.NotServiceAccounts, account) &&
		both(m.Principals, m.NotPrincipals, principal) &&
		both(m.Namespaces, m.NotNamespaces, namespace)
}

// both: any of the positives (or there are none), none of the negatives.
func both[T any](positive, negative []T, is func(T) bool) bool {
	found := len(positive) == 0
	for _, p := range positive {
		found = found || is(p)
	}
	for _, n := range negative {
		if is(n) {
			return false
		}
	}
	return found
}

func stringMatches(s *security.StringMatch, v string) bool {
	switch m := s.MatchType.(type) {
	case *security.StringMatch_Exact:
		return m.Exact == v
	case *security.StringMatch_Prefix:
		return strings.HasPrefix(v, m.Prefix)
	case *security.StringMatch_Suffix:
		return strings.HasSuffix(v, m.Suffix)
	case *security.StringMatch_Presence:
		return v != ""
	}
	return false
}

func addressContains(a *security.Address, ip netip.Addr) bool {
	addr, ok := netip.AddrFromSlice(a.Address)
	if !ok || int(a.Length) > addr.BitLen() {
		return false
	}
	return netip.PrefixFrom(addr, int(a.Length)).Masked().Contains(ip)
}

type identity struct{ namespace, serviceAccount string }

// parseIdentity reads trust-domain/ns/NAMESPACE/sa/ACCOUNT; ztunnel takes no other form of SPIFFE id (src/identity/manager.rs).
func parseIdentity(s string) *identity {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return nil
	}
	return &identity{namespace: parts[2], serviceAccount: parts[4]}
}
