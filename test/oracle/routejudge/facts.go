package routejudge

import (
	"fmt"
	"slices"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	cors "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	fault "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	internalupstream "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	raw "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	percent "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/routeworld"
)

// facts are what istiod wrote into a route or a chain of connections. A stock Envoy says which one a call meets.
type facts struct {
	to                                  []routecorpus.Share
	timeout, retries, fault, cors, hash string
	mirrors                             []string
	weighted                            bool
}

// reader describes parts of one proxy's configuration.
type reader struct {
	proxy *routeworld.Proxy
	world *routeworld.World
}

func (r *reader) route(in *route.Route) facts {
	f := facts{}
	a := in.GetRoute()
	for name, cfg := range in.GetTypedPerFilterConfig() {
		switch name {
		case "envoy.filters.http.fault":
			m := &fault.HTTPFault{}
			if cfg.UnmarshalTo(m) == nil {
				f.fault = faultText(m)
			}
		case "envoy.filters.http.cors":
			m := &cors.CorsPolicy{}
			if cfg.UnmarshalTo(m) == nil {
				f.cors = corsText(m)
			}
		}
	}
	if a == nil {
		return f
	}
	if w := a.GetWeightedClusters(); w != nil {
		f.weighted = true
		for _, c := range w.GetClusters() {
			f.to = append(f.to, r.share(c.GetName(), c.GetWeight().GetValue()))
		}
	} else {
		f.to = []routecorpus.Share{r.share(a.GetCluster(), 1)}
	}
	if t := a.GetTimeout().AsDuration(); t != 0 {
		f.timeout = t.String()
	}
	f.retries = retryText(a.GetRetryPolicy())
	for _, m := range a.GetRequestMirrorPolicies() {
		f.mirrors = append(f.mirrors, fmt.Sprintf("%s to %s", fraction(m.GetRuntimeFraction().GetDefaultValue()), r.share(m.GetCluster(), 1).To))
	}
	slices.Sort(f.mirrors)
	for _, h := range a.GetHashPolicy() {
		f.hash += hashText(h)
	}
	return f
}

func hashText(h *route.RouteAction_HashPolicy) string {
	switch {
	case h.GetHeader() != nil:
		return "header " + h.GetHeader().GetHeaderName()
	case h.GetCookie() != nil:
		return "cookie " + h.GetCookie().GetName()
	case h.GetConnectionProperties().GetSourceIp():
		return "source"
	case h.GetQueryParameter() != nil:
		return "query " + h.GetQueryParameter().GetName()
	}
	return "other"
}

func fraction(f *percent.FractionalPercent) string {
	of := map[percent.FractionalPercent_DenominatorType]float64{percent.FractionalPercent_HUNDRED: 1, percent.FractionalPercent_TEN_THOUSAND: 100, percent.FractionalPercent_MILLION: 10000}
	return fmt.Sprintf("%g%%", float64(f.GetNumerator())/of[f.GetDenominator()])
}

func faultText(m *fault.HTTPFault) string {
	var parts []string
	if a := m.GetAbort(); a != nil {
		status := fmt.Sprint(a.GetHttpStatus())
		if _, ok := a.GetErrorType().(*fault.FaultAbort_GrpcStatus); ok {
			status = fmt.Sprintf("grpc %d", a.GetGrpcStatus())
		}
		parts = append(parts, fmt.Sprintf("abort %s %s", status, fraction(a.GetPercentage())))
	}
	if d := m.GetDelay(); d != nil {
		parts = append(parts, fmt.Sprintf("delay %s %s", d.GetFixedDelay().AsDuration(), fraction(d.GetPercentage())))
	}
	return strings.Join(parts, ", ")
}

func corsText(m *cors.CorsPolicy) string {
	var origins []string
	for _, o := range m.GetAllowOriginStringMatch() {
		origins = append(origins, stringMatch(o))
	}
	out := fmt.Sprintf("origins %s methods %q headers %q expose %q age %q", strings.Join(origins, ","), m.GetAllowMethods(), m.GetAllowHeaders(), m.GetExposeHeaders(), m.GetMaxAge())
	if m.GetAllowCredentials() != nil {
		out += fmt.Sprintf(" credentials %v", m.GetAllowCredentials().GetValue())
	}
	return out
}

func stringMatch(m *matcher.StringMatcher) string {
	switch p := m.GetMatchPattern().(type) {
	case *matcher.StringMatcher_Exact:
		return "exact " + p.Exact
	case *matcher.StringMatcher_Prefix:
		return "prefix " + p.Prefix
	case *matcher.StringMatcher_SafeRegex:
		return "regex " + p.SafeRegex.GetRegex()
	}
	return m.String()
}

func retryText(p *route.RetryPolicy) string {
	if p == nil {
		return ""
	}
	out := fmt.Sprintf("%d on %s", p.GetNumRetries().GetValue(), p.GetRetryOn())
	if len(p.GetRetriableStatusCodes()) > 0 {
		out += fmt.Sprintf(" codes %v", p.GetRetriableStatusCodes())
	}
	if t := p.GetPerTryTimeout().AsDuration(); t != 0 {
		out += " each " + t.String()
	}
	if b := p.GetRetryBackOff().GetBaseInterval().AsDuration(); b != 0 {
		out += " after " + b.String()
	}
	return out
}

