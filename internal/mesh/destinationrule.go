package mesh

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// attachDestinationRules joins DestinationRules with the Services of their host. One with a
// workloadSelector acts for the clients that it selects, and only in its own namespace.
func (b *builder) attachDestinationRules() {
	for _, o := range snapshot.All[*networkingv1.DestinationRule](b.snap) {
		r := &Policy{Ref: refOf(kindDestinationRule, o), Object: o, Scope: ByNamespace}
		b.mesh.Routes = append(b.mesh.Routes, r)
		if sel := o.Spec.GetWorkloadSelector().GetMatchLabels(); len(sel) > 0 {
			r.Scope = BySelector
			use := []found{{ClientDestinationRule, Outbound, []Evidence{evidence(r.Ref, "spec.workloadSelector", o.Spec.GetHost())}}}
			for _, w := range b.index.match(o.Namespace, sel) {
				r.Workloads++
				w.addRoute(r)
				w.use(use)
			}
			continue
		}
		b.attachRoute(r, []string{o.Spec.GetHost()}, o.Spec.GetExportTo(), ClientNamespaceRule, b.destinationRuleFeatures(r, o))
	}
}

func (b *builder) destinationRuleFeatures(r *Policy, o *networkingv1.DestinationRule) []found {
	g := gather{object: r.Ref}
	external := false
	for _, s := range b.hosts.find(o.Spec.GetHost(), o.Namespace) {
		external = external || s.External
	}
	trafficPolicyFeatures(&g, "spec.trafficPolicy", o.Spec.GetTrafficPolicy(), external)
	for i, s := range o.Spec.GetSubsets() {
		if !b.namesSubset(o.Spec.GetHost(), s.GetName()) {
			continue
		}
		path := fmt.Sprintf("spec.subsets[%d]", i)
		g.see(Subsets, Inbound, path, s.GetName())
		trafficPolicyFeatures(&g, path+".trafficPolicy", s.GetTrafficPolicy(), external)
	}
	return g.list
}

// settings are what TrafficPolicy and its per-port form have in common.
type settings interface {
	GetLoadBalancer() *apinetworking.LoadBalancerSettings
	GetConnectionPool() *apinetworking.ConnectionPoolSettings
	GetOutlierDetection() *apinetworking.OutlierDetection
	GetTls() *apinetworking.ClientTLSSettings
}

func trafficPolicyFeatures(g *gather, path string, p *apinetworking.TrafficPolicy, external bool) {
	if p == nil {
		return
	}
	settingsFeatures(g, path, p, external)
	for i, port := range p.GetPortLevelSettings() {
		if port != nil {
			settingsFeatures(g, fmt.Sprintf("%s.portLevelSettings[%d]", path, i), port, external)
		}
	}
	if p.GetTunnel() != nil {
		g.see(UpstreamProxyProtocol, Inbound, path+".tunnel", p.GetTunnel().GetProtocol())
	}
	if p.GetProxyProtocol() != nil {
		g.see(UpstreamProxyProtocol, Inbound, path+".proxyProtocol", p.GetProxyProtocol().GetVersion().String())
	}
	if p.GetRetryBudget() != nil {
		g.see(Retries, Inbound, path+".retryBudget", "")
	}
}

func settingsFeatures(g *gather, path string, p settings, external bool) {
	if p.GetConnectionPool() != nil {
		g.see(ConnectionPool, Inbound, path+".connectionPool", "")
	}
	if p.GetOutlierDetection() != nil {
		g.see(OutlierDetection, Inbound, path+".outlierDetection", "")
	}
	if t := p.GetTls(); t != nil {
		feature := ClientTLS
		switch {
		case t.GetMode() == apinetworking.ClientTLSSettings_ISTIO_MUTUAL:
			feature = ExplicitIstioMutual
		case external && t.GetMode() != apinetworking.ClientTLSSettings_DISABLE:
			feature = TLSOrigination
		}
		g.see(feature, Inbound, path+".tls.mode", t.GetMode().String())
	}
	if lb := p.GetLoadBalancer(); lb != nil {
		loadBalancerFeatures(g, path+".loadBalancer", lb)
	}
}

func loadBalancerFeatures(g *gather, path string, lb *apinetworking.LoadBalancerSettings) {
	switch policy := lb.GetLbPolicy().(type) {
	case *apinetworking.LoadBalancerSettings_ConsistentHash:
		g.see(ConsistentHash, Inbound, path+".consistentHash", "")
	case *apinetworking.LoadBalancerSettings_Simple:
		g.see(LoadBalancing, Inbound, path+".simple", policy.Simple.String())
	}
	if l := lb.GetLocalityLbSetting(); l != nil && (l.GetEnabled() == nil || l.GetEnabled().GetValue()) {
		g.see(LocalityLB, Inbound, path+".localityLbSetting", "")
	}
	if lb.GetZoneAwareLbSetting() != nil {
		g.see(ZoneAwareLB, Inbound, path+".zoneAwareLbSetting", "")
	}
	if lb.GetWarmup() != nil || lb.GetWarmupDurationSecs() != nil {
		g.see(LoadBalancing, Inbound, path+".warmup", "")
	}
}
