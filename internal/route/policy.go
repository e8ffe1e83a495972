package route

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	apinetworking "istio.io/api/networking/v1alpha3"
)

// parts of a traffic policy as read from one place, a destination's, a port's or a subset's.
type layer struct {
	lb      *apinetworking.LoadBalancerSettings
	pool    *apinetworking.ConnectionPoolSettings
	outlier *apinetworking.OutlierDetection
	tls     *apinetworking.ClientTLSSettings
	tunnel  *apinetworking.TrafficPolicy_TunnelSettings
	proxy   *apinetworking.TrafficPolicy_ProxyProtocol
	budget  *apinetworking.TrafficPolicy_RetryBudget
	from    map[Part]Origin
}

// portLayer reads the policy of a port: a port's own settings replace all others, and what they leave out is the
// default (util.go GetPortLevelTrafficPolicy).
func portLayer(p *apinetworking.TrafficPolicy, port uint32, at Origin) (layer, bool) {
	if p == nil {
		return layer{}, false
	}
	for i, s := range p.GetPortLevelSettings() {
		if s.GetPort().GetNumber() == port {
			here := Origin{at.Object, fmt.Sprintf("%s.portLevelSettings[%d]", at.Field, i)}
			l := layer{lb: s.GetLoadBalancer(), pool: s.GetConnectionPool(), outlier: s.GetOutlierDetection(), tls: s.GetTls(), from: map[Part]Origin{}}
			l.note(here)
			return l, true
		}
	}
	l := layer{lb: p.GetLoadBalancer(), pool: p.GetConnectionPool(), outlier: p.GetOutlierDetection(), tls: p.GetTls(),
		tunnel: p.GetTunnel(), proxy: p.GetProxyProtocol(), budget: p.GetRetryBudget(), from: map[Part]Origin{}}
	l.note(at)
	return l, false
}

func (l *layer) note(at Origin) {
	set := func(p Part, field string) { l.from[p] = Origin{at.Object, at.Field + "." + field} }
	if l.lb != nil {
		set(PartBalance, "loadBalancer.simple")
		set(PartAffinity, "loadBalancer.consistentHash")
		set(PartLocality, "loadBalancer.localityLbSetting")
		if l.lb.GetZoneAwareLbSetting() != nil {
			set(PartLocality, "loadBalancer.zoneAwareLbSetting")
		}
		if l.lb.GetWarmup() != nil {
			set(PartBalance, "loadBalancer.warmup")
		}
	}
	if l.pool != nil {
		set(PartPool, "connectionPool")
		set(PartUpgrade, "connectionPool.http.h2UpgradePolicy")
	}
	if l.outlier != nil {
		set(PartOutlier, "outlierDetection")
	}
	if l.tls != nil {
		set(PartTLS, "tls.mode")
	}
	if l.tunnel != nil {
		set(PartTunnel, "tunnel")
	}
	if l.proxy != nil {
		set(PartTunnel, "proxyProtocol")
	}
	if l.budget != nil {
		set(PartBudget, "retryBudget")
	}
}

// over lays a subset's settings over the destination's; with settings of its own for the port, those replace what
// a port may set.
func (l layer) over(s layer, own bool) layer {
	move := func(parts ...Part) {
		for _, p := range parts {
			if o, ok := s.from[p]; ok {
				l.from[p] = o
			} else {
				delete(l.from, p)
			}
		}
	}
	if s.lb != nil || own {
		l.lb = s.lb
		move(PartBalance, PartAffinity, PartLocality)
	}
	if s.pool != nil || own {
		l.pool = s.pool
		move(PartPool, PartUpgrade)
	}
	if s.outlier != nil || own {
		l.outlier = s.outlier
		move(PartOutlier)
	}
	if s.tls != nil || own {
		l.tls = s.tls
		move(PartTLS)
	}
	if s.tunnel != nil {
		l.tunnel = s.tunnel
		move(PartTunnel)
	}
	if s.proxy != nil {
		l.proxy = s.proxy
		move(PartTunnel)
	}
	if s.budget != nil {
		l.budget = s.budget
		move(PartBudget)
	}
	return l
}

// policy is how a client speaks to a port of a Service, at a subset; false where the subset does not exist.
func (w *World) policy(s *Service, host string, port Port, name string, who client) (Policy, *subset, bool) {
	m := effective(w.rulesFor(s, host, who), who)
	var chosen *subset
	if name != "" {
		for i := range m.subsets {
			if m.subsets[i].GetName() == name {
				chosen = &m.subsets[i]
			}
		}
		if chosen == nil {
			return Policy{}, nil, false
		}
	}
	l, _ := portLayer(m.policy, port.Number, m.origins[m.policy])
	if l.from == nil {
		l.from = map[Part]Origin{}
	}
	for p, o := range m.parts {
		l.from[p] = o
	}
	if chosen != nil && chosen.GetTrafficPolicy() != nil {
		at := Origin{chosen.origin.Object, chosen.origin.Field + ".trafficPolicy"}
		sub, own := portLayer(chosen.GetTrafficPolicy(), port.Number, at)
		l = l.over(sub, own)
	}
	return w.texts(l, s, port), chosen, true
}

