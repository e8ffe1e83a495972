package authz

import (
	"reflect"
	"testing"
)

func TestZtunnelFates(t *testing.T) {
	path := Operation{Paths: []string{"/admin"}}
	port := Operation{Ports: []string{"80"}}
	both := Operation{Ports: []string{"80"}, Paths: []string{"/admin"}}
	who := Source{Principals: []string{"cluster.local/ns/x/sa/y"}}
	tests := map[string]struct {
		action Action
		rules  []Rule
		want   []RuleFate
	}{
		"a DENY on paths is inert": {ActionDeny, []Rule{{To: []Operation{path}}},
			[]RuleFate{{0, FateInert, []string{"paths"}}}},
		"a principal beside the path does not save it": {ActionDeny, []Rule{{From: []Source{who}, To: []Operation{path}}},
			[]RuleFate{{0, FateInert, []string{"paths"}}}},
		"a port in the same operation broadens it": {ActionDeny, []Rule{{To: []Operation{both}}},
			[]RuleFate{{0, FateBroadened, []string{"paths"}}}},
		"an HTTP condition makes a DENY inert": {ActionDeny, []Rule{{From: []Source{who}, When: []Condition{{Key: "request.headers[x]", Values: []string{"y"}}}}},
			[]RuleFate{{0, FateInert, []string{"request.headers[x]"}}}},
		"of two DENY rules the L4 one is kept": {ActionDeny, []Rule{{From: []Source{who}}, {To: []Operation{path}}},
			[]RuleFate{{0, FateKept, nil}, {1, FateInert, []string{"paths"}}}},
		"an ALLOW rule with HTTP attributes is dropped, whatever stands beside them": {ActionAllow, []Rule{{From: []Source{who}}, {To: []Operation{both}}},
			[]RuleFate{{0, FateKept, nil}, {1, FateDropped, []string{"paths"}}}},
		"ports alone are kept": {ActionAllow, []Rule{{To: []Operation{port}}}, []RuleFate{{0, FateKept, nil}}},
		"trust domains are left out and the rest admits more": {ActionAllow, []Rule{{From: []Source{{Namespaces: []string{"x"}, TrustDomains: []string{"a"}}}}},
			[]RuleFate{{0, FateBroadened, []string{"trustDomains"}}}},
		"CUSTOM never reaches ztunnel":       {ActionCustom, []Rule{{}}, []RuleFate{{0, FateDropped, nil}}},
		"a policy without rules has no fate": {ActionAllow, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := AuthorizationPolicy{Namespace: "n", Name: "p", Action: test.action, Rules: test.rules}
			if got := ZtunnelFates(&p); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
