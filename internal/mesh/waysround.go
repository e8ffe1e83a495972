package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// WayRound is a way by which calls reach a workload past the waypoint that would refuse some of them.
type WayRound struct {
	Sort WaySort
	// Callers are the workloads that have it, in the order of Mesh.Workloads; none where the way is open to whoever finds it.
	Callers []*Workload
	// Services are those that it leads by, and Exposures what makes them one; both empty where pods are addressed.
	Services  []*Service
	Exposures []Exposure
	// Policies are what would refuse the calls at the waypoint, as namespace/name.
	Policies []string
	// Example is what one such call asks for, in words.
	Example string
}

// WaySort tells who goes round a waypoint.
type WaySort string

const (
	// WayOfSidecars: an Envoy beside an application never calls by a waypoint (pilot/pkg/xds/endpoints/endpoint_builder.go,
	// findServiceWaypoint).
	WayOfSidecars WaySort = "sidecars"
	// WayOfPods: workloads outside the mesh call pods in plaintext.
	WayOfPods WaySort = "pods outside the mesh"
	// WayFromOutside: a Service that takes calls from outside of the cluster itself.
	WayFromOutside WaySort = "outside"
	// WayOfForeignGateways: a gateway or an ingress controller of another project, or one that is not known.
	WayOfForeignGateways WaySort = "foreign gateways"
	// WayOfGateways: Istio's gateways call pods, unless the Service is labelled for them to use its waypoint.
	WayOfGateways WaySort = "gateways"
	// WayByService: another Service of the same pods that is not behind the waypoint, or whose waypoint knows nothing of the policies.
	WayByService WaySort = "another Service"
	// WayByHeadless: a headless Service of the same pods; its names are pod addresses.
	WayByHeadless WaySort = "headless Service"
)

// platformNamespaces hold what runs the cluster: what calls from there (a DNS server, a network agent) calls no application.
var platformNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// MayCall reports whether a workload is one that calls applications: no part of the mesh, nor of the platform.
func (w *Workload) MayCall(s *Settings) bool {
	return w.Role == Application && !slices.Contains(platformNamespaces, w.Namespace) && w.Namespace != s.RootNamespace
}

// somebody stands for callers that no workload of the input is. Its namespace is none that a cluster can have.
const somebody = "(outside)"

// exampleRequests bounds the requests that are kept of a caller, destination and pair of decisions: the first is mostly enough,
// and only one that the waypoint itself refuses counts.
const exampleRequests = 4

// WaysRound finds the ways past the waypoints of ambient workloads that are open today, by workload. It compares the mesh with one in
// which nobody has another way than through the waypoint: callers are ambient, gateways use waypoints, and every Service of the pods
// is bound and under the policies of the others. What the waypoint refuses there and the mesh lets through is a way round.
func (m *Mesh) WaysRound() map[Ref][]WayRound {
	served := m.servedByWaypoints()
	if len(served) == 0 {
		return nil
	}
	today := AuthzWorld(m)
	// Both sides are views of one state: a sidecar that may not know a Service does not come to be one between them.
	today.Workloads = slices.Clone(today.Workloads)
	for i := range today.Workloads {
		today.Workloads[i].Narrow = false
	}
	m.addSomebody(&today)
	closed := m.withoutOtherWays(&today, served)
	result := authz.NewProver(&closed).Compare(&today, authz.Options{
		OnlyWorkloads: true, PerScenario: exampleRequests, OnlyDeclaredPorts: true, EachService: true,
		Destinations: func(p authz.Pods) bool { return served[p.Ref] != nil },
	})
	ways := map[Ref]*wayList{}
	for i := range result.Divergences {
		d := &result.Divergences[i]
		w := served[d.Request.To.Workload.Ref]
		if d.Before.Decision != authz.Deny || d.Before.By != authz.PointWaypoint || d.After.Decision == authz.Deny || w == nil {
			continue
		}
		if ways[w.Ref] == nil {
			ways[w.Ref] = &wayList{mesh: m, to: w}
		}
		ways[w.Ref].add(d, d.Before.Policy)
	}
	out := map[Ref][]WayRound{}
	for ref, l := range ways {
		out[ref] = l.sorted()
	}
	return out
}

