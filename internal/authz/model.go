package authz

import (
	"sort"
)

// model is a World with indexes and compiled programs. Its caches fill as it is asked; the lock of programs,
// which the models of one Prover share, guards them, so that it may be asked by several goroutines.
type model struct {
	w      *World
	cfg    Config
	cfgKey string
	ps     *programs

	authz, jwt *attachIndex
	peers      map[string][]*PeerAuthentication
	workloads  map[Pods]*Workload
	// sets are the pods of a workload, by set.
	sets       map[Ref][]*Workload
	services   map[Ref]*Service
	servicesOf map[Pods][]*Service
	waypoints  map[Ref]*Waypoint

	serverCache   map[serverKey]*program
	waypointCache map[waypointKey]*program
	unknownAll    string
	unknownNS     map[string]string
	unknownWL     map[Ref]string
}

type serverKey struct {
	w *Workload
	d dialect
	// inner is a sidecar behind its HBONE termination.
	inner bool
}

type waypointKey struct {
	wp  *Waypoint
	svc *Service
	d   dialect
	l4  bool
}

func plain(r Ref) Ref { return Ref{Namespace: r.Namespace, Name: r.Name} }

// serviceRef tells a Service from a ServiceEntry of the same name.
func (s *Service) ref() Ref {
	r := Ref{Kind: kindService, Namespace: s.Namespace, Name: s.Name}
	if s.Entry {
		r.Kind = kindServiceEntry
	}
	return r
}

func newModel(w *World, ps *programs) *model {
	m := &model{
		w: w, cfg: w.Config, cfgKey: w.Config.key(), ps: ps,
		workloads: map[Pods]*Workload{}, sets: map[Ref][]*Workload{}, services: map[Ref]*Service{}, servicesOf: map[Pods][]*Service{},
		waypoints: map[Ref]*Waypoint{}, serverCache: map[serverKey]*program{}, waypointCache: map[waypointKey]*program{},
		unknownNS: map[string]string{}, unknownWL: map[Ref]string{},
	}
	m.authz = newAttachIndex(len(w.Policies.Authorization), m.authzAt)
	m.jwt = newAttachIndex(len(w.Policies.Authentication), m.jwtAt)
	m.peers = peerIndex(w.Policies.Peer)
	for i := range w.Workloads {
		x := &w.Workloads[i]
		m.workloads[x.Pods()] = x
		m.sets[x.Ref] = append(m.sets[x.Ref], x)
	}
	for i := range w.Services {
		s := &w.Services[i]
		m.services[s.ref()] = s
		for _, r := range s.Workloads {
			m.servicesOf[r] = append(m.servicesOf[r], s)
		}
	}
	for _, list := range m.servicesOf {
		sort.SliceStable(list, func(i, j int) bool { return lessRef(list[i].ref(), list[j].ref()) })
	}
	for i := range w.Waypoints {
		wp := &w.Waypoints[i]
		m.waypoints[Ref{Namespace: wp.Namespace, Name: wp.Name}] = wp
	}
	m.indexUnknown()
	return m
}

func lessRef(a, b Ref) bool {
	if a.Namespace != b.Namespace {
		return a.Namespace < b.Namespace
	}
	if a.Name != b.Name {
		return a.Name < b.Name
	}
	return a.Kind < b.Kind
}

func lessPods(a, b Pods) bool {
	if a.Ref != b.Ref {
		return lessRef(a.Ref, b.Ref)
	}
	return a.Set < b.Set
}

// sortedWorkloads lists the workloads in an order that is not the World's.
func (m *model) sortedWorkloads() []*Workload {
	out := make([]*Workload, 0, len(m.w.Workloads))
	for i := range m.w.Workloads {
		out = append(out, &m.w.Workloads[i])
	}
	sort.Slice(out, func(i, j int) bool { return lessPods(out[i].Pods(), out[j].Pods()) })
	return out
}

