package mesh

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/route"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// What routes and traffic policies ask of a proxy is what the model of routing shows: the difference between what
// the sidecars of a Service's clients do to calls and what ztunnel does. A route that does nothing is no fact.

// LossKind says why a waypoint alone does not keep what sidecars do to calls.
type LossKind string

const (
	// Unread: no waypoint of the Service reads the object, where it stands.
	Unread LossKind = "unread"
	// Outside: nothing of the mesh stands behind the host, so that no workload's verdict would make anybody bind it.
	Outside LossKind = "outside"
)

// RouteLoss is something that the sidecars of any client do to calls to a host, and that ends with each of them.
type RouteLoss struct {
	Kind LossKind
	// Service is nil for a host that no Service or ServiceEntry has.
	Service *Service
	Host    string
	// Evidence names objects and fields; Features what they do.
	Evidence []Evidence
	Features []Feature
	// Kept reports whether a waypoint of the Service, standing in its namespace, would do the same.
	Kept bool
	// Edge reports whether gateways route the host as well, so that it is made for calls from outside.
	Edge bool
}

// endingSink gathers what the endings of one Service come to.
type endingSink struct {
	b       *builder
	s       *Service // nil for a host that nobody has
	host    string
	edge    bool
	inMesh  bool
	uses    []found
	losses  map[LossKind]*RouteLoss
	crossed map[Ref]bool
}

// routeFacts asks the model about every Service.
func (b *builder) routeFacts() {
	m := b.mesh
	b.active = map[Ref]bool{}
	for i := range m.routing.Services {
		rs := &m.routing.Services[i]
		sink := &endingSink{b: b, host: rs.Hosts[0], losses: map[LossKind]*RouteLoss{}, crossed: map[Ref]bool{}}
		if i < len(m.Services) {
			sink.s = m.Services[i]
			sink.inMesh = slices.ContainsFunc(sink.s.Workloads, func(w *Workload) bool { return w.Mode != None })
		} else {
			sink.edge = b.routedAtGateways(rs.Hosts[0])
		}
		for _, e := range m.routing.Endings(rs) {
			sink.add(&e)
		}
		sink.give()
	}
	slices.SortStableFunc(m.RouteLosses, func(x, y RouteLoss) int { return strings.Compare(x.Host, y.Host) })
}

// routedAtGateways reports whether a VirtualService for gateways names a host.
func (b *builder) routedAtGateways(host string) bool {
	return slices.ContainsFunc(b.mesh.Routes, func(r *Policy) bool {
		o, ok := r.Object.(*networkingv1.VirtualService)
		return ok && slices.Contains(o.Spec.GetHosts(), host) && slices.ContainsFunc(o.Spec.GetGateways(), func(g string) bool { return g != meshGateway })
	})
}

func (k *endingSink) add(e *route.Ending) {
	for n, part := range e.Parts {
		origins := part.From
		if len(origins) == 0 && e.Rule != (route.Origin{}) {
			origins = []route.Origin{e.Rule}
		}
		for _, o := range origins {
			k.part(e, part, e.Kept[n], o)
		}
	}
}

// part records one thing that ends, read from one place.
func (k *endingSink) part(e *route.Ending, part route.PartDiff, kept bool, o route.Origin) {
	if o.Object == (route.Ref{}) || o.Object == route.Ref(k.b.mesh.Settings.Client.Ref) {
		return // mesh-wide settings are told once, by Settings.Client
	}
	object := Ref(o.Object)
	k.b.active[object] = true
	if e.Via != (route.Ref{}) {
		k.b.active[Ref(e.Via)] = true
	}
	list := k.features(e, part, evidence(object, o.Field, partValue(part)))
	own := k.s != nil && object.Namespace == k.s.Namespace
	root := k.b.isRoot(object.Namespace)
	switch {
	case !k.inMesh:
		if k.s != nil && len(k.s.Workloads) > 0 {
			k.use(list)
		}
		if !k.edge && k.of(object.Namespace) {
			k.b.useInNamespace(object.Namespace, onSide(Outbound, list))
		}
		if e.Client == nil {
			k.lose(Outside, list, kept)
		}
	case kept || own:
		k.use(list)
	case root:
		k.use(list)
		if e.Client == nil {
			k.lose(Unread, list, false)
		}
	default:
		k.cross(object, list, e.Client == nil)
		if e.Client == nil {
			k.lose(Unread, list, false)
		}
	}
}

