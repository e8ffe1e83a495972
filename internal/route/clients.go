package route

import (
	"fmt"
	"slices"
	"strings"
)

// footprint is what a table of one Service can depend on about its client: namespaces that some object stands in or
// is exported to, and label selectors. Clients that agree on these get the same table.
type footprint struct {
	namespaces map[string]bool
	selectors  []map[string]string
	virtuals   []*virtual
}

// footprint gathers what bears on a host, and on the destinations of its routes.
func (w *World) footprint(s *Service, host string) footprint {
	// Clients of the Service's own namespace call it by a short name, and "." in a Sidecar means them.
	f := footprint{namespaces: map[string]bool{w.Config.RootNamespace: true, s.Ref.Namespace: true}}
	note := func(list []string, own string) {
		for _, e := range list {
			if e == "." {
				e = own
			}
			f.namespaces[e] = true
		}
	}
	hosts := map[string]bool{host: true}
	f.virtuals = w.Objects.virtualsFor(host)
	for _, name := range w.domains(s, host, "")[1:] {
		f.virtuals = append(f.virtuals, w.Objects.virtualsFor(name)...)
	}
	for _, v := range f.virtuals {
		f.namespaces[v.namespace] = true
		note(v.exportTo, v.namespace)
		for i := range v.http {
			r := &v.http[i]
			f.source(r.sourceLabels, r.sourceNamespace)
			for _, d := range r.route.GetRoute() {
				hosts[d.GetDestination().GetHost()] = true
			}
			for _, m := range r.route.GetMirrors() {
				hosts[m.GetDestination().GetHost()] = true
			}
			hosts[r.route.GetMirror().GetHost()] = true
		}
		for _, list := range [][]connRule{v.tcp, v.tls} {
			for i := range list {
				f.source(list[i].sourceLabels, list[i].sourceNamespace)
				for _, d := range list[i].route {
					hosts[d.GetDestination().GetHost()] = true
				}
			}
		}
	}
	note(s.ExportTo, s.Ref.Namespace)
	for h := range hosts {
		for _, i := range w.hosts().byHost[h] {
			note(w.Services[i].ExportTo, w.Services[i].Ref.Namespace)
		}
		for _, r := range w.Objects.rulesCovering(h) {
			f.namespaces[r.origin.Namespace] = true
			note(r.exportTo, r.origin.Namespace)
			if r.selected {
				f.selectors = append(f.selectors, r.selector)
			}
		}
	}
	return f
}

func (f *footprint) source(labels map[string]string, namespace string) {
	if len(labels) > 0 {
		f.selectors = append(f.selectors, labels)
	}
	if namespace != "" {
		f.namespaces[namespace] = true
	}
}

// rulesCovering lists every rule whose host covers one.
func (o *Objects) rulesCovering(host string) []*destinationRule {
	if host == "" {
		return nil
	}
	var out []*destinationRule
	for _, i := range o.ruleHost[host] {
		out = append(out, o.rules[i])
	}
	for rest := strings.TrimPrefix(host, "*"); ; rest = rest[1:] {
		for _, i := range o.ruleWild["*"+rest] {
			out = append(out, o.rules[i])
		}
		if rest == "" {
			return out
		}
	}
}

// key is what the footprint makes of a client.
func (f *footprint) key(x *Workload, w *World, s *Service) string {
	var b strings.Builder
	if f.namespaces[x.Ref.Namespace] {
		b.WriteString(x.Ref.Namespace)
	}
	b.WriteByte('|')
	for _, sel := range f.selectors {
		b.WriteByte(bit(hasAll(x.Labels, sel)))
	}
	b.WriteByte('|')
	if x.Scope != nil && x.Scope.Hosts != nil {
		b.WriteByte(bit(x.Scope.shows(s, x.Ref.Namespace)))
		for _, v := range f.virtuals {
			b.WriteByte(bit(slices.ContainsFunc(v.hosts, func(h string) bool { return x.Scope.imports(v.namespace, h, x.Ref.Namespace) })))
		}
	}
	if x.Scope != nil && x.Scope.RegistryOnly != nil {
		b.WriteByte('r')
		b.WriteByte(bit(*x.Scope.RegistryOnly))
	}
	return b.String()
}

func bit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// Table is what happens to calls of a workload, in the mode it has, to a port of a Service.
func (w *World) Table(x *Workload, s *Service, host string, p Port, speak Speech) *Table {
	switch {
	case x.Mode == Sidecar:
		return w.sidecarTable(s, host, p, speak, w.caller(x))
	case x.Mode == Ambient && s.served():
		return w.waypointTable(s.Waypoint, s, host, p, speak)
	case x.Mode == Ambient:
		return w.plainTable(s, host, p, AtZtunnel)
	}
	return w.plainTable(s, host, p, AtNobody)
}

// served reports whether calls of ambient clients pass a waypoint. Those to a headless Service are made to the
// address of a pod, where the Service's waypoint is not asked (istio/istio#54921).
func (s *Service) served() bool {
	return s.Waypoint != (Ref{}) && (!s.Headless || s.Ref.Kind == "ServiceEntry")
}

// fingerprint tells tables apart: what is equal here does the same.
func (t *Table) fingerprint(proxies bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%v\n", t.Unknown, t.Domains)
	for i := range t.Rules {
		a := t.Rules[i].Action
		fmt.Fprintf(&b, "%s => %s|%s|%s|%v|%v|%s|%s|%s|%s", t.Rules[i].Match, a.outcome(), a.spread(true), joined(a.Rewrite, a.Authority), a.Headers, a.Mirrors,
			a.Fault, a.CORS, durationText(a), a.Retries.words(proxies))
		for k := range policyParts {
			b.WriteString("|" + a.policyText(k))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// clients are the workloads that a footprint may single out: those of its namespaces, and all where it has selectors.
func (w *World) clients(f *footprint) []*Workload {
	var out []*Workload
	add := func(i int) {
		x := &w.Workloads[i]
		if x.Mode != None && x.Scope == nil {
			out = append(out, x)
		}
	}
	if len(f.selectors) > 0 {
		for i := range w.Workloads {
			add(i)
		}
		return out
	}
	for _, ns := range sortedKeys(f.namespaces) {
		for _, i := range w.hosts().byNamespace[ns] {
			add(i)
		}
	}
	return out
}
