package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// Behind Envoy's internal listener (a waypoint, or a sidecar that is called through HBONE) the connection
// has neither the caller's address nor its certificate. Fields that are about these then match nothing,
// and their negations everything; rules SS223 to SS225 tell where.

// peerField is a list that a policy compares with the connection's peer.
type peerField struct {
	name   string // as written in a source; for a condition its key
	values []string
	not    bool
}

// peerFields picks the fields of one sort: those of a source, and the keys of conditions.
type peerFields struct {
	source func(*authz.Source) []peerField
	keys   []string
}

// addressFields are about the address of the connection's peer, which istiod writes as Envoy's
// direct_remote_ip; remoteFields about what Envoy makes of X-Forwarded-For; identityOfPeer about the
// certificate.
var (
	addressFields = peerFields{func(s *authz.Source) []peerField {
		return []peerField{{"ipBlocks", s.IPBlocks, false}, {"notIpBlocks", s.NotIPBlocks, true}}
	}, []string{"source.ip"}}
	remoteFields = peerFields{func(s *authz.Source) []peerField {
		return []peerField{{"remoteIpBlocks", s.RemoteIPBlocks, false}, {"notRemoteIpBlocks", s.NotRemoteIPBlocks, true}}
	}, []string{"remote.ip"}}
	identityOfPeer = peerFields{func(s *authz.Source) []peerField {
		return []peerField{
			{"principals", s.Principals, false}, {"namespaces", s.Namespaces, false}, {"serviceAccounts", s.ServiceAccounts, false}, {"trustDomains", s.TrustDomains, false},
			{"notPrincipals", s.NotPrincipals, true}, {"notNamespaces", s.NotNamespaces, true}, {"notServiceAccounts", s.NotServiceAccounts, true}, {"notTrustDomains", s.NotTrustDomains, true},
		}
	}, []string{"source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain"}}
)

// serverNames is about the name that the TLS connection asked for. The tunnel's inner connection asks for none.
var serverNames = peerFields{func(*authz.Source) []peerField { return nil }, []string{"connection.sni"}}

// peerPlaces are the places of a policy that ask the peer to be something, and so never match where it is
// not seen, and those that only ask it not to be, and so always match there.
type peerPlaces struct{ named, excluded []mesh.Evidence }

func (p *peerPlaces) none() bool { return len(p.named)+len(p.excluded) == 0 }

func (p *peerPlaces) all() []mesh.Evidence { return slices.Concat(p.named, p.excluded) }

func (pf peerFields) in(ref mesh.Ref, policy *authz.AuthorizationPolicy) peerPlaces {
	var out peerPlaces
	for i := range policy.Rules {
		rule := &policy.Rules[i]
		for j := range rule.From {
			out.add(ref, fmt.Sprintf("spec.rules[%d].from[%d].source", i, j), pf.source(&rule.From[j]))
		}
		for j, w := range rule.When {
			if slices.Contains(pf.keys, w.Key) {
				out.add(ref, fmt.Sprintf("spec.rules[%d].when[%d]", i, j), []peerField{{"values", w.Values, false}, {"notValues", w.NotValues, true}})
			}
		}
	}
	return out
}

// add adds the fields of one source or condition. They must all match: beside one that never does, a
// negation has no say.
func (p *peerPlaces) add(ref mesh.Ref, place string, fields []peerField) {
	impossible := slices.ContainsFunc(fields, func(f peerField) bool { return !f.not && len(f.values) > 0 })
	for _, f := range fields {
		if len(f.values) == 0 {
			continue
		}
		e := at(ref, place+"."+f.name, strings.Join(f.values, ", "))
		if !f.not {
			p.named = append(p.named, e)
		} else if !impossible {
			p.excluded = append(p.excluded, e)
		}
	}
}

// unseen is what becomes of a policy by its action where the peer is not seen; %s is what it goes by,
// in the plural.
type unseen struct{ named, excluded string }

var unseenEffect = map[authz.Action]unseen{
	authz.ActionAllow:  {"admits none of the %s it names", "admits the %s it leaves out as well (fail-open)"},
	authz.ActionDeny:   {"refuses none of the %s it names (fail-open)", "refuses the %s it spares as well"},
	authz.ActionCustom: {"asks the external authorizer about none of the %s it names (fail-open)", "asks the external authorizer about the %s it spares as well"},
	authz.ActionAudit:  {"audits none of the %s it names", "audits the %s it leaves out as well"},
}

// effectUnseen says what a policy of an action does where the places see nothing.
func (p *peerPlaces) effectUnseen(action authz.Action, what string) string {
	e := unseenEffect[action]
	var parts []string
	if len(p.named) > 0 {
		parts = append(parts, fmt.Sprintf(e.named, what))
	}
	if len(p.excluded) > 0 {
		parts = append(parts, fmt.Sprintf(e.excluded, what))
	}
	return strings.Join(parts, ", and ")
}
