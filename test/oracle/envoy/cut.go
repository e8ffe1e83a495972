// Package envoy asks a stock Envoy what istiod's listeners decide.
//
// The listeners stay as istiod built them: filter chain matches, listener filters, HTTP connection manager options, the
// jwt_authn, ext_authz and RBAC filters and their order. Cut away is what a stock build lacks or what leads elsewhere: Istio's
// own filters (stats, peer metadata, ALPN), access logs, tracing; routes answer 200 at once and TCP goes to an echo server.
package envoy

import (
	"fmt"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	sfsvalue "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	sfshttp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	originaldst "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	proxyprotocol "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	sfsnetwork "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	tcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	echoCluster = "oracle-echo"
	// caseHeader selects a waypoint's internal listener on the shared tunnel termination listener.
	caseHeader = "x-oracle-case"
	// idHeader names a request to the ext-authz provider.
	idHeader = "x-oracle-id"

	typePrefix = "type.googleapis.com/"
	// istioString is Istio's own filter state object; Envoy's behaves the same for a string matcher.
	istioString, envoyString = "istio.hashable_string", "envoy.hashable_string"
)

// keptNetwork and keptHTTP are the filters that decide, or that the deciding ones read from. Every other filter is cut.
var (
	keptNetwork = map[string]bool{
		typePrefix + "envoy.extensions.filters.network.rbac.v3.RBAC":               true,
		typePrefix + "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz":      true,
		typePrefix + "envoy.extensions.filters.network.set_filter_state.v3.Config": true,
	}
	keptHTTP = map[string]bool{
		typePrefix + "envoy.extensions.filters.http.rbac.v3.RBAC":                   true,
		typePrefix + "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication": true,
		typePrefix + "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz":          true,
		typePrefix + "envoy.extensions.filters.http.set_filter_state.v3.Config":     true,
		typePrefix + "envoy.extensions.filters.http.router.v3.Router":               true,
	}
)

func mustAny(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err) // only for messages of this package's own making
	}
	return a
}

// cutSidecar makes a virtual inbound listener run on a loopback port. The PROXY protocol stands in for the iptables
// redirection: it carries the original destination. The source address is the connection's own.
func cutSidecar(l *listener.Listener, port uint32, pki *PKI) (*listener.Listener, error) {
	l = proto.Clone(l).(*listener.Listener)
	l.Name = fmt.Sprintf("sidecar-%d", port)
	l.Address = &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: "0.0.0.0", PortSpecifier: &core.SocketAddress_PortValue{PortValue: port}}}}
	l.AdditionalAddresses = nil
	l.AccessLog, l.ConnectionBalanceConfig = nil, nil
	l.ListenerFiltersTimeout = durationpb.New(5 * time.Second)
	filters := []*listener.ListenerFilter{{Name: "proxy_protocol",
		ConfigType: &listener.ListenerFilter_TypedConfig{TypedConfig: mustAny(&proxyprotocol.ProxyProtocol{})}}}
	originalDst := typePrefix + string((&originaldst.OriginalDst{}).ProtoReflect().Descriptor().FullName())
	for _, f := range l.ListenerFilters {
		if f.GetTypedConfig().GetTypeUrl() != originalDst {
			filters = append(filters, f)
		}
	}
	l.ListenerFilters = filters
	return l, cutChains(l, pki)
}

// cutInternal renames the main internal listener of a waypoint or of an HBONE sidecar, so that many can live in one Envoy.
func cutInternal(l *listener.Listener, name string, pki *PKI) (*listener.Listener, error) {
	l = proto.Clone(l).(*listener.Listener)
	l.Name, l.AccessLog = name, nil
	return l, cutChains(l, pki)
}

// cutTerminate makes the waypoint's tunnel termination listener route to the internal listeners of all cases.
func cutTerminate(l *listener.Listener, port uint32, internals []string, pki *PKI) (*listener.Listener, error) {
	l = proto.Clone(l).(*listener.Listener)
	l.AccessLog, l.ConnectionBalanceConfig, l.AdditionalAddresses = nil, nil, nil
	l.Address.GetSocketAddress().PortSpecifier = &core.SocketAddress_PortValue{PortValue: port}
	if err := cutChains(l, pki); err != nil {
		return nil, err
	}
	connect := &route.RouteAction{UpgradeConfigs: []*route.RouteAction_UpgradeConfig{{
		UpgradeType: "CONNECT", ConnectConfig: &route.RouteAction_UpgradeConfig_ConnectConfig{}}}}
	var routes []*route.Route
	for _, name := range internals {
		action := proto.Clone(connect).(*route.RouteAction)
		action.ClusterSpecifier = &route.RouteAction_Cluster{Cluster: name}
		routes = append(routes, &route.Route{
			Match: &route.RouteMatch{
				PathSpecifier: &route.RouteMatch_ConnectMatcher_{ConnectMatcher: &route.RouteMatch_ConnectMatcher{}},
				Headers:       []*route.HeaderMatcher{exactHeader(caseHeader, name)},
			},
			Action: &route.Route_Route{Route: action},
		})
	}
	return l, editHCM(l.FilterChains[0].Filters[0], func(h *hcm.HttpConnectionManager) error {
		h.Http2ProtocolOptions.ConnectionKeepalive = nil
		h.RouteSpecifier = routeConfig(routes...)
		return nil
	})
}

