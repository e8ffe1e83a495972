package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
)

// AuthzWorld is the mesh as authorization sees it: policies, modes, services and waypoints. Each set of pods
// that are alike is a workload of its own there. Nothing is shared that the caller could change but the compiled policies, which nobody changes.
func AuthzWorld(m *Mesh) authz.World {
	w := authz.World{
		Config:   m.authzConfig(),
		Policies: m.Authorization,
		Unknown:  m.authzUnknown(),
		Outside:  m.outside,
	}
	for _, x := range m.Workloads {
		for i := range x.Sets {
			w.Workloads = append(w.Workloads, m.authzWorkload(x, i))
		}
	}
	w.Workloads = append(w.Workloads, m.authzGateways()...)
	for _, s := range m.Services {
		switch {
		case len(s.Workloads) > 0:
			w.Services = append(w.Services, m.authzService(s))
		case s.External && s.Kind == kindServiceEntry.Kind:
			// An egress waypoint may enforce policies in front of it.
			outside := authz.Workload{Ref: authzRef(s.Ref), Mode: authz.ModeNone, Role: authz.RoleExternal}
			entry := m.authzService(s)
			entry.Workloads = []authz.Pods{outside.Pods()}
			w.Workloads, w.Services = append(w.Workloads, outside), append(w.Services, entry)
		}
	}
	for _, g := range m.Waypoints {
		w.Waypoints = append(w.Waypoints, m.authzWaypoint(g))
	}
	return w
}

func (m *Mesh) authzConfig() authz.Config {
	s := &m.Settings
	c := authz.Config{
		RootNamespace: s.RootNamespace, TrustDomain: s.TrustDomain, TrustDomainAliases: s.TrustDomainAliases,
		IstioMinor: s.Minor, AutoAllowWaypoint: s.AutoAllowWaypoint, LayeredWaypointPolicies: s.LayeredWaypointAuthz,
		AmbientDryRun: s.AmbientDryRun, NoGatewaySelectorPolicies: s.NoGatewaySelectorPolicies,
		MultipleCustomProviders: s.MultipleCustomProviders, NoAutoMTLS: s.NoAutoMTLS, PreferHBONE: s.PreferHBONE, NoHBONESend: s.NoHBONESend,
	}
	if s.Known {
		c.ExtensionProviders = []authz.ExtensionProvider{}
		for _, p := range s.ExtensionProviders {
			c.ExtensionProviders = append(c.ExtensionProviders, authz.ExtensionProvider{Name: p.Name, TCP: p.Type == "envoyExtAuthzGrpc"})
		}
	}
	return c
}

// compileAuthz compiles every authorization object once; worlds share the result.
func (b *builder) compileAuthz() {
	m := b.mesh
	for _, o := range snapshot.All[*securityv1.AuthorizationPolicy](b.snap) {
		p, problems := authz.CompileAuthorizationPolicy(o)
		p.Unmodelled = append(p.Unmodelled, b.snap.UnknownFields(o)...)
		m.Authorization.Authorization = append(m.Authorization.Authorization, p)
		m.AuthzProblems = append(m.AuthzProblems, problems...)
	}
	for _, o := range snapshot.All[*securityv1.RequestAuthentication](b.snap) {
		p, problems := authz.CompileRequestAuthentication(o)
		m.Authorization.Authentication = append(m.Authorization.Authentication, p)
		m.AuthzProblems = append(m.AuthzProblems, problems...)
	}
	for _, o := range snapshot.All[*securityv1.PeerAuthentication](b.snap) {
		p, problems := authz.CompilePeerAuthentication(o)
		m.Authorization.Peer = append(m.Authorization.Peer, p)
		m.AuthzProblems = append(m.AuthzProblems, problems...)
	}
}