// of reports whether workloads of a namespace are among the clients that somebody there wrote an object for.
func (k *endingSink) of(namespace string) bool { return len(k.b.index.byNamespace[namespace]) > 0 }

// features are what a part asks of a proxy, with the condition it stands under.
func (k *endingSink) features(e *route.Ending, part route.PartDiff, ev Evidence) []found {
	g := gather{object: ev.Object}
	for _, f := range featuresOf(e, part, k.s == nil || k.s.External) {
		g.list = append(g.list, found{f, Inbound, []Evidence{ev}})
	}
	for _, c := range e.Conditions {
		for _, t := range c.Match {
			if e.Request.Speech == route.SpeakHTTP && (Ref(c.Origin.Object) == ev.Object || e.Unmatched) {
				at := Ref(c.Origin.Object)
				g.condition(t, Evidence{Object: at, Field: c.Origin.Field + matchField(at, t)})
			}
		}
	}
	if part.Part == route.PartHeaders && strings.Contains(part.Before, " "+xfccHeader) {
		g.list = append(g.list, found{ForwardedClientCert, Inbound, []Evidence{ev}})
	}
	return g.list
}

// condition records what one test of a match asks for.
func (g *gather) condition(t route.Test, ev Evidence) {
	feature := HTTPMatch
	switch {
	case strings.HasPrefix(t.Attribute, "claim:"):
		feature = JWTClaimRouting
	case t.Attribute == "header:"+xfccHeader:
		g.list = append(g.list, found{ForwardedClientCert, Inbound, []Evidence{ev}})
	}
	g.list = append(g.list, found{feature, Inbound, []Evidence{ev}})
}

// matchField is the field of a match that a test was read from.
func matchField(object Ref, t route.Test) string {
	if object.Kind != kindVirtualService.Kind {
		return ""
	}
	kind, _, _ := strings.Cut(t.Attribute, ":")
	switch {
	case kind == "path":
		return ".uri"
	case kind == "query":
		return ".queryParams"
	case kind == "header" && t.Not:
		return ".withoutHeaders"
	case kind == "header", kind == "claim":
		return ".headers"
	}
	return "." + kind
}

func partValue(part route.PartDiff) string {
	switch part.Part {
	case route.PartTLS:
		mode, _, _ := strings.Cut(part.Before, " ")
		return mode
	case route.PartTimeout, route.PartBalance:
		return part.Before
	case route.PartRetries:
		n, _, _ := strings.Cut(part.Before, " ")
		return n
	}
	return ""
}

// featuresOf names what a part is. external says that the host is outside the mesh.
func featuresOf(e *route.Ending, part route.PartDiff, external bool) []Feature {
	switch part.Part {
	case route.PartDestination, route.PartSplit, route.PartSubset:
		feature := TrafficSplit
		if e.Unmatched {
			return nil // the conditions say it
		}
		switch e.Request.Speech {
		case route.SpeakTCP:
			feature = TCPRouting
		case route.SpeakTLS:
			feature = TLSRouting
		}
		if part.Part != route.PartSubset {
			return []Feature{feature}
		}
		if feature != TrafficSplit || strings.Contains(part.Before, " + ") {
			return []Feature{Subsets, feature}
		}
		return []Feature{Subsets}
	case route.PartMirror:
		if strings.Contains(part.Before, "(a subset)") {
			return []Feature{Mirroring, Subsets}
		}
	case route.PartTLS:
		if external {
			return []Feature{TLSOrigination}
		}
		return []Feature{ClientTLS}
	case route.PartLocality:
		if strings.HasPrefix(part.Before, "zone-aware") {
			return []Feature{ZoneAwareLB}
		}
		return []Feature{LocalityLB}
	}
	return []Feature{partFeatures[part.Part]}
}

