// Package routejudge asks a stock Envoy which of istiod's routes a call meets, and what comes of it.
//
// Virtual hosts, routes, clusters and filter chain matches stay as istiod wrote them. All listeners of a proxy become one, behind the
// PROXY protocol, which carries the address that was called as the redirection by iptables (or the tunnel) does. Backends answer at every
// pod's address and say what they saw. Cut away is what a stock build lacks (stats, peer metadata, ALPN), TLS towards backends, and what
// makes an answer depend on earlier ones (outlier detection, connection limits); those are compared as istiod wrote them.
package routejudge

import (
	"fmt"
	"slices"
	"strings"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	httpinspector "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	proxyprotocol "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsinspector "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	upstreamhttp "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"istio.io/istio/pilot/pkg/model"
	istiocore "istio.io/istio/pilot/pkg/networking/core"

	"github.com/sidestep-mesh/sidestep/test/oracle/routecorpus"
	"github.com/sidestep-mesh/sidestep/test/oracle/routeworld"
)

const (
	routeHeader  = "x-oracle-route"
	randomHeader = "x-oracle-random"
	markerPort   = 9999
)

// prepared is one proxy, ready to run beside others in one Envoy.
type prepared struct {
	reader
	prefix   string
	port     uint32
	listener *listener.Listener
	clusters []*cluster.Cluster
	routes   []facts
	chains   map[string]facts // by the address of a chain's marker
	markers  func() string    // deals out addresses
	configs  map[string]*route.RouteConfiguration
	wanted   map[string]bool
	names    map[string]string // addresses that stand for names
}

func prepare(p *routeworld.Proxy, w *routeworld.World, number int, markers func() string) (*prepared, error) {
	out := &prepared{reader: reader{p, w}, prefix: fmt.Sprintf("%d|", number), port: firstPort + uint32(number), chains: map[string]facts{},
		markers: markers, configs: map[string]*route.RouteConfiguration{}, wanted: map[string]bool{}, names: map[string]string{}}
	l := &listener.Listener{Name: fmt.Sprintf("proxy-%d", number), Address: address("0.0.0.0", out.port),
		ListenerFiltersTimeout: durationpb.New(2e9), ContinueOnListenerFiltersTimeout: true,
		ListenerFilters: []*listener.ListenerFilter{
			listenerFilter("proxy_protocol", &proxyprotocol.ProxyProtocol{}),
			listenerFilter("tls_inspector", &tlsinspector.TlsInspector{}),
			listenerFilter("http_inspector", &httpinspector.HttpInspector{}),
		}}
	for _, in := range p.Listeners {
		switch {
		case p.Point == routecorpus.Waypoint:
			if in.Name == istiocore.MainInternalName {
				c := proto.Clone(in).(*listener.Listener)
				l.FilterChains, l.FilterChainMatcher, l.DefaultFilterChain = c.FilterChains, c.FilterChainMatcher, c.DefaultFilterChain
			}
		case in.TrafficDirection == core.TrafficDirection_INBOUND && p.Point == routecorpus.Sidecar:
		case in.GetAddress().GetSocketAddress() == nil: // leads into tunnels
		case in.Name == model.VirtualOutboundListenerName:
			l.DefaultFilterChain = proto.Clone(in.DefaultFilterChain).(*listener.FilterChain)
		default:
			l.FilterChains = append(l.FilterChains, chains(in)...)
		}
	}
	if len(l.FilterChains) == 0 { // Envoy wants one; nobody calls port 1
		l.FilterChains = []*listener.FilterChain{closing(&listener.FilterChainMatch{DestinationPort: wrapperspb.UInt32(1)})}
	}
	for i, c := range l.FilterChains {
		if p.Point != routecorpus.Waypoint {
			c.Name = fmt.Sprint(i)
		}
		if err := out.chain(c); err != nil {
			return nil, err
		}
	}
	if l.DefaultFilterChain != nil {
		if err := out.chain(l.DefaultFilterChain); err != nil {
			return nil, err
		}
	}
	out.listener = l
	for name := range out.wanted {
		if c := out.proxy.Clusters[name]; c != nil {
			out.clusters = append(out.clusters, out.cluster(c))
		}
	}
	return out, nil
}

