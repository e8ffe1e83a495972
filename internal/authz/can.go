package authz

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Can answers one call. From needs a Workload, or a Principal with a Mode; To needs a
// Workload and a Port, or a Service with its ServicePort. The error says what is not
// there and what would be.
func Can(w *World, r Request) (Answer, error) { return NewAsker(w).Can(r) }

// Asker answers many calls of one world. It is not safe for concurrent use.
type Asker struct{ m *model }

// NewAsker compiles a world.
func NewAsker(w *World) *Asker { return &Asker{newModel(w, newPrograms())} }

// Can is the package's Can, for a world that is compiled already.
func (a *Asker) Can(r Request) (Answer, error) {
	m := a.m
	k, id, err := m.caller(r.From)
	if err != nil {
		return Answer{}, err
	}
	t, err := m.find(r.To)
	if err != nil {
		return Answer{}, err
	}
	proto := r.Protocol
	switch {
	case t.declared == ProtocolTCP:
		proto = ProtocolTCP
	case proto == "" || proto == ProtocolAuto:
		proto = ProtocolHTTP
	}
	r.Protocol = proto
	m.fillAddresses(&r, t)
	p := m.route(k, t, proto)
	asked := map[attr]bool{}
	answer := m.follow(&p, &r, id, asked)
	answer.Assumed = assumed(&r, proto, asked)
	return answer, nil
}

// fillAddresses completes addresses that the world knows and that can be but one.
func (m *model) fillAddresses(r *Request, t target) {
	if r.PodIP == "" && len(t.w.IPs) == 1 {
		r.PodIP = t.w.IPs[0].String()
	}
	if r.VIP == "" && t.svc != nil && len(t.svc.VIPs) == 1 {
		r.VIP = t.svc.VIPs[0].String()
	}
	if r.SourceIP == "" && r.From.Workload != nil {
		if c := m.workloads[*r.From.Workload]; c != nil && len(c.IPs) == 1 {
			r.SourceIP = c.IPs[0].String()
		}
	}
}

