package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apinetworking "istio.io/api/networking/v1alpha3"
)

// Point is who routes a call.
type Point string

const (
	AtSidecar  Point = "sidecar"
	AtWaypoint Point = "waypoint"
	AtZtunnel  Point = "ztunnel"
	AtNobody   Point = "nobody"
)

// Speech is what a call is to the proxies on its way.
type Speech string

const (
	SpeakHTTP Speech = "http"
	SpeakTCP  Speech = "tcp"
	SpeakTLS  Speech = "tls"
)

// Rule is one line of a Table.
type Rule struct {
	Match  Match
	Action *Action
	Origin Origin
	// MatchOrigin is where the match was read; Via the object that the rule acts through.
	MatchOrigin Origin
	Via         Ref
}

// Table is what one proxy does with calls to one port of one host. The first rule that matches counts; a call that
// none matches is answered with 404, or refused.
type Table struct {
	Point Point
	// Where names the waypoint.
	Where string
	Rules []Rule
	// Domains are the authorities that lead here; nil for any.
	Domains []string
	// Owner is the object whose routes these are, so that nothing else answers what none of them matches.
	Owner Origin
	// Unknown says why the table may be wrong.
	Unknown string
}

// caller is a client with all that its table depends on.
type caller struct {
	client
	scope *Scope
}

func (w *World) caller(x *Workload) caller {
	return caller{client{x.Ref.Namespace, x.Labels, true}, x.Scope}
}

// speeches lists what calls to a port may be.
func (p Port) speeches() []Speech {
	switch p.Protocol {
	case HTTP:
		return []Speech{SpeakHTTP}
	case TLS:
		return []Speech{SpeakTLS}
	case TCP:
		return []Speech{SpeakTCP}
	case Auto:
		return []Speech{SpeakHTTP, SpeakTCP}
	}
	return nil
}

// plainTable sends every call to the endpoints of the Service.
func (w *World) plainTable(s *Service, host string, p Port, at Point) *Table {
	return &Table{Point: at, Rules: []Rule{{Action: &Action{Kind: Forward, Destinations: []Destination{{Target: w.plain(s, host, p), Weight: 1}}}}}}
}

// sidecarTable is what a client's sidecar does with calls to a Service.
func (w *World) sidecarTable(s *Service, host string, p Port, speak Speech, who caller) *Table {
	t := &Table{Point: AtSidecar, Domains: w.domains(s, host, who.namespace)}
	if !w.visible(s, who.namespace) || !who.scope.shows(s, who.namespace) {
		return w.unseen(t, s, host, p, who)
	}
	if s.ExternalName != "" || speak == SpeakHTTP && p.carriesHTTP() {
		speak = cmp.Or(speak, SpeakHTTP)
	}
	list := w.virtuals(host, who)
	if speak == SpeakHTTP {
		w.httpSidecar(t, s, host, p, list, who)
		return t
	}
	w.connSidecar(t, s, host, p, speak, list, who)
	return t
}

// unseen is a call to a Service that the sidecar does not know: passed on to the address it was made to, or refused.
func (w *World) unseen(t *Table, s *Service, host string, p Port, who caller) *Table {
	forbidden := w.Config.RegistryOnly
	if who.scope != nil && who.scope.RegistryOnly != nil {
		forbidden = *who.scope.RegistryOnly
	}
	a := &Action{Kind: Refuse, Status: 502, Text: "the sidecar does not know the host, and REGISTRY_ONLY refuses it"}
	if !forbidden {
		a = &Action{Kind: Forward, Destinations: []Destination{{Target: w.plain(s, host, p), Weight: 1}}}
	}
	t.Rules = append(t.Rules, Rule{Action: a})
	return t
}

// shows reports whether a Sidecar object imports a Service; without one everything is imported.
func (x *Scope) shows(s *Service, viewer string) bool {
	if x == nil || x.Hosts == nil {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return x.imports(s.Ref.Namespace, h, viewer) })
}

