package replay

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Index finds what addresses and names in a log stand for. It is made once for a world.
type Index struct {
	world     *authz.World
	workloads map[netip.Addr]*authz.Workload
	services  map[string]*authz.Service // namespace/name
	vips      map[netip.Addr]*authz.Service
	byPods    map[authz.Pods]*authz.Workload
	// podOwner names the workload of a pod, where pods are known.
	podOwner map[string]authz.Ref
}

// NewIndex indexes a world. Pods, by namespace/name, are those of a live mesh; nil where none are known.
func NewIndex(w *authz.World, pods map[string]authz.Ref) *Index {
	x := &Index{world: w, workloads: map[netip.Addr]*authz.Workload{}, services: map[string]*authz.Service{}, vips: map[netip.Addr]*authz.Service{},
		byPods: map[authz.Pods]*authz.Workload{}, podOwner: pods}
	for i := range w.Workloads {
		wl := &w.Workloads[i]
		x.byPods[wl.Pods()] = wl
		for _, ip := range wl.IPs {
			if !wl.HostNetwork { // a node's address stands for everything on it
				x.workloads[ip] = wl
			}
		}
	}
	for i := range w.Services {
		s := &w.Services[i]
		x.services[s.Namespace+"/"+s.Name] = s
		for _, ip := range s.VIPs {
			x.vips[ip] = s
		}
	}
	return x
}

// Call is a line as a question to the model, with what had to be taken for granted.
type Call struct {
	Request authz.Request `json:"request"`
	// Notes say what the line does not tell and how it was read.
	Notes []string `json:"notes,omitempty"`
}

// Hint fills in what a line cannot tell: a caller, a destination. The zero hint fills in nothing.
type Hint struct {
	From *authz.Caller
	To   *authz.Destination
}

// Resolve makes the question of a line. The error says what it names that the state does not have.
func (x *Index) Resolve(l *Line, hint Hint) (*Call, error) {
	c := &Call{}
	r := &c.Request
	if hint.To != nil {
		r.To = *hint.To
	} else if err := x.destination(l, c); err != nil {
		return nil, err
	}
	if hint.From != nil {
		r.From = *hint.From
	} else {
		x.caller(l, c)
	}
	if l.Method == "" && l.Form != EnvoyText && l.Form != EnvoyJSON {
		r.Protocol = "" // ztunnel does not say what is inside; HTTP is asked unless the port says otherwise
	} else if l.Method == "" {
		r.Protocol = authz.ProtocolTCP
	} else {
		r.Protocol, r.Method, r.Host = authz.ProtocolHTTP, l.Method, l.Authority
		r.Path, _, _ = strings.Cut(l.Path, "?") // no policy sees the query, and it may hold secrets
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		r.Path = "/" + r.Path
	}
	if ip, ok := addressOf(l.Remote); ok && r.From.Mode != authz.ModeAmbient {
		r.SourceIP = ip.String()
	}
	if first, _, _ := strings.Cut(l.ForwardedFor, ","); first != "" {
		if _, err := netip.ParseAddr(strings.TrimSpace(first)); err == nil {
			r.RemoteIP = strings.TrimSpace(first)
		}
	}
	if r.RemoteIP == "" {
		r.RemoteIP = r.SourceIP
	}
	if l.SNI != "" && !strings.HasPrefix(l.SNI, "outbound_") {
		r.SNI = l.SNI
	}
	return c, nil
}

func addressOf(hostPort string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(hostPort)
	return ap.Addr().Unmap(), err == nil
}

func portOf(hostPort string) uint16 {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return 0
	}
	return ap.Port()
}

var (
	// sniPattern is how a sidecar names the service in its TLS: outbound_.8080_.subset_.host.
	sniPattern = regexp.MustCompile(`^outbound_\.(\d+)_\.[^_]*_\.(.+)$`)
	// clusterPattern is an Envoy cluster of istiod's: direction|port|subset|host.
	clusterPattern = regexp.MustCompile(`^(inbound|outbound|inbound-vip|inbound-pod)\|(\d+)\|([^|]*)\|(.*)$`)
)

// destination finds where the call goes: by the service that the line names, else by address.
func (x *Index) destination(l *Line, c *Call) error {
	local, known := addressOf(l.Local)
	host, port := l.Service, uint16(0)
	if m := clusterPattern.FindStringSubmatch(l.Cluster); m != nil && m[4] != "" {
		host, port = m[4], number(m[2])
	}
	if m := sniPattern.FindStringSubmatch(l.SNI); m != nil && host == "" {
		host, port = m[2], number(m[1])
	}
	if s := x.vips[local]; known && s != nil && host == "" {
		return x.byService(c, s, portOf(l.Local), nil)
	}
	behind := x.workloads[local]
	if behind == nil && l.DestinationPod != "" {
		behind = x.pod(l.DestinationNamespace, l.DestinationPod)
	}
	if s := x.service(host); s != nil {
		if port == 0 {
			port = servicePort(s, portOf(l.Local))
		}
		return x.byService(c, s, port, behind)
	}
	if s := x.service(l.Authority); s != nil && l.SNI == "" && (behind == nil || slices.Contains(s.Workloads, behind.Pods())) {
		c.note("the line does not say how the destination was addressed; its host names Service %s/%s", s.Namespace, s.Name)
		if port = servicePort(s, portOf(l.Local)); port == 0 {
			port = portOfHost(l.Authority, s)
		}
		return x.byService(c, s, port, behind)
	}
	if behind != nil {
		c.Request.To = authz.Destination{Workload: behind.Pods(), Addressing: authz.ByPodIP, Port: portOf(l.Local)}
		return nil
	}
	return fmt.Errorf("the line's destination (%s) is nothing in this state: read it from the cluster or a snapshot taken then, or name it with --to", orNone(l.Local, l.Cluster, l.Service, l.Authority))
}