// share says what stands behind a cluster.
func (r *reader) share(name string, weight uint32) routecorpus.Share {
	s := routecorpus.Share{Weight: weight}
	c := r.proxy.Clusters[name]
	if c == nil || name == "BlackHoleCluster" {
		return s
	}
	s.Policy = policy(c)
	if c.GetType() == cluster.Cluster_ORIGINAL_DST {
		s.To = "original destination"
		return s
	}
	var names []string
	port := uint32(0)
	for _, l := range r.proxy.Endpoints[name].GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			a := e.GetEndpoint().GetAddress().GetSocketAddress()
			port = a.GetPortValue()
			switch pod := r.world.Pods[a.GetAddress()]; {
			case pod != "":
				names = append(names, pod)
			case a == nil:
				names = append(names, "internal "+e.GetEndpoint().GetAddress().String())
			case strings.Trim(a.GetAddress(), "0123456789.") == "":
				names = append(names, "address "+a.GetAddress())
			default:
				names = append(names, "name "+a.GetAddress())
			}
		}
	}
	slices.Sort(names)
	s.To = "nobody"
	if len(names) > 0 {
		s.To = fmt.Sprintf("%s:%d", strings.Join(slices.Compact(names), ","), port)
	}
	return s
}

// policy lists what istiod wrote into a cluster beside its defaults.
func policy(c *cluster.Cluster) map[string]string {
	out := map[string]string{}
	put := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" && text != "0" {
			out[name] = text
		}
	}
	put("tls", tlsText(chosenSocket(c)))
	if c.GetType() != cluster.Cluster_ORIGINAL_DST && c.GetLbPolicy() != cluster.Cluster_LEAST_REQUEST {
		put("balance", c.GetLbPolicy())
	}
	if c.GetCommonLbConfig().GetLocalityWeightedLbConfig() != nil {
		put("locality", "weighted")
	}
	value := func(name string, v *wrapperspb.UInt32Value, usual uint32) {
		if v != nil && v.GetValue() != usual {
			put(name, v.GetValue())
		}
	}
	const most = 1<<32 - 1
	for _, t := range c.GetCircuitBreakers().GetThresholds() {
		value("connections", t.GetMaxConnections(), most)
		value("pending", t.GetMaxPendingRequests(), most)
		value("requests", t.GetMaxRequests(), most)
		value("maxRetries", t.GetMaxRetries(), most)
		if t.GetRetryBudget() != nil {
			put("budget", fmt.Sprintf("%g min %d", t.GetRetryBudget().GetBudgetPercent().GetValue(), t.GetRetryBudget().GetMinRetryConcurrency().GetValue()))
		}
	}
	if o := c.GetOutlierDetection(); o != nil {
		put("outlier", fmt.Sprintf("5xx=%d gateway=%d ejection=%s", o.GetConsecutive_5Xx().GetValue(), o.GetConsecutiveGatewayFailure().GetValue(), o.GetBaseEjectionTime().AsDuration()))
	}
	if t := c.GetConnectTimeout().AsDuration(); t.Seconds() != 10 {
		put("connect", t)
	}
	return out
}

// chosenSocket is what speaks to endpoints without a tunnel: nil where istiod lets the endpoint decide between the mesh's own
// TLS and none.
func chosenSocket(c *cluster.Cluster) *core.TransportSocket {
	matches := c.GetTransportSocketMatches()
	if len(matches) == 0 {
		return c.GetTransportSocket()
	}
	if slices.ContainsFunc(matches, func(m *cluster.Cluster_TransportSocketMatch) bool {
		return strings.HasPrefix(m.GetName(), "tlsMode-istio")
	}) {
		return nil
	}
	return matches[len(matches)-1].GetTransportSocket()
}

func tlsText(s *core.TransportSocket) string {
	if inner := (&internalupstream.InternalUpstreamTransport{}); s != nil && s.GetTypedConfig().UnmarshalTo(inner) == nil {
		s = inner.GetTransportSocket() // what is spoken inside of a tunnel
	}
	m := &tls.UpstreamTlsContext{}
	if s == nil || s.GetTypedConfig().MessageIs(&raw.RawBuffer{}) {
		return ""
	}
	if s.GetTypedConfig().UnmarshalTo(m) != nil {
		return s.GetName()
	}
	common := m.GetCommonTlsContext()
	mode := "SIMPLE"
	for _, c := range common.GetTlsCertificateSdsSecretConfigs() {
		mode = "MUTUAL"
		if c.GetName() == "default" {
			mode = "ISTIO_MUTUAL"
		}
	}
	if m.GetSni() != "" && mode != "ISTIO_MUTUAL" {
		mode += " sni " + m.GetSni()
	}
	return mode
}
