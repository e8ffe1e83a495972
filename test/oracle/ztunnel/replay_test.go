package ztunnel

import (
	"net/netip"
	"testing"

	"istio.io/istio/pkg/workloadapi/security"
)

func policy(action security.Action, clauses ...*security.Rules) *security.Authorization {
	return &security.Authorization{Name: "p", Namespace: "shop", Scope: security.Scope_NAMESPACE, Action: action,
		Groups: []*security.Group{{Rules: clauses}}}
}

func clause(ms ...*security.Match) *security.Rules { return &security.Rules{Matches: ms} }

var anyIdentity = []*security.StringMatch{{MatchType: &security.StringMatch_Presence{}}}

// The cases are those of ztunnel's own tests that surprise a reader (src/rbac.rs, rbac_empty_policy and its neighbours).
func TestReplay(t *testing.T) {
	front := &security.Match{Principals: []*security.StringMatch{{MatchType: &security.StringMatch_Exact{Exact: "cluster.local/ns/web/sa/front"}}}}
	ports := &security.Match{DestinationPorts: []uint32{8080}}
	for name, tc := range map[string]struct {
		policies []*security.Authorization
		identity string
		want     bool
	}{
		"no policy lets everyone in":                         {nil, "", true},
		"an ALLOW without groups lets no one in":             {[]*security.Authorization{{Namespace: "shop", Scope: security.Scope_NAMESPACE}}, "a/ns/b/sa/c", false},
		"a group without clauses matches everything":         {[]*security.Authorization{policy(security.Action_DENY)}, "", false},
		"a clause of empty matches never matches":            {[]*security.Authorization{policy(security.Action_DENY, clause(&security.Match{}), clause(front))}, "cluster.local/ns/web/sa/front", true},
		"an empty match beside a full one is passed over":    {[]*security.Authorization{policy(security.Action_DENY, clause(&security.Match{}, front))}, "cluster.local/ns/web/sa/front", false},
		"clauses are ANDed":                                  {[]*security.Authorization{policy(security.Action_ALLOW, clause(front), clause(ports))}, "cluster.local/ns/web/sa/back", false},
		"STRICT as a DENY refuses plaintext":                 {[]*security.Authorization{policy(security.Action_DENY, clause(&security.Match{NotPrincipals: anyIdentity}))}, "", false},
		"STRICT as a DENY lets any identity in":              {[]*security.Authorization{policy(security.Action_DENY, clause(&security.Match{NotPrincipals: anyIdentity}))}, "a/ns/b/sa/c", true},
		"a policy of another namespace does not count":       {[]*security.Authorization{{Namespace: "web", Scope: security.Scope_NAMESPACE}}, "", true},
		"a selector policy counts only where it is attached": {[]*security.Authorization{{Namespace: "shop", Name: "x", Scope: security.Scope_WORKLOAD_SELECTOR}}, "", true},
		"a dry-run policy is not enforced":                   {[]*security.Authorization{{Namespace: "shop", Scope: security.Scope_NAMESPACE, DryRun: true}}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := State{Namespace: "shop", Policies: tc.policies}
			got := s.Allowed(Connection{Source: netip.MustParseAddr("10.2.0.9"), Destination: netip.MustParseAddrPort("10.1.0.7:8080"), Identity: tc.identity})
			if got != tc.want {
				t.Errorf("allowed = %v, want %v", got, tc.want)
			}
		})
	}
}
