package authz

// How an Envoy that calls authenticates itself: what istiod makes of DestinationRules, PeerAuthentications
// and HBONE readiness (pilot/pkg/networking/core/cluster_tls.go, xds/endpoints/endpoint_builder.go,
// xds/endpoints/mtls_checker.go).

// fromEnvoyTo is how a sidecar or a gateway reaches a workload; ok is false when it does not, or when that
// cannot be told, and the path says why.
func (m *model) fromEnvoyTo(p *path, k callerKind, t target) (as arrival, ok bool) {
	plaintext := func(why string) (arrival, bool) {
		p.route = append(p.route, "plaintext"+why)
		return arrival{}, true
	}
	if t.addressing == ByPodIP {
		return plaintext(" (pod addressed directly)") // the PassthroughCluster has no TLS
	}
	if p.unknown = t.doubt(false); p.unknown != "" {
		return arrival{}, false
	}
	tls := t.svc.tlsFor(k.scope)
	if tls.Unknown != "" {
		p.unknown = "DestinationRule " + tls.By + ": " + tls.Unknown
		return arrival{}, false
	}
	// There is no HBONE to ORIGINAL_DST clusters (istio/istio#54921).
	original := t.addressing == ByHeadless || tls.Passthrough
	if !k.plain && !original && t.reach() != ReachForeignAddress && m.tunnels(t.w) && !(m.cfg.minor() < mutualTunnelsFrom && tls.at(t.portOfService()) == TLSIstioMutual) {
		if m.cfg.NoHBONESend {
			p.unknown = noHBONESend
			return arrival{}, false
		}
		return arrival{who: whoCaller, tunnel: true}, true
	}
	switch mode := tls.at(t.portOfService()); mode {
	case TLSDisable:
		return plaintext(" (DestinationRule " + tls.By + ")")
	case TLSIstioMutual:
		return m.istioMutual(p, t, tls.By)
	case TLSAuto:
		if why, plain := m.noAutoMTLS(t, original); plain {
			return plaintext(why)
		}
		return arrival{who: whoCaller}, true
	default:
		if t.w.Mode == ModeNone {
			return plaintext("")
		}
		p.unknown = "DestinationRule " + tls.By + ": which identity a server in the mesh sees under tls mode " + string(mode) + " is not modelled"
		return arrival{}, false
	}
}

// noHBONESend is why a call of an Envoy that has to tunnel cannot be told.
const noHBONESend = "PILOT_ENABLE_SENDING_HBONE is off at istiod: Envoys are told to tunnel and are not given what to tunnel with, which is not modelled"

// tlsFor is the setting for callers of a scope.
func (s *Service) tlsFor(scope string) ClientTLS {
	if c, ok := s.ClientTLS[scope]; ok {
		return c
	}
	return s.ClientTLS[""]
}

// portOfService is the service's port number, which port-level settings go by.
func (t *target) portOfService() uint16 {
	if t.addressing != ByHeadless {
		return t.svcPort
	}
	for _, p := range t.svc.Ports {
		if p.Target() == t.port {
			return p.Port
		}
	}
	return t.svcPort
}

// mutualTunnelsFrom is the minor from which ISTIO_MUTUAL spelled out gives HBONE to endpoints that have no legacy mTLS
// (istio/istio#54914, picked for 1.25).
const mutualTunnelsFrom = 25

// tunnels says whether an Envoy that sends HBONE uses it to reach a workload. Between sidecars istiod prefers
// legacy mTLS even where both ends speak HBONE (endpoint_builder.go buildEnvoyLbEndpoint).
func (m *model) tunnels(w *Workload) bool {
	return w.Mode == ModeAmbient || w.Mode == ModeSidecar && w.HBONE && m.cfg.PreferHBONE
}

// noAutoMTLS says whether auto mTLS gives plaintext, and why.
func (m *model) noAutoMTLS(t target, original bool) (why string, plain bool) {
	peer := m.peer(t.w)
	port, _ := peer.sidecarMode(t.port)
	switch {
	case t.reach() == ReachForeignAddress:
		return " (an EndpointSlice has the address alone)", true
	case t.w.Mode == ModeAmbient:
		return " (no HBONE)", true // a caller that sends none; ambient pods do not offer legacy mTLS
	case t.w.Mode != ModeSidecar:
		return "", true
	case m.cfg.NoAutoMTLS:
		return " (auto mTLS is off)", true
	case peer.serviceMode() == MTLSDisable, port == MTLSDisable:
		return " (mTLS disabled)", true
	case original && !m.allSidecars(t.svc):
		return " (not every pod of the service has a sidecar)", true
	}
	return "", false
}

// allSidecars says whether calls to an ORIGINAL_DST cluster are encrypted: all or none of them are.
func (m *model) allSidecars(s *Service) bool {
	for _, r := range s.Workloads {
		if w := m.workloads[r]; w != nil && w.Mode != ModeSidecar {
			return false
		}
	}
	return true
}

// istioMutual is a DestinationRule that insists on legacy mTLS.
func (m *model) istioMutual(p *path, t target, rule string) (arrival, bool) {
	mode, _ := m.peer(t.w).sidecarMode(t.port)
	switch {
	case t.w.Mode == ModeNone:
		return arrival{}, true
	case t.w.Mode == ModeSidecar && mode != MTLSDisable:
		return arrival{who: whoCaller}, true
	}
	p.failed = "DestinationRule " + rule + " asks for Istio mutual TLS, which the destination does not offer"
	return arrival{}, false
}
