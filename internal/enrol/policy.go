package enrol

import (
	"maps"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	apisecurity "istio.io/api/security/v1beta1"
	apitype "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	authorization  = "AuthorizationPolicy"
	authentication = "RequestAuthentication"
	securityGroup  = "security.istio.io"
	portKey        = "destination.port"
)

// reach is which workloads policies of sidecars reach.
type reach struct {
	// byWorkload are the policies that a proxy in a pod, or the pod's ztunnel, reads; byPolicy the reverse.
	byWorkload map[object.Ref][]*mesh.Policy
	byPolicy   map[object.Ref][]*mesh.Workload
}

func (r *reach) of(w *mesh.Workload) []*mesh.Policy { return r.byWorkload[w.Ref] }

// policies lists what every workload of the mesh is under.
func (d *drafts) policies() *reach {
	r := &reach{map[object.Ref][]*mesh.Policy{}, map[object.Ref][]*mesh.Workload{}}
	for _, w := range d.m.Workloads {
		for _, p := range w.Policies {
			if p.Kind != authorization && p.Kind != authentication || p.Scope == mesh.ByTargetRefs || p.DryRun {
				continue
			}
			r.byWorkload[w.Ref] = append(r.byWorkload[w.Ref], p)
			r.byPolicy[p.Ref] = append(r.byPolicy[p.Ref], w)
		}
	}
	return r
}

// copyFor gives a Service's waypoint a copy of a policy: at a waypoint a policy holds for the Service that it targets, and ports
// are the Service's, not the pods'.
func (d *drafts) copyFor(p *mesh.Policy, s *mesh.Service) {
	target := &apitype.PolicyTargetReference{Kind: "Service", Name: s.Name}
	d.attached(p, s.Namespace, p.Name+"-"+s.Name, target, func(a *apisecurity.AuthorizationPolicy) bool { return translatePorts(a, s) })
}

// copyAt gives a waypoint itself a copy: calls to pods are no Service's.
func (d *drafts) copyAt(p *mesh.Policy, gateway object.Ref) {
	target := &apitype.PolicyTargetReference{Group: gatewayv1.GroupName, Kind: gateway.Kind, Name: gateway.Name}
	d.attached(p, gateway.Namespace, p.Name+"-"+gateway.Name, target, func(*apisecurity.AuthorizationPolicy) bool { return true })
}

// attached drafts a copy of a policy with a target; edit changes an AuthorizationPolicy's copy and reports whether anything is left.
func (d *drafts) attached(p *mesh.Policy, namespace, name string, target *apitype.PolicyTargetReference, edit func(*apisecurity.AuthorizationPolicy) bool) {
	if p.Namespace != namespace {
		name = p.Namespace + "-" + name
	}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	switch o := p.Object.(type) {
	case *securityv1.AuthorizationPolicy:
		c := &securityv1.AuthorizationPolicy{ObjectMeta: meta}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRef, c.Spec.TargetRefs = nil, nil, []*apitype.PolicyTargetReference{target}
		if edit(&c.Spec) {
			d.draft(c)
		}
	case *securityv1.RequestAuthentication:
		c := &securityv1.RequestAuthentication{ObjectMeta: meta}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRef, c.Spec.TargetRefs = nil, nil, []*apitype.PolicyTargetReference{target}
		d.draft(c)
	}
}

// translatePorts puts a Service's ports for the pods' in a policy. A clause of which no port is left matches no call by this
// Service and goes; it reports false where nothing is left that could matter, which for ALLOW never is: an ALLOW without
// rules refuses.
func translatePorts(a *apisecurity.AuthorizationPolicy, s *mesh.Service) bool {
	had := len(a.Rules) > 0
	a.Rules = slices.DeleteFunc(a.Rules, func(r *apisecurity.Rule) bool { return r == nil || !translateRule(r, s) })
	return len(a.Rules) > 0 || !had || a.Action == apisecurity.AuthorizationPolicy_ALLOW
}

func translateRule(r *apisecurity.Rule, s *mesh.Service) bool {
	if len(r.To) > 0 {
		every := false
		r.To = slices.DeleteFunc(r.To, func(t *apisecurity.Rule_To) bool {
			op := t.GetOperation()
			if op == nil {
				return false
			}
			ports, some := servicePorts(op.Ports, s)
			if len(op.Ports) > 0 && !some {
				return true
			}
			op.Ports = ports
			excluded, _ := servicePorts(op.NotPorts, s)
			if len(op.NotPorts) > 0 && len(excluded) == 0 && onlyNotPorts(op) {
				every = true
			}
			op.NotPorts = excluded
			return false
		})
		if every {
			r.To = nil
		} else if len(r.To) == 0 {
			return false
		}
	}
	never := false
	r.When = slices.DeleteFunc(r.When, func(c *apisecurity.Condition) bool {
		if c.GetKey() != portKey {
			return false
		}
		values, some := servicePorts(c.Values, s)
		never = never || len(c.Values) > 0 && !some
		c.Values = values
		c.NotValues, _ = servicePorts(c.NotValues, s)
		return len(c.Values)+len(c.NotValues) == 0
	})
	return !never
}

