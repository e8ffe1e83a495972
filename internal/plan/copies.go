package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1beta1 "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	extensionsv1alpha1 "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Group and kinds of what a plan writes.
const (
	groupSecurity   = "security.istio.io"
	groupTelemetry  = "telemetry.istio.io"
	groupExtensions = "extensions.istio.io"
	groupGateway    = "gateway.networking.k8s.io"

	kindPolicy       = "AuthorizationPolicy"
	kindRequestAuthn = "RequestAuthentication"
	kindTelemetry    = "Telemetry"
	kindWasm         = "WasmPlugin"
	kindTraffic      = "TrafficExtension"
	kindService      = "Service"
	kindGateway      = "Gateway"
	kindGatewayClass = "GatewayClass"

	// mostTargets is how many targetRefs a policy may have (+kubebuilder:validation:MaxItems=16).
	mostTargets = 16

	labelManagedBy   = "app.kubernetes.io/managed-by"
	managedBy        = "sidestep"
	annotationCopyOf = "sidestep.dev/copy-of"
)

// target makes a targetRef.
func target(group, kind, name string) *typev1beta1.PolicyTargetReference {
	return &typev1beta1.PolicyTargetReference{Group: group, Kind: kind, Name: name}
}

// namer gives new objects names that nothing in the snapshot and nothing before has.
type namer struct {
	snap  *snapshot.Snapshot
	taken map[mesh.Ref]bool
}

func newNamer(s *snapshot.Snapshot) *namer { return &namer{snap: s, taken: map[mesh.Ref]bool{}} }

// longestName is what a label value may hold; istiod copies names of policies into none, but short names read better.
const longestName = 63

// name returns a reference of the kind with a free name near the one wished for.
func (n *namer) name(group, kind, namespace, wish string) mesh.Ref {
	if len(wish) > longestName {
		wish = strings.TrimRight(wish[:longestName], "-.")
	}
	r := mesh.Ref{Group: group, Kind: kind, Namespace: namespace, Name: wish}
	for i := 2; n.taken[r] || find(n.snap, r) != nil; i++ {
		suffix := fmt.Sprintf("-%d", i)
		r.Name = strings.TrimRight(wish[:min(len(wish), longestName-len(suffix))], "-.") + suffix
	}
	n.taken[r] = true
	return r
}

// meta is the metadata of an object that a plan makes.
func meta(r mesh.Ref) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name, Labels: map[string]string{labelManagedBy: managedBy}}
}

// copyMeta is the metadata of a copy: the annotations that change what the policy means come along.
func copyMeta(r mesh.Ref, of snapshot.Object) metav1.ObjectMeta {
	out := meta(r)
	out.Annotations = map[string]string{annotationCopyOf: of.GetNamespace() + "/" + of.GetName()}
	if v, ok := of.GetAnnotations()[mesh.AnnotationDryRun]; ok {
		out.Annotations[mesh.AnnotationDryRun] = v
	}
	if v, ok := of.GetLabels()[mesh.LabelRevision]; ok {
		out.Labels[mesh.LabelRevision] = v
	}
	return out
}

// placement is where copies of one policy go: one object each, in one namespace, with its targets.
type placement struct {
	namespace string
	targets   []*typev1beta1.PolicyTargetReference
	// rules are those of an AuthorizationPolicy, with the ports as these targets have them.
	rules []*securityv1beta1.Rule
	// wide says that it names a Gateway or the class, so that new Services are covered as well.
	wide bool
}

// placements says where copies of a policy have to stand for a waypoint to enforce it for these Services. ports tells whether
// numbers of ports have to be translated; rules are those of an AuthorizationPolicy, nil otherwise.
func (y *synthesis) placements(p *mesh.Policy, services []*mesh.Service, rules []*securityv1beta1.Rule) []placement {
	if len(policyPorts(rules)) == 0 {
		if wide := y.widePlacement(p, services); wide != nil {
			wide.rules = rules
			return []placement{*wide}
		}
	}
	type group struct {
		namespace string
		rules     string
	}
	var order []group
	byGroup := map[group]*placement{}
	for _, s := range services {
		translated := rules
		if len(policyPorts(rules)) > 0 {
			m := portsOf(s)
			if m.unresolved {
				y.refuse(s, fmt.Sprintf("%s names ports, and Service %s/%s has a named target port that no container declares: its number is not known", p.Ref, s.Namespace, s.Name))
				continue
			}
			if translated = translateRules(rules, m); len(translated) == 0 && len(rules) > 0 && p.Action != actionAllow {
				continue // no call through this Service can match
			}
		}
		text, _ := json.Marshal(translated)
		g := group{s.Namespace, string(text)}
		at := byGroup[g]
		if at == nil {
			at = &placement{namespace: s.Namespace, rules: translated}
			byGroup[g] = at
			order = append(order, g)
		}
		at.targets = append(at.targets, target("", kindService, s.Name))
	}
	var out []placement
	for _, g := range order {
		whole := byGroup[g]
		for part := range slices.Chunk(whole.targets, mostTargets) {
			out = append(out, placement{namespace: whole.namespace, targets: part, rules: whole.rules})
		}
	}
	return out
}

