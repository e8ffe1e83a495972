package plan

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	k8snetv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// hbonePort is where calls between ambient pods arrive.
const hbonePort = 15008

// limits says what the proof does not cover and what the order rests on without knowing.
func (b *search) limits() []string {
	out := []string{"the proof is about who may call whom: routing, telemetry, NetworkPolicies and the time that a change takes to reach every proxy are not part of it"}
	if !b.who.observed {
		out = append(out, "no calls were observed"+why(b.noCalls)+": needs marked possible rest on no evidence, and calls to pod addresses, from outside and of a workload to itself were taken not to exist; give --calls or --prometheus")
	}
	return append(out, b.networkPolicies()...)
}

// why puts a reason into a sentence.
func why(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// networkPolicies names those that would drop calls between ambient pods.
func (b *search) networkPolicies() []string {
	var out []string
	for _, p := range snapshot.All[*k8snetv1.NetworkPolicy](b.snap) {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil || admitsHBONE(p) {
			continue
		}
		for i := range b.movers {
			if w := b.start.Workloads[i]; b.moves(i) && w.Namespace == p.Namespace && w.Template != nil && selector.Matches(labels.Set(w.Template.Labels)) {
				out = append(out, fmt.Sprintf("NetworkPolicy %s/%s lists ports without TCP %d, by which calls between ambient pods arrive: open it for the same peers, and ingress from 169.254.7.127/32 for probes, before the first pod of %s moves",
					p.Namespace, p.Name, hbonePort, w.Ref))
				break
			}
		}
	}
	return out
}

// admitsHBONE reports whether every ingress rule of a policy that lists ports lists that of HBONE.
func admitsHBONE(p *k8snetv1.NetworkPolicy) bool {
	for _, rule := range p.Spec.Ingress {
		found := len(rule.Ports) == 0
		for _, port := range rule.Ports {
			from := 0
			if port.Port != nil {
				from = port.Port.IntValue()
			}
			to := from
			if port.EndPort != nil {
				to = int(*port.EndPort)
			}
			found = found || port.Port == nil || from <= hbonePort && hbonePort <= to
		}
		if !found {
			return false
		}
	}
	return true
}
