package authz

import (
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
)

// targets lists every way to address every known port of a workload: by each service
// that selects it, and by pod IP.
func (m *model) targets(w *Workload) []target {
	var out []target
	type podPort struct {
		port uint16
		how  Protocol
	}
	ports := map[uint16]Protocol{}
	add := func(p uint16, how Protocol) {
		if how == "" {
			how = ProtocolAuto
		}
		if old, ok := ports[p]; ok && old != how {
			how = ProtocolAuto // two services disagree
		}
		ports[p] = how
	}
	for _, p := range w.Ports {
		add(p.Number, p.Protocol)
	}
	for _, s := range m.servicesOf[w.Pods()] {
		for _, p := range s.Ports {
			add(p.Target(), p.Protocol)
			t := target{w: w, svc: s, addressing: ByService, port: p.Target(), svcPort: p.Port, declared: p.Protocol}
			if s.Headless {
				t.addressing = ByHeadless
				t.svcPort = p.Target()
			}
			out = append(out, t)
		}
	}
	if w.Role == RoleExternal {
		return out // nobody addresses its pods
	}
	var list []podPort
	for p, how := range ports {
		list = append(list, podPort{p, how})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].port < list[j].port })
	for _, p := range list {
		out = append(out, target{w: w, addressing: ByPodIP, port: p.port, declared: p.how})
	}
	return out
}

func (t target) destination() Destination {
	d := Destination{Workload: t.w.Pods(), Addressing: t.addressing, Port: t.port, AnyOther: t.other}
	if t.svc != nil {
		d.Service = t.svc.Namespace + "/" + t.svc.Name
		d.ServicePort = t.svcPort
	}
	return d
}

// ways lists the targets of a destination before and after a change. A pod may listen on any port, declared or not, so that by
// its own address every port is called that either world declares or some policy of either names, and one that stands for all others.
func (d *comparison) ways(c counterpart) (before, after []target) {
	sides := [2]*Workload{c.before, c.after}
	var lists [2][]target
	declared := map[uint16]bool{}
	named := map[uint16]bool{}
	asked := false
	for side, w := range sides {
		if w == nil {
			continue
		}
		m := d.worlds[side]
		lists[side] = m.targets(w)
		for _, t := range lists[side] {
			declared[t.port] = true
		}
		if w.Mode != ModeNone && w.Role == RoleApplication {
			asked = true
			m.namedPorts(w, named)
		}
	}
	if c.before == nil {
		return nil, slices.DeleteFunc(lists[1], func(t target) bool { return t.svc == nil })
	}
	if !asked || d.opts.OnlyDeclaredPorts {
		return lists[0], lists[1]
	}
	other := uint16(math.MaxUint16)
	for declared[other] || named[other] {
		other--
	}
	for side, w := range sides {
		has := map[uint16]bool{}
		for _, t := range lists[side] {
			if t.svc == nil {
				has[t.port] = true
			}
		}
		for _, ports := range []map[uint16]bool{declared, named} {
			for _, p := range slices.Sorted(maps.Keys(ports)) {
				if !has[p] {
					has[p] = true
					lists[side] = append(lists[side], target{w: w, addressing: ByPodIP, port: p, declared: ProtocolAuto, undeclared: !declared[p]})
				}
			}
		}
		lists[side] = append(lists[side], target{w: w, addressing: ByPodIP, port: other, declared: ProtocolAuto, undeclared: true, other: true})
	}
	return lists[0], lists[1]
}

// namedPorts adds the ports that policies for a workload name.
func (m *model) namedPorts(w *Workload, into map[uint16]bool) {
	for _, i := range m.authz.forServer(m.cfg.root(), w, m.authzAt) {
		for _, p := range m.w.Policies.Authorization[i].ports {
			into[p] = true
		}
	}
	if wp := m.workloadWaypoint(w); wp != nil {
		for _, i := range m.authz.forWaypoint(m.cfg, wp, nil) {
			for _, p := range m.w.Policies.Authorization[i].ports {
				into[p] = true
			}
		}
	}
	if p := m.peer(w).workload; p != nil {
		for port := range p.Ports {
			into[port] = true
		}
	}
	for _, port := range w.ExcludedInboundPorts {
		into[port] = true
	}
}

// namedPorts lists the ports that the rules name.
func (p *AuthorizationPolicy) namedPorts() []uint16 {
	var out []uint16
	add := func(lists ...[]string) {
		for _, list := range lists {
			for _, v := range list {
				if n, err := strconv.ParseUint(v, 10, 16); err == nil && n > 0 && !slices.Contains(out, uint16(n)) {
					out = append(out, uint16(n))
				}
			}
		}
	}
	for i := range p.Rules {
		for j := range p.Rules[i].To {
			add(p.Rules[i].To[j].Ports, p.Rules[i].To[j].NotPorts)
		}
		for _, c := range p.Rules[i].When {
			if c.Key == keyDestinationPort {
				add(c.Values, c.NotValues)
			}
		}
	}
	return out
}

func (s *Service) name() string { return s.Namespace + "/" + s.Name }