func (x *Scope) imports(namespace, host, viewer string) bool {
	if x == nil || x.Hosts == nil {
		return true
	}
	return slices.ContainsFunc(x.Hosts, func(entry string) bool {
		ns, pattern, _ := strings.Cut(entry, "/")
		if ns == "." {
			ns = viewer
		}
		return (ns == "*" || ns == namespace) && hostMatches(pattern, host)
	})
}

// virtuals lists the VirtualServices of a host that a proxy of a namespace reads, in istiod's order: private ones,
// those exported to the namespace, public ones; in each group Gateway API routes of the namespace come first
// (model/virtualservice.go SelectVirtualServices).
func (w *World) virtuals(host string, who caller) []*virtual {
	all := w.Objects.virtualsFor(host)
	all = slices.DeleteFunc(all, func(v *virtual) bool {
		return !v.mesh() || !exported(v.exportTo, v.namespace, who.namespace) ||
			!slices.ContainsFunc(v.hosts, func(h string) bool { return who.scope.imports(v.namespace, h, who.namespace) })
	})
	group := func(v *virtual) int {
		public := len(v.exportTo) == 0 || slices.Contains(v.exportTo, "*")
		rank := 4
		switch {
		case !public && v.namespace == who.namespace:
			rank = 0
		case !public:
			rank = 2
		}
		if !v.gatewayAPI || v.namespace != who.namespace {
			rank++
		}
		return rank
	}
	slices.SortStableFunc(all, func(a, b *virtual) int { return group(a) - group(b) })
	return all
}

// named reports whether a VirtualService names a host itself, not by a wildcard.
func (v *virtual) named(host string) bool { return slices.Contains(v.hosts, host) }

// httpSidecar writes the routes of the one VirtualService that has the host: the first that names it and has a
// route for the port and this client, else the one with the most specific wildcard (core/route/route.go).
func (w *World) httpSidecar(t *Table, s *Service, host string, p Port, list []*virtual, who caller) {
	var wild *virtual
	best := ""
	for _, v := range list {
		for _, h := range v.hosts {
			if strings.HasPrefix(h, "*") && !v.gatewayAPI && hostMatches(h, host) && len(h) > len(best) {
				wild, best = v, h
			}
		}
	}
	w.shortNames(t, host, p, who)
	exact := slices.ContainsFunc(list, func(v *virtual) bool { return v.named(host) })
	for _, v := range list {
		if !v.named(host) && (exact || v != wild) {
			continue
		}
		if v.gatewayAPI && s.Ref.Namespace != v.namespace && who.namespace != v.namespace {
			continue
		}
		if rules := w.httpRules(v, p.Number, who.client, sidecarSource, nil); len(rules) > 0 {
			t.Rules = append(t.Rules, rules...)
			t.Owner = Origin{v.origin, "spec.http"}
			if v.gatewayAPI {
				t.Owner.Field = "spec.rules"
			}
			return
		}
	}
	t.Rules = append(t.Rules, w.defaultRule(s, host, p, who.client))
}

// shortNames puts the routes of a VirtualService first that names a Service by a shorter name with a dot in it: istiod
// completes no such name, so it is a host of its own, and calls made by it are routed by it at port 80.
func (w *World) shortNames(t *Table, host string, p Port, who caller) {
	if p.Number != 80 {
		return
	}
	for _, name := range t.Domains {
		if name == host || !strings.Contains(name, ".") {
			continue
		}
		for _, v := range w.virtuals(name, who) {
			if !v.named(name) || v.gatewayAPI {
				continue
			}
			called := Test{Attribute: "authority", Op: Regex, Value: quote(name) + "(:[0-9]+)?"}
			rules := w.httpRules(v, p.Number, who.client, sidecarSource, nil)
			if len(rules) == 0 {
				continue
			}
			for _, r := range rules {
				r.Match = append(slices.Clone(r.Match), called)
				slices.SortFunc(r.Match, Test.Compare)
				t.Rules = append(t.Rules, r)
			}
			if !rules[len(rules)-1].Match.catchAll() { // nothing else answers for the name
				at := Origin{v.origin, "spec.http"}
				t.Rules = append(t.Rules, Rule{Match: Match{called}, Action: notFound, Origin: at, MatchOrigin: at, Via: v.origin})
			}
			break
		}
	}
}

