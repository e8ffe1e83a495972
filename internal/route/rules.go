package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	apinetworking "istio.io/api/networking/v1alpha3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// destinationRule is a DestinationRule, or one that istiod makes of backend policies.
type destinationRule struct {
	origin   Ref
	created  time.Time
	host     string
	exportTo []string // nil for everybody
	// selector limits it to clients of its namespace with these labels; selected says that there is one.
	selector map[string]string
	selected bool
	policy   *apinetworking.TrafficPolicy
	subsets  []*apinetworking.Subset
	// made reports whether istiod made it of backend policies, whose fields come after those of a DestinationRule.
	made bool
	path string // of the traffic policy in the object
}

// destinationRules compiles DestinationRules and backend policies, in the order in which istiod merges them: those
// with a workloadSelector first, then the oldest (push_context.go setDestinationRules).
func (c *compiler) destinationRules(in Input) {
	var list []*destinationRule
	for _, o := range in.DestinationRules {
		r := &destinationRule{origin: refTo(istioGroup, "DestinationRule", o), created: o.CreationTimestamp.Time,
			host: c.cfg.fullName(o.Spec.GetHost(), o.Namespace), exportTo: o.Spec.GetExportTo(), policy: o.Spec.GetTrafficPolicy(),
			subsets: o.Spec.GetSubsets(), selector: o.Spec.GetWorkloadSelector().GetMatchLabels(), selected: o.Spec.GetWorkloadSelector() != nil, path: "spec.trafficPolicy"}
		if len(r.exportTo) == 0 {
			r.exportTo = c.cfg.DestinationRuleExportTo
		}
		if r.selected {
			r.exportTo = []string{"."}
		}
		list = append(list, r)
	}
	list = append(list, c.backendPolicies(in)...)
	rank := func(r *destinationRule) int {
		if r.selected {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b *destinationRule) int {
		return cmp.Or(rank(a)-rank(b), a.created.Compare(b.created), strings.Compare(a.origin.Name, b.origin.Name), strings.Compare(a.origin.Namespace, b.origin.Namespace))
	})
	c.out.rules = list
	for i, r := range list {
		if strings.HasPrefix(r.host, "*") {
			c.out.ruleWild[r.host] = append(c.out.ruleWild[r.host], i)
		} else {
			c.out.ruleHost[r.host] = append(c.out.ruleHost[r.host], i)
		}
	}
}

// backendPolicies makes rules of BackendTLSPolicies, one for each host of a target (gateway/backend_policies.go).
func (c *compiler) backendPolicies(in Input) []*destinationRule {
	byHost := map[Ref]map[string]*destinationRule{}
	var out []*destinationRule
	list := slices.Clone(in.BackendTLS)
	slices.SortStableFunc(list, func(a, b *gatewayv1.BackendTLSPolicy) int { return older(a, b) })
	for _, o := range list {
		ref := refTo(gatewayGroup, "BackendTLSPolicy", o)
		tls := backendTLS(o)
		for i, t := range o.Spec.TargetRefs {
			field := fmt.Sprintf("spec.targetRefs[%d]", i)
			target := Ref{Group: string(t.Group), Kind: string(t.Kind), Namespace: o.Namespace, Name: string(t.Name)}
			if target.Group == "core" {
				target.Group = ""
			}
			s := c.services[target]
			if s == nil {
				c.problem(Origin{ref, field}, "there is no %s: the policy has no effect there", target)
				continue
			}
			for _, host := range s.Hosts {
				if byHost[target] == nil {
					byHost[target] = map[string]*destinationRule{}
				}
				r := byHost[target][host]
				if r == nil {
					r = &destinationRule{origin: ref, host: host, policy: &apinetworking.TrafficPolicy{}, made: true, path: "spec.validation"}
					byHost[target][host] = r
					out = append(out, r)
				}
				c.addBackendTLS(r, s, t.SectionName, tls, Origin{ref, field})
			}
		}
	}
	return out
}

func (c *compiler) addBackendTLS(r *destinationRule, s *Service, section *gatewayv1.SectionName, tls *apinetworking.ClientTLSSettings, at Origin) {
	if section == nil || *section == "" {
		if r.policy.Tls == nil { // the oldest counts
			r.policy.Tls = tls
		}
		return
	}
	for _, p := range s.Ports {
		if p.Name != string(*section) {
			continue
		}
		if !slices.ContainsFunc(r.policy.PortLevelSettings, func(x *apinetworking.TrafficPolicy_PortTrafficPolicy) bool {
			return x.GetPort().GetNumber() == p.Number
		}) {
			r.policy.PortLevelSettings = append(r.policy.PortLevelSettings, &apinetworking.TrafficPolicy_PortTrafficPolicy{
				Port: &apinetworking.PortSelector{Number: p.Number}, Tls: tls})
		}
		return
	}
	c.problem(at, "%s has no port named %s: the policy has no effect there", s.Ref, *section)
}

func backendTLS(o *gatewayv1.BackendTLSPolicy) *apinetworking.ClientTLSSettings {
	v := o.Spec.Validation
	out := &apinetworking.ClientTLSSettings{Mode: apinetworking.ClientTLSSettings_SIMPLE, Sni: string(v.Hostname)}
	for _, n := range v.SubjectAltNames {
		switch n.Type {
		case gatewayv1.HostnameSubjectAltNameType:
			out.SubjectAltNames = append(out.SubjectAltNames, string(n.Hostname))
		case gatewayv1.URISubjectAltNameType:
			out.SubjectAltNames = append(out.SubjectAltNames, string(n.URI))
		}
	}
	for _, ref := range v.CACertificateRefs {
		out.CredentialName = fmt.Sprintf("%s %s/%s", ref.Kind, o.Namespace, ref.Name)
	}
	return out
}