func cutChains(l *listener.Listener, pki *PKI) error {
	for _, chain := range l.FilterChains {
		var kept []*listener.Filter
		for _, f := range chain.Filters {
			keep, err := cutNetworkFilter(f)
			if err != nil {
				return fmt.Errorf("listener %s, chain %s, filter %s: %w", l.Name, chain.Name, f.Name, err)
			}
			if keep {
				kept = append(kept, f)
			}
		}
		chain.Filters = kept
		if chain.TransportSocket != nil {
			if err := pki.replaceCertificates(chain.TransportSocket); err != nil {
				return fmt.Errorf("listener %s, chain %s: %w", l.Name, chain.Name, err)
			}
		}
	}
	return nil
}

// cutNetworkFilter edits a filter in place and says whether it stays.
func cutNetworkFilter(f *listener.Filter) (bool, error) {
	switch url := f.GetTypedConfig().GetTypeUrl(); {
	case f.GetTypedConfig().MessageIs(&hcm.HttpConnectionManager{}):
		return true, editHCM(f, cutHCM)
	case f.GetTypedConfig().MessageIs(&tcp.TcpProxy{}):
		p := &tcp.TcpProxy{StatPrefix: "tcp", ClusterSpecifier: &tcp.TcpProxy_Cluster{Cluster: echoCluster}}
		f.ConfigType = &listener.Filter_TypedConfig{TypedConfig: mustAny(p)}
		return true, nil
	case f.GetTypedConfig().MessageIs(&sfshttp.Config{}):
		// set_dst_address carries the HTTP message as a network filter's; it serves multi-network routing only.
		return false, nil
	case f.GetTypedConfig().MessageIs(&sfsnetwork.Config{}):
		c := &sfsnetwork.Config{}
		if err := f.GetTypedConfig().UnmarshalTo(c); err != nil {
			return false, err
		}
		stockStrings(c.OnNewConnection)
		f.ConfigType = &listener.Filter_TypedConfig{TypedConfig: mustAny(c)}
		return true, nil
	default:
		return keptNetwork[url], nil
	}
}

func editHCM(f *listener.Filter, edit func(*hcm.HttpConnectionManager) error) error {
	h := &hcm.HttpConnectionManager{}
	if err := f.GetTypedConfig().UnmarshalTo(h); err != nil {
		return err
	}
	if err := edit(h); err != nil {
		return err
	}
	f.ConfigType = &listener.Filter_TypedConfig{TypedConfig: mustAny(h)}
	return nil
}

func cutHCM(h *hcm.HttpConnectionManager) error {
	h.AccessLog, h.Tracing, h.AccessLogOptions, h.RequestIdExtension = nil, nil, nil, nil
	h.RouteSpecifier = routeConfig(&route.Route{
		Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
		Action: &route.Route_DirectResponse{DirectResponse: &route.DirectResponseAction{Status: 200}},
	})
	var kept []*hcm.HttpFilter
	for _, f := range h.HttpFilters {
		if !keptHTTP[f.GetTypedConfig().GetTypeUrl()] {
			continue
		}
		if f.GetTypedConfig().MessageIs(&sfshttp.Config{}) {
			c := &sfshttp.Config{}
			if err := f.GetTypedConfig().UnmarshalTo(c); err != nil {
				return err
			}
			stockStrings(c.OnRequestHeaders)
			f.ConfigType = &hcm.HttpFilter_TypedConfig{TypedConfig: mustAny(c)}
		}
		kept = append(kept, f)
	}
	h.HttpFilters = kept
	return nil
}

// stockStrings replaces Istio's string object by Envoy's.
func stockStrings(values []*sfsvalue.FilterStateValue) {
	for _, v := range values {
		if v.FactoryKey == istioString {
			v.FactoryKey = envoyString
		}
	}
}

func routeConfig(routes ...*route.Route) *hcm.HttpConnectionManager_RouteConfig {
	return &hcm.HttpConnectionManager_RouteConfig{RouteConfig: &route.RouteConfiguration{
		VirtualHosts: []*route.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: routes}}}}
}

// internalCluster connects to an internal listener the way istiod's main_internal cluster does.
func internalCluster(template *cluster.Cluster, name string) *cluster.Cluster {
	c := proto.Clone(template).(*cluster.Cluster)
	c.Name = name
	c.AltStatName = ""
	if c.LoadAssignment != nil {
		c.LoadAssignment.ClusterName = name
		for _, l := range c.LoadAssignment.Endpoints {
			for _, e := range l.LbEndpoints {
				a := e.GetEndpoint().GetAddress().GetEnvoyInternalAddress()
				a.AddressNameSpecifier = &core.EnvoyInternalAddress_ServerListenerName{ServerListenerName: name}
			}
		}
	}
	return c
}

// hasTLS says whether a connection to this container port could be mTLS, by istiod's filter chain matches.
func hasTLS(l *listener.Listener, port int) bool {
	exact, exactTLS, anyTLS := false, false, false
	for _, chain := range l.FilterChains {
		ctx := chain.TransportSocket.GetTypedConfig().MessageIs(&tls.DownstreamTlsContext{})
		switch p := chain.GetFilterChainMatch().GetDestinationPort(); {
		case p == nil:
			anyTLS = anyTLS || ctx
		case int(p.Value) == port:
			exact, exactTLS = true, exactTLS || ctx
		}
	}
	if exact {
		return exactTLS
	}
	return anyTLS
}

func exactHeader(name, value string) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: name, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: value}}}}
}
