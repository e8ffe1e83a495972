package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh/netpol"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PortHBONE is where ztunnel, waypoints and sidecars take calls of ambient pods, whatever port they are for
// (https://istio.io/latest/docs/ambient/usage/networkpolicy/).
const PortHBONE = 15008

// Where istio-cni lets the kubelet's probes of ambient pods come from (cni/pkg/nftables/nftables.go).
var (
	ProbeAddress   = netip.MustParseAddr("169.254.7.127")
	ProbeAddressV6 = netip.MustParseAddr("fd16:9254:7127:1337:ffff:ffff:ffff:ffff")
)

// Istio's own ports of a pod; a policy that admits them admits no call of an application.
const (
	firstIstioPort = 15000
	lastIstioPort  = 15090
)

// Network says what network policies let through, for the pods of a mesh. It answers from the objects as they
// are, and is not for use by several goroutines: answers are kept.
type Network struct {
	mesh     *Mesh
	policies *netpol.Set
	ends     map[*Workload]*networkEnd
	callers  []*Workload // who calls through the mesh: applications and gateways
}

// networkEnd is a workload's pods as policies see them, and the policies that select them.
type networkEnd struct {
	netpol.End
	policies []*netpol.Policy
	ports    []int32 // declared by containers and Services, without Istio's
}

// Network compiles the network policies of the mesh's snapshot.
func (m *Mesh) Network() *Network {
	n := &Network{mesh: m, policies: netpol.Compile(m.Snapshot), ends: map[*Workload]*networkEnd{}}
	for _, w := range m.Workloads {
		if w.HostNetwork {
			continue // policies select no such pods, and match none as peers
		}
		if w.Role == Gateway || w.Role == Application && (w.Mode != None || w.AfterRestart != None) {
			n.callers = append(n.callers, w)
		}
	}
	return n
}

// NetworkGap is a rule that admits a peer to a pod, and does not admit it to HBONE's port.
type NetworkGap struct {
	Policy *netpol.Policy
	Rule   *netpol.Rule
	// Peer names who is admitted, Port where, and Unknown tells that no pod of the input is such a peer.
	Peer    string
	Port    int32
	Unknown bool
	// Opens are other declared ports of the pod, closed to the peer now, that HBONE would carry as well.
	Opens []int32
}

// Ref names the policy.
func (g *NetworkGap) Ref() Ref { return PolicyRef(g.Policy) }

// PolicyRef names a network policy.
func PolicyRef(p *netpol.Policy) Ref { return refOf(p.Kind, p.Object) }

func (n *Network) end(w *Workload) *networkEnd {
	e := n.ends[w]
	if e == nil {
		labels, _ := n.mesh.NamespaceLabels(w.Namespace)
		e = &networkEnd{End: netpol.End{
			Namespace: w.Namespace, Labels: w.Labels, NamespaceLabels: namedNamespace(w.Namespace, labels),
			ServiceAccount: cmp.Or(w.ServiceAccount, "default"), IPs: workloadIPs(w, w.Pods), Named: namedPorts(w),
		}}
		e.policies, e.ports = n.policies.Of(&e.End), applicationPorts(w)
		n.ends[w] = e
	}
	return e
}

// namedNamespace is a namespace's labels with the one that Kubernetes sets on all.
func namedNamespace(name string, labels map[string]string) map[string]string {
	if labels[LabelNamespaceName] == name {
		return labels
	}
	return merged(labels, map[string]string{LabelNamespaceName: name})
}

func namedPorts(w *Workload) map[string]int32 {
	out := map[string]int32{}
	if w.Template != nil {
		for _, c := range w.Template.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name != "" && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
					out[p.Name] = p.ContainerPort
				}
			}
		}
	}
	return out
}

// applicationPorts are the TCP ports that containers declare and Services send to.
func applicationPorts(w *Workload) []int32 {
	var out []int32
	for _, p := range containerPorts(w) {
		out = append(out, int32(p.Number))
	}
	for _, s := range w.Services {
		for _, p := range s.Ports {
			if p.Protocol != "udp" && p.Target != 0 {
				out = append(out, p.Target)
			}
		}
	}
	return ownPorts(out)
}

// ownPorts sorts ports and leaves out Istio's.
func ownPorts(list []int32) []int32 {
	list = slices.DeleteFunc(list, func(p int32) bool { return p >= firstIstioPort && p <= lastIstioPort })
	slices.Sort(list)
	return slices.Compact(list)
}

