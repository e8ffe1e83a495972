package authz

// who is the identity that an enforcement point sees.
type who uint8

const (
	whoNobody who = iota
	whoCaller
	whoWaypoint
)

// hop is one enforcement point on a path, before any request is looked at.
type hop struct {
	point Point
	where Ref
	who   who
	// principal is the waypoint's, for whoWaypoint.
	principal string
	port      uint16
	protocol  Protocol
	prog      *program
	// strict says that a call without identity is refused, by policy strictBy.
	strict   bool
	strictBy string
	// vip says that the destination address is the service's and not the pod's;
	// viaWaypoint that the source address is a waypoint's.
	vip, viaWaypoint bool
	// inner is an Envoy behind an HBONE termination, that of a waypoint or that of a sidecar whose
	// caller is ambient. The peer there is Envoy's own internal listener: source.ip has no address and
	// never matches.
	inner bool
}

// blindToSNI says that the hop sees no server name: only a waypoint looks for that of TLS inside the
// tunnel, and only where it speaks no HTTP.
func (h *hop) blindToSNI() bool {
	return h.inner && (h.protocol == ProtocolHTTP || h.point != PointWaypoint)
}

// arrival is how a call gets to a workload.
type arrival struct {
	who who
	// tunnel says that it comes through HBONE.
	tunnel bool
	// via is the waypoint that it comes through.
	via *Waypoint
}

// path is how a call travels. Failed and unknown, when set, override the hops.
type path struct {
	hops []hop
	// failed says why the call does not get through.
	failed string
	// unknown says why the path cannot be told.
	unknown string
	// route is the path in words.
	route []string
}

// callerKind is what a caller's path depends on, other than its identity.
type callerKind struct {
	mode Mode
	// plain is Workload.NoHBONESend.
	plain bool
	role  Role
	// scope is Workload.TLSScope and narrow Workload.Narrow, for callers with an Envoy.
	scope  string
	narrow bool
}

// kindOf gives a workload's kind as a caller.
func kindOf(w *Workload) callerKind {
	k := callerKind{mode: w.Mode, role: RoleApplication}
	if w.HostNetwork {
		k.mode = ModeNone
	}
	if w.Role == RoleGateway {
		k.role = RoleGateway
	}
	if k.mode == ModeSidecar {
		k.plain, k.scope, k.narrow = w.NoHBONESend, w.TLSScope, w.Narrow
	}
	return k
}

// target is one way to address one port of a workload.
type target struct {
	w          *Workload
	svc        *Service // nil when addressed by pod IP
	addressing Addressing
	port       uint16 // the pods' port
	svcPort    uint16
	declared   Protocol // of the service port, or of the pod port as the sidecar sees it
	// undeclared says that only a policy names the port; other, that nothing does.
	undeclared, other bool
}

// route finds the path of a call speaking proto (http or tcp).
func (m *model) route(k callerKind, t target, proto Protocol) path {
	var p path
	switch k.mode {
	case ModeNone:
		p.route = append(p.route, "plaintext from outside the mesh")
		m.serve(&p, t, proto, arrival{})
	case ModeAmbient:
		m.fromAmbient(&p, t, proto)
	default:
		m.fromEnvoy(&p, k, t, proto)
	}
	return p
}

// fromAmbient is a call through the caller's ztunnel (ztunnel src/proxy/outbound.rs).
func (m *model) fromAmbient(p *path, t target, proto Protocol) {
	p.route = append(p.route, "caller's ztunnel")
	var wp *Waypoint
	if t.addressing == ByService {
		wp = m.serviceWaypoint(t.svc)
	} else {
		wp = m.workloadWaypoint(t.w)
	}
	if wp != nil {
		m.throughWaypoint(p, wp, t, proto)
		return
	}
	if p.unknown = t.doubt(true); p.unknown != "" {
		return
	}
	switch t.reach() {
	case ReachName:
		p.failed = "ztunnel has no endpoint of service " + t.svc.name() + " here: its EndpointSlice names the pod without the UID that it has"
	case ReachAddress, ReachForeignAddress:
		p.route = append(p.route, "plaintext (an EndpointSlice has the address alone)")
		m.serve(p, t, proto, arrival{})
	default:
		m.serve(p, t, proto, m.fromZtunnel(p, t.w, nil))
	}
}

// fromZtunnel is how ztunnel (or a waypoint) reaches a workload. A sidecar that does not listen on HBONE is
// called in plaintext.
func (m *model) fromZtunnel(p *path, w *Workload, via *Waypoint) arrival {
	if w.Mode == ModeAmbient || (w.Mode == ModeSidecar && w.HBONE) {
		return arrival{who: whoCaller, tunnel: true, via: via}
	}
	p.route = append(p.route, "plaintext")
	return arrival{via: via}
}

// fromEnvoy is a call from a sidecar or a gateway. Sidecars never use waypoints;
// gateways only for services that ask for it (xds/endpoints findServiceWaypoint).
func (m *model) fromEnvoy(p *path, k callerKind, t target, proto Protocol) {
	if k.role == RoleGateway {
		p.route = append(p.route, "gateway")
		if t.addressing == ByService && t.svc.IngressUseWaypoint {
			if wp := m.serviceWaypoint(t.svc); wp != nil {
				if m.cfg.NoHBONESend {
					p.unknown = noHBONESend
					return
				}
				m.throughWaypoint(p, wp, t, proto)
				return
			}
		}
	} else {
		p.route = append(p.route, "client sidecar")
	}
	if as, ok := m.fromEnvoyTo(p, k, t); ok {
		m.serve(p, t, proto, as)
	}
}

