// Package route says where a call goes and what is done to it on the way: at a client's sidecar, at a
// waypoint, at ztunnel, or where nobody routes. It compiles VirtualServices, Gateway API routes, DestinationRules and
// backend policies into one form, answers for single calls, and compares two states for every class of calls.
//
// The semantics are istiod's of Istio 1.31: pilot/pkg/networking/core (httproute.go, tls.go,
// listener_waypoint.go, cluster_waypoint.go), core/route, pilot/pkg/model (push_context.go, sidecar.go,
// virtualservice.go, destination_rule.go) and pilot/pkg/config/kube/gateway (conversion.go).
package route

import (
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
)

// Mode is what handles the calls that a workload makes.
type Mode string

const (
	Sidecar Mode = "sidecar" // an Envoy of its own, which routes
	Ambient Mode = "ambient" // ztunnel, and the waypoint of the Service that is called
	None    Mode = "none"    // nobody: kube-proxy spreads connections
)

// Ref names an object.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is Kind namespace/name.
func (r Ref) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Origin is the object and field that a rule or setting was read from. The zero Origin stands for a default.
type Origin struct {
	Object Ref    `json:"object,omitzero"`
	Field  string `json:"field,omitempty"`
}

// String is empty for a default.
func (o Origin) String() string {
	if o.Object == (Ref{}) {
		return ""
	}
	if o.Field == "" {
		return o.Object.String()
	}
	return o.Object.String() + " " + o.Field
}

// World is one state of a mesh as routing sees it. Nothing in it is changed by this package.
type World struct {
	Config    Config
	Workloads []Workload
	Services  []Service
	Objects   *Objects
	// Input is what Objects were compiled from.
	Input Input
	// Unknown says what could not be read and would change answers.
	Unknown []string

	index *index
}

// Config is what holds for the whole mesh.
type Config struct {
	RootNamespace string
	// ClusterDomain is the domain of Services without the leading svc, such as cluster.local.
	ClusterDomain string
	// Retries is meshConfig.defaultHttpRetryPolicy; nil leaves Istio's own default.
	Retries *apinetworking.HTTPRetry
	// Locality is meshConfig.localityLbSetting where it distributes or fails over in its own way.
	Locality *apinetworking.LocalityLoadBalancerSetting
	// H2Upgrade reports whether meshConfig.h2UpgradePolicy is UPGRADE.
	H2Upgrade bool
	// RegistryOnly reports whether calls to unknown hosts are refused by sidecars.
	RegistryOnly bool
	// VirtualServiceExportTo, DestinationRuleExportTo and ServiceExportTo are the mesh's defaults; nil for "*".
	VirtualServiceExportTo, DestinationRuleExportTo, ServiceExportTo []string
	// ConfigRef is the object that the mesh-wide settings were read from.
	ConfigRef Ref
}

// Workload is somebody who calls, and whose pods may be called.
type Workload struct {
	Ref    Ref
	Labels map[string]string
	Mode   Mode
	// Gateway reports whether it is an ingress or egress gateway: an Envoy, whatever captures its pods.
	Gateway bool
	// Scope is its Sidecar object, nil without one.
	Scope *Scope
	// PodLabels are the distinct label sets of its pods where they differ from Labels in what a subset may select.
	PodLabels []map[string]string
}

// Scope is what a Sidecar object shows to its workloads.
type Scope struct {
	Ref Ref
	// Hosts are the egress hosts, as NAMESPACE/HOST; nil shows everything.
	Hosts []string
	// RegistryOnly is the outbound policy, nil for the mesh's. EgressProxy names the proxy of unknown hosts.
	RegistryOnly *bool
	EgressProxy  string
	// Listeners reports whether it has egress listeners of its own, which are not modelled.
	Listeners bool
}