// onlyNotPorts reports whether an operation asks for nothing but ports that it does not have.
func onlyNotPorts(op *apisecurity.Operation) bool {
	return len(op.Ports)+len(op.Methods)+len(op.NotMethods)+len(op.Paths)+len(op.NotPaths)+len(op.Hosts)+len(op.NotHosts) == 0
}

// servicePorts gives the ports of a Service that lead to the given ports of pods, and whether there are any.
func servicePorts(pods []string, s *mesh.Service) ([]string, bool) {
	var out []string
	for _, text := range pods {
		for _, p := range s.Ports {
			if port := strconv.Itoa(int(p.Port)); text == strconv.Itoa(int(p.Target)) && !slices.Contains(out, port) {
				out = append(out, port)
			}
		}
	}
	return out, len(out) > 0
}

// admitOnly lets a workload's ztunnel take calls from its waypoint and from nobody else.
func (d *drafts) admitOnly(w *mesh.Workload, waypoint object.Ref, policies *reach) {
	labels := selectorOf(w)
	if len(labels) == 0 {
		return // a policy without selector would close the namespace
	}
	principal := d.identity[waypoint]
	selector := &apitype.WorkloadSelector{MatchLabels: maps.Clone(labels)}
	guard := &securityv1.AuthorizationPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name + "-only-by-waypoint"},
		Spec: apisecurity.AuthorizationPolicy{Selector: selector, Action: apisecurity.AuthorizationPolicy_DENY,
			Rules: []*apisecurity.Rule{{From: []*apisecurity.Rule_From{{Source: &apisecurity.Source{NotPrincipals: []string{principal}}}}}}},
	}
	d.draft(guard)
	d.state.Guards[w.Ref] = object.Ref{Group: securityGroup, Kind: authorization, Namespace: guard.Namespace, Name: guard.Name}
	if slices.ContainsFunc(policies.of(w), func(p *mesh.Policy) bool { return p.Action == "ALLOW" }) {
		d.draft(&securityv1.AuthorizationPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name + "-waypoint"},
			Spec: apisecurity.AuthorizationPolicy{Selector: selector, Action: apisecurity.AuthorizationPolicy_ALLOW,
				Rules: []*apisecurity.Rule{{From: []*apisecurity.Rule_From{{Source: &apisecurity.Source{Principals: []string{principal}}}}}}},
		})
	}
	for _, p := range policies.of(w) {
		if p.Action == "DENY" {
			d.exempt(p, principal)
		}
	}
}

// exempt takes a waypoint out of a DENY that stays: what comes through the waypoint was judged there.
func (d *drafts) exempt(p *mesh.Policy, principal string) {
	o, ok := p.Object.(*securityv1.AuthorizationPolicy)
	if have := d.put[p.Ref]; have != nil {
		o, ok = have.(*securityv1.AuthorizationPolicy)
	}
	if !ok {
		return
	}
	c := o.DeepCopy()
	for _, r := range c.Spec.Rules {
		if r == nil {
			continue
		}
		if len(r.From) == 0 {
			r.From = []*apisecurity.Rule_From{{Source: &apisecurity.Source{}}}
		}
		for _, f := range r.From {
			if f.GetSource() != nil && !slices.Contains(f.Source.NotPrincipals, principal) {
				f.Source.NotPrincipals = append(f.Source.NotPrincipals, principal)
			}
		}
	}
	d.draft(c)
}

// retire removes the policies of sidecars that nobody reads any more but ztunnels of workloads behind a waypoint, which
// admit the waypoint alone. One that reaches anybody else stays.
func (d *drafts) retire(policies *reach) {
	gateways := map[string]bool{}
	for _, w := range d.m.Workloads {
		if w.Role == object.Gateway {
			gateways[w.Namespace] = true
		}
	}
	for _, p := range d.m.Policies {
		reached := policies.byPolicy[p.Ref]
		if len(reached) == 0 || p.Namespace == d.m.Settings.RootNamespace || gateways[p.Namespace] {
			continue
		}
		if slices.ContainsFunc(reached, func(w *mesh.Workload) bool { _, guarded := d.state.Guards[w.Ref]; return !guarded }) {
			continue
		}
		d.state.Change.Remove = append(d.state.Change.Remove, p.Ref)
		if i := slices.Index(d.order, p.Ref); i >= 0 {
			d.order = slices.Delete(d.order, i, i+1)
		}
	}
}
