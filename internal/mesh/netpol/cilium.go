package netpol

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var (
	kindCilium            = snapshot.Kind{Group: "cilium.io", Kind: "CiliumNetworkPolicy"}
	kindCiliumClusterwide = snapshot.Kind{Group: "cilium.io", Kind: "CiliumClusterwideNetworkPolicy"}
)

// Labels that Cilium adds to those of a pod (https://docs.cilium.io/en/stable/network/kubernetes/policy/).
const (
	ciliumNamespace       = "io.kubernetes.pod.namespace"
	ciliumNamespaceLabels = "io.cilium.k8s.namespace.labels."
	ciliumServiceAccount  = "io.cilium.k8s.policy.serviceaccount"
)

// ciliumPolicies compiles Cilium's kinds. Its refusals come before all that admits, so they are policies of
// an own, earlier order.
func ciliumPolicies(s *snapshot.Snapshot) []*Policy {
	var out []*Policy
	for _, o := range snapshot.All[*partial.CiliumNetworkPolicy](s) {
		out = append(out, ciliumRules(kindCilium, o, o.Namespace, o.Spec, o.Specs)...)
	}
	for _, o := range snapshot.All[*partial.CiliumClusterwideNetworkPolicy](s) {
		out = append(out, ciliumRules(kindCiliumClusterwide, o, "", o.Spec, o.Specs)...)
	}
	return out
}

func ciliumRules(kind snapshot.Kind, o snapshot.Object, namespace string, spec *partial.CiliumRule, specs []partial.CiliumRule) []*Policy {
	var out []*Policy
	if spec != nil {
		out = append(out, ciliumPolicy(kind, o, namespace, "spec", spec)...)
	}
	for i := range specs {
		out = append(out, ciliumPolicy(kind, o, namespace, fmt.Sprintf("specs[%d]", i), &specs[i])...)
	}
	return out
}

// ciliumPolicy compiles one rule, as Cilium calls a spec, into what it admits and what it refuses.
func ciliumPolicy(kind snapshot.Kind, o snapshot.Object, namespace, path string, spec *partial.CiliumRule) []*Policy {
	if spec.EndpointSelector == nil {
		return nil // it selects nodes
	}
	admits := &Policy{Kind: kind, Object: o, namespace: namespace, stage: mainStage, selects: ciliumSelector(spec.EndpointSelector, "")}
	refuses := &Policy{Kind: kind, Object: o, namespace: namespace, stage: mainStage, order: -1, selects: admits.selects}
	on := func(set *bool, rules bool) bool { return rules && (set == nil || *set) }
	var defaults partial.CiliumDefaultDeny
	if spec.EnableDefaultDeny != nil {
		defaults = *spec.EnableDefaultDeny
	}
	admits.sides[Ingress].governs = on(defaults.Ingress, len(spec.Ingress)+len(spec.IngressDeny) > 0)
	admits.sides[Egress].governs = on(defaults.Egress, len(spec.Egress)+len(spec.EgressDeny) > 0)
	for _, part := range []struct {
		to    *Policy
		d     Direction
		field string
		list  []partial.CiliumPeerRule
	}{
		{admits, Ingress, "ingress", spec.Ingress}, {admits, Egress, "egress", spec.Egress},
		{refuses, Ingress, "ingressDeny", spec.IngressDeny}, {refuses, Egress, "egressDeny", spec.EgressDeny},
	} {
		for i := range part.list {
			field := fmt.Sprintf("%s.%s[%d]", path, part.field, i)
			r, why := ciliumRule(field, namespace, part.d, &part.list[i])
			if why != "" {
				admits.NotJudged = why
				admits.sides[Ingress].rules, admits.sides[Egress].rules = nil, nil
				return []*Policy{admits}
			}
			if part.to == refuses {
				r.action = deny
			}
			part.to.sides[part.d].rules = append(part.to.sides[part.d].rules, r)
		}
	}
	if refuses.Governs(Ingress) || refuses.Governs(Egress) {
		return []*Policy{refuses, admits}
	}
	return []*Policy{admits}
}