// Service is a Service or a ServiceEntry.
type Service struct {
	Ref   Ref
	Hosts []string // full names, in lower case
	VIPs  []string
	Ports []Port
	// Headless Services are called by the address of a pod.
	Headless bool
	// External reports whether its endpoints are outside the mesh.
	External bool
	// Workloads are indexes of World.Workloads that it selects.
	Workloads []int
	// Selector is that of a Service; nil for none.
	Selector map[string]string
	// Outside identifies endpoints that are no workloads: addresses, names to resolve, an external name. OwnName in it
	// stands for the host that is called.
	Outside []string
	// ExternalName is the host that a Service of this type stands for.
	ExternalName string
	// ExportTo lists the namespaces that see it; nil for all.
	ExportTo []string
	// Waypoint serves calls of ambient clients; the zero Ref for none. WaypointServes is false where it is bound
	// and does not handle calls to Services.
	Waypoint Ref
	// Distribution is the traffic distribution, which every proxy follows.
	Distribution string
}

// OwnName stands in Service.Outside for the host itself.
const OwnName = "{host}"

// Protocol is what a port is declared to speak.
type Protocol string

const (
	HTTP Protocol = "http"
	TCP  Protocol = "tcp"
	TLS  Protocol = "tls"  // routed by SNI
	Auto Protocol = "auto" // sniffed: HTTP calls are routed as such
	UDP  Protocol = "udp"  // no proxy sees it
)

// Port is one port of a Service.
type Port struct {
	Name     string
	Number   uint32
	Target   string // number or name of the pods' port
	Protocol Protocol
}

// carriesHTTP reports whether a proxy routes requests on the port.
func (p Port) carriesHTTP() bool { return p.Protocol == HTTP || p.Protocol == Auto }

func (s *Service) port(n uint32) (Port, bool) {
	for _, p := range s.Ports {
		if p.Number == n {
			return p, true
		}
	}
	return Port{}, false
}

// index finds Services by host.
type index struct {
	byHost map[string][]int
	wild   []int // Services with a wildcard host
	// byNamespace are the workloads.
	byNamespace map[string][]int
}

func (w *World) hosts() *index {
	if w.index != nil {
		return w.index
	}
	x := &index{byHost: make(map[string][]int, len(w.Services)), byNamespace: map[string][]int{}}
	for i := range w.Services {
		for _, h := range w.Services[i].Hosts {
			x.byHost[h] = append(x.byHost[h], i)
			if strings.HasPrefix(h, "*") {
				x.wild = append(x.wild, i)
			}
		}
	}
	for i := range w.Workloads {
		ns := w.Workloads[i].Ref.Namespace
		x.byNamespace[ns] = append(x.byNamespace[ns], i)
	}
	w.index = x
	return x
}

// service returns the Service of a host that a namespace sees, nil without one.
func (w *World) service(host, viewer string) *Service {
	var first *Service
	for _, i := range w.hosts().byHost[host] {
		s := &w.Services[i]
		if !w.visible(s, viewer) {
			continue
		}
		if s.Ref.Namespace == viewer || s.Ref.Kind == "Service" {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// visible reports whether a namespace sees a Service.
func (w *World) visible(s *Service, viewer string) bool {
	list := s.ExportTo
	if list == nil {
		list = w.Config.ServiceExportTo
	}
	return exported(list, s.Ref.Namespace, viewer)
}

// exported reports whether an object of a namespace with this exportTo is seen by another.
func exported(list []string, own, viewer string) bool {
	if len(list) == 0 {
		return true
	}
	for _, e := range list {
		switch {
		case e == "*", e == viewer, e == "." && own == viewer:
			return true
		}
	}
	return false
}

// fullName completes a short host with a namespace and the cluster's domain, as istiod does
// (pilot/pkg/model/config.go ResolveShortnameToFQDN): names with a dot, and "*", stay as they are.
func (c *Config) fullName(host, namespace string) string {
	host = strings.ToLower(host)
	if host == "" || host == "*" || strings.Contains(host, ".") {
		return host
	}
	return host + "." + namespace + ".svc." + c.ClusterDomain
}

// hostMatches reports whether a host or wildcard covers another (pkg/config/host/name.go).
func hostMatches(pattern, host string) bool {
	wild, other := strings.HasPrefix(pattern, "*"), strings.HasPrefix(host, "*")
	switch {
	case wild && other:
		return strings.HasSuffix(host[1:], pattern[1:]) || strings.HasSuffix(pattern[1:], host[1:])
	case wild:
		return strings.HasSuffix(host, pattern[1:])
	case other:
		return strings.HasSuffix(pattern, host[1:])
	}
	return pattern == host
}
