package authz

import (
	"sort"
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
	d := Destination{Workload: t.w.Pods(), Addressing: t.addressing, Port: t.port}
	if t.svc != nil {
		d.Service = t.svc.Namespace + "/" + t.svc.Name
		d.ServicePort = t.svcPort
	}
	return d
}