// NotJudged are the policies that limit a workload's pods and that are not evaluated.
func (n *Network) NotJudged(w *Workload) []*netpol.Policy {
	if w.HostNetwork || n.policies.Len() == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.end(w).policies), func(p *netpol.Policy) bool { return p.NotJudged == "" })
}

// limits returns the policies of a workload's pods for a direction, nil when nothing is limited or when one
// of them is not evaluated, so that nothing definite can be said.
func (n *Network) limits(w *Workload, d netpol.Direction) *networkEnd {
	if w.HostNetwork || n.policies.Len() == 0 {
		return nil
	}
	e := n.end(w)
	if !netpol.Limited(e.policies, d) || slices.ContainsFunc(e.policies, func(p *netpol.Policy) bool { return p.NotJudged != "" && p.Governs(d) }) {
		return nil
	}
	return e
}

// admits reports whether a call from one pod to a port of another passes the policies of both ends.
func admits(from, to *networkEnd, port int32) bool {
	in, _ := netpol.Admits(to.policies, netpol.Ingress, &to.End, &from.End, port)
	if !in {
		return false
	}
	out, _ := netpol.Admits(from.policies, netpol.Egress, &from.End, &to.End, port)
	return out
}

// stranger stands for a pod of some namespace that is not in the input.
var stranger = &networkEnd{End: netpol.End{Namespace: "\x00", Labels: map[string]string{}, NamespaceLabels: map[string]string{}}}

const strangerName = "pods of any other namespace"

// narrow reports whether a rule lets somebody in at ports of an application and not at HBONE's.
func narrow(r *netpol.Rule, pod *netpol.End) bool {
	return r.Allows() && !r.AllPorts() && !r.Covers(pod, PortHBONE) && len(ownPorts(r.Ports(pod))) > 0
}

// IngressGaps are the rules of a workload's policies that let callers in at its ports and not at HBONE's: one
// gap for each rule, with one of its callers.
func (n *Network) IngressGaps(w *Workload) []NetworkGap {
	to := n.limits(w, netpol.Ingress)
	if to == nil {
		return nil
	}
	var out []NetworkGap
	for _, p := range to.policies {
		for i := range p.Rules(netpol.Ingress) {
			r := &p.Rules(netpol.Ingress)[i]
			if !narrow(r, &to.End) {
				continue
			}
			if g, ok := n.ingressGap(to, r); ok {
				g.Policy, g.Rule = p, r
				out = append(out, g)
			}
		}
	}
	return out
}

func (n *Network) ingressGap(to *networkEnd, r *netpol.Rule) (NetworkGap, bool) {
	ports := ownPorts(append(slices.Clone(to.ports), r.Ports(&to.End)...))
	try := func(from *networkEnd, name string) (NetworkGap, bool) {
		if admits(from, to, PortHBONE) {
			return NetworkGap{}, false
		}
		for _, port := range ports {
			if r.Covers(&to.End, port) && admits(from, to, port) {
				return NetworkGap{Peer: name, Port: port, Opens: closed(from, to)}, true
			}
		}
		return NetworkGap{}, false
	}
	for _, w := range n.callers {
		if from := n.end(w); r.Matches(&from.End) {
			if g, ok := try(from, w.Namespace+"/"+w.Name); ok {
				return g, true
			}
		}
	}
	if r.Matches(&stranger.End) {
		return try(stranger, strangerName)
	}
	if slices.ContainsFunc(n.mesh.Workloads, func(w *Workload) bool { return !w.HostNetwork && r.Matches(&n.end(w).End) }) || r.Outside() {
		return NetworkGap{}, false
	}
	if slices.ContainsFunc(to.policies, func(p *netpol.Policy) bool {
		return slices.ContainsFunc(p.Rules(netpol.Ingress), func(o netpol.Rule) bool {
			return o.Allows() && o.Covers(&to.End, PortHBONE) && o.SamePeers(r)
		})
	}) {
		return NetworkGap{}, false
	}
	for _, port := range ports {
		if r.Covers(&to.End, port) {
			return NetworkGap{Peer: "peers that the input does not hold", Port: port, Unknown: true}, true
		}
	}
	return NetworkGap{}, false
}

// closed are the declared ports of a pod that are not open to a peer now.
func closed(from, to *networkEnd) []int32 {
	return slices.DeleteFunc(slices.Clone(to.ports), func(p int32) bool { return admits(from, to, p) })
}

