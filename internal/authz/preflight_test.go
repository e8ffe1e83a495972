package authz

import (
	"strings"
	"testing"
)

// preflightWorld has a RequestAuthentication, and a policy, if any, at one sidecar.
func preflightWorld(policies ...AuthorizationPolicy) World {
	for i := range policies {
		policies[i].Namespace, policies[i].Name = "a", "p"
		policies[i].digest = digestOf(policies[i])
	}
	ra := RequestAuthentication{Namespace: "a", Name: "jwt", Rules: []JWTRule{{Issuer: "https://iss", Forward: true}}}
	ra.digest = digestOf(ra)
	ref := Ref{Kind: "Deployment", Namespace: "a", Name: "w"}
	return World{Policies: Policies{Authorization: policies, Authentication: []RequestAuthentication{ra}},
		Workloads: []Workload{{Ref: ref, Mode: ModeSidecar, Role: RoleApplication, Ports: []Port{{Number: 80, Protocol: ProtocolHTTP}}}}}
}

// TestDiffKnowsPreflights: rules that ask about all that makes a CORS preflight and about the token.
func TestDiffKnowsPreflights(t *testing.T) {
	header := func(name string, values ...string) Condition {
		return Condition{Key: "request.headers[" + name + "]", Values: values}
	}
	origin, method := header("Origin", "http*"), header("access-control-request-method", "P*")
	options := []Operation{{Methods: []string{"OPTIONS"}}}
	withToken := []Source{{RequestPrincipals: []string{"*"}}}
	withoutToken := []Source{{NotRequestPrincipals: []string{"*"}}}
	deny := func(r Rule) World { return preflightWorld(AuthorizationPolicy{Action: ActionDeny, Rules: []Rule{r}}) }
	for name, c := range map[string]struct {
		before, after World
		want          []Kind
	}{
		"a DENY of preflights with a token denies none": {
			deny(Rule{From: withToken, To: options, When: []Condition{origin, method}}), preflightWorld(), nil},
		"a DENY of preflights without a token denies all": {
			deny(Rule{From: withoutToken, To: options, When: []Condition{origin, method}}),
			deny(Rule{To: options, When: []Condition{origin, method}}), nil},
		"without the second header it is no preflight": {
			deny(Rule{From: withToken, To: options, When: []Condition{origin}}), preflightWorld(), []Kind{Weaker}},
		"an empty header makes no preflight": {
			deny(Rule{From: withToken, To: options, When: []Condition{origin, header("access-control-request-method", "*")}}),
			preflightWorld(), []Kind{Weaker}},
		"another method is no preflight": {
			deny(Rule{From: withToken, When: []Condition{origin, method}}), preflightWorld(), []Kind{Weaker}},
	} {
		r := Diff(&c.before, &c.after, Options{})
		kinds := map[Kind]bool{}
		for _, d := range r.Divergences {
			if d.Request.Protocol == ProtocolTCP {
				continue // at a port that nothing declares, such a DENY refuses every stream of bytes
			}
			kinds[d.Kind] = true
			if d.Request.preflight() || strings.Contains(d.After.Why, "contradicts") {
				t.Errorf("%s: %s (%s)", name, d.Words, d.After.Why)
			}
		}
		if len(kinds) != len(c.want) || (len(c.want) == 1 && !kinds[c.want[0]]) {
			t.Errorf("%s: got %v, want %v", name, r.Divergences, c.want)
		}
	}
}