func (m *model) authzAt(i int) attached {
	p := &m.w.Policies.Authorization[i]
	return attached{p.Namespace, p.Name, &p.Attach}
}

func (m *model) jwtAt(i int) attached {
	p := &m.w.Policies.Authentication[i]
	return attached{p.Namespace, p.Name, &p.Attach}
}

func (m *model) indexUnknown() {
	for _, u := range m.w.Unknown {
		why := u.What
		if u.Why != "" {
			why += ": " + u.Why
		}
		switch {
		case u.Workload != "":
			m.unknownWL[Ref{Namespace: u.Namespace, Name: u.Workload}] = why
		case u.Namespace != "":
			m.unknownNS[u.Namespace] = why
		default:
			m.unknownAll = why
		}
	}
}

// unknown says why nothing certain can be said of a workload.
func (m *model) unknown(w *Workload) string {
	for _, why := range []string{w.Unknown, m.unknownWL[plain(w.Ref)], m.unknownNS[w.Ref.Namespace], m.unknownAll} {
		if why != "" {
			return why
		}
	}
	return ""
}

// unknownAt says the same of a waypoint for a service: its policies live in its own
// namespace, the service's and the root.
func (m *model) unknownAt(wp *Waypoint, svc *Service) string {
	list := []string{wp.Unknown, m.unknownNS[wp.Namespace], m.unknownNS[m.cfg.root()], m.unknownAll}
	if svc != nil {
		list = append(list, m.unknownNS[svc.Namespace])
	}
	for _, why := range list {
		if why != "" {
			return why
		}
	}
	return ""
}

func (m *model) policies(list []int) []*AuthorizationPolicy {
	out := make([]*AuthorizationPolicy, len(list))
	for i, n := range list {
		out[i] = &m.w.Policies.Authorization[n]
	}
	return out
}

func (m *model) authentications(list []int) []*RequestAuthentication {
	out := make([]*RequestAuthentication, len(list))
	for i, n := range list {
		out[i] = &m.w.Policies.Authentication[n]
	}
	return out
}

// server gives what a workload's own proxy (or its node's ztunnel) enforces; inner asks for the chains
// behind the sidecar's HBONE termination.
func (m *model) server(w *Workload, d dialect, inner bool) *program {
	m.ps.mu.Lock()
	defer m.ps.mu.Unlock()
	key := serverKey{w, d, inner}
	if p, ok := m.serverCache[key]; ok {
		return p
	}
	s := spec{dialect: d, inner: inner, unknown: m.unknown(w)}
	if s.unknown == "" {
		s.unknown = m.unknownNS[m.cfg.root()]
	}
	if w.Gateway != "" && d != dialectZtunnel {
		s.policies = m.policies(m.authz.forGateway(m.cfg, w, m.authzAt))
		s.jwt = m.authentications(m.jwt.forGateway(m.cfg, w, m.jwtAt))
	} else {
		s.policies = m.policies(m.authz.forServer(m.cfg.root(), w, m.authzAt))
		if d == dialectHTTP {
			s.jwt = m.authentications(m.jwt.forServer(m.cfg.root(), w, m.jwtAt))
		}
	}
	if d == dialectZtunnel {
		s.peer = m.peer(w).ztunnel()
		s.allowWaypoints = m.implicitAllows(w)
	}
	p := m.ps.get(m.cfg, m.cfgKey, &s)
	m.serverCache[key] = p
	return p
}

func (m *model) peer(w *Workload) peerChoice {
	root := m.cfg.root()
	all := m.peers[root]
	if w.Ref.Namespace != root {
		all = append(append([]*PeerAuthentication(nil), all...), m.peers[w.Ref.Namespace]...)
	}
	return choosePeer(root, all, w)
}

