package mesh

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

const (
	meshGateway = "mesh"
	// claimHeader starts a header match on a validated JWT claim.
	claimHeader = "@request.auth.claims"
	xfccHeader  = "x-forwarded-client-cert"
)

// inMesh tells that a VirtualService acts in sidecars, not only at gateways.
func inMesh(o *networkingv1.VirtualService) bool { return meshGateways(o.Spec.GetGateways()) }

func meshGateways(list []string) bool { return len(list) == 0 || slices.Contains(list, meshGateway) }

// attachVirtualServices joins VirtualServices with the Services behind their hosts.
func (b *builder) attachVirtualServices() {
	for _, o := range snapshot.All[*networkingv1.VirtualService](b.snap) {
		r := &Policy{Ref: refOf(kindVirtualService, o), Object: o, Scope: ByNamespace}
		b.mesh.Routes = append(b.mesh.Routes, r)
		if len(o.Spec.GetHosts()) == 0 || !inMesh(o) {
			continue // a delegate acts through its root; the rest acts at gateways
		}
		b.attachRoute(r, o.Spec.GetHosts())
	}
}

// attachRoute lists a route or traffic policy at the Services of its hosts and the workloads behind them; what it does
// there is asked of the model later. Fields that are not known concern everybody there, and where no workload stands
// behind a host the clients: those of the object's own namespace, for whom somebody wrote it.
func (b *builder) attachRoute(r *Policy, hosts []string) {
	unknown := b.unknownFields(r)
	seen := map[*Service]bool{}
	client := false
	for _, host := range hosts {
		services := b.hosts.find(host, r.Namespace)
		client = client || len(services) == 0
		for _, s := range services {
			if seen[s] {
				continue
			}
			seen[s] = true
			client = client || s.External
			s.Routes = append(s.Routes, r)
			b.routed[r] = append(b.routed[r], s)
			s.use(unknown)
			for _, w := range s.Workloads {
				w.addRoute(r)
				w.useOn(Inbound, unknown)
			}
		}
	}
	if client {
		b.useInNamespace(r.Namespace, onSide(Outbound, unknown))
	}
	r.Workloads = countWorkloads(seen)
}

func countWorkloads(services map[*Service]bool) int {
	seen := map[*Workload]bool{}
	for s := range services {
		for _, w := range s.Workloads {
			seen[w] = true
		}
	}
	return len(seen)
}

func (b *builder) isRoot(ns string) bool { return ns == b.mesh.Settings.RootNamespace }

// addRoute adds a route once; several Services may lead to the same workload.
func (w *Workload) addRoute(r *Policy) {
	if n := len(w.Routes); n == 0 || w.Routes[n-1] != r {
		w.Routes = append(w.Routes, r)
	}
}

// useInNamespace records uses for every workload of a namespace. They are gathered first and given out
// once, so that many routes times many workloads stay a sum.
func (b *builder) useInNamespace(ns string, list []found) {
	for _, f := range list {
		f.evidence = slices.DeleteFunc(slices.Clone(f.evidence), func(e Evidence) bool {
			return slices.ContainsFunc(b.namespaceUses[ns], func(u Use) bool {
				return u.Feature == f.feature && u.Side == f.side && slices.Contains(u.Evidence, e)
			})
		})
		if len(f.evidence) == 0 {
			continue
		}
		b.namespaceUses[ns] = addUse(b.namespaceUses[ns], f.feature, f.side, f.evidence)
	}
}

// spreadNamespaceUses gives out what useInNamespace gathered.
func (b *builder) spreadNamespaceUses() {
	for _, ns := range b.index.namespaces {
		for _, u := range b.namespaceUses[ns] {
			for _, w := range b.index.match(ns, nil) {
				if w.Role == Application {
					w.Uses = addUse(w.Uses, u.Feature, u.Side, u.Evidence)
				}
			}
		}
	}
}

func onSide(side Side, list []found) []found {
	out := make([]found, len(list))
	for i, f := range list {
		out[i] = found{f.feature, side, f.evidence}
	}
	return out
}

// sourceMatch is a match that limits a route to some clients.
type sourceMatch struct {
	field     string
	labels    map[string]string
	namespace string
}

