package plan

import (
	"slices"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"google.golang.org/protobuf/proto"
	securityv1beta1 "istio.io/api/security/v1beta1"
)

func operation(o *securityv1beta1.Operation) *securityv1beta1.Rule_To {
	return &securityv1beta1.Rule_To{Operation: o}
}

func TestPortsAreTranslated(t *testing.T) {
	service := &mesh.Service{Ports: []mesh.Port{{Port: 80, Target: 8080}, {Port: 8080, Target: 8081}, {Port: 443, Target: 8080}}}
	type op = securityv1beta1.Operation
	rule := func(to ...*securityv1beta1.Rule_To) *securityv1beta1.Rule { return &securityv1beta1.Rule{To: to} }
	when := func(c *securityv1beta1.Condition) *securityv1beta1.Rule {
		return &securityv1beta1.Rule{When: []*securityv1beta1.Condition{c}}
	}
	for name, c := range map[string]struct{ in, want *securityv1beta1.Rule }{
		"every port of the Service that leads there": {
			rule(operation(&op{Ports: []string{"8080"}})), rule(operation(&op{Ports: []string{"80", "443"}}))},
		"a number that is also a Service's port means the pods' port": {
			rule(operation(&op{Ports: []string{"8081"}})), rule(operation(&op{Ports: []string{"8080"}}))},
		"an operation for ports that nothing leads to goes": {
			rule(operation(&op{Ports: []string{"9000"}, Methods: []string{"GET"}}), operation(&op{Methods: []string{"PUT"}})), rule(operation(&op{Methods: []string{"PUT"}}))},
		"a rule for such ports alone goes": {
			rule(operation(&op{Ports: []string{"9000"}})), nil},
		"a port that is left out and that nothing leads to needs no leaving out": {
			rule(operation(&op{NotPorts: []string{"9000"}, Methods: []string{"GET"}})), rule(operation(&op{Methods: []string{"GET"}}))},
		"an operation of nothing else is any call": {
			rule(operation(&op{NotPorts: []string{"9000"}}), operation(&op{Methods: []string{"GET"}})), rule()},
		"a condition is translated": {
			when(&securityv1beta1.Condition{Key: "destination.port", Values: []string{"8080"}}), when(&securityv1beta1.Condition{Key: "destination.port", Values: []string{"80", "443"}})},
		"a condition that nothing fulfils takes its rule along": {
			when(&securityv1beta1.Condition{Key: "destination.port", Values: []string{"9000"}}), nil},
		"a condition that everything fulfils goes": {
			when(&securityv1beta1.Condition{Key: "destination.port", NotValues: []string{"9000"}}), when(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want != nil && len(c.want.When) == 1 && c.want.When[0] == nil {
				c.want.When = nil
			}
			before := proto.Clone(c.in)
			got := translateRule(c.in, portsOf(service))
			if (got == nil) != (c.want == nil) || got != nil && !proto.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if !proto.Equal(before, c.in) {
				t.Errorf("the rule given was changed: %v", c.in)
			}
		})
	}
}

func TestNamedPortsThatNobodyDeclaresAreSaid(t *testing.T) {
	m := portsOf(&mesh.Service{Ports: []mesh.Port{{Port: 80, TargetName: "web"}, {Port: 81}}})
	if !m.unresolved || !slices.Equal(m.translate([]string{"81"}), []string{"81"}) {
		t.Errorf("got %+v", m)
	}
}
