package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	apinetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// Input is every object that routing is read from.
type Input struct {
	VirtualServices  []*networkingv1.VirtualService
	DestinationRules []*networkingv1.DestinationRule
	HTTPRoutes       []*gatewayv1.HTTPRoute
	GRPCRoutes       []*gatewayv1.GRPCRoute
	TCPRoutes        []*gatewayv1alpha2.TCPRoute
	TLSRoutes        []*gatewayv1alpha2.TLSRoute
	BackendTLS       []*gatewayv1.BackendTLSPolicy
}

// Objects is the input compiled; worlds of one state share it.
type Objects struct {
	virtuals []*virtual // in istiod's order: oldest first, then by name and namespace
	byHost   map[string][]int
	wildcard []int
	rules    []*destinationRule
	ruleHost map[string][]int
	ruleWild map[string][]int
	// Problems are what istiod ignores, refuses or answers with an error.
	Problems []Problem
}

// Problem is a route or policy that does not do what it says.
type Problem struct {
	Origin  Origin `json:"origin"`
	Message string `json:"message"`
}

// virtual is a VirtualService, or what istiod makes of Gateway API routes for one host.
type virtual struct {
	origin    Ref
	namespace string
	name      string
	created   time.Time
	hosts     []string
	exportTo  []string // nil for everybody
	gateways  []string // nil for the mesh
	// gatewayAPI gives it the semantics of Gateway API: consumer routes, path segments, 500 for no backend.
	gatewayAPI bool
	http       []httpRule
	hasHTTP    bool
	tcp, tls   []connRule
}

// httpRule is one match of one route.
type httpRule struct {
	match           Match
	port            uint32
	gateways        []string
	sourceLabels    map[string]string
	sourceNamespace string
	route           *apinetworking.HTTPRoute
	origin          Origin
	matchOrigin     Origin
	// fields names what a part of the route was read from; the route's own paths without it.
	fields map[Part]Origin
}

// connRule is one match of one route of connections.
type connRule struct {
	sni             []string
	subnets         []string
	port            uint32
	gateways        []string
	sourceLabels    map[string]string
	sourceNamespace string
	route           []*apinetworking.RouteDestination
	origin          Origin
	always          bool // has no match at all
}

// mesh reports whether it acts in sidecars and at waypoints.
func (v *virtual) mesh() bool {
	return len(v.gateways) == 0 || slices.Contains(v.gateways, meshGateway)
}

const meshGateway = "mesh"

