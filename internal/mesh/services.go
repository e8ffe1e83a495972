package mesh

import (
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// gatherServices lists Services and ServiceEntries, joins them with the workloads they select, and
// indexes their hosts.
func (b *builder) gatherServices() {
	for _, o := range snapshot.All[*corev1.Service](b.snap) {
		b.addService(o)
	}
	for _, o := range snapshot.All[*networkingv1.ServiceEntry](b.snap) {
		b.addServiceEntry(o)
	}
	m := b.mesh
	slices.SortFunc(m.Services, func(x, y *Service) int { return x.Ref.Compare(y.Ref) })
	for _, s := range m.Services {
		m.services[s.Ref] = s
		for _, w := range s.Workloads {
			w.Services = append(w.Services, s)
		}
	}
	b.hosts = indexHosts(m.Services, m.Settings.serviceDomain())
}

func (b *builder) addService(o *corev1.Service) {
	s := &Service{
		Ref: refOf(kindService, o), Object: o, Selector: o.Spec.Selector, Waypoint: unbound,
		Hosts:    []string{o.Name + "." + o.Namespace + "." + b.mesh.Settings.serviceDomain()},
		Headless: o.Spec.ClusterIP == corev1.ClusterIPNone,
		External: o.Spec.Type == corev1.ServiceTypeExternalName,
		ExportTo: exportList(splitList(o.Annotations[AnnotationExportTo])),
	}
	for _, ip := range o.Spec.ClusterIPs {
		if ip != corev1.ClusterIPNone && ip != "" {
			s.VIPs = append(s.VIPs, ip)
		}
	}
	if len(s.VIPs) == 0 && o.Spec.ClusterIP != "" && !s.Headless {
		s.VIPs = []string{o.Spec.ClusterIP}
	}
	if len(o.Spec.Selector) > 0 && !s.External { // a Service without selector selects nothing
		s.Workloads = b.index.match(o.Namespace, o.Spec.Selector)
	}
	set := b.endpoints.sets[s.Ref]
	set.join(s)
	for _, p := range o.Spec.Ports {
		port := Port{Name: p.Name, Port: p.Port, Protocol: protocolOf(p)}
		switch {
		case p.TargetPort.Type == intstr.String && p.TargetPort.StrVal != "":
			port.TargetName = p.TargetPort.StrVal
			port.Target = namedPort(s.Workloads, p.TargetPort.StrVal)
		case p.TargetPort.IntVal != 0:
			port.Target = p.TargetPort.IntVal
		default:
			port.Target = p.Port
		}
		set.joinPort(&port, s.Ref, len(o.Spec.Selector) > 0)
		s.Ports = append(s.Ports, port)
	}
	b.mesh.Services = append(b.mesh.Services, s)
}

// namedPort resolves a named target port against the first workload that declares it.
func namedPort(workloads []*Workload, name string) int32 {
	for _, w := range workloads {
		if w.Template == nil {
			continue
		}
		for _, list := range [][]corev1.Container{w.Template.Spec.Containers, w.Template.Spec.InitContainers} {
			for _, c := range list {
				for _, p := range c.Ports {
					if p.Name == name {
						return p.ContainerPort
					}
				}
			}
		}
	}
	return 0
}

// knownProtocols are the names that Istio reads from port names (pkg/config/protocol/instance.go).
var knownProtocols = []string{"tcp", "udp", "grpc", "grpc-web", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql"}

// protocolOf reads a port's protocol as istiod does: UDP, then appProtocol, then the prefix of the name
// (pkg/config/kube/conversion.go ConvertProtocol).
func protocolOf(p corev1.ServicePort) string {
	if p.Protocol == corev1.ProtocolUDP {
		return "udp"
	}
	name := p.Name
	if p.AppProtocol != nil {
		name = *p.AppProtocol
		switch name {
		case "kubernetes.io/h2c":
			return "http2"
		case "kubernetes.io/ws":
			return "http"
		case "kubernetes.io/wss":
			return "https"
		}
	}
	return protocolName(name)
}

// protocolName reads a protocol from a port name or a ServiceEntry's protocol; empty when it is none.
func protocolName(name string) string {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "grpc-web") {
		return "grpc-web"
	}
	prefix, _, _ := strings.Cut(name, "-")
	if slices.Contains(knownProtocols, prefix) {
		return prefix
	}
	return ""
}

func (b *builder) addServiceEntry(o *networkingv1.ServiceEntry) {
	spec := &o.Spec
	s := &Service{
		Ref: refOf(kindServiceEntry, o), Object: o, Waypoint: unbound,
		Hosts:    slices.Clone(spec.GetHosts()),
		Selector: spec.GetWorkloadSelector().GetLabels(),
		External: spec.GetLocation() == apinetworking.ServiceEntry_MESH_EXTERNAL,
		Headless: spec.GetResolution() == apinetworking.ServiceEntry_NONE && len(spec.GetAddresses()) == 0,
		VIPs:     slices.Clone(spec.GetAddresses()),
		ExportTo: exportList(spec.GetExportTo()),
	}
	if len(s.Selector) > 0 {
		s.Workloads = b.index.match(o.Namespace, s.Selector)
	}
	for _, p := range spec.GetPorts() {
		if p == nil {
			continue
		}
		port := Port{Name: p.Name, Port: int32(p.Number), Target: int32(p.Number), Protocol: protocolName(p.Protocol)}
		if p.TargetPort != 0 {
			port.Target = int32(p.TargetPort)
		}
		s.Ports = append(s.Ports, port)
	}
	b.mesh.Services = append(b.mesh.Services, s)
}

// exportList normalises exportTo: nil for everyone.
func exportList(list []string) []string {
	if len(list) == 0 || slices.Contains(list, "*") {
		return nil
	}
	return slices.Clone(list)
}

// exportedTo tells that an object of a namespace with this exportTo is visible in another namespace.
func exportedTo(exportTo []string, own, viewer string) bool {
	if len(exportTo) == 0 {
		return true
	}
	for _, e := range exportTo {
		switch e {
		case "*", viewer:
			return true
		case ".":
			if own == viewer {
				return true
			}
		}
	}
	return false
}
