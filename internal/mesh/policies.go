package mesh

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	typev1beta1 "istio.io/api/type/v1beta1"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// reach says how far a selector in the root namespace reaches; kinds differ.
type reach int

const (
	rootSelectsAll  reach = iota // a selector in the root namespace selects in every namespace
	rootSelectsOwn               // ... in the root namespace only
	rootSelectsNone              // ... nothing at all
)

// attachment is what a policy object says about whom it is for.
type attachment struct {
	selector map[string]string
	refs     []*typev1beta1.PolicyTargetReference
	reach    reach
}

// attachPolicies attaches every policy object to workloads, services and waypoints, and records the
// features that those without targetRefs stand for.
func (b *builder) attachPolicies() {
	b.indexBindings()
	for _, o := range snapshot.All[*securityv1.AuthorizationPolicy](b.snap) {
		p := b.newPolicy(kindAuthorizationPolicy, o)
		p.Action = o.Spec.GetAction().String()
		p.DryRun, _ = strconv.ParseBool(o.Annotations[AnnotationDryRun]) // what is no boolean is enforced
		b.attachPolicy(p, attachment{selector: o.Spec.GetSelector().GetMatchLabels(), refs: targetRefs(&o.Spec)}, authzFeatures(p, o))
	}
	for _, o := range snapshot.All[*securityv1.RequestAuthentication](b.snap) {
		p := b.newPolicy(kindRequestAuthentication, o)
		g := gather{object: p.Ref}
		for i, r := range o.Spec.GetJwtRules() {
			g.see(RequestAuthn, Inbound, fmt.Sprintf("spec.jwtRules[%d].issuer", i), r.GetIssuer())
		}
		b.attachPolicy(p, attachment{selector: o.Spec.GetSelector().GetMatchLabels(), refs: targetRefs(&o.Spec)}, g.list)
	}
	for _, o := range snapshot.All[*telemetryv1.Telemetry](b.snap) {
		p := b.newPolicy(kindTelemetry, o)
		b.attachPolicy(p, attachment{selector: o.Spec.GetSelector().GetMatchLabels(), refs: targetRefs(&o.Spec), reach: rootSelectsOwn}, telemetryFeatures(p, o))
	}
	for _, o := range snapshot.All[*extensionsv1alpha1.WasmPlugin](b.snap) {
		p := b.newPolicy(kindWasmPlugin, o)
		features := extensionFeatures(WasmPlugin, p, "spec.url", o.Spec.GetUrl(), o.Spec.GetMatch())
		b.attachPolicy(p, attachment{selector: o.Spec.GetSelector().GetMatchLabels(), refs: targetRefs(&o.Spec)}, features)
	}
	for _, o := range snapshot.All[*extensionsv1alpha1.TrafficExtension](b.snap) {
		p := b.newPolicy(kindTrafficExtension, o)
		features := extensionFeatures(TrafficExtension, p, "spec", "", o.Spec.GetMatch())
		b.attachPolicy(p, attachment{selector: o.Spec.GetSelector().GetMatchLabels(), refs: o.Spec.GetTargetRefs()}, features)
	}
	for _, o := range snapshot.All[*networkingv1alpha3.EnvoyFilter](b.snap) {
		p := b.newPolicy(kindEnvoyFilter, o)
		b.attachPolicy(p, attachment{selector: o.Spec.GetWorkloadSelector().GetLabels(), refs: o.Spec.GetTargetRefs()}, b.envoyFilterFeatures(p, o))
	}
	for _, o := range snapshot.All[*networkingv1beta1.ProxyConfig](b.snap) {
		p := b.newPolicy(kindProxyConfig, o)
		g := gather{object: p.Ref}
		g.see(ProxyConfigResource, Both, "spec", "")
		b.attachPolicy(p, attachment{selector: o.Spec.GetSelector().GetMatchLabels(), reach: rootSelectsOwn}, g.list)
	}
	b.attachPeerAuthentication()
	b.attachSidecars()
}