// ciliumRule compiles a rule, or says what in it is not evaluated here. A rule that names nothing admits nothing.
func ciliumRule(field, namespace string, d Direction, r *partial.CiliumPeerRule) (Rule, string) {
	out := Rule{Field: field, allPorts: len(r.ToPorts) == 0}
	endpoints, entities, cidrs, sets := r.FromEndpoints, r.FromEntities, r.FromCIDR, r.FromCIDRSet
	if d == Egress {
		endpoints, entities, cidrs, sets = r.ToEndpoints, r.ToEntities, r.ToCIDR, r.ToCIDRSet
	}
	switch {
	case len(r.FromRequires)+len(r.ToRequires) > 0:
		return out, field + " has requirements"
	case len(r.FromGroups)+len(r.ToGroups) > 0:
		return out, field + " names groups of a cloud"
	case len(r.ToServices) > 0:
		return out, field + ".toServices"
	case r.Authentication != nil:
		return out, field + ".authentication"
	}
	named := endpoints != nil || entities != nil || cidrs != nil || sets != nil || r.FromNodes != nil || r.ToNodes != nil || len(r.ToFQDNs) > 0
	out.everybody = !named && len(r.ToPorts) > 0
	for i := range endpoints {
		out.peers = append(out.peers, peer{pods: ciliumSelector(&endpoints[i], namespace)})
	}
	for _, e := range entities {
		switch e {
		case "all":
			out.everybody = true
		case "cluster":
			out.peers = append(out.peers, peer{pods: matchesAll})
		case "world", "world-ipv4", "world-ipv6":
			out.peers = append(out.peers, peer{other: true})
		}
	}
	for _, c := range cidrs {
		out.peers = append(out.peers, peer{block: parseBlock(c, nil, true)})
	}
	for _, c := range sets {
		if c.CIDR == "" {
			return out, field + " names a group of CIDRs"
		}
		out.peers = append(out.peers, peer{block: parseBlock(c.CIDR, c.Except, true)})
	}
	return out, ciliumPorts(field, &out, r.ToPorts)
}

func ciliumPorts(field string, out *Rule, list []partial.CiliumPortRules) string {
	for i, group := range list {
		if r := group.Rules; r != nil && len(r.HTTP)+len(r.Kafka)+len(r.L7) > 0 {
			return fmt.Sprintf("%s.toPorts[%d].rules looks into requests, which are encrypted between ambient pods", field, i)
		}
		if len(group.Ports) == 0 {
			out.allPorts = true
		}
		for _, p := range group.Ports {
			if p.Protocol != "" && p.Protocol != "TCP" && p.Protocol != "ANY" {
				continue
			}
			n, err := strconv.ParseInt(p.Port, 10, 32)
			switch from := int32(n); {
			case err != nil:
				out.ports = append(out.ports, ports{name: p.Port})
			case n == 0:
				out.ports = append(out.ports, ports{from: 1, to: 65535})
			default:
				out.ports = append(out.ports, ports{from: from, to: max(from, p.EndPort)})
			}
		}
	}
	return ""
}

// ciliumSelector compiles an endpoint selector. One of a namespaced policy's peers that names no namespace
// stays in that namespace.
func ciliumSelector(s *metav1.LabelSelector, namespace string) func(*End) bool {
	plain := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	anyNamespace := false
	for k, v := range s.MatchLabels {
		k = ciliumKey(k)
		anyNamespace = anyNamespace || strings.HasPrefix(k, ciliumNamespace) || strings.HasPrefix(k, ciliumNamespaceLabels)
		plain.MatchLabels[k] = v
	}
	for _, e := range s.MatchExpressions {
		e.Key = ciliumKey(e.Key)
		anyNamespace = anyNamespace || strings.HasPrefix(e.Key, ciliumNamespace) || strings.HasPrefix(e.Key, ciliumNamespaceLabels)
		plain.MatchExpressions = append(plain.MatchExpressions, e)
	}
	matches := selector(plain, ciliumLabels)
	if namespace == "" || anyNamespace {
		return matches
	}
	return func(e *End) bool { return e.Namespace == namespace && matches(e) }
}

// ciliumKey takes the source off a label's key.
func ciliumKey(key string) string {
	for _, source := range []string{"k8s:", "any:"} {
		key = strings.TrimPrefix(key, source)
	}
	return key
}

// ciliumLabels are a pod's labels as Cilium sees them.
func ciliumLabels(e *End) labels.Set {
	out := make(labels.Set, len(e.Labels)+len(e.NamespaceLabels)+2)
	maps.Copy(out, e.Labels)
	out[ciliumNamespace], out[ciliumServiceAccount] = e.Namespace, e.ServiceAccount
	for k, v := range e.NamespaceLabels {
		out[ciliumNamespaceLabels+k] = v
	}
	return out
}
