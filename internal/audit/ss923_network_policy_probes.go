package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "k8s.io/api/networking/v1"
)

// networkPolicyProbes: probes get an address of their own.
var networkPolicyProbes = Rule{
	Code:       "SS923",
	Title:      "A network policy may stop the kubelet's probes",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     networkInputs(),
	References: []string{"https://istio.io/latest/docs/ambient/usage/networkpolicy/", "https://github.com/cilium/cilium/issues/49277", "istio/istio cni/pkg/nftables/nftables.go"},
	Why: "In ambient mode the kubelet's probes reach the pod from 169.254.7.127 (fd16:9254:7127:1337:ffff:ffff:ffff:ffff), not from the node's address, which CNIs let through. No selector of pods or namespaces " +
		"matches that address; some CNIs let it through and some do not.",
	Remedy: "Admit 169.254.7.127/32 (with Cilium by a CiliumClusterwideNetworkPolicy with fromCIDR) before the pods are enrolled.",
	Check: func(v *View) []Finding {
		port, from, policies, found := v.Network().ProbeGap(v.w)
		if !found {
			return nil
		}
		evidence := policyEvidence(policies, "spec.ingress")
		f := Finding{
			Message:  fmt.Sprintf("%s does not admit the kubelet's probes of port %d, which come from %s in ambient mode: the pods may never become ready.", objects(evidence), port, from),
			Evidence: evidence,
		}
		if namespace, selector, ok := firstSelector(policies); ok {
			o := newPolicy(namespace, "allow-kubelet-probes", selector)
			o.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			o.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: mesh.ProbeAddress.String() + "/32"}}}}}
			if from == mesh.ProbeAddressV6 {
				o.Spec.Ingress[0].From = append(o.Spec.Ingress[0].From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: from.String() + "/128"}})
			}
			f.Apply = []snapshot.Object{o}
		}
		return []Finding{f}
	},
}