// texts writes a policy canonically: what is the default of Envoy or of Istio is empty.
func (w *World) texts(l layer, s *Service, port Port) Policy {
	p := Policy{From: l.from, TLS: tlsText(l.tls, s), Pool: poolText(l.pool), RetryBudget: canonical(l.budget)}
	switch lb := l.lb.GetLbPolicy().(type) {
	case *apinetworking.LoadBalancerSettings_ConsistentHash:
		p.Affinity = orEmpty(lb.ConsistentHash)
	case *apinetworking.LoadBalancerSettings_Simple:
		p.Balance = simpleText(lb.Simple)
	}
	if warm := l.lb.GetWarmup(); warm != nil {
		p.Balance += " warmup " + orEmpty(warm)
	} else if d := l.lb.GetWarmupDurationSecs(); d != nil { //nolint:staticcheck // deprecated and still read
		p.Balance += " warmup " + d.AsDuration().String()
	}
	p.Locality = w.localityText(&p, l, s)
	if l.outlier != nil {
		p.Outlier = orEmpty(l.outlier)
	}
	if l.tunnel != nil {
		p.Tunnel = orEmpty(l.tunnel)
	}
	if l.proxy != nil {
		p.Tunnel += " PROXY " + l.proxy.GetVersion().String()
	}
	if w.upgrades(l.pool, port) {
		p.Upgrade = "HTTP/2"
		if l.pool.GetHttp().GetH2UpgradePolicy() == apinetworking.ConnectionPoolSettings_HTTPSettings_DEFAULT {
			p.From[PartUpgrade] = Origin{w.Config.ConfigRef, "data.mesh: h2UpgradePolicy"}
		}
	}
	return p
}

// orEmpty is canonical, but for a message that is set and empty: it turns defaults on.
func orEmpty(m proto.Message) string {
	if t := canonical(m); t != "" {
		return t
	}
	return "{}"
}

// tlsText is the TLS that is spoken beside the mesh's own. Towards workloads of the mesh ISTIO_MUTUAL is what
// happens anyway, and with DISABLE a call is never less protected in ambient mode.
func tlsText(t *apinetworking.ClientTLSSettings, s *Service) string {
	switch t.GetMode() {
	case apinetworking.ClientTLSSettings_DISABLE:
		return ""
	case apinetworking.ClientTLSSettings_ISTIO_MUTUAL:
		if len(s.Workloads) > 0 {
			return ""
		}
	}
	if t == nil {
		return ""
	}
	return t.GetMode().String() + " " + canonical(t)
}

// simpleText is empty for the algorithms that are Istio's default.
func simpleText(s apinetworking.LoadBalancerSettings_SimpleLB) string {
	switch s {
	case apinetworking.LoadBalancerSettings_UNSPECIFIED, apinetworking.LoadBalancerSettings_LEAST_REQUEST,
		apinetworking.LoadBalancerSettings_LEAST_CONN: //nolint:staticcheck // an old name of the default
		return ""
	}
	return s.String()
}

func poolText(p *apinetworking.ConnectionPoolSettings) string {
	if p.GetHttp().GetH2UpgradePolicy() != apinetworking.ConnectionPoolSettings_HTTPSettings_DEFAULT {
		p = p.DeepCopy()
		p.Http.H2UpgradePolicy = apinetworking.ConnectionPoolSettings_HTTPSettings_DEFAULT
	}
	if p.GetHttp() != nil && canonical(p.GetHttp()) == "" {
		p = p.DeepCopy()
		p.Http = nil
	}
	return canonical(p)
}

// localityText is what prefers near endpoints: a rule's setting, else the Service's traffic distribution, which
// every proxy follows, else the mesh's (loadbalancer.go GetEffectiveLbSetting).
func (w *World) localityText(p *Policy, l layer, s *Service) string {
	if z := l.lb.GetZoneAwareLbSetting(); z != nil {
		return "zone-aware " + canonical(z)
	}
	if own := l.lb.GetLocalityLbSetting(); own != nil {
		if own.GetEnabled() != nil && !own.GetEnabled().GetValue() {
			return ""
		}
		return orEmpty(own)
	}
	if s.Distribution != "" {
		return ""
	}
	if m := w.Config.Locality; m != nil {
		p.From[PartLocality] = Origin{w.Config.ConfigRef, "data.mesh: localityLbSetting"}
		return orEmpty(m)
	}
	return ""
}

// upgrades reports whether HTTP/1.1 calls are turned into HTTP/2 (cluster_traffic_policy.go shouldH2Upgrade).
func (w *World) upgrades(pool *apinetworking.ConnectionPoolSettings, port Port) bool {
	http := pool.GetHttp()
	switch {
	case http.GetUseClientProtocol(), port.Protocol == Auto: // the client's protocol is kept where none is declared
		return false
	case http.GetH2UpgradePolicy() == apinetworking.ConnectionPoolSettings_HTTPSettings_UPGRADE:
		return true
	case http.GetH2UpgradePolicy() == apinetworking.ConnectionPoolSettings_HTTPSettings_DO_NOT_UPGRADE:
		return false
	}
	return port.Protocol == HTTP && w.Config.H2Upgrade
}