// own reports whether only its own namespace sees the rule.
func (r *destinationRule) own() bool {
	return len(r.exportTo) == 1 && (r.exportTo[0] == "." || r.exportTo[0] == r.origin.Namespace)
}

// inOwn reports whether proxies of its own namespace see it.
func (r *destinationRule) inOwn() bool {
	return exported(r.exportTo, r.origin.Namespace, r.origin.Namespace)
}

// client is who asks for a policy: a proxy's namespace and labels. workload is false for a waypoint, which no
// workloadSelector selects.
type client struct {
	namespace string
	labels    map[string]string
	workload  bool
}

// rulesFor returns what a client is told about a host: the rules of its own namespace, else those that the
// service's namespace exports to it, else the root namespace's (push_context.go destinationRule). In each place the
// most specific host counts.
func (w *World) rulesFor(s *Service, host string, who client) []*destinationRule {
	root := w.Config.RootNamespace
	pick := func(namespace string, keep func(*destinationRule) bool) []*destinationRule {
		return w.Objects.mostSpecific(host, func(r *destinationRule) bool { return r.origin.Namespace == namespace && keep(r) })
	}
	local := (*destinationRule).inOwn
	if who.namespace == root {
		local = (*destinationRule).own
	}
	if found := pick(who.namespace, local); len(found) > 0 {
		return found
	}
	for _, ns := range []string{s.Ref.Namespace, root} {
		found := pick(ns, func(r *destinationRule) bool { return !r.own() })
		found = slices.DeleteFunc(slices.Clone(found), func(r *destinationRule) bool { return !exported(r.exportTo, r.origin.Namespace, who.namespace) })
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// mostSpecific lists the rules of the most specific host that has any to keep: the host itself, else the longest
// wildcard.
func (o *Objects) mostSpecific(host string, keep func(*destinationRule) bool) []*destinationRule {
	kept := func(list []int) []*destinationRule {
		var out []*destinationRule
		for _, i := range list {
			if keep(o.rules[i]) {
				out = append(out, o.rules[i])
			}
		}
		return out
	}
	if found := kept(o.ruleHost[host]); len(found) > 0 {
		return found
	}
	if found := kept(o.ruleWild[host]); len(found) > 0 {
		return found
	}
	for rest := strings.TrimPrefix(host, "*"); rest != ""; rest = rest[1:] {
		if list, ok := o.ruleWild["*"+rest]; ok && "*"+rest != host {
			if found := kept(list); len(found) > 0 {
				return found
			}
		}
	}
	return kept(o.ruleWild["*"])
}

// merged is what the rules of one host say together.
type merged struct {
	policy  *apinetworking.TrafficPolicy
	subsets []subset
	origins map[*apinetworking.TrafficPolicy]Origin
	from    []Ref
	// parts says where the parts of a policy that was laid over another came from.
	parts map[Part]Origin
}

type subset struct {
	*apinetworking.Subset
	origin Origin
}

// effective merges the rules that a client gets: those whose selector selects it alone, else those without one. The
// first traffic policy counts, and every subset by its first name; a rule made of backend policies fills what others
// leave open (destination_rule.go mergeDestinationRule).
func effective(list []*destinationRule, who client) merged {
	var chosen []*destinationRule
	for _, r := range list {
		if r.selected && who.workload && r.origin.Namespace == who.namespace && hasAll(who.labels, r.selector) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) > 0 {
		// Others without a selector are not merged into one that has it, but ones with the same selector are.
		first := chosen[0]
		chosen = slices.DeleteFunc(chosen, func(r *destinationRule) bool { return !sameLabels(r.selector, first.selector) })
	} else {
		for _, r := range list {
			if !r.selected {
				chosen = append(chosen, r)
			}
		}
	}
	out := merged{origins: map[*apinetworking.TrafficPolicy]Origin{}, parts: map[Part]Origin{}}
	names := map[string]bool{}
	var made *destinationRule
	for _, r := range chosen {
		out.from = append(out.from, r.origin)
		switch {
		case r.made:
			if made == nil {
				made = r
			}
		case out.policy == nil && r.policy != nil:
			out.policy = r.policy
			out.origins[r.policy] = Origin{r.origin, r.path}
		}
		for i, s := range r.subsets {
			if !names[s.GetName()] {
				names[s.GetName()] = true
				out.subsets = append(out.subsets, subset{s, Origin{r.origin, fmt.Sprintf("spec.subsets[%d]", i)}})
			}
		}
	}
	if made != nil {
		out.fill(made)
	}
	return out
}

// fill lays the policy of a backend policy under the others.
func (m *merged) fill(made *destinationRule) {
	at := Origin{made.origin, made.path}
	if m.policy == nil {
		m.policy = made.policy
		m.origins[made.policy] = at
		return
	}
	under := made.policy
	own := m.policy
	over := own.DeepCopy()
	m.origins[over] = m.origins[own]
	if over.Tls == nil && under.Tls != nil {
		over.Tls = under.Tls
		m.parts[PartTLS] = at
	}
	for _, p := range under.PortLevelSettings {
		i := slices.IndexFunc(over.PortLevelSettings, func(x *apinetworking.TrafficPolicy_PortTrafficPolicy) bool {
			return x.GetPort().GetNumber() == p.GetPort().GetNumber()
		})
		switch {
		case i < 0:
			over.PortLevelSettings = append(over.PortLevelSettings, p)
			m.parts[PartTLS] = at
		case over.PortLevelSettings[i].Tls == nil:
			over.PortLevelSettings[i].Tls = p.Tls
			m.parts[PartTLS] = at
		}
	}
	m.policy = over
}

func hasAll(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func sameLabels(a, b map[string]string) bool { return len(a) == len(b) && hasAll(a, b) }