// servedByWaypoints lists the ambient workloads that some waypoint enforces policies for.
func (m *Mesh) servedByWaypoints() map[authz.Ref]*Workload {
	out := map[authz.Ref]*Workload{}
	for _, w := range m.Workloads {
		if w.Role == Application && w.Mode == Ambient && w.Has(WaypointPolicy) && bindingOf(w) != nil {
			out[authzRef(w.Ref)] = w
		}
	}
	return out
}

// bindingOf is the waypoint that calls to a workload are meant to pass: that of its first bound Service, or its own.
func bindingOf(w *Workload) *Binding {
	for _, s := range w.Services {
		if s.Waypoint.Bound {
			return s.Waypoint
		}
	}
	if w.Waypoint.Bound {
		return w.Waypoint
	}
	return nil
}

// addSomebody adds a caller from outside of the mesh and, where the input has no gateway, Istio's gateways as they may be: one with an
// identity that no policy names, and one for each identity that a policy of pods names and nobody known bears.
func (m *Mesh) addSomebody(w *authz.World) {
	w.Workloads = append(w.Workloads, authz.Workload{Ref: authz.Ref{Namespace: somebody, Name: "caller"}, Role: authz.RoleApplication, Mode: authz.ModeNone})
	known := map[string]bool{}
	for i := range w.Workloads {
		if w.Workloads[i].Role == authz.RoleGateway {
			return
		}
		known[w.Config.Principal(w.Workloads[i].Ref.Namespace, w.Workloads[i].ServiceAccount)] = true
	}
	for i := range w.Waypoints {
		known[w.Waypoints[i].Principal(w.Config)] = true
	}
	gateway := func(namespace, account string) {
		w.Workloads = append(w.Workloads, authz.Workload{Ref: authz.Ref{Kind: somebody, Namespace: namespace, Name: account}, ServiceAccount: account,
			Role: authz.RoleGateway, Mode: authz.ModeSidecar, HBONE: true})
	}
	gateway(somebody, "gateway")
	for i := range w.Policies.Authorization {
		p := &w.Policies.Authorization[i]
		for j := range p.Rules {
			for k := range p.Rules[j].From {
				s := &p.Rules[j].From[k]
				for _, name := range slices.Concat(s.Principals, s.NotPrincipals) {
					_, id, _ := strings.Cut(name, "/ns/")
					namespace, account, ok := strings.Cut(id, "/sa/")
					if ok && !known[name] && !strings.Contains(name, "*") && len(p.Attach.Targets) == 0 {
						known[name] = true
						gateway(namespace, account)
					}
				}
			}
		}
	}
}

// withoutOtherWays is a world in which whatever reaches the given workloads passes their waypoint and meets all its policies.
func (m *Mesh) withoutOtherWays(today *authz.World, served map[authz.Ref]*Workload) authz.World {
	w := *today
	w.Workloads, w.Services, w.Waypoints = slices.Clone(w.Workloads), slices.Clone(w.Services), slices.Clone(w.Waypoints)
	// More targets for the policies of a Service or of a waypoint, by what they target.
	more := targets{}
	services := map[string]*authz.Service{}
	for i := range w.Services {
		s := &w.Services[i]
		s.IngressUseWaypoint = true
		services[serviceKey(s.Entry, s.Namespace, s.Name)] = s
	}
	for i := range w.Workloads {
		x := &w.Workloads[i]
		to := served[x.Ref]
		if to == nil {
			if x.Role == authz.RoleApplication {
				x.Mode, x.HostNetwork = authz.ModeAmbient, false
			}
			continue
		}
		own := waypointOfItsOwn(&w, to, bindingOf(to), more)
		if own.None() {
			continue
		}
		x.Waypoint = own
		for _, s := range to.Services {
			if a := services[serviceKey(s.Kind == kindServiceEntry.Kind, s.Namespace, s.Name)]; a != nil && !s.Headless && leadsAlike(s, to) {
				a.Waypoint, a.Canary = own, ""
			}
		}
	}
	w.Policies.Authorization, w.Policies.Authentication = slices.Clone(w.Policies.Authorization), slices.Clone(w.Policies.Authentication)
	for i := range w.Policies.Authorization {
		p := &w.Policies.Authorization[i]
		p.Attach.Targets = more.with(p.Attach.Targets, p.Namespace)
	}
	for i := range w.Policies.Authentication {
		p := &w.Policies.Authentication[i]
		p.Attach.Targets = more.with(p.Attach.Targets, p.Namespace)
	}
	return w
}