// chains are a listener's filter chains, matching what the listener's address would.
func chains(in *listener.Listener) []*listener.FilterChain {
	a := in.GetAddress().GetSocketAddress()
	var list []*listener.FilterChain
	for _, c := range in.FilterChains {
		list = append(list, proto.Clone(c).(*listener.FilterChain))
	}
	if in.DefaultFilterChain != nil {
		list = append(list, proto.Clone(in.DefaultFilterChain).(*listener.FilterChain))
	}
	if in.DefaultFilterChain == nil { // what no chain matches is closed, and must not fall to those of other listeners
		last := closing(&listener.FilterChainMatch{})
		if !slices.ContainsFunc(list, func(c *listener.FilterChain) bool { return catchesAll(c.GetFilterChainMatch()) }) {
			list = append(list, last)
		}
	}
	for _, c := range list {
		if c.FilterChainMatch == nil {
			c.FilterChainMatch = &listener.FilterChainMatch{}
		}
		m := c.FilterChainMatch
		m.DestinationPort = wrapperspb.UInt32(a.GetPortValue())
		if a.GetAddress() != "0.0.0.0" && len(m.PrefixRanges) == 0 {
			m.PrefixRanges = []*core.CidrRange{{AddressPrefix: a.GetAddress(), PrefixLen: wrapperspb.UInt32(32)}}
		}
	}
	return list
}

// closing is a chain that closes what it is given.
func closing(m *listener.FilterChainMatch) *listener.FilterChain {
	return &listener.FilterChain{FilterChainMatch: m, Filters: []*listener.Filter{networkFilter("tcp",
		&tcp.TcpProxy{StatPrefix: "closed", ClusterSpecifier: &tcp.TcpProxy_Cluster{Cluster: "closed"}})}}
}

// catchesAll reports whether a chain takes every connection of its listener.
func catchesAll(m *listener.FilterChainMatch) bool {
	return m == nil || len(m.GetServerNames()) == 0 && len(m.GetApplicationProtocols()) == 0 && m.GetTransportProtocol() == "" && len(m.GetPrefixRanges()) == 0
}

func (p *prepared) chain(c *listener.FilterChain) error {
	c.TransportSocket, c.Metadata = nil, nil
	var kept []*listener.Filter
	for _, f := range c.Filters {
		switch {
		case f.GetTypedConfig().MessageIs(&hcm.HttpConnectionManager{}):
			h := &hcm.HttpConnectionManager{}
			if err := f.GetTypedConfig().UnmarshalTo(h); err != nil {
				return err
			}
			if err := p.manager(h); err != nil {
				return err
			}
			kept = append(kept, networkFilter("http", h))
		case f.GetTypedConfig().MessageIs(&tcp.TcpProxy{}):
			t := &tcp.TcpProxy{}
			if err := f.GetTypedConfig().UnmarshalTo(t); err != nil {
				return err
			}
			kept = append(kept, networkFilter("tcp", p.connections(t)))
		}
	}
	c.Filters = kept
	return nil
}

// connections sends a chain's connections to an address of its own, which tells the chain.
func (p *prepared) connections(t *tcp.TcpProxy) *tcp.TcpProxy {
	f := facts{}
	if w := t.GetWeightedClusters(); w != nil {
		for _, c := range w.GetClusters() {
			f.to = append(f.to, p.share(c.GetName(), c.GetWeight()))
		}
	} else {
		f.to = []routecorpus.Share{p.share(t.GetCluster(), 1)}
	}
	marker := p.markers()
	p.chains[marker] = f
	name := p.prefix + "marker|" + marker
	p.clusters = append(p.clusters, &cluster.Cluster{Name: name, ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_STATIC},
		LoadAssignment: assignment(name, marker, markerPort)})
	return &tcp.TcpProxy{StatPrefix: "tcp", ClusterSpecifier: &tcp.TcpProxy_Cluster{Cluster: name}}
}

