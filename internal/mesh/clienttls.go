package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// Which TLS settings an Envoy calls a service with: the one DestinationRule in effect for its namespace decides
// (pilot/pkg/model/push_context.go destinationRule and setDestinationRules, destination_rule.go
// mergeDestinationRule, sidecar.go SidecarScope.DestinationRule).

// clientRule is a DestinationRule as its callers see it.
type clientRule struct {
	object   *networkingv1.DestinationRule
	host     string
	selector map[string]string
	exportTo []string
}

func (r *clientRule) name() string { return r.object.Namespace + "/" + r.object.Name }

func (r *clientRule) sameExport(o *clientRule) bool {
	a, b := slices.Sorted(slices.Values(r.exportTo)), slices.Sorted(slices.Values(o.exportTo))
	return slices.Equal(a, b)
}

// clientRules are the DestinationRules by namespace and host: those for callers of the namespace, those
// for callers of others, and those of the root namespace for itself alone.
type clientRules struct {
	root            string
	local, exported map[string]map[string][]*clientRule
	private         map[string][]*clientRule
	// matters is false when no rule says anything about TLS.
	matters bool
}

// clientTLS is what callers are told, per service, and which workloads have a scope of their own.
type clientTLS struct {
	services map[Ref]map[string]authz.ClientTLS
	scopes   map[Ref]string
}

func (b *builder) readClientTLS() {
	x := b.clientRules()
	if !x.matters {
		return
	}
	t := clientTLS{services: map[Ref]map[string]authz.ClientTLS{}, scopes: map[Ref]string{}}
	scopes := b.scopesOf(x)
	for _, s := range b.mesh.Services {
		general := x.tls(s, "", nil)
		set := map[string]authz.ClientTLS{"": general}
		for _, name := range slices.Sorted(maps.Keys(scopes)) {
			w := scopes[name][0]
			if own := x.tls(s, w.Namespace, w.Labels); !sameTLS(own, general) {
				set[name] = own
			}
		}
		if len(set) > 1 || !sameTLS(general, authz.ClientTLS{}) {
			t.services[s.Ref] = set
		}
		for name := range set {
			for _, w := range scopes[name] {
				t.scopes[w.Ref] = name
			}
		}
	}
	b.mesh.clientTLS = t
}

func sameTLS(a, b authz.ClientTLS) bool {
	return a.Mode == b.Mode && a.Passthrough == b.Passthrough && a.Unknown == b.Unknown && maps.Equal(a.Ports, b.Ports)
}

// scopesOf groups the workloads whose callers may be told something of their own: by namespace where that has
// rules or is named by some exportTo, and by the selectors there that match.
func (b *builder) scopesOf(x *clientRules) map[string][]*Workload {
	named := map[string]bool{x.root: len(x.private) > 0}
	for ns := range x.local {
		named[ns] = true
	}
	for _, hosts := range x.exported {
		for _, list := range hosts {
			for _, r := range list {
				for _, ns := range r.exportTo {
					named[ns] = true
				}
			}
		}
	}
	out := map[string][]*Workload{}
	for _, w := range b.mesh.Workloads {
		if !named[w.Namespace] || w.Role != Application && w.Role != Gateway {
			continue
		}
		scope := w.Namespace
		for _, host := range slices.Sorted(maps.Keys(x.local[w.Namespace])) {
			for _, r := range x.local[w.Namespace][host] {
				if len(r.selector) > 0 && hasAll(w.Labels, r.selector) {
					scope += "#" + r.object.Name
				}
			}
		}
		out[scope] = append(out[scope], w)
	}
	return out
}

func (b *builder) clientRules() *clientRules {
	x := &clientRules{root: b.mesh.Settings.RootNamespace, private: map[string][]*clientRule{},
		local: map[string]map[string][]*clientRule{}, exported: map[string]map[string][]*clientRule{}}
	add := func(pool map[string]map[string][]*clientRule, r *clientRule) {
		ns := r.object.Namespace
		if pool[ns] == nil {
			pool[ns] = map[string][]*clientRule{}
		}
		pool[ns][r.host] = append(pool[ns][r.host], r)
	}
	for _, o := range b.destinationRulesByAge() {
		r := &clientRule{object: o, host: o.Spec.GetHost(), exportTo: o.Spec.GetExportTo(), selector: o.Spec.GetWorkloadSelector().GetMatchLabels()}
		if r.host != "" && !strings.Contains(r.host, ".") && !strings.HasPrefix(r.host, "*") {
			r.host += "." + o.Namespace + "." + b.mesh.Settings.serviceDomain()
		}
		if o.Spec.GetWorkloadSelector() != nil {
			r.exportTo = []string{"."}
		}
		x.matters = x.matters || saysTLS(o)
		if len(r.exportTo) == 0 || slices.ContainsFunc(r.exportTo, func(e string) bool { return e == "*" || e == "." || e == o.Namespace }) {
			add(x.local, r)
		}
		own := len(r.exportTo) == 0 && b.mesh.Settings.PrivateDestinationRules ||
			len(r.exportTo) == 1 && (r.exportTo[0] == "." || r.exportTo[0] == o.Namespace)
		switch {
		case !own:
			add(x.exported, r)
		case o.Namespace == x.root:
			x.private[r.host] = append(x.private[r.host], r)
		}
	}
	return x
}

