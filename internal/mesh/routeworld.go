package mesh

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/route"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// RouteWorld is the mesh as routing sees it, with every workload in the mode in effect. The compiled objects are shared
// by all worlds of the mesh; its workloads are the caller's to change.
func RouteWorld(m *Mesh) route.World {
	w := m.routing
	w.Workloads = slices.Clone(w.Workloads)
	return w
}

// compileRoutes makes the world of routing, with every workload in the mode it has.
func (b *builder) compileRoutes() {
	m := b.mesh
	c := &m.Settings.Client
	w := route.World{Config: route.Config{
		RootNamespace: m.Settings.RootNamespace, ClusterDomain: m.Settings.ClusterDomain,
		Retries: c.Retries, Locality: c.Locality, H2Upgrade: c.H2Upgrade, RegistryOnly: m.Settings.OutboundRegistryOnly,
		VirtualServiceExportTo: c.VirtualServiceExportTo, DestinationRuleExportTo: c.DestinationRuleExportTo,
		ServiceExportTo: c.ServiceExportTo, ConfigRef: route.Ref(c.Ref),
	}}
	position := make(map[*Workload]int, len(m.Workloads))
	scopes := map[*Policy]*route.Scope{}
	subsetKeys := b.subsetKeys()
	for i, x := range m.Workloads {
		position[x] = i
		w.Workloads = append(w.Workloads, routeWorkload(x, scopes, subsetKeys))
	}
	for _, s := range m.Services {
		w.Services = append(w.Services, m.routeService(s, position))
	}
	in := route.Input{
		VirtualServices: snapshot.All[*networkingv1.VirtualService](b.snap), DestinationRules: snapshot.All[*networkingv1.DestinationRule](b.snap),
		HTTPRoutes: snapshot.All[*gatewayv1.HTTPRoute](b.snap), GRPCRoutes: snapshot.All[*gatewayv1.GRPCRoute](b.snap),
		TCPRoutes: snapshot.All[*gatewayv1alpha2.TCPRoute](b.snap), TLSRoutes: snapshot.All[*gatewayv1alpha2.TLSRoute](b.snap),
		BackendTLS: snapshot.All[*gatewayv1.BackendTLSPolicy](b.snap),
	}
	w.Input, w.Objects = in, route.Compile(&w.Config, in, w.Services)
	w.Services = append(w.Services, w.Unlisted()...)
	w.Unknown = m.routeUnknown(in)
	w.Prepare()
	m.routing = w
}

// routeKinds are those that an answer about routes rests on.
var routeKinds = []snapshot.Kind{
	kindVirtualService, kindDestinationRule, kindHTTPRoute, kindGRPCRoute, kindTCPRoute, kindTLSRoute, kindBackendTLSPolicy,
	kindService, kindServiceEntry, kindSidecar, kindGateway, kindConfigMap,
}

// routeUnknown says where an answer would rest on what could not be read.
func (m *Mesh) routeUnknown(in route.Input) []string {
	var out []string
	for _, kind := range routeKinds {
		if k := m.Snapshot.Knowledge(kind); k.State == snapshot.Hidden {
			out = append(out, "objects of kind "+kind.Kind+": "+k.Reason)
		}
	}
	for _, s := range m.Services {
		if why := m.endpointsHidden(s); why != "" {
			out = append(out, "EndpointSlices of Service "+s.Namespace+"/"+s.Name+": "+why)
		}
	}
	fields := func(kind string, o snapshot.Object) {
		for _, f := range m.Snapshot.UnknownFields(o) {
			out = append(out, kind+" "+o.GetNamespace()+"/"+o.GetName()+" has the unknown field "+f)
		}
	}
	for _, o := range in.VirtualServices {
		fields("VirtualService", o)
	}
	for _, o := range in.DestinationRules {
		fields("DestinationRule", o)
	}
	for _, o := range in.HTTPRoutes {
		fields("HTTPRoute", o)
	}
	for _, o := range in.GRPCRoutes {
		fields("GRPCRoute", o)
	}
	return out
}

// subsetKeys are the labels that subsets select by: pods are told apart by no others.
func (b *builder) subsetKeys() map[string]bool {
	keys := map[string]bool{}
	for _, o := range snapshot.All[*networkingv1.DestinationRule](b.snap) {
		for _, s := range o.Spec.GetSubsets() {
			for k := range s.GetLabels() {
				keys[k] = true
			}
		}
	}
	return keys
}