func serviceKey(entry bool, namespace, name string) string {
	if entry {
		return "entry " + namespace + "/" + name
	}
	return namespace + "/" + name
}

// leadsAlike reports whether a Service leads to a port of the pods that a bound one leads to, or is the only sort of way there.
func leadsAlike(s *Service, w *Workload) bool {
	bound := false
	for _, o := range w.Services {
		if o.Headless || !o.Waypoint.Bound {
			continue
		}
		bound = true
		for _, p := range o.Ports {
			if slices.ContainsFunc(s.Ports, func(q Port) bool { return q.Target == p.Target }) {
				return true
			}
		}
	}
	return !bound
}

// targets lists, by what a policy targets, where else it holds in a world without other ways.
type targets map[authz.Target][]authz.Target

// waypointOfItsOwn adds a copy of a workload's waypoint that takes all its calls, and notes that the policies of its waypoints and of
// its Services hold there for every Service.
func waypointOfItsOwn(w *authz.World, to *Workload, b *Binding, more targets) authz.Binding {
	i := slices.IndexFunc(w.Waypoints, func(g authz.Waypoint) bool { return g.Namespace == b.Gateway.Namespace && g.Name == b.Gateway.Name })
	if i < 0 {
		return authz.Binding{}
	}
	own := w.Waypoints[i]
	own.ServiceAccount = cmp.Or(own.ServiceAccount, own.Name)
	own.Name = strings.ToLower(own.Name + "." + to.Kind + "." + to.Namespace + "." + to.Name)
	own.For, own.Admits, own.Unknown = authz.ForAll, []string{"*"}, ""
	binding := authz.Binding{Namespace: own.Namespace, Name: own.Name}
	if slices.ContainsFunc(w.Waypoints, func(g authz.Waypoint) bool { return g.Namespace == own.Namespace && g.Name == own.Name }) {
		return binding // another set of the workload's pods made it
	}
	w.Waypoints = append(w.Waypoints, own)
	gateway := targetOf(Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: own.Namespace, Name: own.Name})
	more.add(targetOf(b.Gateway), gateway)
	for _, s := range to.Services {
		more.add(targetOf(s.Ref), gateway)
		if s.Waypoint.Bound {
			more.add(targetOf(s.Waypoint.Gateway), gateway)
		}
		for _, other := range to.Services {
			if other != s {
				more.add(targetOf(s.Ref), targetOf(other.Ref))
			}
		}
	}
	return binding
}