func (m *model) throughWaypoint(p *path, wp *Waypoint, t target, proto Protocol) {
	ref := Ref{Kind: kindGateway, Namespace: wp.Namespace, Name: wp.Name}
	p.route = append(p.route, "waypoint "+wp.Namespace+"/"+wp.Name)
	if !wp.Ready {
		p.failed = "waypoint " + wp.Namespace + "/" + wp.Name + " has no ready pod"
		return
	}
	if m.cfg.LayeredWaypointPolicies {
		p.hops = append(p.hops, hop{point: PointWaypoint, where: ref, who: whoCaller, port: hbonePort, protocol: ProtocolTCP, prog: m.waypointL4(wp)})
	}
	h := hop{point: PointWaypoint, where: ref, who: whoCaller, port: t.port, protocol: proto, inner: true}
	var svc *Service
	if t.addressing == ByService {
		svc, h.port, h.vip = t.svc, t.svcPort, true
		if svc.Canary != "" {
			p.unknown = "waypoint " + svc.Canary + " takes a share of the service's connections"
			return
		}
	}
	h.prog = m.waypoint(wp, svc, envoyDialect(proto))
	p.hops = append(p.hops, h)
	if p.unknown = t.doubt(false); p.unknown != "" {
		return
	}
	if t.reach() == ReachForeignAddress {
		p.route = append(p.route, "plaintext (an EndpointSlice has the address alone)")
		m.serve(p, t, proto, arrival{via: wp})
		return
	}
	m.serve(p, t, proto, m.fromZtunnel(p, t.w, wp))
}

// hbonePort is where waypoints terminate HBONE.
const hbonePort = 15008

func envoyDialect(proto Protocol) dialect {
	if proto == ProtocolTCP {
		return dialectTCP
	}
	return dialectHTTP
}

// serve is the arrival at the workload: at its sidecar, its ztunnel or nothing. A call
// that came through a waypoint bears the waypoint's identity.
func (m *model) serve(p *path, t target, proto Protocol, as arrival) {
	h := hop{where: t.w.Ref, who: as.who, port: t.port, protocol: proto, viaWaypoint: as.via != nil}
	if as.via != nil && as.who == whoCaller {
		h.who, h.principal = whoWaypoint, as.via.Principal(m.cfg)
	}
	switch t.w.Mode {
	case ModeAmbient:
		if t.w.BypassInbound {
			// istio-cni leaves inbound connections alone; ztunnel still takes those to its HBONE port, which
			// failed before 1.29 (cni/pkg/nodeagent/net.go; release note 58577).
			if !as.tunnel {
				p.route = append(p.route, "inbound capture bypassed")
				return
			}
			if m.cfg.minor() < 29 {
				p.unknown = "HBONE to pods that bypass inbound capture is not modelled before 1.29"
				return
			}
		}
		h.point, h.protocol = PointZtunnel, ProtocolTCP
		h.prog = m.server(t.w, dialectZtunnel, false)
		p.route = append(p.route, "destination's ztunnel")
	case ModeSidecar:
		for _, x := range t.w.ExcludedInboundPorts {
			if x == t.port {
				p.route = append(p.route, "port left out of the sidecar's capture")
				return
			}
		}
		h.point = PointServerSidecar
		if t.w.Role == RoleGateway {
			h.point = PointGateway
		}
		h.inner = as.tunnel && t.w.Role != RoleGateway
		h.prog = m.server(t.w, envoyDialect(proto), h.inner)
		if t.w.Role != RoleGateway {
			mode, by := m.peer(t.w).sidecarMode(t.port)
			if mode == MTLSStrict {
				h.strict = true
				if by != nil {
					h.strictBy = by.Key()
				}
			}
		}
		p.route = append(p.route, string(h.point))
	default:
		if why := m.unknown(t.w); why != "" {
			p.unknown = why
		}
		return
	}
	p.hops = append(p.hops, h)
}

// protocols lists what a call to a port may speak, as seen by Envoy: a declared HTTP
// port serves HTTP only, a declared TCP port treats everything as bytes, an undeclared
// one is sniffed.
func protocols(declared Protocol) []Protocol {
	switch declared {
	case ProtocolHTTP:
		return []Protocol{ProtocolHTTP}
	case ProtocolTCP:
		return []Protocol{ProtocolTCP}
	}
	return []Protocol{ProtocolHTTP, ProtocolTCP}
}

// named is the path as it would be if the caller's identity were seen at every point
// that sees none; it reports whether there is such a point and the caller has one.
func (p *path) named(pair callerPair, id identity) (path, bool) {
	if id.principal == "" || pair.before.mode == ModeNone {
		return path{}, false
	}
	q := *p
	q.hops = append([]hop(nil), p.hops...)
	gains := false
	for i := range q.hops {
		if q.hops[i].who == whoNobody && !q.hops[i].viaWaypoint {
			q.hops[i].who = whoCaller
			gains = true
		}
	}
	return q, gains
}