// sourceMatches lists the matches of a VirtualService on sourceLabels or sourceNamespace.
func sourceMatches(o *networkingv1.VirtualService) []sourceMatch {
	var out []sourceMatch
	add := func(field string, labels map[string]string, namespace string) {
		if len(labels) > 0 {
			field += ".sourceLabels"
		} else if namespace != "" {
			field += ".sourceNamespace"
		} else {
			return
		}
		out = append(out, sourceMatch{field, labels, namespace})
	}
	for i, r := range o.Spec.GetHttp() {
		for j, m := range r.GetMatch() {
			add(fmt.Sprintf("spec.http[%d].match[%d]", i, j), m.GetSourceLabels(), m.GetSourceNamespace())
		}
	}
	for i, r := range o.Spec.GetTls() {
		for j, m := range r.GetMatch() {
			add(fmt.Sprintf("spec.tls[%d].match[%d]", i, j), m.GetSourceLabels(), m.GetSourceNamespace())
		}
	}
	for i, r := range o.Spec.GetTcp() {
		for j, m := range r.GetMatch() {
			add(fmt.Sprintf("spec.tcp[%d].match[%d]", i, j), m.GetSourceLabels(), m.GetSourceNamespace())
		}
	}
	return out
}

// attachActive records what the form of an active route says beside what it does: that a match asks who calls, that it
// delegates, that only some clients have it. Objects without effect on any call say nothing.
func (b *builder) attachActive() {
	for _, r := range b.mesh.Routes {
		if !b.active[r.Ref] {
			continue
		}
		switch o := r.Object.(type) {
		case *networkingv1.VirtualService:
			b.attachSources(r, o)
			b.exportedFact(r, o.Spec.GetExportTo())
		case *networkingv1.DestinationRule:
			b.exportedFact(r, o.Spec.GetExportTo())
			b.attachSelected(r, o)
		}
	}
}

// exportedFact records that only some clients have a route: a waypoint would apply it for every one.
func (b *builder) exportedFact(r *Policy, exportTo []string) {
	if list := exportList(exportTo); list != nil {
		b.useBehind(r, []found{{ExportTo, Inbound, []Evidence{evidence(r.Ref, "spec.exportTo", strings.Join(list, ", "))}}})
	}
}

// useBehind records features at the Services that a route is listed at, and the workloads behind them.
func (b *builder) useBehind(r *Policy, list []found) {
	for _, s := range b.routed[r] {
		s.use(list)
		for _, w := range s.Workloads {
			w.useOn(Inbound, list)
		}
	}
}

// attachSources records matches on who calls, on the clients that they select where the VirtualService is visible to
// them, and behind its hosts; those of delegates count as its own.
func (b *builder) attachSources(r *Policy, o *networkingv1.VirtualService) {
	parts := []*networkingv1.VirtualService{o}
	for i, h := range o.Spec.GetHttp() {
		d := h.GetDelegate()
		if d == nil {
			continue
		}
		field := fmt.Sprintf("spec.http[%d].delegate", i)
		b.useBehind(r, []found{{DelegateRoute, Inbound, []Evidence{evidence(r.Ref, field, d.GetName())}}})
		ns := d.GetNamespace()
		if ns == "" {
			ns = o.Namespace
		}
		if target, ok := snapshot.Get[*networkingv1.VirtualService](b.snap, ns, d.GetName()); ok {
			parts = append(parts, target)
		}
	}
	for _, part := range parts {
		ref := refOf(kindVirtualService, part)
		for _, m := range sourceMatches(part) {
			ev := []Evidence{evidence(ref, m.field, "")}
			b.useBehind(r, []found{{SourceMatch, Inbound, ev}})
			for _, ns := range b.index.namespaces {
				if m.namespace != "" && m.namespace != ns || !exportedTo(o.Spec.GetExportTo(), o.Namespace, ns) {
					continue
				}
				for _, w := range b.index.match(ns, m.labels) {
					w.use([]found{{SourceMatch, Outbound, ev}})
				}
			}
		}
	}
}

// sortedKeys returns the keys of maps in order, so that evidence is.
func sortedKeys[V any](maps ...map[string]V) []string {
	var out []string
	for _, m := range maps {
		for k := range m {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