// targeted is any policy API with both forms of target reference.
type targeted interface {
	GetTargetRef() *typev1beta1.PolicyTargetReference
	GetTargetRefs() []*typev1beta1.PolicyTargetReference
}

// targetRefs returns the references of a policy, the singular legacy one included.
func targetRefs(p targeted) []*typev1beta1.PolicyTargetReference {
	if refs := p.GetTargetRefs(); len(refs) > 0 {
		return refs
	}
	if ref := p.GetTargetRef(); ref != nil {
		return []*typev1beta1.PolicyTargetReference{ref}
	}
	return nil
}

func (b *builder) newPolicy(kind snapshot.Kind, o snapshot.Object) *Policy {
	p := &Policy{Ref: refOf(kind, o), Object: o}
	b.mesh.Policies = append(b.mesh.Policies, p)
	return p
}

// unknownFields are the fields of an object that this version does not know.
func (b *builder) unknownFields(p *Policy) []found {
	g := gather{object: p.Ref}
	for _, field := range b.snap.UnknownFields(p.Object) {
		g.see(UnknownField, Both, field, "")
	}
	return g.list
}

// attachPolicy attaches one policy. Waypoints never read selectors, and proxies other than waypoints
// and Gateway API gateways never read targetRefs (pilot/pkg/model/policyattachment.go ShouldAttachPolicy).
func (b *builder) attachPolicy(p *Policy, a attachment, features []found) {
	unknown := b.unknownFields(p)
	if len(a.refs) > 0 {
		b.attachTargets(p, a.refs, unknown)
		return
	}
	features = append(features, unknown...)
	var workloads []*Workload
	workloads, p.Scope = b.selected(p.Namespace, a)
	for _, w := range workloads {
		b.touch(p, w, features)
	}
}

// touch joins a policy and a workload, and says whether the workload has a proxy to read it.
func (b *builder) touch(p *Policy, w *Workload, features []found) {
	switch w.Role {
	case Application:
		p.Workloads++
	case Gateway:
	default:
		return
	}
	w.Policies = append(w.Policies, p)
	if p.PatchesAuthz && w.opaque == "" && p.Scope != ByTargetRefs {
		w.opaque = p.Ref.String() + " patches access control"
	}
	w.use(features)
}

// selected returns the workloads that a policy of a namespace is for, and its scope.
func (b *builder) selected(ns string, a attachment) ([]*Workload, Scope) {
	root := ns == b.mesh.Settings.RootNamespace
	switch {
	case len(a.selector) == 0 && root:
		return b.mesh.Workloads, ByRoot
	case len(a.selector) == 0:
		return b.index.match(ns, nil), ByNamespace
	case root && a.reach == rootSelectsAll:
		return b.index.matchAll(a.selector), BySelector
	case root && a.reach == rootSelectsNone:
		return nil, BySelector
	}
	return b.index.match(ns, a.selector), BySelector
}

// indexBindings lists what is bound to each waypoint.
func (b *builder) indexBindings() {
	b.boundServices, b.boundWorkloads = map[Ref][]*Service{}, map[Ref][]*Workload{}
	for _, s := range b.mesh.Services {
		if s.Waypoint.Bound {
			b.boundServices[s.Waypoint.Gateway] = append(b.boundServices[s.Waypoint.Gateway], s)
		}
	}
	for _, w := range b.mesh.Workloads {
		if w.Waypoint.Bound {
			b.boundWorkloads[w.Waypoint.Gateway] = append(b.boundWorkloads[w.Waypoint.Gateway], w)
		}
	}
	b.gatewayWorkloads = map[Ref][]*Workload{}
	for _, w := range b.mesh.Workloads {
		if name := w.Labels[LabelGatewayName]; name != "" && w.Role == Gateway {
			key := Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: w.Namespace, Name: name}
			b.gatewayWorkloads[key] = append(b.gatewayWorkloads[key], w)
		}
	}
}

