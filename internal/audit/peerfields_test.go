package audit

import (
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

func TestWhatAPolicyDoesWhereThePeerIsNotSeen(t *testing.T) {
	block := []string{"10.0.0.0/8"}
	from := func(s ...authz.Source) []authz.Rule { return []authz.Rule{{From: s}} }
	when := func(c authz.Condition) []authz.Rule { return []authz.Rule{{When: []authz.Condition{c}}} }
	for name, c := range map[string]struct {
		fields peerFields
		action authz.Action
		rules  []authz.Rule
		want   string
	}{
		"a DENY by address fails open":                 {addressFields, authz.ActionDeny, from(authz.Source{IPBlocks: block}), "refuses none of the peers it names (fail-open)"},
		"a DENY by all other addresses denies all":     {addressFields, authz.ActionDeny, from(authz.Source{NotIPBlocks: block}), "refuses the peers it spares as well"},
		"an ALLOW by address admits nobody":            {addressFields, authz.ActionAllow, when(authz.Condition{Key: "source.ip", Values: block}), "admits none of the peers it names"},
		"an ALLOW by all other addresses fails open":   {addressFields, authz.ActionAllow, when(authz.Condition{Key: "source.ip", NotValues: block}), "admits the peers it leaves out as well (fail-open)"},
		"a negation beside a field that never matches": {addressFields, authz.ActionAllow, from(authz.Source{IPBlocks: block, NotIPBlocks: block}), "admits none of the peers it names"},
		"two sources, each with its own effect": {addressFields, authz.ActionAudit, from(authz.Source{IPBlocks: block}, authz.Source{NotIPBlocks: block}),
			"audits none of the peers it names, and audits the peers it leaves out as well"},
		"remote addresses are another matter":   {addressFields, authz.ActionDeny, from(authz.Source{RemoteIPBlocks: block}), ""},
		"CUSTOM by identity asks nobody":        {identityOfPeer, authz.ActionCustom, from(authz.Source{ServiceAccounts: []string{"a/b"}}), "asks the external authorizer about none of the peers it names (fail-open)"},
		"CUSTOM by trust domain counts":         {identityOfPeer, authz.ActionCustom, when(authz.Condition{Key: "source.trustDomain", NotValues: []string{"x"}}), "asks the external authorizer about the peers it spares as well"},
		"request principals are no peer's":      {identityOfPeer, authz.ActionCustom, from(authz.Source{RequestPrincipals: []string{"*"}}), ""},
		"a rule without fields of the peer":     {identityOfPeer, authz.ActionCustom, []authz.Rule{{}, {Nil: true}}, ""},
		"a condition with another key is no ip": {addressFields, authz.ActionDeny, when(authz.Condition{Key: "destination.ip", Values: block}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			places := c.fields.in(mesh.Ref{}, &authz.AuthorizationPolicy{Rules: c.rules})
			if got := places.effectUnseen(c.action, "peers"); got != c.want {
				t.Errorf("it %q, want %q", got, c.want)
			}
			if places.none() != (c.want == "") {
				t.Errorf("places %v", places)
			}
		})
	}
}