func routeWorkload(x *Workload, scopes map[*Policy]*route.Scope, subsetKeys map[string]bool) route.Workload {
	out := route.Workload{Ref: route.Ref(x.Ref), Labels: x.Labels, Mode: route.Mode(x.Mode), Gateway: x.Role == Gateway || x.Role == Waypoint}
	if x.Scope != nil {
		if scopes[x.Scope] == nil {
			scopes[x.Scope] = routeScope(x.Scope)
		}
		out.Scope = scopes[x.Scope]
	}
	if len(x.Pods) == 0 || len(subsetKeys) == 0 {
		return out
	}
	seen := map[string]bool{}
	for _, p := range x.Pods {
		set := map[string]string{}
		var key strings.Builder
		for _, k := range sortedKeys(p.Labels) {
			if subsetKeys[k] {
				set[k] = p.Labels[k]
				key.WriteString(k + "=" + p.Labels[k] + ",")
			}
		}
		if !seen[key.String()] {
			seen[key.String()] = true
			out.PodLabels = append(out.PodLabels, set)
		}
	}
	return out
}

func routeScope(p *Policy) *route.Scope {
	o, ok := p.Object.(*networkingv1.Sidecar)
	if !ok {
		return nil
	}
	out := &route.Scope{Ref: route.Ref(p.Ref)}
	for _, e := range o.Spec.GetEgress() {
		out.Hosts = append(out.Hosts, e.GetHosts()...)
		out.Listeners = out.Listeners || e.GetPort() != nil || e.GetBind() != ""
	}
	if slices.Contains(out.Hosts, "*/*") {
		out.Hosts = nil
	}
	if t := o.Spec.GetOutboundTrafficPolicy(); t != nil {
		only := t.GetMode() == apinetworking.OutboundTrafficPolicy_REGISTRY_ONLY
		out.RegistryOnly = &only
		out.EgressProxy = t.GetEgressProxy().GetHost()
	}
	return out
}

// routeService describes a Service or ServiceEntry to routing.
func (m *Mesh) routeService(s *Service, position map[*Workload]int) route.Service {
	out := route.Service{Ref: route.Ref(s.Ref), VIPs: s.VIPs, Headless: s.Headless, External: s.External, ExportTo: s.ExportTo}
	for _, h := range s.Hosts {
		out.Hosts = append(out.Hosts, strings.ToLower(h))
	}
	for _, x := range s.Workloads {
		out.Workloads = append(out.Workloads, position[x])
	}
	for _, p := range s.Ports {
		target := p.TargetName
		if target == "" {
			target = strconv.Itoa(int(p.Target))
		}
		out.Ports = append(out.Ports, route.Port{Name: p.Name, Number: uint32(p.Port), Target: target, Protocol: routeProtocol(p)})
	}
	if s.Waypoint.Bound {
		if g := m.waypoints[s.Waypoint.Gateway]; g == nil || g.For == "service" || g.For == "all" || g.For == "" {
			out.Waypoint = route.Ref(s.Waypoint.Gateway)
		}
	}
	switch o := s.Object.(type) {
	case *corev1.Service:
		out.Selector = o.Spec.Selector
		if o.Spec.TrafficDistribution != nil {
			out.Distribution = *o.Spec.TrafficDistribution
		}
		if o.Spec.Type == corev1.ServiceTypeExternalName {
			out.ExternalName = strings.ToLower(o.Spec.ExternalName)
			out.Outside = []string{"name " + out.ExternalName}
		} else if len(o.Spec.Selector) == 0 && !s.sliced {
			out.Outside = []string{"endpoints of " + s.Namespace + "/" + s.Name}
		} else {
			out.Outside = s.Outside
		}
	case *networkingv1.ServiceEntry:
		out.Outside = entryEndpoints(&o.Spec)
	}
	if d := s.Object.GetAnnotations()[AnnotationTrafficDistribution]; d != "" && out.Distribution == "" {
		out.Distribution = d
	}
	return out
}

// entryEndpoints are what a ServiceEntry resolves to.
func entryEndpoints(e *apinetworking.ServiceEntry) []string {
	var out []string
	for _, ep := range e.GetEndpoints() {
		out = append(out, "address "+ep.GetAddress())
	}
	if len(out) > 0 || len(e.GetWorkloadSelector().GetLabels()) > 0 {
		return out
	}
	if e.GetResolution() == apinetworking.ServiceEntry_NONE {
		return []string{"the address that " + route.OwnName + " was called by"}
	}
	return []string{"name " + route.OwnName}
}

func routeProtocol(p Port) route.Protocol {
	switch p.Protocol {
	case "udp":
		return route.UDP
	case "":
		return route.Auto
	case "tls", "https":
		return route.TLS
	}
	if p.HTTP() {
		return route.HTTP
	}
	return route.TCP
}
