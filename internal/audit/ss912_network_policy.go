package audit

import (
	"fmt"
	"slices"

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

// NetworkPolicies are those that limit what reaches the workload's pods.
func (v *View) NetworkPolicies() []*k8snetv1.NetworkPolicy {
	x := v.index
	if x.networkPolicies == nil {
		x.networkPolicies = map[string][]*k8snetv1.NetworkPolicy{}
		for _, p := range snapshot.All[*k8snetv1.NetworkPolicy](x.mesh.Snapshot) {
			if limitsIngress(p) {
				x.networkPolicies[p.Namespace] = append(x.networkPolicies[p.Namespace], p)
			}
		}
	}
	pod := labels.Set(v.Labels())
	return slices.DeleteFunc(slices.Clone(x.networkPolicies[v.w.Namespace]), func(p *k8snetv1.NetworkPolicy) bool {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		return err != nil || !selector.Matches(pod)
	})
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