// CompiledPolicy returns an AuthorizationPolicy as it was compiled, nil where there is none.
func (m *Mesh) CompiledPolicy(p *Policy) *authz.AuthorizationPolicy {
	list := m.Authorization.Authorization
	i, found := slices.BinarySearchFunc(list, p.Ref, func(x authz.AuthorizationPolicy, r Ref) int {
		return cmp.Or(cmp.Compare(x.Namespace, r.Namespace), cmp.Compare(x.Name, r.Name))
	})
	if !found || p.Kind != kindAuthorizationPolicy.Kind {
		return nil
	}
	return &list[i]
}

// authzKinds are those that an answer of package authz rests on.
var authzKinds = []snapshot.Kind{
	kindAuthorizationPolicy, kindRequestAuthentication, kindPeerAuthentication,
	kindService, kindServiceEntry, kindNamespace, kindGateway, kindConfigMap, kindEnvoyFilter, kindDestinationRule,
}

// authzUnknown says where an answer would rest on what could not be read.
func (m *Mesh) authzUnknown() []authz.Unknown {
	var out []authz.Unknown
	for _, kind := range authzKinds {
		if k := m.Snapshot.Knowledge(kind); k.State != snapshot.Hidden {
			continue
		}
		if k := m.Snapshot.KnowledgeIn(kind, m.Settings.RootNamespace); k.State == snapshot.Hidden {
			out = append(out, authz.Unknown{What: kind.Kind, Why: k.Reason})
			continue
		}
		for _, ns := range m.workloadNamespaces() {
			if k := m.Snapshot.KnowledgeIn(kind, ns); k.State == snapshot.Hidden {
				out = append(out, authz.Unknown{What: kind.Kind, Namespace: ns, Why: k.Reason})
			}
		}
	}
	for _, s := range m.Services {
		u := authz.Unknown{What: kindEndpointSlice.Kind, Namespace: s.Namespace, Why: m.endpointsHidden(s)}
		if u.Why != "" && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	for _, p := range m.Policies {
		// An AuthorizationPolicy carries its unknown fields itself.
		fields := m.Snapshot.UnknownFields(p.Object)
		if len(fields) == 0 || p.Kind != kindRequestAuthentication.Kind && p.Kind != kindPeerAuthentication.Kind {
			continue
		}
		u := authz.Unknown{What: p.Kind + " " + p.Name, Why: "it has the unknown field " + fields[0]}
		if p.Namespace != m.Settings.RootNamespace {
			u.Namespace = p.Namespace
		}
		out = append(out, u)
	}
	return out
}

func (m *Mesh) workloadNamespaces() []string {
	var out []string
	for _, w := range m.Workloads { // sorted by namespace
		if n := len(out); n == 0 || out[n-1] != w.Namespace {
			out = append(out, w.Namespace)
		}
	}
	return out
}

func authzRef(r Ref) authz.Ref { return authz.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name} }

func (m *Mesh) authzWorkload(w *Workload, set int) authz.Workload {
	pods := &w.Sets[set]
	mode := pods.Mode
	out := authz.Workload{
		Ref: authzRef(w.Ref), Set: w.setName(set), Labels: pods.Labels, ServiceAccount: w.ServiceAccount,
		Mode: mode, HBONE: pods.HBONE, NoHBONESend: pods.NoHBONESend || mode == Sidecar && w.sendsPlain(), HostNetwork: w.HostNetwork,
		Waypoint: authzBinding(w.Waypoint), TLSScope: m.clientTLS.scopes[w.Ref],
	}
	out.Narrow = w.Role == Application && (w.Has(SidecarEgress) || w.Has(SidecarListener) || leavesOutCalls(w))
	switch w.Role {
	case Application:
		out.Role = authz.RoleApplication
	case Gateway:
		out.Role = authz.RoleGateway
		out.Mode = authz.ModeSidecar // an Envoy with an identity, whatever is in front of it
		out.Gateway = w.Labels[LabelGatewayName]
	case Waypoint:
		out.Role = authz.RoleWaypoint
		out.Gateway = w.Labels[LabelGatewayName]
	default:
		out.Role = authz.RoleOther
	}
	out.Ports = containerPorts(w)
	out.IPs = workloadIPs(w, pods.Pods)
	out.BypassInbound, _ = strconv.ParseBool(w.Annotations[AnnotationBypassInbound]) // what is no boolean is false to istio-cni
	if mode != Sidecar || w.Role != Application {
		return out
	}
	out.ExcludedInboundPorts = excludedInbound(w, out.Ports)
	switch {
	case w.opaque != "":
		out.Unknown = w.opaque
	case slices.ContainsFunc(w.Evidence(InterceptionMode), func(e Evidence) bool { return e.Value == "NONE" }):
		out.Unknown = "interception mode NONE: inbound calls may not pass the sidecar"
	}
	return out
}