func orNone(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return "none is given"
}

func number(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// servicePort is the port of a service behind which the pods' port stands.
func servicePort(s *authz.Service, podPort uint16) uint16 {
	for _, p := range s.Ports {
		if p.Target() == podPort {
			return p.Port
		}
	}
	for _, p := range s.Ports {
		if p.Port == podPort {
			return p.Port
		}
	}
	return 0
}

// portOfHost is the port of a host header, or the only one that a service has.
func portOfHost(authority string, s *authz.Service) uint16 {
	if _, p, ok := strings.Cut(authority, ":"); ok {
		return number(p)
	}
	for _, p := range s.Ports {
		if p.Port == 80 || len(s.Ports) == 1 {
			return p.Port
		}
	}
	return 0
}

// service finds the Service of NAME.NAMESPACE[.svc[.DOMAIN]], with or without a port.
func (x *Index) service(host string) *authz.Service {
	host, _, _ = strings.Cut(host, ":")
	parts := strings.SplitN(host, ".", 4)
	if len(parts) < 2 || len(parts) > 2 && parts[2] != "svc" {
		return nil
	}
	return x.services[parts[1]+"/"+parts[0]]
}

func (x *Index) byService(c *Call, s *authz.Service, port uint16, behind *authz.Workload) error {
	d := authz.Destination{Service: s.Namespace + "/" + s.Name, Addressing: authz.ByService, ServicePort: port}
	if s.Headless {
		d.Addressing = authz.ByHeadless
	}
	switch {
	case behind != nil:
		d.Workload = behind.Pods()
	case len(s.Workloads) > 0:
		d.Workload = s.Workloads[0]
		if len(s.Workloads) > 1 {
			c.note("Service %s selects %d workloads; the line does not say which it reached: %s is taken", d.Service, len(s.Workloads), d.Workload)
		}
	default:
		return fmt.Errorf("the line's destination, Service %s, selects no workload in this state", d.Service)
	}
	for _, p := range s.Ports {
		if p.Port == port {
			d.Port = p.Target()
			if s.Headless {
				d.ServicePort = p.Target()
			}
			c.Request.To = d
			return nil
		}
	}
	return fmt.Errorf("the line's destination, Service %s, has no port %d in this state", d.Service, port)
}

// generated is what Kubernetes appends to the names of pods: a ReplicaSet's hash and a pod's own, a pod's own, an index.
var generated = []*regexp.Regexp{
	regexp.MustCompile(`-[a-f0-9]{6,10}-[a-z0-9]{5}$`), regexp.MustCompile(`-[a-z0-9]{5}$`), regexp.MustCompile(`-\d+$`), regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[a-z0-9]{5}$`),
}

// pod finds the workload of a pod, by its owner or else by its name.
func (x *Index) pod(namespace, name string) *authz.Workload {
	if ref, ok := x.podOwner[namespace+"/"+name]; ok {
		return x.byPods[authz.Pods{Ref: ref}]
	}
	names := []string{name}
	for _, g := range generated {
		if short := g.ReplaceAllString(name, ""); short != name {
			names = append(names, short)
		}
	}
	for i := range x.world.Workloads {
		w := &x.world.Workloads[i]
		if w.Ref.Namespace == namespace && slices.Contains(names, w.Ref.Name) {
			return w
		}
	}
	return nil
}

// caller finds who calls: by the identity that the line shows, by pod, by address.
func (x *Index) caller(l *Line, c *Call) {
	r := &c.Request
	ip, hasIP := addressOf(l.Remote)
	w := x.workloads[ip]
	if w == nil && l.SourcePod != "" {
		w = x.pod(l.SourceNamespace, l.SourcePod)
	}
	if l.Identity != "" && (w == nil || w.Principal(x.world.Config) != l.Identity) {
		if bearer := x.bearer(l.Identity); bearer != nil {
			w = bearer
		} else {
			c.note("no workload of this state has the identity %s; it is taken to call in ambient mode", l.Identity)
			r.From = authz.Caller{Principal: l.Identity, Mode: authz.ModeAmbient}
			return
		}
	}
	switch {
	case w != nil:
		pods := w.Pods()
		r.From = authz.Caller{Workload: &pods, Mode: w.Mode, Principal: w.Principal(x.world.Config)}
	case hasIP:
		c.note("%s is no pod of this state: the caller is taken to be outside the mesh", ip)
		r.From = authz.Caller{Mode: authz.ModeNone}
	default:
		c.note("the line does not say who called: it is taken to be somebody outside the mesh; name the caller with --from")
		r.From = authz.Caller{Mode: authz.ModeNone}
	}
}

func (x *Index) bearer(principal string) *authz.Workload {
	for i := range x.world.Workloads {
		if w := &x.world.Workloads[i]; w.Role != authz.RoleWaypoint && w.Principal(x.world.Config) == principal {
			return w
		}
	}
	return nil
}

func (c *Call) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}
