package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	k8snetv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// networkPolicy: HBONE needs its own port.
var networkPolicy = Rule{
	Code:       "SS912",
	Title:      "A NetworkPolicy does not let HBONE in",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Facts: []Fact{FactMetadata, FactMode}, Kinds: []snapshot.Kind{kindNetworkPolicy}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/networkpolicy/", "https://github.com/kartverket/skiperator/issues/940"},
	Why: "Between ambient pods all calls arrive on TCP 15008. A NetworkPolicy that lists the application's ports drops them, and under default deny also the kubelet's probes, which come from " +
		"169.254.7.127 (fd16:9254:7127:1337:ffff:ffff:ffff:ffff).",
	Remedy: "Allow TCP 15008 from the same peers, and ingress from 169.254.7.127/32, before the pods are enrolled.",
	Check: func(v *View) []Finding {
		var blocked []mesh.Evidence
		for _, p := range v.NetworkPolicies() {
			if !admitsHBONE(p) {
				blocked = append(blocked, at(mesh.Ref{Group: kindNetworkPolicy.Group, Kind: kindNetworkPolicy.Kind, Namespace: p.Namespace, Name: p.Name}, "spec.ingress", ""))
			} else {
				return nil // policies add up: one that admits it is enough
			}
		}
		if len(blocked) == 0 {
			return nil
		}
		verb := "would keep"
		if v.Mode() == mesh.Ambient {
			verb = "keeps"
		}
		return one(fmt.Sprintf("%s %s HBONE (TCP 15008) out: calls between ambient workloads fail.", objects(blocked), verb), blocked...)
	},
}

// NetworkPolicies are those that limit what reaches the workload's pods, by name.
func (v *View) NetworkPolicies() []*k8snetv1.NetworkPolicy {
	x := v.index
	if x.networkPolicies == nil {
		x.networkPolicies = indexNetworkPolicies(x.mesh.Snapshot)
	}
	pod := labels.Set(v.Labels())
	here := x.networkPolicies[v.w.Namespace]
	found := matching(here[labelPair{}], pod)
	for key, value := range pod {
		found = append(found, matching(here[labelPair{key, value}], pod)...)
	}
	slices.SortFunc(found, func(a, b *k8snetv1.NetworkPolicy) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// selectedPolicy is a NetworkPolicy with its compiled selector.
type selectedPolicy struct {
	*k8snetv1.NetworkPolicy
	selector labels.Selector
}

// labelPair is one label that a selector asks for; the zero pair stands for selectors that ask for none
// by matchLabels.
type labelPair struct{ key, value string }

// indexNetworkPolicies finds policies by namespace and one label that they ask for, so that a workload is
// compared with those that may select it and not with every one of its namespace.
func indexNetworkPolicies(s *snapshot.Snapshot) map[string]map[labelPair][]selectedPolicy {
	out := map[string]map[labelPair][]selectedPolicy{}
	for _, p := range snapshot.All[*k8snetv1.NetworkPolicy](s) {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil || !limitsIngress(p) {
			continue // the API server admits no invalid selector
		}
		var pair labelPair
		for key, value := range p.Spec.PodSelector.MatchLabels {
			if pair.key == "" || key < pair.key {
				pair = labelPair{key, value}
			}
		}
		if out[p.Namespace] == nil {
			out[p.Namespace] = map[labelPair][]selectedPolicy{}
		}
		out[p.Namespace][pair] = append(out[p.Namespace][pair], selectedPolicy{p, selector})
	}
	return out
}

func matching(candidates []selectedPolicy, pod labels.Set) []*k8snetv1.NetworkPolicy {
	var out []*k8snetv1.NetworkPolicy
	for _, c := range candidates {
		if c.selector.Matches(pod) {
			out = append(out, c.NetworkPolicy)
		}
	}
	return out
}

func limitsIngress(p *k8snetv1.NetworkPolicy) bool {
	return len(p.Spec.PolicyTypes) == 0 || slices.Contains(p.Spec.PolicyTypes, k8snetv1.PolicyTypeIngress)
}

// hbonePort is where ztunnel, HBONE sidecars and waypoints take calls.
const hbonePort = 15008

// admitsHBONE tells whether some ingress rule lets TCP 15008 in, from whomever: who may call is the
// author's business, the port is not.
func admitsHBONE(p *k8snetv1.NetworkPolicy) bool {
	for _, rule := range p.Spec.Ingress {
		if len(rule.Ports) == 0 {
			return true
		}
		for _, port := range rule.Ports {
			if port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP {
				continue
			}
			if port.Port == nil || port.Port.IntValue() == hbonePort ||
				port.EndPort != nil && port.Port.IntValue() <= hbonePort && *port.EndPort >= hbonePort {
				return true
			}
		}
	}
	return false
}
