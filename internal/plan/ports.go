package plan

import (
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	securityv1beta1 "istio.io/api/security/v1beta1"
)

// portMap gives, for a port of the pods, the ports of one Service that lead there. A sidecar and ztunnel compare a policy's
// ports with the pods' port, a waypoint with the Service's (pilot/pkg/networking/core/listener_waypoint.go).
type portMap struct {
	ports map[int32][]string
	// unresolved tells that a named target port is not known, so that no number can be translated.
	unresolved bool
}

func portsOf(s *mesh.Service) portMap {
	out := portMap{ports: map[int32][]string{}}
	for _, p := range s.Ports {
		target := p.Target
		if target == 0 && p.TargetName != "" {
			out.unresolved = true
			continue
		}
		if target == 0 {
			target = p.Port
		}
		if number := strconv.Itoa(int(p.Port)); !slices.Contains(out.ports[target], number) {
			out.ports[target] = append(out.ports[target], number)
		}
	}
	return out
}

// same reports whether every number means the same at the pods and at the Service, for the given policy ports.
func (m portMap) same(ports []string) bool {
	for _, p := range ports {
		if got := m.translate([]string{p}); len(got) != 1 || got[0] != p {
			return false
		}
	}
	return true
}

// translate turns ports of the pods into the Service's; a port that no port of the Service leads to is left out. What is no
// number stays as it is: istiod refuses it at both places.
func (m portMap) translate(ports []string) []string {
	var out []string
	for _, text := range ports {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			out = append(out, text)
			continue
		}
		for _, to := range m.ports[int32(n)] {
			if !slices.Contains(out, to) {
				out = append(out, to)
			}
		}
	}
	return out
}

const keyDestinationPort = "destination.port"

// policyPorts lists every port that rules name.
func policyPorts(rules []*securityv1beta1.Rule) []string {
	var out []string
	for _, r := range rules {
		for _, to := range r.GetTo() {
			out = slices.Concat(out, to.GetOperation().GetPorts(), to.GetOperation().GetNotPorts())
		}
		for _, w := range r.GetWhen() {
			if w.GetKey() == keyDestinationPort {
				out = slices.Concat(out, w.GetValues(), w.GetNotValues())
			}
		}
	}
	return out
}

// translateRules returns rules as a waypoint has to have them for one Service. An operation or a rule whose ports no port of
// the Service leads to can match no call through it, and goes: without its ports it would match every call. The rules given
// are not changed.
func translateRules(rules []*securityv1beta1.Rule, m portMap) []*securityv1beta1.Rule {
	var out []*securityv1beta1.Rule
	for _, r := range rules {
		if t := translateRule(r, m); t != nil {
			out = append(out, t)
		}
	}
	return out
}

func translateRule(r *securityv1beta1.Rule, m portMap) *securityv1beta1.Rule {
	out := r.DeepCopy()
	if len(out.To) > 0 {
		any := false
		out.To = slices.DeleteFunc(out.To, func(to *securityv1beta1.Rule_To) bool {
			op := to.GetOperation()
			if emptyOperation(op) {
				return false // istiod refuses the policy, here as there
			}
			had := len(op.Ports) > 0
			op.Ports, op.NotPorts = m.translate(op.Ports), m.translate(op.NotPorts)
			any = any || !had && emptyOperation(op) // it only left out ports that no port of the Service leads to
			return had && len(op.Ports) == 0
		})
		switch {
		case any:
			out.To = nil
		case len(out.To) == 0:
			return nil
		}
	}
	kept := out.When[:0]
	for _, w := range out.When {
		if w.GetKey() == keyDestinationPort {
			had := len(w.Values) > 0
			w.Values, w.NotValues = m.translate(w.Values), m.translate(w.NotValues)
			if had && len(w.Values) == 0 {
				return nil
			}
			if len(w.Values)+len(w.NotValues) == 0 {
				continue // every port of the Service fulfils it
			}
		}
		kept = append(kept, w)
	}
	out.When = kept
	return out
}

// emptyOperation reports whether an operation asks for nothing.
func emptyOperation(op *securityv1beta1.Operation) bool {
	return op == nil || len(op.Hosts)+len(op.NotHosts)+len(op.Ports)+len(op.NotPorts)+len(op.Methods)+len(op.NotMethods)+len(op.Paths)+len(op.NotPaths) == 0
}
