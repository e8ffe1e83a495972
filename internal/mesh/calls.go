package mesh

import (
	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Callers returns who calls as a service account: one caller per mode that its workloads are in, in the
// order of Mesh.Workloads. None means that no workload runs as it.
func (m *Mesh) Callers(namespace, serviceAccount string) []authz.Caller {
	var out []authz.Caller
	seen := map[authz.Mode]bool{}
	for _, w := range m.Workloads {
		if w.Namespace != namespace || w.ServiceAccount != serviceAccount || w.Role != Application && w.Role != Gateway {
			continue
		}
		mode := authz.Mode(w.Mode)
		if w.Role == Gateway {
			mode = authz.ModeSidecar
		}
		if seen[mode] {
			continue
		}
		seen[mode] = true
		pods := authz.Pods{Ref: authzRef(w.Ref)}
		out = append(out, authz.Caller{Principal: w.Principal, Workload: &pods, Mode: mode})
	}
	return out
}

// Destinations returns the ways to call a name of a namespace at a port: by Service where the name is a
// Service or a workload behind some, by pod IP where it is a workload. The port may be the Service's or
// the pods' own. None means that there is no such name or that nothing has the port; port 0 means every
// declared one.
func (m *Mesh) Destinations(namespace, name string, port uint16) []authz.Destination {
	var out []authz.Destination
	service := m.Service(namespace, name)
	if service == nil {
		service = m.ServiceEntry(namespace, name)
	}
	if service != nil {
		for _, w := range service.Workloads {
			out = appendByService(out, service, w, port)
		}
	}
	for _, w := range m.Named(namespace, name) {
		for _, s := range w.Services {
			if s != service {
				out = appendByService(out, s, w, port)
			}
		}
		out = append(out, byPodIP(w, port)...)
	}
	return out
}

// Named returns the workloads of a name, of any kind.
func (m *Mesh) Named(namespace, name string) []*Workload {
	var out []*Workload
	for _, w := range m.Workloads {
		if w.Namespace == namespace && w.Name == name {
			out = append(out, w)
		}
	}
	return out
}

func appendByService(out []authz.Destination, s *Service, w *Workload, port uint16) []authz.Destination {
	d := authz.Destination{Workload: authz.Pods{Ref: authzRef(w.Ref)}, Service: s.Namespace + "/" + s.Name, Addressing: authz.ByService}
	for _, byTarget := range []bool{false, true} { // the Service's own port first
		for _, p := range s.Ports {
			number := p.Port
			if byTarget {
				number = p.Target
			}
			if p.Protocol == "udp" || port != 0 && number != int32(port) {
				continue
			}
			d.Port, d.ServicePort = uint16(p.Target), uint16(p.Port)
			if d.Port == 0 {
				d.Port = d.ServicePort // an unresolved name; package authz takes the same
			}
			if s.Headless {
				d.Addressing, d.ServicePort = authz.ByHeadless, d.Port
			}
			out = append(out, d)
		}
		if n := len(out); n > 0 && out[n-1].Workload == d.Workload && out[n-1].Service == d.Service {
			break
		}
	}
	return out
}

func byPodIP(w *Workload, port uint16) []authz.Destination {
	d := authz.Destination{Workload: authz.Pods{Ref: authzRef(w.Ref)}, Addressing: authz.ByPodIP, Port: port}
	if port != 0 {
		return []authz.Destination{d} // any port can be tried by address
	}
	var out []authz.Destination
	for _, p := range containerPorts(w) {
		d.Port = p.Number
		out = append(out, d)
	}
	return out
}