var partFeatures = map[route.Part]Feature{
	route.PartAnswer: Rewrite, route.PartRewrite: Rewrite, route.PartHeaders: HeaderManipulation, route.PartTimeout: Timeouts,
	route.PartRetries: Retries, route.PartMirror: Mirroring, route.PartFault: FaultInjection, route.PartCORS: CORS,
	route.PartBalance: LoadBalancing, route.PartAffinity: ConsistentHash, route.PartPool: ConnectionPool,
	route.PartOutlier: OutlierDetection, route.PartTunnel: UpstreamProxyProtocol, route.PartUpgrade: ConnectionPool, route.PartBudget: Retries,
}

// use records features once, however many clients and ports they show at.
func (k *endingSink) use(list []found) {
	for _, f := range list {
		k.uses = addFound(k.uses, f)
	}
}

// addFound adds evidence that a list does not have yet.
func addFound(list []found, f found) []found {
	for i := range list {
		if list[i].feature != f.feature || list[i].side != f.side {
			continue
		}
		for _, e := range f.evidence {
			if !slices.Contains(list[i].evidence, e) {
				list[i].evidence = append(slices.Clip(list[i].evidence), e)
			}
		}
		return list
	}
	return append(list, f)
}

// cross records an object of another namespace that no waypoint of the Service reads, with the clients there, for whom
// somebody wrote it, and behind the Service where anybody obeys it.
func (k *endingSink) cross(object Ref, list []found, anybody bool) {
	crossing, field := ClientNamespaceRoute, "spec.hosts"
	if object.Kind == kindDestinationRule.Kind {
		crossing, field = ClientNamespaceRule, "spec.host"
	}
	if anybody {
		k.use(list)
		k.use([]found{{crossing, Inbound, []Evidence{evidence(object, field, k.host)}}})
	}
	if k.crossed[object] {
		return
	}
	k.crossed[object] = true
	ev := []Evidence{evidence(object, field, k.host)}
	if !k.b.selects(object) { // a rule with a selector says itself whom it is for
		k.b.useInNamespace(object.Namespace, []found{{crossing, Outbound, ev}})
	}
}

// selects reports whether an object is a DestinationRule with a workloadSelector.
func (b *builder) selects(object Ref) bool {
	for _, r := range b.mesh.Routes {
		if r.Ref == object {
			return r.Scope == BySelector
		}
	}
	return false
}

func (k *endingSink) lose(kind LossKind, list []found, kept bool) {
	l := k.losses[kind]
	if l == nil {
		l = &RouteLoss{Kind: kind, Service: k.s, Host: k.host, Kept: true, Edge: k.edge}
		k.losses[kind] = l
	}
	l.Kept = l.Kept && kept
	for _, f := range list {
		if !slices.Contains(l.Features, f.feature) {
			l.Features = append(l.Features, f.feature)
		}
		for _, e := range f.evidence {
			if !slices.Contains(l.Evidence, e) {
				l.Evidence = append(l.Evidence, e)
			}
		}
	}
}

// give hands out what was gathered.
func (k *endingSink) give() {
	for _, f := range k.uses {
		sortEvidence(f.evidence)
	}
	if k.s != nil {
		k.s.use(k.uses)
		for _, w := range k.s.Workloads {
			w.useOn(Inbound, k.uses)
		}
	}
	for _, kind := range []LossKind{Unread, Outside} {
		if l := k.losses[kind]; l != nil {
			slices.Sort(l.Features)
			sortEvidence(l.Evidence)
			k.b.mesh.RouteLosses = append(k.b.mesh.RouteLosses, *l)
		}
	}
}

// sortEvidence puts evidence in the order of objects and their fields; calls are looked at in no order that people know.
func sortEvidence(list []Evidence) {
	slices.SortStableFunc(list, func(x, y Evidence) int {
		return cmp.Or(x.Object.Compare(y.Object), cmp.Compare(x.Field, y.Field))
	})
}