// EgressGaps are the rules of a workload's policies that let its calls out to ports of workloads of the mesh,
// and not to HBONE's: ztunnel dials from inside the caller's pod (istio/istio#57661).
func (n *Network) EgressGaps(w *Workload) []NetworkGap {
	from := n.limits(w, netpol.Egress)
	if from == nil {
		return nil
	}
	var out []NetworkGap
	for _, p := range from.policies {
		for i := range p.Rules(netpol.Egress) {
			r := &p.Rules(netpol.Egress)[i]
			if !r.Allows() || r.AllPorts() {
				continue
			}
			if g, ok := n.egressGap(from, r); ok {
				g.Policy, g.Rule = p, r
				out = append(out, g)
			}
		}
	}
	return out
}

func (n *Network) egressGap(from *networkEnd, r *netpol.Rule) (NetworkGap, bool) {
	for _, w := range n.mesh.Workloads {
		if w.HostNetwork || w.Role != Application || w.Mode == None && w.AfterRestart == None {
			continue
		}
		to := n.end(w)
		if !r.Matches(&to.End) || r.Covers(&to.End, PortHBONE) {
			continue
		}
		ports := to.ports
		if len(ports) == 0 {
			ports = ownPorts(r.Ports(&to.End))
		}
		if out, _ := netpol.Admits(from.policies, netpol.Egress, &from.End, &to.End, PortHBONE); out {
			continue
		}
		for _, port := range ports {
			if r.Covers(&to.End, port) && admits(from, to, port) {
				return NetworkGap{Peer: w.Namespace + "/" + w.Name, Port: port}, true
			}
		}
	}
	return NetworkGap{}, false
}

// ProbeGap returns a probed port of a workload that its policies close to the address that probes of ambient
// pods come from, and that address; false when there is none.
func (n *Network) ProbeGap(w *Workload) (port int32, from netip.Addr, policies []*netpol.Policy, found bool) {
	to := n.limits(w, netpol.Ingress)
	if to == nil {
		return 0, from, nil, false
	}
	addresses := []netip.Addr{ProbeAddress}
	if w.Has(IPv6) {
		addresses = append(addresses, ProbeAddressV6)
	}
	for _, port := range probedPorts(w, to.Named) {
		for _, a := range addresses {
			if in, _ := netpol.Admits(to.policies, netpol.Ingress, &to.End, &netpol.End{Address: a}, port); !in {
				return port, a, slices.DeleteFunc(slices.Clone(to.policies), func(p *netpol.Policy) bool { return !p.Governs(netpol.Ingress) }), true
			}
		}
	}
	return 0, from, nil, false
}

// probedPorts are the ports that the kubelet calls over the network.
func probedPorts(w *Workload, named map[string]int32) []int32 {
	if w.Template == nil {
		return nil
	}
	var out []int32
	add := func(p intstr.IntOrString) {
		if p.Type == intstr.String {
			out = append(out, named[p.StrVal])
			return
		}
		out = append(out, p.IntVal)
	}
	for _, c := range w.Template.Spec.Containers {
		if c.Name == ProxyContainer {
			continue
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			switch {
			case probe == nil:
			case probe.HTTPGet != nil:
				add(probe.HTTPGet.Port)
			case probe.TCPSocket != nil:
				add(probe.TCPSocket.Port)
			case probe.GRPC != nil:
				out = append(out, probe.GRPC.Port)
			}
		}
	}
	return out
}

// OpenPort is a port that is closed to a peer to which HBONE's is open.
type OpenPort struct {
	Policy *netpol.Policy
	Rule   *netpol.Rule
	Peer   string
	Port   int32
}

// OpenedByHBONE are declared ports of a workload that its policies close to peers that may open HBONE's port,
// which carries calls to every port (istio/istio#56659): one for each rule that opens it.
func (n *Network) OpenedByHBONE(w *Workload) []OpenPort {
	to := n.limits(w, netpol.Ingress)
	if to == nil {
		return nil
	}
	var out []OpenPort
	for _, p := range to.policies {
		for i := range p.Rules(netpol.Ingress) {
			r := &p.Rules(netpol.Ingress)[i]
			if !r.Allows() || r.AllPorts() || !r.Covers(&to.End, PortHBONE) {
				continue
			}
			if peer, port := n.opened(w, to, r); port != 0 {
				out = append(out, OpenPort{p, r, peer, port})
			}
		}
	}
	return out
}