// implicitAllows are istiod's ALLOW policies for the waypoints that a workload or one of
// its services is bound to (ambient/policies.go implicitWaypointPolicy).
func (m *model) implicitAllows(w *Workload) [][2]string {
	if !m.cfg.AutoAllowWaypoint {
		return nil
	}
	seen := map[string]bool{}
	var out [][2]string
	add := func(wp *Waypoint) {
		if wp == nil || seen[wp.Namespace+"/"+wp.Name] {
			return
		}
		seen[wp.Namespace+"/"+wp.Name] = true
		out = append(out, [2]string{wp.Namespace + "/istio_allow_waypoint_" + wp.Namespace + "_" + wp.Name, wp.Principal(m.cfg)})
	}
	add(m.workloadWaypoint(w))
	for _, s := range m.servicesOf[w.Pods()] {
		add(m.serviceWaypoint(s))
	}
	return out
}

// waypoint gives what a waypoint enforces for calls to a service, or to a workload when
// svc is nil.
func (m *model) waypoint(wp *Waypoint, svc *Service, d dialect) *program {
	m.ps.mu.Lock()
	defer m.ps.mu.Unlock()
	key := waypointKey{wp: wp, svc: svc, d: d}
	if p, ok := m.waypointCache[key]; ok {
		return p
	}
	s := spec{
		dialect:  d,
		policies: m.policies(m.authz.forWaypoint(m.cfg, wp, svc)),
		unknown:  m.unknownAt(wp, svc),
	}
	if d == dialectHTTP {
		s.jwt = m.authentications(m.jwt.forWaypoint(m.cfg, wp, svc))
	}
	p := m.ps.get(m.cfg, m.cfgKey, &s)
	m.waypointCache[key] = p
	return p
}

// waypointL4 gives the layered policies in front of a waypoint: those that would apply
// to its pods as a plain workload, read as for TCP.
func (m *model) waypointL4(wp *Waypoint) *program {
	m.ps.mu.Lock()
	defer m.ps.mu.Unlock()
	key := waypointKey{wp: wp, l4: true}
	if p, ok := m.waypointCache[key]; ok {
		return p
	}
	w := &Workload{Ref: Ref{Namespace: wp.Namespace, Name: wp.Name}, Gateway: wp.Name,
		Labels: map[string]string{"gateway.networking.k8s.io/gateway-name": wp.Name}}
	s := spec{dialect: dialectTCP, policies: m.policies(m.authz.forGateway(m.cfg, w, m.authzAt)), unknown: m.unknownAt(wp, nil)}
	p := m.ps.get(m.cfg, m.cfgKey, &s)
	m.waypointCache[key] = p
	return p
}

// serviceWaypoint resolves a service's binding as istiod does; nil means that ztunnel
// sends calls straight to the pods (ambient/waypoints.go fetchWaypointForService).
func (m *model) serviceWaypoint(s *Service) *Waypoint {
	wp := m.resolve(s.Waypoint, s.Namespace)
	if wp == nil || (wp.accepts() != ForService && wp.accepts() != ForAll) {
		return nil
	}
	return wp
}

// workloadWaypoint resolves the binding for calls that address a pod.
func (m *model) workloadWaypoint(w *Workload) *Waypoint {
	wp := m.resolve(w.Waypoint, w.Ref.Namespace)
	if wp == nil || (wp.accepts() != ForWorkload && wp.accepts() != ForAll) {
		return nil
	}
	return wp
}

func (w *Waypoint) accepts() WaypointFor {
	if w.For == "" {
		return ForService
	}
	return w.For
}

func (m *model) resolve(b Binding, consumer string) *Waypoint {
	if b.None() {
		return nil
	}
	wp := m.waypoints[Ref{Namespace: b.Namespace, Name: b.Name}]
	if wp == nil || !wp.Programmed {
		return nil
	}
	if wp.Namespace == consumer {
		return wp
	}
	for _, ns := range wp.Admits {
		if ns == "*" || ns == consumer {
			return wp
		}
	}
	return nil
}