// sendsPlain reports whether something besides the proxy's own environment keeps a workload from sending HBONE: the gRPC
// library has none, and a ProxyConfig writes the environment of pods to come.
func (w *Workload) sendsPlain() bool {
	if w.Has(ProxylessGRPC) {
		return true
	}
	return w.Derived && slices.ContainsFunc(w.Policies, func(p *Policy) bool {
		c, ok := p.Object.(*networkingv1beta1.ProxyConfig)
		return ok && isTrue(c.Spec.GetEnvironmentVariables()[envDisableHBONE])
	})
}

// leavesOutCalls tells that annotations keep outbound calls from the sidecar.
func leavesOutCalls(w *Workload) bool {
	return slices.ContainsFunc(w.Evidence(TrafficExclusion), func(e Evidence) bool { return strings.Contains(e.Field, "Outbound") })
}

func authzBinding(b *Binding) authz.Binding {
	if !b.Asked {
		return authz.Binding{}
	}
	return authz.Binding{Namespace: b.Gateway.Namespace, Name: b.Gateway.Name}
}

// containerPorts lists the TCP ports that application containers declare.
func containerPorts(w *Workload) []authz.Port {
	if w.Template == nil {
		return nil
	}
	var out []authz.Port
	seen := map[uint16]bool{}
	for _, c := range w.Template.Spec.Containers {
		if c.Name == ProxyContainer && w.Role == Application {
			continue
		}
		for _, p := range c.Ports {
			n := uint16(p.ContainerPort)
			if (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) && n != 0 && !seen[n] {
				seen[n] = true
				out = append(out, authz.Port{Number: n, Protocol: authz.ProtocolAuto})
			}
		}
	}
	slices.SortFunc(out, func(a, b authz.Port) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

func workloadIPs(w *Workload, pods []*snapshot.Pod) []netip.Addr {
	var out []netip.Addr
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	for _, p := range pods {
		for _, ip := range p.Status.PodIPs {
			add(ip.IP)
		}
		if len(p.Status.PodIPs) == 0 {
			add(p.Status.PodIP)
		}
	}
	if e, ok := w.Object.(*networkingv1.WorkloadEntry); ok {
		add(e.Spec.GetAddress())
	}
	return out
}

// captureDefault is what the injector's values say of a setting of capture that the workload does not annotate.
func (w *Workload) captureDefault(field string) string {
	for _, e := range w.Evidence(TrafficExclusion) {
		if e.Object.Kind == kindConfigMap.Kind && strings.HasSuffix(e.Field, field) {
			return e.Value
		}
	}
	return ""
}

// excludedInbound lists the ports that annotations keep out of the sidecar: those excluded, and those
// known but not among the ones included.
func excludedInbound(w *Workload, ports []authz.Port) []uint16 {
	var out []uint16
	add := func(n int) {
		// The proxy's own servers, which the injector keeps out of capture, go with it: calls to them are not the workload's.
		if p := uint16(n); n > 0 && n < 1<<16 && !slices.Contains(out, p) && !snapshot.ProxyPort(n) && strconv.Itoa(n) != w.Annotations[trafficStatusPort] {
			out = append(out, p)
		}
	}
	excluded, annotated := w.Annotations[trafficExcludeInboundPorts]
	if !annotated {
		excluded = w.captureDefault("xcludeInboundPorts")
	}
	for _, text := range splitList(excluded) {
		if n, err := strconv.Atoi(text); err == nil {
			add(n)
		}
	}
	list, ok := w.Annotations[trafficIncludeInboundPorts]
	if !ok {
		list = w.captureDefault("ncludeInboundPorts")
		ok = list != ""
	}
	if ok && list != "*" {
		included := splitList(list)
		for _, p := range ports {
			if n := int(p.Number); !slices.Contains(included, strconv.Itoa(n)) {
				add(n)
			}
		}
		for _, s := range w.Services {
			for _, p := range s.Ports {
				if !slices.Contains(included, strconv.Itoa(int(p.Target))) {
					add(int(p.Target))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func (m *Mesh) authzService(s *Service) authz.Service {
	out := authz.Service{
		Namespace: s.Namespace, Name: s.Name, Entry: s.Kind == kindServiceEntry.Kind, Headless: s.Headless,
		Waypoint: authzBinding(s.Waypoint), IngressUseWaypoint: s.IngressUseWaypoint && !m.Settings.NoIngressWaypoints, ClientTLS: m.clientTLS.services[s.Ref],
	}
	if b := s.Waypoint; b.Bound && b.CanaryWeight > 0 && b.CanaryRefused == "" {
		out.Canary = b.Canary.Namespace + "/" + b.Canary.Name
	}
	for _, p := range s.Ports {
		if p.Protocol == "udp" {
			continue
		}
		port := authz.ServicePort{Name: p.Name, Port: uint16(p.Port), TargetPort: uint16(p.Target), Protocol: authz.ProtocolTCP,
			Doubt: p.Doubt, ZtunnelDoubt: p.ZtunnelDoubt}
		switch {
		case p.Protocol == "":
			port.Protocol = authz.ProtocolAuto
		case p.HTTP():
			port.Protocol = authz.ProtocolHTTP
		}
		out.Ports = append(out.Ports, port)
	}
	for _, ip := range s.VIPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			out.VIPs = append(out.VIPs, a)
		}
	}
	for _, w := range s.Workloads {
		for i := range w.Sets {
			reach, sliced := s.reach[w.Ref]
			if !sliced && len(w.Sets) > 1 && !hasAll(w.Sets[i].Labels, s.Selector) {
				continue
			}
			pods := authz.Pods{Ref: authzRef(w.Ref), Set: w.setName(i)}
			out.Workloads = append(out.Workloads, pods)
			if reach != authz.ReachPod {
				if out.Reach == nil {
					out.Reach = map[authz.Pods]authz.Reach{}
				}
				out.Reach[pods] = reach
			}
		}
	}
	return out
}

// authzWaypoint describes a waypoint; one of manifests without status counts as running.
func (m *Mesh) authzWaypoint(g *WaypointGateway) authz.Waypoint {
	podsHidden := m.Snapshot.KnowledgeIn(kindPod, g.Namespace).State == snapshot.Hidden
	out := authz.Waypoint{
		Namespace: g.Namespace, Name: g.Name, For: authz.WaypointFor(g.For), ServiceAccount: g.ServiceAccount, Class: g.Class,
		Programmed: g.Programmed || !g.StatusKnown,
		Ready:      g.ReadyPods > 0 || !g.StatusKnown || podsHidden,
		Admits:     g.Admits,
	}
	if g.AdmitsAll {
		out.Admits = []string{"*"}
	}
	switch {
	case g.opaque != "":
		out.Unknown = g.opaque
	case g.Class == ClassAgentWaypoint:
		out.Unknown = "agentgateway waypoints are not modelled"
	}
	return out
}