func targetOf(r Ref) authz.Target {
	return authz.Target{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// add notes that what targets one object holds for another as well. Policies reach objects of their own namespace alone.
func (t targets) add(has, too authz.Target) {
	if has.Namespace == too.Namespace && !slices.Contains(t[has], too) {
		t[has] = append(t[has], too)
	}
}

// with gives the targets of a policy of a namespace, with where else they hold.
func (t targets) with(list []authz.Target, namespace string) []authz.Target {
	out := list
	for _, x := range list {
		if x.Group == "core" {
			x.Group = ""
		}
		x.Namespace = cmp.Or(x.Namespace, namespace)
		out = append(slices.Clip(out), t[x]...)
	}
	return out
}

// wayList gathers the ways to one workload.
type wayList struct {
	mesh *Mesh
	to   *Workload
	ways map[WaySort]*WayRound
}

// add sorts a request that goes round, by who makes it and how they name the pods. Policy is what the waypoint refuses it by.
func (l *wayList) add(d *authz.Divergence, policy string) {
	service := l.service(d)
	mode := cmp.Or(d.Request.From.ModeAfter, d.Request.From.Mode)
	var callers []*Workload
	nobody, gateway := false, false // nobody in particular
	for c := range d.Callers.All() {
		w := l.caller(c)
		switch {
		case c.Workload == nil || c.Workload.Kind == "" && c.Workload.Namespace == somebody:
			nobody = true
		case w != nil && w.Role == Gateway:
			gateway = true
			callers = append(callers, w)
		case w == nil:
			gateway = true // one that stands for those that are not in the input, or a Gateway whose pods istiod makes
		case w != l.to && w.MayCall(&l.mesh.Settings):
			callers = append(callers, w)
		}
	}
	switch {
	case gateway:
		l.byGateway(d, policy, callers, service)
	case mode == None:
		if nobody && service != nil {
			if e := service.Exposed(FromOutside); len(e) > 0 {
				l.note(WayFromOutside, d, policy, nil, service, e)
			}
			if e := service.Exposed(ByForeignGateway, ByUnknownGateway); len(e) > 0 {
				l.note(WayOfForeignGateways, d, policy, nil, service, e)
			}
		}
		if len(callers) > 0 {
			l.note(WayOfPods, d, policy, callers, service, nil)
		}
	case mode == Sidecar && len(callers) > 0:
		l.note(WayOfSidecars, d, policy, callers, service, nil)
	case mode == Ambient && service != nil && len(callers) > 0:
		sort := WayByService
		if service.Headless {
			sort = WayByHeadless
		}
		l.note(sort, d, policy, callers, service, nil)
	}
}

func (l *wayList) byGateway(d *authz.Divergence, policy string, callers []*Workload, service *Service) {
	if service == nil {
		return
	}
	if e := service.Exposed(ByGateway); len(e) > 0 {
		l.note(WayOfGateways, d, policy, callers, service, e)
	}
}

// service is the Service by which a request is made.
func (l *wayList) service(d *authz.Divergence) *Service {
	for _, s := range l.to.Services {
		if s.Namespace+"/"+s.Name == d.Request.To.Service {
			return s
		}
	}
	return nil
}

func (l *wayList) caller(c authz.Caller) *Workload {
	if c.Workload == nil {
		return nil
	}
	return l.mesh.workloads[Ref{Kind: c.Workload.Kind, Namespace: c.Workload.Namespace, Name: c.Workload.Name}]
}

func (l *wayList) note(sort WaySort, d *authz.Divergence, policy string, callers []*Workload, s *Service, e []Exposure) {
	if l.ways == nil {
		l.ways = map[WaySort]*WayRound{}
	}
	w := l.ways[sort]
	if w == nil {
		w = &WayRound{Sort: sort, Example: d.Request.What()}
		l.ways[sort] = w
	}
	for _, c := range callers {
		if !slices.Contains(w.Callers, c) {
			w.Callers = append(w.Callers, c)
		}
	}
	if s != nil && !slices.Contains(w.Services, s) {
		w.Services = append(w.Services, s)
	}
	for _, x := range e {
		if !slices.Contains(w.Exposures, x) {
			w.Exposures = append(w.Exposures, x)
		}
	}
	if policy != "" && !slices.Contains(w.Policies, policy) {
		w.Policies = append(w.Policies, policy)
	}
}

// sorted gives the ways in a fixed order.
func (l *wayList) sorted() []WayRound {
	var out []WayRound
	for _, sort := range slices.Sorted(maps.Keys(l.ways)) {
		w := l.ways[sort]
		slices.SortFunc(w.Callers, func(a, b *Workload) int { return a.Ref.Compare(b.Ref) })
		slices.SortFunc(w.Services, func(a, b *Service) int { return a.Ref.Compare(b.Ref) })
		slices.Sort(w.Policies)
		out = append(out, *w)
	}
	return out
}

// Ways sorts requests that go round the waypoint of a workload, whatever they were found by. Policies that refuse them at the waypoint
// are not known then.
func (m *Mesh) Ways(to *Workload, requests []authz.Divergence) []WayRound {
	l := &wayList{mesh: m, to: to}
	for i := range requests {
		l.add(&requests[i], "")
	}
	return l.sorted()
}
