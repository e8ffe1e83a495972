package mesh

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// attachDestinationRules lists DestinationRules at the Services of their host. One with a workloadSelector acts for
// the clients that it selects, and only in its own namespace.
func (b *builder) attachDestinationRules() {
	for _, o := range snapshot.All[*networkingv1.DestinationRule](b.snap) {
		r := &Policy{Ref: refOf(kindDestinationRule, o), Object: o, Scope: ByNamespace}
		b.mesh.Routes = append(b.mesh.Routes, r)
		if o.Spec.GetWorkloadSelector() != nil {
			r.Scope = BySelector
			for _, w := range b.index.match(o.Namespace, o.Spec.GetWorkloadSelector().GetMatchLabels()) {
				r.Workloads++
				w.addRoute(r)
			}
			continue
		}
		b.attachRoute(r, []string{o.Spec.GetHost()})
		b.useBehind(r, explicitMutual(r, o))
	}
}

// attachSelected records a rule that acts for some clients on those.
func (b *builder) attachSelected(r *Policy, o *networkingv1.DestinationRule) {
	if r.Scope != BySelector {
		return
	}
	use := []found{{ClientDestinationRule, Outbound, []Evidence{evidence(r.Ref, "spec.workloadSelector", o.Spec.GetHost())}}}
	for _, w := range b.index.match(o.Namespace, o.Spec.GetWorkloadSelector().GetMatchLabels()) {
		w.use(use)
	}
}

// explicitMutual finds ISTIO_MUTUAL spelled out: it is what happens anyway, and some releases then never use HBONE
// towards ambient workloads (istio/istio#53526).
func explicitMutual(r *Policy, o *networkingv1.DestinationRule) []found {
	g := gather{object: r.Ref}
	see := func(path string, t *apinetworking.ClientTLSSettings) {
		if t.GetMode() == apinetworking.ClientTLSSettings_ISTIO_MUTUAL {
			g.see(ExplicitIstioMutual, Inbound, path+".tls.mode", t.GetMode().String())
		}
	}
	policy := func(path string, p *apinetworking.TrafficPolicy) {
		see(path, p.GetTls())
		for i, s := range p.GetPortLevelSettings() {
			see(fmt.Sprintf("%s.portLevelSettings[%d]", path, i), s.GetTls())
		}
	}
	policy("spec.trafficPolicy", o.Spec.GetTrafficPolicy())
	for i, s := range o.Spec.GetSubsets() {
		policy(fmt.Sprintf("spec.subsets[%d].trafficPolicy", i), s.GetTrafficPolicy())
	}
	return g.list
}