const typePrefix = "type.googleapis.com/envoy.extensions.filters.http."

func (p *prepared) manager(h *hcm.HttpConnectionManager) error {
	h.AccessLog, h.Tracing, h.AccessLogOptions, h.RequestIdExtension = nil, nil, nil, nil
	h.StatPrefix = "http"
	var in *route.RouteConfiguration
	switch {
	case h.GetRds() != nil:
		in = p.proxy.Routes[h.GetRds().GetRouteConfigName()]
	default:
		in = h.GetRouteConfig()
	}
	if in == nil {
		return fmt.Errorf("istiod made no route configuration %s", h.GetRds().GetRouteConfigName())
	}
	h.RouteSpecifier = &hcm.HttpConnectionManager_RouteConfig{RouteConfig: p.config(in, h.GetRds() != nil)}
	h.LocalReplyConfig = &hcm.LocalReplyConfig{Mappers: []*hcm.ResponseMapper{{
		Filter:       &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_NotHealthCheckFilter{NotHealthCheckFilter: &accesslog.NotHealthCheckFilter{}}},
		HeadersToAdd: []*core.HeaderValueOption{routeName()},
	}}}
	var kept []*hcm.HttpFilter
	for _, f := range h.HttpFilters {
		switch url := f.GetTypedConfig().GetTypeUrl(); url {
		case typePrefix + "fault.v3.HTTPFault", typePrefix + "cors.v3.Cors":
			kept = append(kept, f)
		case typePrefix + "router.v3.Router":
			r := &router.Router{}
			if err := f.GetTypedConfig().UnmarshalTo(r); err != nil {
				return err
			}
			r.UpstreamHttpFilters, r.UpstreamLog = nil, nil
			f.ConfigType = &hcm.HttpFilter_TypedConfig{TypedConfig: mustAny(r)}
			kept = append(kept, f)
		}
	}
	h.HttpFilters = kept
	return nil
}

func routeName() *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: routeHeader, Value: "%ROUTE_NAME%"}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
}

// config numbers the routes of a configuration, so that an answer tells which one it met.
func (p *prepared) config(in *route.RouteConfiguration, shared bool) *route.RouteConfiguration {
	if c := p.configs[in.Name]; shared && c != nil {
		return c
	}
	c := proto.Clone(in).(*route.RouteConfiguration)
	c.ValidateClusters = wrapperspb.Bool(false)
	c.ResponseHeadersToAdd = append(c.ResponseHeadersToAdd, routeName())
	for _, v := range c.VirtualHosts {
		v.Metadata, v.TypedPerFilterConfig = nil, nil
		for _, r := range v.Routes {
			f := p.route(r)
			r.Name = fmt.Sprint(len(p.routes))
			p.routes = append(p.routes, f)
			p.cutRoute(r)
		}
	}
	p.configs[in.Name] = c
	return c
}

func (p *prepared) cutRoute(r *route.Route) {
	r.Metadata, r.Decorator, r.Tracing = nil, nil, nil
	for name := range r.TypedPerFilterConfig {
		if name != "envoy.filters.http.fault" && name != "envoy.filters.http.cors" {
			delete(r.TypedPerFilterConfig, name)
		}
	}
	a := r.GetRoute()
	if a == nil {
		return
	}
	if c, ok := a.ClusterSpecifier.(*route.RouteAction_Cluster); ok {
		p.wanted[c.Cluster] = true
		c.Cluster = p.prefix + c.Cluster
	}
	if w := a.GetWeightedClusters(); w != nil {
		w.RandomValueSpecifier = &route.WeightedCluster_HeaderName{HeaderName: randomHeader}
		for _, c := range w.Clusters {
			p.wanted[c.Name] = true
			c.Name = p.prefix + c.Name
			c.TypedPerFilterConfig = nil
		}
	}
	for _, m := range a.RequestMirrorPolicies {
		p.wanted[m.Cluster] = true
		m.Cluster = p.prefix + m.Cluster
	}
}