func refTo(group, kind string, o metav1.Object) Ref {
	return Ref{Group: group, Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

const istioGroup = "networking.istio.io"

func virtualServiceRef(o *networkingv1.VirtualService) Ref {
	return refTo(istioGroup, "VirtualService", o)
}

// Compile reads every object once. Services are asked for the parents of Gateway API routes and policies.
func Compile(cfg *Config, in Input, services []Service) *Objects {
	c := &compiler{cfg: cfg, out: &Objects{byHost: map[string][]int{}, ruleHost: map[string][]int{}, ruleWild: map[string][]int{}},
		services: make(map[Ref]*Service, len(services)), delegates: map[string]*networkingv1.VirtualService{}}
	for i := range services {
		c.services[services[i].Ref] = &services[i]
	}
	for _, o := range in.VirtualServices {
		if len(o.Spec.GetHosts()) == 0 {
			c.delegates[o.Namespace+"/"+o.Name] = o
		}
	}
	for _, o := range in.VirtualServices {
		if len(o.Spec.GetHosts()) > 0 {
			c.out.virtuals = append(c.out.virtuals, c.virtualService(o))
		}
	}
	c.gatewayRoutes(in)
	c.destinationRules(in)
	slices.SortStableFunc(c.out.virtuals, func(a, b *virtual) int {
		return cmp.Or(a.created.Compare(b.created), strings.Compare(a.name, b.name), strings.Compare(a.namespace, b.namespace))
	})
	for i, v := range c.out.virtuals {
		for _, h := range v.hosts {
			if strings.HasPrefix(h, "*") {
				c.out.wildcard = append(c.out.wildcard, i)
				continue
			}
			c.out.byHost[h] = append(c.out.byHost[h], i)
		}
	}
	return c.out
}

type compiler struct {
	cfg       *Config
	out       *Objects
	services  map[Ref]*Service
	delegates map[string]*networkingv1.VirtualService
}

func (c *compiler) problem(o Origin, format string, args ...any) {
	c.out.Problems = append(c.out.Problems, Problem{Origin: o, Message: fmt.Sprintf(format, args...)})
}

// virtualsFor lists the VirtualServices of a host in istiod's order.
func (o *Objects) virtualsFor(host string) []*virtual {
	found := slices.Clone(o.byHost[host])
	for _, i := range o.wildcard {
		if slices.ContainsFunc(o.virtuals[i].hosts, func(h string) bool { return strings.HasPrefix(h, "*") && hostMatches(h, host) }) {
			found = append(found, i)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	out := make([]*virtual, len(found))
	for i, n := range found {
		out[i] = o.virtuals[n]
	}
	return out
}

// virtualService compiles one with hosts; its delegates are merged into it.
func (c *compiler) virtualService(o *networkingv1.VirtualService) *virtual {
	spec := &o.Spec
	v := &virtual{origin: virtualServiceRef(o), namespace: o.Namespace, name: o.Name, created: o.CreationTimestamp.Time,
		exportTo: spec.GetExportTo(), gateways: spec.GetGateways(), hasHTTP: len(spec.GetHttp()) > 0}
	if len(v.exportTo) == 0 {
		v.exportTo = c.cfg.VirtualServiceExportTo
	}
	for _, h := range spec.GetHosts() {
		v.hosts = append(v.hosts, c.cfg.fullName(h, o.Namespace))
	}
	for i, h := range spec.GetHttp() {
		at := Origin{v.origin, fmt.Sprintf("spec.http[%d]", i)}
		if h.GetDelegate() != nil {
			c.delegate(v, o, h, at)
			continue
		}
		c.addHTTP(v, h, at, nil)
	}
	for i, t := range spec.GetTls() {
		at := Origin{v.origin, fmt.Sprintf("spec.tls[%d]", i)}
		for _, m := range t.GetMatch() {
			v.tls = append(v.tls, connRule{sni: m.GetSniHosts(), subnets: m.GetDestinationSubnets(), port: m.GetPort(), gateways: m.GetGateways(),
				sourceLabels: m.GetSourceLabels(), sourceNamespace: m.GetSourceNamespace(), route: c.fullRoute(t.GetRoute(), o.Namespace), origin: at})
		}
	}
	for i, t := range spec.GetTcp() {
		at := Origin{v.origin, fmt.Sprintf("spec.tcp[%d]", i)}
		if len(t.GetMatch()) == 0 {
			v.tcp = append(v.tcp, connRule{route: c.fullRoute(t.GetRoute(), o.Namespace), origin: at, always: true})
		}
		for _, m := range t.GetMatch() {
			v.tcp = append(v.tcp, connRule{subnets: m.GetDestinationSubnets(), port: m.GetPort(), gateways: m.GetGateways(),
				sourceLabels: m.GetSourceLabels(), sourceNamespace: m.GetSourceNamespace(), route: c.fullRoute(t.GetRoute(), o.Namespace), origin: at})
		}
	}
	return v
}

func (c *compiler) fullRoute(in []*apinetworking.RouteDestination, namespace string) []*apinetworking.RouteDestination {
	out := make([]*apinetworking.RouteDestination, len(in))
	for i, d := range in {
		out[i] = &apinetworking.RouteDestination{Destination: c.fullDestination(d.GetDestination(), namespace), Weight: d.GetWeight()}
	}
	return out
}

func (c *compiler) fullDestination(d *apinetworking.Destination, namespace string) *apinetworking.Destination {
	if d == nil {
		return nil
	}
	return &apinetworking.Destination{Host: c.cfg.fullName(d.GetHost(), namespace), Subset: d.GetSubset(), Port: d.GetPort()}
}

// addHTTP adds a route's matches. fields is nil but for delegates, where a part may come from either object.
func (c *compiler) addHTTP(v *virtual, h *apinetworking.HTTPRoute, at Origin, fields map[Part]Origin) {
	h = c.completed(h, at.Object.Namespace)
	c.checkRegexes(h, at)
	rule := httpRule{route: h, origin: at, matchOrigin: at, fields: fields}
	if len(h.GetMatch()) == 0 {
		v.http = append(v.http, rule)
		return
	}
	for j, m := range h.GetMatch() {
		r := rule
		r.match, r.port, r.gateways = httpMatch(m, v.gatewayAPI), m.GetPort(), m.GetGateways()
		r.sourceLabels, r.sourceNamespace = m.GetSourceLabels(), m.GetSourceNamespace()
		r.matchOrigin.Field += fmt.Sprintf(".match[%d]", j)
		v.http = append(v.http, r)
	}
}

// completed is the route with full names of hosts.
func (c *compiler) completed(h *apinetworking.HTTPRoute, namespace string) *apinetworking.HTTPRoute {
	out := h.DeepCopy()
	for _, d := range out.GetRoute() {
		d.Destination = c.fullDestination(d.GetDestination(), namespace)
	}
	out.Mirror = c.fullDestination(h.GetMirror(), namespace)
	for _, m := range out.GetMirrors() {
		m.Destination = c.fullDestination(m.GetDestination(), namespace)
	}
	return out
}

// checkRegexes names regular expressions that do not compile: Envoy refuses the whole configuration that has one.
func (c *compiler) checkRegexes(h *apinetworking.HTTPRoute, at Origin) {
	for j, m := range h.GetMatch() {
		for _, t := range httpMatch(m, false) {
			if t.Op == Regex && compiled(t.Value) == nil {
				c.problem(Origin{at.Object, fmt.Sprintf("%s.match[%d]", at.Field, j)}, "the regular expression %q for %s is not valid RE2: Envoy refuses the route configuration that has it", t.Value, t.Attribute)
			}
		}
	}
}