// widePlacement is the form that also covers Services to come: the namespace's Gateways for a policy of a whole namespace, the
// waypoint class for one of the whole mesh. It is nil where that would reach somebody whom the policy does not mean today:
// waypoints that already serve ambient pods, at which nothing may change.
func (y *synthesis) widePlacement(p *mesh.Policy, services []*mesh.Service) *placement {
	switch {
	case p.Scope == mesh.ByRoot && !y.waypointsInUse():
		for _, g := range y.waypoints {
			if g.class != mesh.ClassWaypoint {
				return nil
			}
		}
		return &placement{namespace: p.Namespace, wide: true, targets: []*typev1beta1.PolicyTargetReference{target(groupGateway, kindGatewayClass, mesh.ClassWaypoint)}}
	case p.Scope == mesh.ByNamespace:
		out := &placement{namespace: p.Namespace, wide: true}
		seen := map[mesh.Ref]bool{}
		for _, s := range services {
			g := y.bound[s.Ref]
			if g.Namespace != p.Namespace || y.inUse(g) || y.servesOthers(g, p.Namespace) {
				return nil
			}
			if !seen[g] {
				seen[g] = true
				out.targets = append(out.targets, target(groupGateway, kindGateway, g.Name))
			}
		}
		if len(out.targets) == 0 || len(out.targets) > mostTargets {
			return nil
		}
		return out
	}
	return nil
}

const (
	actionAllow  = "ALLOW"
	actionDeny   = "DENY"
	actionCustom = "CUSTOM"
)

// copyOf makes the copies of one policy for the waypoints of Services. Of kinds that no waypoint reads it makes none.
func (y *synthesis) copyOf(p *mesh.Policy, services []*mesh.Service) []Edit {
	var rules []*securityv1beta1.Rule
	if o, ok := p.Object.(*securityv1.AuthorizationPolicy); ok {
		rules = qualified(o)
	}
	var out []Edit
	places := y.placements(p, services, rules)
	for i, at := range places {
		wish := p.Name + "-waypoint"
		if len(places) > 1 && at.targets[0].Kind == kindService && len(at.targets) == 1 {
			wish += "-" + at.targets[0].Name
		} else if i > 0 && places[i-1].namespace == at.namespace {
			wish += fmt.Sprintf("-%d", i+1)
		}
		if e, ok := y.copyAt(p, at, wish); ok {
			out = append(out, e)
		}
	}
	return out
}

func (y *synthesis) copyAt(p *mesh.Policy, at placement, wish string) (Edit, bool) {
	r := y.names.name(p.Group, p.Kind, at.namespace, wish)
	var put snapshot.Object
	switch o := p.Object.(type) {
	case *securityv1.AuthorizationPolicy:
		c := &securityv1.AuthorizationPolicy{ObjectMeta: copyMeta(r, o)}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRef, c.Spec.TargetRefs, c.Spec.Rules = nil, nil, at.targets, at.rules
		put = c
	case *securityv1.RequestAuthentication:
		c := &securityv1.RequestAuthentication{ObjectMeta: copyMeta(r, o)}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRef, c.Spec.TargetRefs = nil, nil, at.targets
		for _, rule := range c.Spec.JwtRules {
			rule.ForwardOriginalToken = true // the sidecar behind the waypoint has to see it as well
		}
		put = c
	case *telemetryv1.Telemetry:
		c := &telemetryv1.Telemetry{ObjectMeta: copyMeta(r, o)}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRef, c.Spec.TargetRefs = nil, nil, at.targets //nolint:staticcheck // the old field goes
		put = c
	case *extensionsv1alpha1.WasmPlugin:
		c := &extensionsv1alpha1.WasmPlugin{ObjectMeta: copyMeta(r, o)}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRef, c.Spec.TargetRefs = nil, nil, at.targets //nolint:staticcheck // the old field goes
		put = c
	case *extensionsv1alpha1.TrafficExtension:
		c := &extensionsv1alpha1.TrafficExtension{ObjectMeta: copyMeta(r, o)}
		o.Spec.DeepCopyInto(&c.Spec)
		c.Spec.Selector, c.Spec.TargetRefs = nil, at.targets
		put = c
	default:
		return Edit{}, false
	}
	return Edit{Verb: Create, Object: r, Put: put}, true
}

// keySourceServiceAccount is a condition whose values are relative to the policy's namespace.
const keySourceServiceAccount = "source.serviceAccount"

// qualified returns a policy's rules with service accounts spelled in full: a bare one means the policy's own namespace, and a
// copy may stand in another.
func qualified(o *securityv1.AuthorizationPolicy) []*securityv1beta1.Rule {
	full := func(names []string) []string {
		out := slices.Clone(names)
		for i, n := range out {
			if !strings.Contains(n, "/") {
				out[i] = o.Namespace + "/" + n
			}
		}
		return out
	}
	var out []*securityv1beta1.Rule
	for _, rule := range o.Spec.GetRules() {
		r := rule.DeepCopy()
		for _, from := range r.GetFrom() {
			if s := from.GetSource(); s != nil {
				s.ServiceAccounts, s.NotServiceAccounts = full(s.ServiceAccounts), full(s.NotServiceAccounts)
			}
		}
		for _, w := range r.GetWhen() {
			if w.GetKey() == keySourceServiceAccount {
				w.Values, w.NotValues = full(w.Values), full(w.NotValues)
			}
		}
		out = append(out, r)
	}
	return out
}

// byRef orders edits by their objects.
func byRef(a, b Edit) int { return cmp.Or(a.Object.Compare(b.Object), cmp.Compare(a.Verb, b.Verb)) }