func (n *Network) opened(own *Workload, to *networkEnd, r *netpol.Rule) (string, int32) {
	try := func(from *networkEnd) int32 {
		if r.Matches(&from.End) && admits(from, to, PortHBONE) {
			if ports := closed(from, to); len(ports) > 0 {
				return ports[0]
			}
		}
		return 0
	}
	for _, w := range n.callers {
		if w == own {
			continue
		}
		if port := try(n.end(w)); port != 0 {
			return w.Namespace + "/" + w.Name, port
		}
	}
	for _, ns := range n.mesh.workloadNamespaces() {
		labels, _ := n.mesh.NamespaceLabels(ns)
		e := &networkEnd{End: netpol.End{Namespace: ns, Labels: map[string]string{}, NamespaceLabels: namedNamespace(ns, labels)}}
		e.policies = n.policies.Of(&e.End)
		if port := try(e); port != 0 {
			return "other pods of namespace " + ns, port
		}
	}
	return strangerName, try(stranger)
}

// WaypointGap is a call on the way through a waypoint that policies refuse.
type WaypointGap struct {
	// From and To name the two ends; Side is the end whose policies refuse it, Policies those that limit it.
	From, To string
	Side     netpol.Direction
	Policies []*netpol.Policy
	Waypoint Ref
}

// WaypointGaps are the calls that a workload behind a waypoint needs and that policies refuse: of its present
// callers to the waypoint, and of the waypoint to the workload. The waypoint is the Gateway given, whose pods
// need not exist yet.
func (n *Network) WaypointGaps(w *Workload, gateway Ref) []WaypointGap {
	if w.HostNetwork || n.policies.Len() == 0 {
		return nil
	}
	to, waypoint := n.end(w), n.waypointEnd(gateway)
	name := gateway.Namespace + "/" + gateway.Name
	var out []WaypointGap
	refused := func(from, to *networkEnd, fromName, toName string) {
		for _, side := range []struct {
			d          netpol.Direction
			own, other *networkEnd
		}{{netpol.Egress, from, to}, {netpol.Ingress, to, from}} {
			governing := slices.DeleteFunc(slices.Clone(side.own.policies), func(p *netpol.Policy) bool { return !p.Governs(side.d) })
			if slices.ContainsFunc(governing, func(p *netpol.Policy) bool { return p.NotJudged != "" }) {
				continue
			}
			if ok, _ := netpol.Admits(side.own.policies, side.d, &side.own.End, &side.other.End, PortHBONE); !ok {
				out = append(out, WaypointGap{From: fromName, To: toName, Side: side.d, Policies: governing, Waypoint: gateway})
			}
		}
	}
	refused(waypoint, to, "waypoint "+name, w.Namespace+"/"+w.Name)
	for _, c := range n.callers {
		from := n.end(c)
		if c == w || !slices.ContainsFunc(to.ports, func(p int32) bool { return admits(from, to, p) }) {
			continue
		}
		if !netpol.Limited(from.policies, netpol.Egress) && !netpol.Limited(waypoint.policies, netpol.Ingress) {
			continue
		}
		before := len(out)
		if refused(from, waypoint, c.Namespace+"/"+c.Name, "waypoint "+name); len(out) > before {
			break // one caller is enough to show it
		}
	}
	return out
}

// waypointEnd is a waypoint's pods: those that run, or those that istiod would make.
func (n *Network) waypointEnd(gateway Ref) *networkEnd {
	for _, w := range n.mesh.Workloads {
		if w.Role == Waypoint && w.Namespace == gateway.Namespace && (w.Labels[LabelGatewayName] == gateway.Name || w.Name == gateway.Name) {
			return n.end(w)
		}
	}
	labels, _ := n.mesh.NamespaceLabels(gateway.Namespace)
	e := &networkEnd{End: netpol.End{
		Namespace: gateway.Namespace, NamespaceLabels: namedNamespace(gateway.Namespace, labels), ServiceAccount: gateway.Name,
		Labels: map[string]string{LabelGatewayName: gateway.Name, LabelGatewayManaged: ManagedByMesh, LabelGatewayClass: ClassWaypoint, LabelDataplaneMode: ModeNone, LabelInject: "false"},
	}}
	e.policies = n.policies.Of(&e.End)
	return e
}

// String says which call is refused by whose policies.
func (g WaypointGap) String() string {
	end := g.To
	if g.Side == netpol.Egress {
		end = g.From
	}
	return fmt.Sprintf("from %s to %s, by the policies of %s", g.From, g.To, end)
}

// AdmitsSomeHBONE reports whether a workload's policies open HBONE's port to anybody.
func (n *Network) AdmitsSomeHBONE(w *Workload) bool {
	e := n.end(w)
	return slices.ContainsFunc(e.policies, func(p *netpol.Policy) bool {
		return slices.ContainsFunc(p.Rules(netpol.Ingress), func(r netpol.Rule) bool { return r.Allows() && r.Covers(&e.End, PortHBONE) })
	})
}
