package plan

import (
	"cmp"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	securityv1beta1 "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// mover is a workload that may leave its sidecar.
type mover struct {
	w       *mesh.Workload
	verdict audit.Verdict
	// services are those whose calls go through a waypoint; gateways are the waypoints, by principal, sorted.
	services []*mesh.Service
	// direct is the waypoint for calls to pod addresses, where a headless Service leads there; empty for none.
	direct mesh.Ref
	// guard asks for the DENY of all but the waypoints, except for what except lists.
	guard  bool
	except []exception
	// noException are ports at which no exception can be made.
	noException map[uint16]bool
	// closed asks that its pods refuse each other while old and new ones are there.
	closed bool
	// why says what keeps it from moving, once something does, and blockers who.
	why      []Because
	blockers []mesh.Ref
}

// through reports whether a waypoint enforces for the workload.
func (v *mover) through() bool { return len(v.services) > 0 || v.direct != mesh.Ref{} }

// waypoint is a waypoint that is there or is to be made.
type waypoint struct {
	ref       mesh.Ref
	principal string
	class     string
	// forWhom is service, workload or all.
	forWhom string
	// create says that it is not there yet.
	create bool
}

// synthesis makes the objects that a move needs. It reads the start and writes nothing but its own fields.
type synthesis struct {
	mesh   *mesh.Mesh
	names  *namer
	movers []*mover
	byRef  map[mesh.Ref]*mover
	// bound says which waypoint serves a Service, today or after preparation.
	bound     map[mesh.Ref]mesh.Ref
	waypoints map[mesh.Ref]*waypoint
	// ingress are Services whose gateways have to go through the waypoint.
	ingress map[mesh.Ref]bool
	// exempt are DENY policies that have to leave waypoints alone.
	exempt map[mesh.Ref]bool
	// restart are workloads whose sidecars have to listen on HBONE first, with the annotations that see to it.
	restart map[mesh.Ref]map[string]*string
	// deaf are those that must not: calls would pass then that are refused today.
	deaf    map[mesh.Ref]bool
	inUseBy map[mesh.Ref]bool
}

func newSynthesis(m *mesh.Mesh, movers []*mover) *synthesis {
	y := &synthesis{mesh: m, movers: movers, byRef: map[mesh.Ref]*mover{}, bound: map[mesh.Ref]mesh.Ref{}, waypoints: map[mesh.Ref]*waypoint{},
		ingress: map[mesh.Ref]bool{}, exempt: map[mesh.Ref]bool{}, restart: map[mesh.Ref]map[string]*string{}, deaf: map[mesh.Ref]bool{}, inUseBy: map[mesh.Ref]bool{}}
	for _, v := range movers {
		y.byRef[v.w.Ref] = v
	}
	for _, g := range m.Waypoints {
		y.waypoints[g.Ref] = &waypoint{ref: g.Ref, principal: g.Principal, class: g.Class, forWhom: g.For}
	}
	for _, s := range m.Services {
		if !s.Waypoint.Bound {
			continue
		}
		y.bound[s.Ref] = s.Waypoint.Gateway
		for _, w := range s.Workloads {
			if w.Mode == mesh.Ambient {
				y.inUseBy[s.Waypoint.Gateway] = true
			}
		}
		if s.External {
			y.inUseBy[s.Waypoint.Gateway] = true
		}
	}
	for _, w := range m.Workloads {
		if w.Waypoint.Bound && w.Mode == mesh.Ambient {
			y.inUseBy[w.Waypoint.Gateway] = true
		}
	}
	for _, v := range movers {
		if v.verdict == audit.VerdictWaypoint {
			y.lead(v)
		}
	}
	return y
}

func (y *synthesis) waypointsInUse() bool  { return len(y.inUseBy) > 0 }
func (y *synthesis) inUse(g mesh.Ref) bool { return y.inUseBy[g] }
func (y *synthesis) refuse(s *mesh.Service, why string) {
	for _, w := range s.Workloads {
		if v := y.byRef[w.Ref]; v != nil {
			v.stay(Because{Code: CodePorts, Text: why})
		}
	}
}

// servesOthers reports whether a waypoint serves Services of other namespaces.
func (y *synthesis) servesOthers(g mesh.Ref, namespace string) bool {
	for s, at := range y.bound {
		if at == g && s.Namespace != namespace {
			return true
		}
	}
	return false
}

func (v *mover) stay(why Because) {
	if !slices.Contains(v.why, why) {
		v.why = append(v.why, why)
	}
}

// lead chooses the waypoints for a workload's calls: for those by Service the Service's own, the namespace's, or a new one of the
// namespace; for those by a headless Service one of its own for pod addresses. A workload that nothing leads to gets none, and
// its guard closes it.
func (y *synthesis) lead(v *mover) {
	headless := false
	for _, s := range v.w.Services {
		switch {
		case s.External || s.Kind != kindService:
		case s.Headless:
			headless = true
		default:
			v.services = append(v.services, s)
			if _, ok := y.bound[s.Ref]; !ok {
				y.bound[s.Ref] = y.namespaceWaypoint(s.Namespace)
			}
		}
	}
	if headless && len(v.services) == 0 {
		r := y.newWaypoint(v.w.Namespace, v.w.Name+"-waypoint", "workload")
		v.direct = r
	}
}

// namespaceWaypoint returns the waypoint of a namespace that serves Services, a new one where there is none.
func (y *synthesis) namespaceWaypoint(namespace string) mesh.Ref {
	var best *waypoint
	for _, g := range y.waypoints {
		if g.ref.Namespace != namespace || g.class != mesh.ClassWaypoint || g.forWhom != "service" && g.forWhom != "all" {
			continue
		}
		if best == nil || cmp.Or(boolRank(g.ref.Name == defaultWaypoint, best.ref.Name == defaultWaypoint), cmp.Compare(g.ref.Name, best.ref.Name)) < 0 {
			best = g
		}
	}
	if best != nil {
		return best.ref
	}
	return y.newWaypoint(namespace, defaultWaypoint, "service")
}

// boolRank puts true before false.
func boolRank(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// defaultWaypoint is the name that istioctl gives as well.
const defaultWaypoint = "waypoint"

func (y *synthesis) newWaypoint(namespace, name, forWhom string) mesh.Ref {
	if y.names == nil {
		y.names = newNamer(y.mesh.Snapshot)
	}
	r := y.names.name(groupGateway, kindGateway, namespace, name)
	// istiod names the service account after the Gateway (gatewaycommon/deploymentcontroller.go).
	y.waypoints[r] = &waypoint{ref: r, class: mesh.ClassWaypoint, forWhom: forWhom, create: true,
		principal: y.mesh.Settings.TrustDomain + "/ns/" + namespace + "/sa/" + r.Name}
	return r
}

// principals are the identities of the waypoints that forward calls to a workload.
func (y *synthesis) principals(v *mover) []string {
	var out []string
	add := func(g mesh.Ref) {
		if w := y.waypoints[g]; w != nil && !slices.Contains(out, w.principal) {
			out = append(out, w.principal)
		}
	}
	for _, s := range v.services {
		add(y.bound[s.Ref])
	}
	if v.direct != (mesh.Ref{}) {
		add(v.direct)
	}
	slices.Sort(out)
	return out
}

// preparation is what has to be there before the first pod moves, in the order in which it is written.
type preparation struct {
	restarts, gateways, copies, admits, guards, closes, exempts, binds []Edit
	// opens are there while copies are written; see open.
	opens []Edit
	// copied names the policies that a waypoint enforces for some Service.
	copied map[mesh.Ref]bool
}

// groups lists the preparation in its order, each part with what it is for.
func (p *preparation) groups() []group {
	return []group{{KindRestart, p.restarts}, {KindWaypoint, p.gateways}, {KindCopy, p.copies}, {KindAdmit, p.admits}, {KindExempt, p.exempts}, {KindGuard, p.guards}, {KindClose, p.closes}, {KindBind, p.binds}}
}

type group struct {
	kind  StepKind
	edits []Edit
}

// prepare makes the objects for the workloads that still may move.
func (y *synthesis) prepare() *preparation {
	kept := y.names
	y.names = newNamer(y.mesh.Snapshot)
	if kept != nil {
		for _, g := range y.waypoints {
			if g.create {
				y.names.taken[g.ref] = true
			}
		}
	}
	p := &preparation{copied: map[mesh.Ref]bool{}}
	usedGateways, usedServices := map[mesh.Ref]bool{}, map[mesh.Ref]*mesh.Service{}
	byPolicy := map[mesh.Ref][]*mesh.Service{}
	var policies []*mesh.Policy
	for _, v := range y.movers {
		if len(v.why) > 0 {
			continue
		}
		if v.closed {
			p.closes = append(p.closes, y.closeEdit(v.w))
		}
		if v.verdict != audit.VerdictWaypoint {
			continue
		}
		for _, s := range v.services {
			usedServices[s.Ref], usedGateways[y.bound[s.Ref]] = s, true
		}
		if v.direct != (mesh.Ref{}) {
			usedGateways[v.direct] = true
			p.copies = append(p.copies, y.directCopies(v)...)
		}
		for _, pol := range v.w.Policies {
			if pol.Scope == mesh.ByTargetRefs || len(v.services) == 0 || !copyable(pol) {
				continue
			}
			if byPolicy[pol.Ref] == nil {
				policies = append(policies, pol)
			}
			byPolicy[pol.Ref] = append(byPolicy[pol.Ref], v.services...)
		}
		if principals := y.principals(v); len(principals) > 0 && admitsByPolicy(v.w) && !y.mesh.Settings.AutoAllowWaypoint {
			p.admits = append(p.admits, y.admitEdit(v.w, principals))
		}
		if v.guard {
			p.guards = append(p.guards, y.guardEdit(v.w, y.principals(v), v.except))
		}
	}
	slices.SortFunc(policies, func(a, b *mesh.Policy) int { return a.Ref.Compare(b.Ref) })
	for _, pol := range policies {
		services := byPolicy[pol.Ref] // once for each workload behind them
		slices.SortFunc(services, func(a, b *mesh.Service) int { return a.Ref.Compare(b.Ref) })
		services = slices.Compact(services)
		byPolicy[pol.Ref] = services
		if edits := y.copyOf(pol, services); len(edits) > 0 {
			p.copies = append(p.copies, edits...)
			p.copied[pol.Ref] = true
		}
	}
	p.opens = y.open(policies, byPolicy)
	y.exemptions(p)
	for _, r := range sortedRefs(usedGateways) {
		if g := y.waypoints[r]; g != nil && g.create {
			p.gateways = append(p.gateways, Edit{Verb: Create, Object: r, Put: gatewayObject(g)})
		}
	}
	y.bindings(p, usedServices)
	return p
}

// open makes an ALLOW of everything for each Service whose calls go through its waypoint already, while that enforces no ALLOW, and which
// gets several: with the first of them there and the second not yet, calls that only the second admits would be refused. It is
// removed when all are there, so that at no time more passes than the waypoint lets pass today.
func (y *synthesis) open(policies []*mesh.Policy, services map[mesh.Ref][]*mesh.Service) []Edit {
	allows := map[mesh.Ref]map[mesh.Ref]bool{}
	for _, pol := range policies {
		if pol.Action != actionAllow || pol.DryRun {
			continue
		}
		for _, s := range services[pol.Ref] {
			if !s.Waypoint.Bound || slices.ContainsFunc(s.Policies, func(at *mesh.Policy) bool { return at.Action == actionAllow && !at.DryRun }) {
				continue
			}
			if allows[s.Ref] == nil {
				allows[s.Ref] = map[mesh.Ref]bool{}
			}
			allows[s.Ref][pol.Ref] = true
		}
	}
	var out []Edit
	for _, s := range sortedRefs(allows) {
		if len(allows[s]) < 2 {
			continue
		}
		r := y.names.name(groupSecurity, kindPolicy, s.Namespace, s.Name+"-waypoint-meanwhile")
		o := &securityv1.AuthorizationPolicy{ObjectMeta: meta(r)}
		o.Spec.TargetRefs = []*typev1beta1.PolicyTargetReference{target("", kindService, s.Name)}
		o.Spec.Rules = []*securityv1beta1.Rule{{}}
		out = append(out, Edit{Verb: Create, Object: r, Put: o})
	}
	return out
}

// copyable reports whether a waypoint reads policies of the kind.
func copyable(p *mesh.Policy) bool {
	switch p.Kind {
	case kindPolicy, kindRequestAuthn, kindTelemetry, kindWasm, kindTraffic:
		return true
	}
	return false
}

// admitsByPolicy reports whether some ALLOW applies to a workload, so that whoever none admits is refused.
func admitsByPolicy(w *mesh.Workload) bool {
	return slices.ContainsFunc(w.Policies, func(p *mesh.Policy) bool {
		return p.Kind == kindPolicy && p.Action == actionAllow && p.Scope != mesh.ByTargetRefs && !p.DryRun
	})
}

// directCopies are copies at a waypoint of one workload's own, which sees the pods' ports.
func (y *synthesis) directCopies(v *mover) []Edit {
	var out []Edit
	for _, pol := range v.w.Policies {
		if pol.Scope == mesh.ByTargetRefs || !copyable(pol) {
			continue
		}
		at := placement{namespace: v.direct.Namespace, targets: []*typev1beta1.PolicyTargetReference{target(groupGateway, kindGateway, v.direct.Name)}}
		if o, ok := pol.Object.(*securityv1.AuthorizationPolicy); ok {
			at.rules = qualified(o)
		}
		if e, ok := y.copyAt(pol, at, pol.Name+"-"+v.direct.Name); ok {
			out = append(out, e)
		}
	}
	return out
}

// exemptions rewrites the DENY policies that refuse what waypoints forward.
func (y *synthesis) exemptions(p *preparation) {
	principals := map[mesh.Ref][]string{}
	for _, v := range y.movers {
		if len(v.why) > 0 || !v.through() {
			continue
		}
		for _, pol := range v.w.Policies {
			if y.exempt[pol.Ref] {
				for _, name := range y.principals(v) {
					if !slices.Contains(principals[pol.Ref], name) {
						principals[pol.Ref] = append(principals[pol.Ref], name)
					}
				}
			}
		}
	}
	for _, r := range sortedRefs(y.exempt) {
		o, ok := find(y.mesh.Snapshot, r).(*securityv1.AuthorizationPolicy)
		if !ok || len(principals[r]) == 0 {
			continue
		}
		slices.Sort(principals[r])
		p.exempts = append(p.exempts, Edit{Verb: Replace, Object: r, Put: exempted(o, principals[r])})
	}
}

// bindings labels Services so that ambient callers, and gateways where that is asked for, go through the waypoint.
func (y *synthesis) bindings(p *preparation, services map[mesh.Ref]*mesh.Service) {
	for _, r := range sortedRefs(services) {
		s := services[r]
		g := y.bound[r]
		labels := map[string]string{}
		if !s.Waypoint.Bound || s.Waypoint.Gateway != g || y.ingress[r] && !s.IngressUseWaypoint {
			labels[mesh.LabelUseWaypoint] = g.Name
			if g.Namespace != s.Namespace {
				labels[mesh.LabelUseWaypointNS] = g.Namespace
			}
		}
		if y.ingress[r] && !s.IngressUseWaypoint {
			labels[mesh.LabelIngressUseWaypoint] = "true"
		}
		if len(labels) > 0 {
			p.binds = append(p.binds, labelEdit(Label, r, labels))
		}
	}
	for _, r := range sortedRefs(y.restart) {
		p.restarts = append(p.restarts, Edit{Verb: Template, Object: r, Annotations: y.restart[r]})
	}
}

// gatewayObject is a waypoint as istioctl makes it.
func gatewayObject(g *waypoint) *gatewayv1.Gateway {
	o := &gatewayv1.Gateway{ObjectMeta: meta(g.ref)}
	o.Labels[mesh.LabelWaypointFor] = g.forWhom
	o.Spec.GatewayClassName = gatewayv1.ObjectName(g.class)
	o.Spec.Listeners = []gatewayv1.Listener{{Name: "mesh", Port: 15008, Protocol: "HBONE"}}
	o.CreationTimestamp = metav1.Time{}
	return o
}

// moveEdit is the one write that moves a workload: with its next pods, and back with a rollout undo.
func (y *synthesis) moveEdit(v *mover) Edit {
	labels := map[string]string{mesh.LabelInject: "false", mesh.LabelDataplaneMode: mesh.ModeAmbient}
	if v.direct != (mesh.Ref{}) {
		labels[mesh.LabelUseWaypoint] = v.direct.Name
	}
	verb := Template
	if v.w.Kind == kindJob {
		verb = Recreate
	}
	e := labelEdit(verb, v.w.Ref, labels)
	// Who applies without a field gives it up: what an earlier step wrote has to be said again.
	e.Annotations = y.restart[v.w.Ref]
	return e
}

// retirable are the policies of moved workloads that a waypoint has taken over and that ztunnel cannot hold as written. L4
// policies stay: ztunnel enforces them. One that also applies to somebody who keeps a proxy of his own, a gateway for one,
// stays as well.
func (y *synthesis) retirable(p *preparation) []*mesh.Policy {
	needed := map[*mesh.Policy]bool{}
	for _, w := range y.mesh.Workloads {
		if w.Role != mesh.Gateway && (w.Role != mesh.Application || w.Mode == mesh.None) {
			continue
		}
		v := y.byRef[w.Ref]
		if v == nil || len(v.why) > 0 || v.verdict != audit.VerdictWaypoint {
			for _, pol := range w.Policies {
				needed[pol] = true
			}
		}
	}
	var out []*mesh.Policy
	for _, pol := range y.mesh.Policies {
		if p.copied[pol.Ref] && pol.Scope != mesh.ByTargetRefs && !needed[pol] && lostAtZtunnel(pol) {
			out = append(out, pol)
		}
	}
	return out
}

// lostAtZtunnel reports whether ztunnel holds a policy otherwise than a sidecar does, or not at all.
func lostAtZtunnel(pol *mesh.Policy) bool {
	o, ok := pol.Object.(*securityv1.AuthorizationPolicy)
	if !ok {
		return pol.Kind == kindRequestAuthn
	}
	compiled, _ := authz.CompileAuthorizationPolicy(o)
	for _, f := range authz.ZtunnelFates(&compiled) {
		if f.Fate != authz.FateKept {
			return true
		}
	}
	return pol.Action != actionAllow && pol.Action != actionDeny
}

func sortedRefs[V any](m map[mesh.Ref]V) []mesh.Ref {
	out := make([]mesh.Ref, 0, len(m))
	for r := range m {
		out = append(out, r)
	}
	slices.SortFunc(out, mesh.Ref.Compare)
	return out
}