// sourceTest decides whether a match is for this proxy.
type sourceTest func(r *httpRule, who client) bool

// sidecarSource: a list of gateways decides alone, else the client's labels and namespace do (sourceMatchHTTP).
func sidecarSource(r *httpRule, who client) bool {
	if len(r.gateways) > 0 {
		return slices.Contains(r.gateways, meshGateway)
	}
	return hasAll(who.labels, r.sourceLabels) && (r.sourceNamespace == "" || r.sourceNamespace == who.namespace)
}

// waypointSource: matches on labels are dropped, and the namespace is compared with the waypoint's own.
func waypointSource(r *httpRule, who client) bool {
	if len(r.sourceLabels) > 0 {
		return false
	}
	if len(r.gateways) > 0 {
		return slices.Contains(r.gateways, meshGateway)
	}
	return r.sourceNamespace == "" || r.sourceNamespace == who.namespace
}

// httpRules translates the routes of one VirtualService for a port. home is the Service of a waypoint, nil at a sidecar.
func (w *World) httpRules(v *virtual, port uint32, who client, source sourceTest, home *Service) []Rule {
	var out []Rule
	for i := range v.http {
		r := &v.http[i]
		if r.port != 0 && r.port != port || !source(r, who) {
			continue
		}
		out = append(out, Rule{Match: r.match, Action: w.httpAction(v, r, port, who, home), Origin: r.origin, MatchOrigin: r.matchOrigin, Via: v.origin})
		if r.match.catchAll() {
			break
		}
	}
	return out
}

// defaultRule is what a proxy does with an HTTP call that no VirtualService is for.
func (w *World) defaultRule(s *Service, host string, p Port, who client) Rule {
	t, policy := w.target(host, p.Number, "", who)
	if t.Missing { // the Service is known by another host
		t, policy = w.plain(s, host, p), Policy{}
	}
	a := &Action{Kind: Forward, Destinations: []Destination{{Target: t, Weight: 1, Policy: policy}}, Retries: retries(nil, w.Config.Retries), Fields: map[Part]Origin{}}
	w.noteMeshRetries(a)
	return Rule{Action: a}
}

func (w *World) noteMeshRetries(a *Action) {
	if w.Config.Retries != nil {
		a.Fields[PartRetries] = Origin{w.Config.ConfigRef, "data.mesh: defaultHttpRetryPolicy"}
	}
}

// connSidecar writes what happens to connections: the first route that matches, SNI by SNI (core/tls.go).
func (w *World) connSidecar(t *Table, s *Service, host string, p Port, speak Speech, list []*virtual, who caller) {
	matches := func(r *connRule) bool {
		return (len(r.gateways) == 0 || slices.Contains(r.gateways, meshGateway)) && hasAll(who.labels, r.sourceLabels) &&
			(r.port == 0 || r.port == p.Number) && (r.sourceNamespace == "" || r.sourceNamespace == who.namespace)
	}
	for _, v := range list { // routes of consumers hold for everybody's connections, other than for requests
		rules := v.tcp
		if speak == SpeakTLS {
			rules = v.tls
		}
		for i := range rules {
			r := &rules[i]
			if len(r.route) == 0 || !r.always && !matches(r) {
				continue
			}
			if len(r.subnets) > 0 {
				t.Unknown = fmt.Sprintf("%s matches on destination subnets, which are not modelled", r.origin)
			}
			a := w.connAction(r, p.Number, who.client, nil)
			if speak == SpeakTLS {
				for _, sni := range r.sni {
					t.Rules = append(t.Rules, Rule{Match: Match{sniTest(sni)}, Action: a, Origin: r.origin, MatchOrigin: r.origin})
				}
				continue
			}
			t.Rules = append(t.Rules, Rule{Action: a, Origin: r.origin, MatchOrigin: r.origin})
			return
		}
	}
	target, policy := w.target(host, p.Number, "", who.client)
	if target.Missing {
		target = w.plain(s, host, p)
	}
	if len(t.Rules) > 0 && speak == SpeakTLS { // other names are not the Service's any more: passed on to the address, or refused
		w.unseen(t, s, host, p, who)
	}
	if len(t.Rules) == 0 || speak == SpeakTCP {
		t.Rules = append(t.Rules, Rule{Action: &Action{Kind: Forward, Destinations: []Destination{{Target: target, Weight: 1, Policy: policy}}}})
	}
}

