package mesh

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	apinetworking "istio.io/api/networking/v1alpha3"
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
		features := b.virtualServiceFeatures(r, o)
		b.attachRoute(r, o.Spec.GetHosts(), o.Spec.GetExportTo(), ClientNamespaceRoute, features)
		b.attachSources(o)
	}
}

// attachRoute records a route or traffic policy on the Services of its hosts and the workloads behind
// them. Where the object stands in another namespace than the Service, the clients there are the ones
// that have it, and crossing says so for both ends. Hosts outside the mesh, and hosts that are not known,
// concern the clients: those of the object's own namespace, for whom somebody wrote it.
func (b *builder) attachRoute(r *Policy, hosts, exportTo []string, crossing Feature, features []found) {
	features = append(features, b.unknownFields(r)...)
	if list := exportList(exportTo); list != nil {
		// A waypoint would apply it for every client.
		features = append(features, found{ExportTo, Inbound, []Evidence{evidence(r.Ref, "spec.exportTo", strings.Join(list, ", "))}})
	}
	seen := map[*Service]bool{}
	client := false
	for i, host := range hosts {
		services := b.hosts.find(host, r.Namespace)
		client = client || len(services) == 0
		for _, s := range services {
			if seen[s] {
				continue
			}
			seen[s] = true
			client = client || s.External
			s.Routes = append(s.Routes, r)
			s.use(features)
			own := features
			if s.Namespace != r.Namespace && !s.External && !b.isRoot(r.Namespace) {
				cross := found{crossing, Inbound, []Evidence{evidence(r.Ref, fmt.Sprintf("spec.hosts[%d]", i), host)}}
				own = append(slices.Clip(features), cross)
				s.use([]found{cross})
				b.useInNamespace(r.Namespace, []found{{crossing, Outbound, cross.evidence}})
			}
			for _, w := range s.Workloads {
				w.addRoute(r)
				w.useOn(Inbound, own)
			}
		}
	}
	if client {
		b.useInNamespace(r.Namespace, onSide(Outbound, features))
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

// attachSources records SourceMatch on the clients that the matches select, where the VirtualService is
// visible to them.
func (b *builder) attachSources(o *networkingv1.VirtualService) {
	for _, m := range sourceMatches(o) {
		use := []found{{SourceMatch, Outbound, []Evidence{evidence(refOf(kindVirtualService, o), m.field, "")}}}
		for _, ns := range b.index.namespaces {
			if m.namespace != "" && m.namespace != ns || !exportedTo(o.Spec.GetExportTo(), o.Namespace, ns) {
				continue
			}
			for _, w := range b.index.match(ns, m.labels) {
				w.use(use)
			}
		}
	}
}

// virtualServiceFeatures reads what a VirtualService asks of the proxy that applies it, its delegates
// included.
func (b *builder) virtualServiceFeatures(r *Policy, o *networkingv1.VirtualService) []found {
	g := gather{object: r.Ref}
	for i, h := range o.Spec.GetHttp() {
		path := fmt.Sprintf("spec.http[%d]", i)
		httpFeatures(&g, path, h, o)
		d := h.GetDelegate()
		if d == nil {
			continue
		}
		g.see(DelegateRoute, Inbound, path+".delegate", d.GetName())
		ns := d.GetNamespace()
		if ns == "" {
			ns = o.Namespace
		}
		target, ok := snapshot.Get[*networkingv1.VirtualService](b.snap, ns, d.GetName())
		if !ok {
			continue
		}
		inner := gather{object: refOf(kindVirtualService, target)}
		for j, th := range target.Spec.GetHttp() { // a delegate cannot delegate further
			httpFeatures(&inner, fmt.Sprintf("spec.http[%d]", j), th, o)
		}
		g.list = append(g.list, inner.list...)
	}
	for _, m := range sourceMatches(o) {
		g.see(SourceMatch, Inbound, m.field, "")
	}
	for i, t := range o.Spec.GetTcp() {
		g.see(TCPRouting, Inbound, fmt.Sprintf("spec.tcp[%d]", i), "")
		destinationFeatures(&g, fmt.Sprintf("spec.tcp[%d]", i), t.GetRoute())
	}
	for i, t := range o.Spec.GetTls() {
		g.see(TLSRouting, Inbound, fmt.Sprintf("spec.tls[%d]", i), "")
		destinationFeatures(&g, fmt.Sprintf("spec.tls[%d]", i), t.GetRoute())
	}
	return g.list
}

func destinationFeatures(g *gather, path string, route []*apinetworking.RouteDestination) {
	for j, d := range route {
		if s := d.GetDestination().GetSubset(); s != "" {
			g.see(Subsets, Inbound, fmt.Sprintf("%s.route[%d].destination.subset", path, j), s)
		}
	}
	if len(route) > 1 {
		g.see(TrafficSplit, Inbound, path+".route", "")
	}
}

// httpFeatures reads one HTTP route. A route that sends everything to its own host asks for nothing.
func httpFeatures(g *gather, path string, h *apinetworking.HTTPRoute, root *networkingv1.VirtualService) {
	for j, m := range h.GetMatch() {
		if meshGateways(m.GetGateways()) {
			matchFeatures(g, fmt.Sprintf("%s.match[%d]", path, j), m)
		}
	}
	if len(h.GetRoute()) > 1 {
		g.see(TrafficSplit, Inbound, path+".route", "")
	}
	for j, d := range h.GetRoute() {
		at := fmt.Sprintf("%s.route[%d]", path, j)
		if s := d.GetDestination().GetSubset(); s != "" {
			g.see(Subsets, Inbound, at+".destination.subset", s)
		}
		if host := d.GetDestination().GetHost(); len(h.GetRoute()) == 1 && host != "" && !slices.Contains(root.Spec.GetHosts(), host) {
			g.see(TrafficSplit, Inbound, at+".destination.host", host)
		}
		headerFeatures(g, at+".headers", d.GetHeaders())
	}
	headerFeatures(g, path+".headers", h.GetHeaders())
	if h.GetRedirect() != nil {
		g.see(Rewrite, Inbound, path+".redirect", "")
	}
	if h.GetDirectResponse() != nil {
		g.see(Rewrite, Inbound, path+".directResponse", "")
	}
	if h.GetRewrite() != nil {
		g.see(Rewrite, Inbound, path+".rewrite", "")
	}
	if h.GetTimeout() != nil {
		g.see(Timeouts, Inbound, path+".timeout", h.GetTimeout().AsDuration().String())
	}
	if r := h.GetRetries(); r != nil {
		g.see(Retries, Inbound, path+".retries.attempts", fmt.Sprint(r.GetAttempts()))
	}
	if h.GetFault() != nil {
		g.see(FaultInjection, Inbound, path+".fault", "")
	}
	if h.GetMirror() != nil || len(h.GetMirrors()) > 0 {
		g.see(Mirroring, Inbound, path+".mirrors", h.GetMirror().GetHost())
	}
	if h.GetCorsPolicy() != nil {
		g.see(CORS, Inbound, path+".corsPolicy", "")
	}
}

func matchFeatures(g *gather, path string, m *apinetworking.HTTPMatchRequest) {
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"uri", m.GetUri() != nil}, {"scheme", m.GetScheme() != nil}, {"method", m.GetMethod() != nil},
		{"authority", m.GetAuthority() != nil}, {"headers", len(m.GetHeaders()) > 0},
		{"withoutHeaders", len(m.GetWithoutHeaders()) > 0}, {"queryParams", len(m.GetQueryParams()) > 0},
		{"port", m.GetPort() != 0},
	} {
		if part.set {
			g.see(HTTPMatch, Inbound, path+"."+part.name, "")
		}
	}
	for _, name := range sortedKeys(m.GetHeaders(), m.GetWithoutHeaders()) {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, claimHeader):
			g.see(JWTClaimRouting, Inbound, path+".headers["+name+"]", "")
		case lower == xfccHeader:
			g.see(ForwardedClientCert, Inbound, path+".headers["+name+"]", "")
		}
	}
}

func headerFeatures(g *gather, path string, h *apinetworking.Headers) {
	if h == nil {
		return
	}
	g.see(HeaderManipulation, Inbound, path, "")
	for _, ops := range []*apinetworking.Headers_HeaderOperations{h.GetRequest(), h.GetResponse()} {
		for _, name := range append(sortedKeys(ops.GetAdd(), ops.GetSet()), ops.GetRemove()...) {
			if strings.EqualFold(name, xfccHeader) {
				g.see(ForwardedClientCert, Inbound, path, name)
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
