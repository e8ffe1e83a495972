package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/mesh/netpol"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// networkPolicyWaypoint: a waypoint is one more pod on the way.
var networkPolicyWaypoint = Rule{
	Code:       "SS924",
	Title:      "Network policies stop calls on the way through a waypoint",
	Severity:   Error,
	Requires:   VerdictAmbient,
	First:      true,
	Inputs:     networkInputs(FactMode, FactBinding),
	References: networkReferences,
	Why: "Behind a waypoint the workload is called by the waypoint's pods, at TCP 15008, and no longer by its callers, who call the waypoint at 15008. Policies that name the callers keep the waypoint out, and those that " +
		"select every pod of a namespace select the waypoint's pods too.",
	Remedy: "Admit TCP 15008 from the waypoint's pods (label gateway.networking.k8s.io/gateway-name) to the workload, from the callers to the waypoint, and out of the callers to it, before the Service is bound.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint {
			return nil
		}
		gateway, bound := v.ServedBy()
		if !bound {
			gateway = mesh.Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: v.Workload().Namespace, Name: "waypoint"}
		}
		gaps := v.Network().WaypointGaps(v.w, gateway)
		if len(gaps) == 0 {
			return nil
		}
		var evidence []mesh.Evidence
		var apply []snapshot.Object
		for _, g := range gaps {
			field := "spec.ingress"
			if g.Side == netpol.Egress {
				field = "spec.egress"
			}
			evidence = append(evidence, policyEvidence(g.Policies, field)...)
			if o := letThrough(v, g); o != nil {
				apply = append(apply, o)
			}
		}
		f := Finding{
			Message:  fmt.Sprintf("%s would refuse HBONE (TCP 15008) %s.", objects(evidence), gaps[0]),
			Evidence: evidence, Apply: apply,
		}
		f = broken(v, f)
		if !bound {
			f.Severity, f.IfMoved = Warning, Error
		}
		return []Finding{f}
	},
}

// letThrough is a NetworkPolicy that lets the waypoint of a gap reach the workload; other gaps concern pods
// whose selectors are not the workload's to choose.
func letThrough(v *View, g mesh.WaypointGap) snapshot.Object {
	namespace, selector, ok := firstSelector(g.Policies)
	if !ok || g.Side != netpol.Ingress || g.To != v.w.Namespace+"/"+v.w.Name {
		return nil
	}
	o := newPolicy(namespace, suffixed(v.w.Name, "-allow-waypoint"), selector)
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{mesh.LabelGatewayName: g.Waypoint.Name}}}
	if g.Waypoint.Namespace != namespace {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{mesh.LabelNamespaceName: g.Waypoint.Namespace}}
	}
	o.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	o.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: tcpPorts(mesh.PortHBONE)}}
	return o
}