func sniTest(sni string) Test {
	sni = strings.ToLower(sni)
	if rest, ok := strings.CutPrefix(sni, "*"); ok {
		if rest == "" {
			return Test{Attribute: "sni", Op: Prefix}
		}
		return Test{Attribute: "sni", Op: Regex, Value: `.+` + quote(rest)}
	}
	return Test{Attribute: "sni", Op: Exact, Value: sni}
}

// waypointTable is what a waypoint does with calls to a Service that it serves: the VirtualServices of its own and of
// the Service's namespace, all of them, one after the other (listener_waypoint.go).
func (w *World) waypointTable(waypoint Ref, s *Service, host string, p Port, speak Speech) *Table {
	who := caller{client: client{namespace: waypoint.Namespace}}
	t := &Table{Point: AtWaypoint, Where: waypoint.Namespace + "/" + waypoint.Name}
	list := slices.DeleteFunc(w.virtuals(host, who), func(v *virtual) bool {
		return v.namespace != waypoint.Namespace && v.namespace != s.Ref.Namespace
	})
	if speak == SpeakHTTP {
		for _, v := range list {
			if v.hasHTTP {
				t.Rules = append(t.Rules, w.httpRules(v, p.Number, who.client, waypointSource, s)...)
			}
		}
		if len(t.Rules) == 0 {
			t.Rules = []Rule{w.defaultRule(s, host, p, who.client)}
		}
		return t
	}
	t.Rules = []Rule{w.connWaypoint(s, host, p, list, who.client)}
	return t
}

// connWaypoint picks the one route of connections: a TLS route whose only SNI is the Service's own host comes before
// TCP routes, whatever the connection speaks (getWaypointTCPRoutes).
func (w *World) connWaypoint(s *Service, host string, p Port, list []*virtual, who client) Rule {
	matches := func(r *connRule) bool {
		return (len(r.gateways) == 0 || slices.Contains(r.gateways, meshGateway)) && len(r.sourceLabels) == 0 &&
			(r.port == 0 || r.port == p.Number) && r.sourceNamespace == ""
	}
	for _, v := range list {
		for i := range v.tls {
			if r := &v.tls[i]; len(r.sni) == 1 && r.sni[0] == host && matches(r) {
				return Rule{Action: w.connAction(r, p.Number, who, s), Origin: r.origin}
			}
		}
	}
	for _, v := range list {
		for i := range v.tcp {
			if r := &v.tcp[i]; r.always || matches(r) {
				return Rule{Action: w.connAction(r, p.Number, who, s), Origin: r.origin}
			}
		}
	}
	t, policy := w.target(host, p.Number, "", who)
	if t.Missing {
		t, policy = w.plain(s, host, p), Policy{}
	}
	return Rule{Action: &Action{Kind: Forward, Destinations: []Destination{{Target: t, Weight: 1, Policy: policy}}}}
}

// domains are the authorities that lead to a Service at a sidecar of a namespace, short names included
// (core/httproute.go generateVirtualHostDomains).
func (w *World) domains(s *Service, host, viewer string) []string {
	out := []string{host}
	if rest, ok := strings.CutSuffix(host, ".svc."+w.Config.ClusterDomain); ok && s.Ref.Kind == "Service" {
		if name, ns, ok := strings.Cut(rest, "."); ok {
			out = append(out, rest, rest+".svc")
			if ns == viewer {
				out = append(out, name)
			}
		}
	}
	return append(out, s.VIPs...)
}

// destinationPort is the port that a destination means when it names none: that of the listener, or at a waypoint the
// only port that the Service has.
func (w *World) destinationPort(d *apinetworking.Destination, port uint32, who client, home *Service) uint32 {
	if n := d.GetPort().GetNumber(); n != 0 {
		return n
	}
	if home != nil {
		if s := w.service(d.GetHost(), who.namespace); s != nil && len(s.Ports) == 1 {
			return s.Ports[0].Number
		}
	}
	return port
}
