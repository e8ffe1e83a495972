package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/mesh/netpol"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// networkInputs declares what a rule reads that asks View.Network.
func networkInputs(facts ...Fact) Inputs {
	return Inputs{
		Facts: append([]Fact{FactWorkloads}, facts...),
		Kinds: []snapshot.Kind{
			kindNamespace, kindNetworkPolicy, kindAdminPolicy, kindBaselinePolicy, kindCiliumPolicy, kindCiliumClusterwide,
			kindCalicoPolicy, kindCalicoGlobal, kindCalicoCRDPolicy, kindCalicoCRDGlobal,
		},
	}
}

// Network says what network policies let through.
func (f *facts) Network() *mesh.Network {
	f.touch(FactWorkloads)
	if f.index.network == nil {
		f.index.network = f.mesh.Network()
	}
	return f.index.network
}

// networkReferences are where the behaviour of policies and HBONE was read.
var networkReferences = []string{
	"https://istio.io/latest/docs/ambient/usage/networkpolicy/", "https://github.com/istio/istio/issues/56659",
	"https://github.com/istio/istio/issues/57661",
}

// gapEvidence names the rules of gaps.
func gapEvidence(gaps []mesh.NetworkGap) []mesh.Evidence {
	var out []mesh.Evidence
	for _, g := range gaps {
		out = append(out, at(g.Ref(), g.Rule.Field, fmt.Sprintf("%s at port %d", g.Peer, g.Port)))
	}
	return out
}

// policyEvidence names policies.
func policyEvidence(policies []*netpol.Policy, field string) []mesh.Evidence {
	var out []mesh.Evidence
	for _, p := range policies {
		out = append(out, at(mesh.PolicyRef(p), field, ""))
	}
	return out
}

// broken sets how bad it is that calls are refused: an error once a workload is ambient, and what would be
// one before that.
func broken(v *View, f Finding) Finding {
	if v.Mode() == mesh.Ambient {
		f.Severity = Error
	} else {
		f.Severity, f.IfMoved = Warning, Error
	}
	return f
}

// hboneRules are NetworkPolicies that admit, to HBONE's port, the same peers that the rules of gaps admit to
// other ports: one object for each that has such a rule. Policies add up, so that nothing else changes.
func hboneRules(gaps []mesh.NetworkGap, d netpol.Direction) []snapshot.Object {
	var out []*networkingv1.NetworkPolicy
	for _, g := range gaps {
		from, ok := g.Policy.Object.(*networkingv1.NetworkPolicy)
		if !ok {
			continue
		}
		name := suffixed(from.Name, "-hbone")
		i := slices.IndexFunc(out, func(o *networkingv1.NetworkPolicy) bool { return o.Namespace == from.Namespace && o.Name == name })
		if i < 0 {
			i, out = len(out), append(out, newPolicy(from.Namespace, name, *from.Spec.PodSelector.DeepCopy()))
		}
		var index int
		_, _ = fmt.Sscanf(g.Rule.Field[strings.IndexByte(g.Rule.Field, '['):], "[%d]", &index) // a field that netpol wrote
		if d == netpol.Ingress {
			out[i].Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			out[i].Spec.Ingress = append(out[i].Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: from.Spec.Ingress[index].DeepCopy().From, Ports: tcpPorts(mesh.PortHBONE)})
		} else {
			out[i].Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			out[i].Spec.Egress = append(out[i].Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: from.Spec.Egress[index].DeepCopy().To, Ports: tcpPorts(mesh.PortHBONE)})
		}
	}
	objects := make([]snapshot.Object, 0, len(out))
	for _, o := range out {
		objects = append(objects, o)
	}
	return objects
}

func newPolicy(namespace, name string, pods metav1.LabelSelector) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: pods},
	}
}

// suffixed is a name with an ending, cut to what a name may have.
func suffixed(name, ending string) string {
	const longest = 253
	return name[:min(len(name), longest-len(ending))] + ending
}

func tcpPorts(port int32) []networkingv1.NetworkPolicyPort {
	tcp, number := corev1.ProtocolTCP, intstr.FromInt32(port)
	return []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &number}}
}

// firstSelector is the pod selector of the first NetworkPolicy of a list.
func firstSelector(policies []*netpol.Policy) (namespace string, selector metav1.LabelSelector, ok bool) {
	for _, p := range policies {
		if o, is := p.Object.(*networkingv1.NetworkPolicy); is {
			return o.Namespace, *o.Spec.PodSelector.DeepCopy(), true
		}
	}
	return "", metav1.LabelSelector{}, false
}