// assumed lists what policies ask for and the request leaves open.
func assumed(r *Request, proto Protocol, asked map[attr]bool) []string {
	seen := map[string]bool{}
	for a := range asked {
		switch {
		case a.kind == attrSourceIP && r.SourceIP == "":
			seen["source IP"] = true
		case a.kind == attrRemoteIP && r.RemoteIP == "":
			seen["remote IP"] = true
		case a.kind == attrDestIP && r.PodIP == "" && r.VIP == "":
			seen["destination IP"] = true
		case a.kind == attrSNI && r.SNI == "":
			seen["SNI"] = true
		case a.kind == attrRefused && len(r.Refused) == 0:
			seen["external authorizer "+a.name+" agrees"] = true
		}
		if proto != ProtocolHTTP {
			continue
		}
		switch {
		case a.kind == attrMethod && r.Method == "":
			seen["method"] = true
		case a.kind == attrPath && r.Path == "":
			seen["path"] = true
		case a.kind == attrHost && r.Host == "":
			seen["host"] = true
		case a.kind == attrHeader:
			if _, ok := header(r, a.name); !ok {
				seen["no header "+a.name] = true
			}
		case (a.kind == attrClaim || a.kind == attrRequestPrincipal) && r.JWT == nil:
			seen["no token"] = true
		}
	}
	out := make([]string, 0, len(seen))
	for s := range seen {
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

// caller resolves who makes the call.
func (m *model) caller(c Caller) (callerKind, identity, error) {
	if c.Workload != nil {
		w := m.workloads[*c.Workload]
		if w == nil {
			return callerKind{}, identity{}, fmt.Errorf("caller %s: no such workload; name one of the snapshot or give a service account", c.Workload)
		}
		k := kindOf(w)
		if k.mode == ModeNone {
			return k, identity{}, nil
		}
		return k, makeIdentity(w.identityInMesh(m.cfg)), nil
	}
	mode := c.Mode
	if mode == "" && c.Principal != "" {
		for i := range m.w.Workloads {
			w := &m.w.Workloads[i]
			if w.Principal(m.cfg) == c.Principal {
				return kindOf(w), makeIdentity(c.Principal), nil
			}
		}
		return callerKind{}, identity{}, fmt.Errorf("caller %s: no workload has this identity; say in which mode it calls", c.Principal)
	}
	switch mode {
	case "", ModeNone:
		return callerKind{mode: ModeNone, role: RoleApplication}, identity{}, nil
	case ModeSidecar, ModeAmbient:
		id := makeIdentity(c.Principal)
		k := callerKind{mode: mode, role: RoleApplication}
		if mode == ModeSidecar {
			k.scope = m.scopeOf(id.ns)
		}
		return k, id, nil
	}
	return callerKind{}, identity{}, fmt.Errorf("mode %q is none of sidecar, ambient, none", mode)
}

// scopeOf is the TLS scope of a namespace's sidecars.
func (m *model) scopeOf(namespace string) string {
	for _, w := range m.sortedWorkloads() {
		if w.Ref.Namespace == namespace && w.Role == RoleApplication {
			return w.TLSScope
		}
	}
	return ""
}

// find resolves the destination.
func (m *model) find(d Destination) (target, error) {
	if d.Workload.Name != "" {
		w := m.workloads[d.Workload]
		if w == nil {
			return target{}, fmt.Errorf("destination %s: no such workload", d.Workload)
		}
		return m.findPort(w, d)
	}
	ns, name, ok := strings.Cut(d.Service, "/")
	if !ok {
		return target{}, fmt.Errorf("destination: name a workload, or a service as namespace/name")
	}
	svc := m.services[Ref{Kind: kindService, Namespace: ns, Name: name}]
	if svc == nil {
		svc = m.services[Ref{Kind: kindServiceEntry, Namespace: ns, Name: name}]
	}
	if svc == nil {
		return target{}, fmt.Errorf("destination %s: no such service%s", d.Service, m.likely(ns, name))
	}
	if len(svc.Workloads) == 0 {
		return target{}, fmt.Errorf("destination %s: the service selects no workload", d.Service)
	}
	w := m.workloads[svc.Workloads[0]]
	if w == nil {
		return target{}, fmt.Errorf("destination %s: workload %s is not known", d.Service, svc.Workloads[0])
	}
	return m.findPort(w, d)
}

// likely says what a name that is no service's may stand for.
func (m *model) likely(ns, name string) string {
	var services []string
	for i := range m.w.Services {
		if s := &m.w.Services[i]; s.Namespace == ns {
			services = append(services, s.Name)
		}
	}
	here := false
	for i := range m.w.Workloads {
		w := &m.w.Workloads[i]
		here = here || w.Ref.Namespace == ns
		if w.Ref.Namespace == ns && w.Ref.Name == name {
			return "; " + w.Ref.String() + " is a workload: name a service in front of it, or its pods' own address"
		}
	}
	if len(services) == 0 && !here {
		return "; nothing that is known lives in namespace " + ns
	}
	return Known("; services there that select workloads", services)
}

// Known lists a few names after a heading; it is empty when there are none.
func Known(heading string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	const few = 5
	sort.Strings(names)
	names = slices.Compact(names)
	if len(names) > few {
		return fmt.Sprintf("%s: %s and %d more", heading, strings.Join(names[:few], ", "), len(names)-few)
	}
	return heading + ": " + strings.Join(names, ", ")
}

func (m *model) findPort(w *Workload, d Destination) (target, error) {
	var ports []string
	podPort := false
	for _, t := range m.targets(w) {
		if d.Service != "" && (t.svc == nil || t.svc.Namespace+"/"+t.svc.Name != d.Service) {
			continue
		}
		if d.Service == "" && d.Addressing == ByPodIP && t.svc != nil {
			continue
		}
		if (d.ServicePort != 0 && t.svcPort == d.ServicePort) || (d.ServicePort == 0 && t.port == d.Port) {
			return t, nil
		}
		podPort = podPort || t.port == d.ServicePort
		n := t.port
		if t.svc != nil {
			n = t.svcPort
		}
		if p := strconv.Itoa(int(n)); !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	if d.Service == "" && d.Port != 0 {
		// A port that no one declares can still be called by pod IP.
		return target{w: w, addressing: ByPodIP, port: d.Port, declared: ProtocolAuto}, nil
	}
	hint := ""
	if podPort {
		hint = fmt.Sprintf("; %d is the pods' own, for calls to their address", d.ServicePort)
	}
	return target{}, fmt.Errorf("destination %s: the service has no port %d; it has %s%s", d.Service, d.ServicePort, strings.Join(ports, ", "), hint)
}