// destinationRulesByAge lists those with a workloadSelector first, then the oldest.
func (b *builder) destinationRulesByAge() []*networkingv1.DestinationRule {
	list := slices.Clone(snapshot.All[*networkingv1.DestinationRule](b.snap))
	rank := func(o *networkingv1.DestinationRule) int {
		if o.Spec.GetWorkloadSelector() != nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(x, y *networkingv1.DestinationRule) int {
		return cmp.Or(rank(x)-rank(y), x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			strings.Compare(x.Name, y.Name), strings.Compare(x.Namespace, y.Namespace))
	})
	return list
}

// saysTLS tells whether a DestinationRule sets anything that decides how callers authenticate themselves.
func saysTLS(o *networkingv1.DestinationRule) bool {
	has := func(p *apinetworking.TrafficPolicy) bool {
		return p.GetTls() != nil || passthrough(p) ||
			slices.ContainsFunc(p.GetPortLevelSettings(), func(s *apinetworking.TrafficPolicy_PortTrafficPolicy) bool { return s.GetTls() != nil })
	}
	return has(o.Spec.GetTrafficPolicy()) ||
		slices.ContainsFunc(o.Spec.GetSubsets(), func(s *apinetworking.Subset) bool { return has(s.GetTrafficPolicy()) })
}

func passthrough(p *apinetworking.TrafficPolicy) bool {
	return p.GetLoadBalancer().GetSimple() == apinetworking.LoadBalancerSettings_PASSTHROUGH
}

// tls is what callers of a namespace, with these labels, are told about a service: their own namespace's
// rules come first, then the service's, then the root namespace's.
func (x *clientRules) tls(s *Service, caller string, labels map[string]string) authz.ClientTLS {
	if len(s.Hosts) == 0 {
		return authz.ClientTLS{}
	}
	host := s.Hosts[0]
	pool := x.local[caller]
	if caller == x.root {
		pool = x.private
	}
	list, found := mostSpecific(pool, host)
	if caller == "" || !found {
		list = x.visible(s.Namespace, host, caller)
	}
	if len(list) == 0 {
		list = x.visible(x.root, host, caller)
	}
	return effective(list, labels)
}

// visible lists a namespace's most specific rules for a host, as far as they are exported to the callers.
func (x *clientRules) visible(namespace, host, caller string) []*clientRule {
	list, _ := mostSpecific(x.exported[namespace], host)
	return slices.DeleteFunc(slices.Clone(list), func(r *clientRule) bool {
		return len(r.exportTo) > 0 && !slices.Contains(r.exportTo, "*") && (caller == "" || !slices.Contains(r.exportTo, caller))
	})
}

// mostSpecific finds a host's rules: exact, else by the longest wildcard.
func mostSpecific(pool map[string][]*clientRule, host string) (list []*clientRule, found bool) {
	if list, found = pool[host]; found {
		return list, true
	}
	best := ""
	for h := range pool {
		if strings.HasPrefix(h, "*") && len(h) > len(best) && strings.HasSuffix(host, h[1:]) {
			best = h
		}
	}
	list, found = pool[best]
	return list, found && best != ""
}

// effective merges the rules of one host, oldest first. A rule whose selector matches the caller comes before
// those without; the first traffic policy counts.
func effective(list []*clientRule, labels map[string]string) authz.ClientTLS {
	var out authz.ClientTLS
	list = slices.DeleteFunc(slices.Clone(list), func(r *clientRule) bool {
		return r.object.Spec.GetWorkloadSelector() != nil && !hasAll(labels, r.selector)
	})
	if len(list) == 0 {
		return out
	}
	out.By = list[0].name()
	var policy *apinetworking.TrafficPolicy
	for _, r := range list {
		if r.object.Spec.GetWorkloadSelector() == nil && list[0].object.Spec.GetWorkloadSelector() == nil && !r.sameExport(list[0]) && (saysTLS(r.object) || saysTLS(list[0].object)) {
			out.Unknown = "it and " + r.name() + " have the same host and different exportTo"
		}
		if policy == nil && r.object.Spec.GetTrafficPolicy() != nil {
			policy, out.By = r.object.Spec.GetTrafficPolicy(), r.name()
		}
	}
	out.Passthrough = passthrough(policy)
	out.Mode, out.Ports = tlsModes(policy)
	for _, r := range list {
		for _, subset := range r.object.Spec.GetSubsets() {
			mode, ports := tlsModes(subset.GetTrafficPolicy())
			if mode != authz.TLSAuto && mode != out.Mode || len(ports) > 0 && !maps.Equal(ports, out.Ports) {
				out.By, out.Unknown = r.name(), "subset "+subset.GetName()+" has TLS settings of its own, and which calls go to a subset is not modelled"
			}
		}
	}
	return out
}

func tlsModes(p *apinetworking.TrafficPolicy) (mode authz.TLSMode, ports map[uint16]authz.TLSMode) {
	if p.GetTls() != nil {
		mode = authz.TLSMode(p.GetTls().GetMode().String())
	}
	for _, s := range p.GetPortLevelSettings() {
		if n := s.GetPort().GetNumber(); s.GetTls() != nil && n > 0 && n < 1<<16 {
			if ports == nil {
				ports = map[uint16]authz.TLSMode{}
			}
			if _, first := ports[uint16(n)]; !first {
				ports[uint16(n)] = authz.TLSMode(s.GetTls().GetMode().String())
			}
		}
	}
	return mode, ports
}
