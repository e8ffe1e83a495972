package plan

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// outside stands for a caller outside the mesh that is no workload of the snapshot.
const outside = -1

// callers says how sure it is that one workload calls another. Workloads go by their place in Mesh.Workloads.
type callers struct {
	mesh *mesh.Mesh
	// observed says that there is a graph with calls in it.
	observed bool
	calls    map[[2]int]callBits
	// seenTo and seenFrom say that calls to it, and from it, were observed.
	seenTo, seenFrom []bool
	// routed are the Services that gateways lead to, by namespace and name.
	routed map[[2]string]bool
	// named are the principals that policies of a workload name as callers; see declared.
	named map[int][]string
}

// callBits say in which ways somebody was seen to call.
type callBits uint8

const (
	byService callBits = 1 << iota
	byPodIP
)

func newCallers(m *mesh.Mesh, g *CallGraph) *callers {
	c := &callers{mesh: m, routed: routedByGateways(m.Snapshot), calls: map[[2]int]callBits{}, named: map[int][]string{},
		seenTo: make([]bool, len(m.Workloads)), seenFrom: make([]bool, len(m.Workloads))}
	if g == nil || len(g.Calls) == 0 {
		return c
	}
	c.observed = true
	byName, byPrincipal := map[[2]string][]int{}, map[string][]int{}
	for i, w := range m.Workloads {
		byName[[2]string{w.Namespace, w.Name}] = append(byName[[2]string{w.Namespace, w.Name}], i)
		byPrincipal[w.Principal] = append(byPrincipal[w.Principal], i)
	}
	who := func(p Peer) []int {
		if list := byName[[2]string{p.Namespace, p.Workload}]; len(list) > 0 && p.Workload != "" {
			return list
		}
		if list := byPrincipal[p.Principal]; len(list) > 0 && p.Principal != "" {
			return list
		}
		return []int{outside} // somebody else: what is not known counts as the worst
	}
	for _, call := range g.Calls {
		bits := byService
		if call.PodIP {
			bits = byPodIP
		}
		for _, to := range byName[[2]string{call.To.Namespace, call.To.Workload}] {
			c.seenTo[to] = true
			for _, from := range who(call.From) {
				c.calls[[2]int{from, to}] |= bits
				if from != outside {
					c.seenFrom[from] = true
				}
			}
		}
	}
	return c
}

// of says how sure it is that one workload (or outside) calls another, by Service or to pod addresses at a port.
func (c *callers) of(from, to int, bits callBits, port uint16) Evidence {
	switch {
	case c.calls[[2]int{from, to}]&bits != 0:
		return Observed
	case c.observed && (c.seenTo[to] || from != outside && c.seenFrom[from]):
		return Refuted
	case c.declared(from, to, bits, port):
		return Declared
	}
	return Possible
}

// kept reports whether a need is to be respected on this evidence. That a call is merely possible counts only where nothing at
// all was observed, and not for calls that hardly anybody makes: to oneself by one's own Service, to pod addresses, from
// outside where nothing says that there is anybody, or from a gateway that no route leads further.
func (c *callers) kept(e Evidence, from, to int, bits callBits) bool {
	switch e {
	case Observed, Declared, Always:
		return true
	case Possible:
		return !c.observed && from != to && bits == byService && from != outside && c.mesh.Workloads[from].Role != mesh.Gateway
	}
	return false
}

// declared reports whether an object says that one calls the other.
func (c *callers) declared(from, to int, bits callBits, port uint16) bool {
	d := c.mesh.Workloads[to]
	switch {
	case from != outside && c.mesh.Workloads[from].Role == mesh.Gateway:
		return bits == byService && slices.ContainsFunc(d.Services, func(s *mesh.Service) bool { return c.routed[[2]string{s.Namespace, s.Name}] })
	case bits == byPodIP:
		return from != to && scraped(d, port) && (from == outside || c.mesh.Workloads[from].Role == mesh.Application && scraper(c.mesh.Workloads[from]))
	case from == outside:
		return exposed(d)
	case from == to:
		return peers(d)
	}
	return slices.Contains(c.principalsNamed(to), c.mesh.Workloads[from].Principal)
}

// principalsNamed are the identities that ALLOW policies of a workload name in full.
func (c *callers) principalsNamed(to int) []string {
	if list, ok := c.named[to]; ok {
		return list
	}
	list := []string{}
	for _, pol := range c.mesh.Workloads[to].Policies {
		o, ok := pol.Object.(*securityv1.AuthorizationPolicy)
		if !ok || pol.Action != actionAllow {
			continue
		}
		for _, r := range o.Spec.GetRules() {
			for _, f := range r.GetFrom() {
				list = append(list, f.GetSource().GetPrincipals()...)
			}
		}
	}
	c.named[to] = list
	return list
}

// annotationScrapePort is the convention beside mesh.AnnotationScrape.
const annotationScrapePort = "prometheus.io/port"

// scraped reports whether pods ask to be scraped at a port.
func scraped(w *mesh.Workload, port uint16) bool {
	if w.Template == nil || w.Template.Annotations[mesh.AnnotationScrape] != "true" {
		return false
	}
	want, ok := w.Template.Annotations[annotationScrapePort]
	return !ok || portNumber(want) == port
}

// scraper reports whether a workload is a Prometheus: its image says so.
func scraper(w *mesh.Workload) bool {
	return w.Template != nil && slices.ContainsFunc(w.Template.Spec.Containers, func(c corev1.Container) bool {
		return imageName(c.Image) == "prometheus" || imageName(c.Image) == "vmagent" || imageName(c.Image) == "alloy"
	})
}

// exposed reports whether a Service brings calls from outside without a gateway.
func exposed(w *mesh.Workload) bool {
	return slices.ContainsFunc(w.Services, func(s *mesh.Service) bool {
		o, ok := s.Object.(*corev1.Service)
		return ok && (o.Spec.Type == corev1.ServiceTypeLoadBalancer || o.Spec.Type == corev1.ServiceTypeNodePort)
	})
}

// peers reports whether pods of a workload find each other by a headless Service, as those of a StatefulSet do.
func peers(w *mesh.Workload) bool {
	o, ok := w.Object.(*appsv1.StatefulSet)
	return ok && slices.ContainsFunc(w.Services, func(s *mesh.Service) bool { return s.Headless && s.Name == o.Spec.ServiceName })
}