// cluster leads to the same endpoints without TLS, and without what remembers earlier calls.
func (p *prepared) cluster(in *cluster.Cluster) *cluster.Cluster {
	c := proto.Clone(in).(*cluster.Cluster)
	name := p.prefix + in.Name
	c.Name, c.AltStatName = name, ""
	c.TransportSocket, c.TransportSocketMatches, c.Filters, c.Metadata = nil, nil, nil, nil
	c.CircuitBreakers, c.OutlierDetection, c.CommonLbConfig, c.UpstreamConnectionOptions = nil, nil, nil, nil
	c.EdsClusterConfig, c.UpstreamBindConfig = nil, nil
	if raw := c.TypedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]; raw != nil {
		o := &upstreamhttp.HttpProtocolOptions{}
		if raw.UnmarshalTo(o) == nil {
			o.HttpFilters = nil
			c.TypedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"] = mustAny(o)
		}
	}
	if c.GetType() == cluster.Cluster_ORIGINAL_DST {
		return c
	}
	c.ClusterDiscoveryType = &cluster.Cluster_Type{Type: cluster.Cluster_STATIC}
	c.DnsLookupFamily, c.DnsRefreshRate, c.RespectDnsTtl = cluster.Cluster_AUTO, nil, false //nolint:staticcheck // as istiod sets them
	c.LoadAssignment = &endpoint.ClusterLoadAssignment{ClusterName: name}
	for _, l := range p.proxy.Endpoints[in.Name].GetEndpoints() {
		one := &endpoint.LocalityLbEndpoints{LoadBalancingWeight: l.LoadBalancingWeight}
		for _, e := range l.LbEndpoints {
			a := e.GetEndpoint().GetAddress().GetSocketAddress()
			if a == nil {
				continue
			}
			ip := a.GetAddress()
			if strings.Trim(ip, "0123456789.") != "" {
				ip = p.standIn(ip)
			}
			one.LbEndpoints = append(one.LbEndpoints, lbEndpoint(ip, a.GetPortValue()))
		}
		c.LoadAssignment.Endpoints = append(c.LoadAssignment.Endpoints, one)
	}
	return c
}

// standIn is an address for a name that would have to be resolved.
func (p *prepared) standIn(name string) string {
	for ip, n := range p.names {
		if n == name {
			return ip
		}
	}
	ip := fmt.Sprintf("10.250.0.%d", len(p.names)+1)
	p.names[ip] = name
	return ip
}

// has reports whether a share of the route leads to an address.
func (p *prepared) has(s routecorpus.Share, ip string) bool {
	if s.To == "original destination" {
		return true
	}
	name := p.world.Pods[ip]
	if name == "" {
		name = "address " + ip
	}
	if n := p.names[ip]; n != "" {
		name = "name " + n
	}
	list, _, _ := strings.Cut(s.To, ":")
	return slices.Contains(strings.Split(list, ","), name)
}

func mustAny(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err) // only for messages of this package's own making
	}
	return a
}

func address(ip string, port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: ip, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port}}}}
}

func lbEndpoint(ip string, port uint32) *endpoint.LbEndpoint {
	return &endpoint.LbEndpoint{HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: address(ip, port)}}}
}

func assignment(name, ip string, port uint32) *endpoint.ClusterLoadAssignment {
	return &endpoint.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpoint.LocalityLbEndpoints{{LbEndpoints: []*endpoint.LbEndpoint{lbEndpoint(ip, port)}}}}
}

func listenerFilter(name string, m proto.Message) *listener.ListenerFilter {
	return &listener.ListenerFilter{Name: name, ConfigType: &listener.ListenerFilter_TypedConfig{TypedConfig: mustAny(m)}}
}

func networkFilter(name string, m proto.Message) *listener.Filter {
	return &listener.Filter{Name: name, ConfigType: &listener.Filter_TypedConfig{TypedConfig: mustAny(m)}}
}