// attachTargets resolves targetRefs and attaches the policy to what is behind them.
func (b *builder) attachTargets(p *Policy, refs []*typev1beta1.PolicyTargetReference, unknown []found) {
	p.Scope = ByTargetRefs
	var services []*Service
	var workloads []*Workload
	for i, ref := range refs {
		if ref == nil {
			continue
		}
		t := Target{Field: fmt.Sprintf("spec.targetRefs[%d]", i),
			Ref: Ref{Group: ref.GetGroup(), Kind: ref.GetKind(), Namespace: p.Namespace, Name: ref.GetName()}}
		if ns := ref.GetNamespace(); ns != "" && ns != p.Namespace {
			t.Namespace, t.Refused = ns, TargetInvalid // references do not cross namespaces
		} else {
			s, w := b.resolveTarget(p, &t)
			services, workloads = append(services, s...), append(workloads, w...)
		}
		t.Accepted = t.Refused == ""
		p.Targets = append(p.Targets, t)
	}
	b.attachBehind(p, services, workloads, unknown)
}

// resolveTarget fills in why a reference is refused, or returns what is behind it.
func (b *builder) resolveTarget(p *Policy, t *Target) ([]*Service, []*Workload) {
	switch t.Kind {
	case "Service", "ServiceEntry":
		group := ""
		if t.Kind == "ServiceEntry" {
			group = kindServiceEntry.Group
		} else if t.Group == "core" {
			t.Group = ""
		}
		s := b.mesh.services[t.Ref]
		switch {
		case t.Group != group:
			t.Refused = TargetInvalid
		case s == nil:
			t.Refused = TargetNotFound
		case !s.Waypoint.Bound:
			t.Refused = AncestorNotBound
		default:
			return []*Service{s}, nil
		}
	case "Gateway":
		if t.Group != kindGateway.Group {
			t.Refused = TargetInvalid
			return nil, nil
		}
		if _, ok := snapshot.Get[*gatewayv1.Gateway](b.snap, t.Namespace, t.Name); !ok {
			t.Refused = TargetNotFound
			return nil, nil
		}
		if w := b.mesh.waypoints[t.Ref]; w != nil && p.Kind == kindEnvoyFilter.Kind {
			w.opaque = p.Ref.String() + " patches the waypoint"
		}
		workloads := append(slices.Clone(b.boundWorkloads[t.Ref]), b.gatewayWorkloads[t.Ref]...)
		return b.boundServices[t.Ref], workloads
	case "GatewayClass":
		t.Namespace = ""
		if t.Group != kindGatewayClass.Group || t.Name != ClassWaypoint || p.Namespace != b.mesh.Settings.RootNamespace {
			t.Refused = TargetInvalid // only the waypoint class, only from the root namespace (1.25)
			return nil, nil
		}
		var services []*Service
		var workloads []*Workload
		for _, w := range b.mesh.Waypoints { // whatever class their Gateways have: istiod asks only whether they are waypoints
			services = append(services, b.boundServices[w.Ref]...)
			workloads = append(workloads, b.boundWorkloads[w.Ref]...)
		}
		return services, workloads
	default:
		t.Refused = TargetInvalid
	}
	return nil, nil
}

// attachBehind joins a targeted policy with services and the workloads behind them, each once.
func (b *builder) attachBehind(p *Policy, services []*Service, workloads []*Workload, unknown []found) {
	features := append([]found{{WaypointPolicy, Inbound, []Evidence{evidence(p.Ref, "spec.targetRefs", "")}}}, unknown...)
	seenService, seen := map[*Service]bool{}, map[*Workload]bool{}
	for _, s := range services {
		if !seenService[s] {
			seenService[s] = true
			s.Policies = append(s.Policies, p)
			workloads = append(workloads, s.Workloads...)
		}
	}
	for _, w := range workloads {
		if !seen[w] {
			seen[w] = true
			b.touch(p, w, features)
		}
	}
}
