package netpol

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var kindNetworkPolicy = snapshot.Kind{Group: "networking.k8s.io", Kind: "NetworkPolicy"}

// calicoOrder is the place that Calico gives a NetworkPolicy among its own policies.
const calicoOrder = 1000

// Compile reads every network policy of a snapshot.
func Compile(s *snapshot.Snapshot) *Set {
	var out []*Policy
	for _, o := range snapshot.All[*networkingv1.NetworkPolicy](s) {
		out = append(out, networkPolicy(o))
	}
	out = append(out, adminPolicies(s)...)
	out = append(out, ciliumPolicies(s)...)
	out = append(out, calicoPolicies(s)...)
	return newSet(out)
}

// networkPolicy compiles a NetworkPolicy (https://kubernetes.io/docs/concepts/services-networking/network-policies/).
func networkPolicy(o *networkingv1.NetworkPolicy) *Policy {
	p := &Policy{Kind: kindNetworkPolicy, Object: o, namespace: o.Namespace, stage: mainStage, order: calicoOrder}
	p.selects, p.key = podSelector(&o.Spec.PodSelector), firstLabel(o.Spec.PodSelector.MatchLabels)
	types := o.Spec.PolicyTypes
	p.sides[Ingress].governs = len(types) == 0 || slices.Contains(types, networkingv1.PolicyTypeIngress)
	p.sides[Egress].governs = slices.Contains(types, networkingv1.PolicyTypeEgress) || len(types) == 0 && len(o.Spec.Egress) > 0
	if p.sides[Ingress].governs {
		for i, r := range o.Spec.Ingress {
			p.sides[Ingress].rules = append(p.sides[Ingress].rules, networkRule(fmt.Sprintf("spec.ingress[%d]", i), o.Namespace, r.From, r.Ports))
		}
	}
	if p.sides[Egress].governs {
		for i, r := range o.Spec.Egress {
			p.sides[Egress].rules = append(p.sides[Egress].rules, networkRule(fmt.Sprintf("spec.egress[%d]", i), o.Namespace, r.To, r.Ports))
		}
	}
	return p
}

func networkRule(field, namespace string, peers []networkingv1.NetworkPolicyPeer, list []networkingv1.NetworkPolicyPort) Rule {
	r := Rule{Field: field, everybody: len(peers) == 0, allPorts: len(list) == 0}
	words, err := json.Marshal(peers)
	if err == nil {
		r.spelling = namespace + string(words)
	}
	for _, p := range peers {
		r.peers = append(r.peers, networkPeer(namespace, p))
	}
	for _, p := range list {
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			continue
		}
		r.ports = append(r.ports, portRange(p.Port, p.EndPort))
	}
	return r
}

func networkPeer(namespace string, p networkingv1.NetworkPolicyPeer) peer {
	if p.IPBlock != nil {
		return peer{block: parseBlock(p.IPBlock.CIDR, p.IPBlock.Except, false)}
	}
	pods, namespaces := matchesAll, func(e *End) bool { return e.Namespace == namespace }
	if p.PodSelector != nil {
		pods = podSelector(p.PodSelector)
	}
	if p.NamespaceSelector != nil {
		namespaces = namespaceSelector(p.NamespaceSelector)
	}
	return peer{pods: func(e *End) bool { return namespaces(e) && pods(e) }}
}

// portRange is a port, a name or a range of TCP ports; without a port it is all of them.
func portRange(port *intstr.IntOrString, end *int32) ports {
	switch {
	case port == nil:
		return ports{from: 1, to: 65535}
	case port.Type == intstr.String:
		return ports{name: port.StrVal}
	case end != nil:
		return ports{from: port.IntVal, to: *end}
	}
	return ports{from: port.IntVal, to: port.IntVal}
}

// parseBlock reads a CIDR; one that does not parse, which no API server admits, holds nothing.
func parseBlock(cidr string, except []string, noPods bool) *block {
	b := &block{noPods: noPods}
	b.cidr = parsePrefix(cidr)
	for _, x := range except {
		b.except = append(b.except, parsePrefix(x))
	}
	return b
}

func parsePrefix(text string) netip.Prefix {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked()
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.Prefix{}
}

func matchesAll(*End) bool  { return true }
func matchesNone(*End) bool { return false }

func podSelector(s *metav1.LabelSelector) func(*End) bool {
	return selector(s, func(e *End) labels.Set { return e.Labels })
}

func namespaceSelector(s *metav1.LabelSelector) func(*End) bool {
	return selector(s, func(e *End) labels.Set { return e.NamespaceLabels })
}

// selector compiles a label selector; an invalid one, which no API server admits, selects nothing.
func selector(s *metav1.LabelSelector, of func(*End) labels.Set) func(*End) bool {
	compiled, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case err != nil:
		return matchesNone
	case compiled.Empty():
		return matchesAll
	}
	return func(e *End) bool { return compiled.Matches(of(e)) }
}

// firstLabel is one label that a selector asks for, the zero label where it asks for none by matchLabels.
func firstLabel(match map[string]string) label {
	var out label
	for k, v := range match {
		if out.key == "" || k < out.key {
			out = label{k, v}
		}
	}
	return out
}
