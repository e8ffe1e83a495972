package mesh

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	forService  = "service"
	forWorkload = "workload"
	forAll      = "all"

	hbonePort     = 15008
	hboneProtocol = "HBONE"
)

// gatherWaypoints lists the Gateways that are waypoints, with what istiod would make of each
// (pilot/pkg/serviceregistry/ambient/waypoints.go).
func (b *builder) gatherWaypoints() {
	ready := b.readyPodsByGateway()
	for _, g := range snapshot.All[*gatewayv1.Gateway](b.snap) {
		class, _ := snapshot.Get[*gatewayv1.GatewayClass](b.snap, "", string(g.Spec.GatewayClassName))
		if !isWaypointGateway(g, class) {
			continue
		}
		w := &WaypointGateway{Ref: refOf(kindGateway, g), Object: g, Class: string(g.Spec.GatewayClassName), For: forService}
		if class != nil && class.Labels[LabelWaypointFor] != "" {
			w.For = class.Labels[LabelWaypointFor]
		}
		if v, ok := g.Labels[LabelWaypointFor]; ok {
			w.For = v
		}
		pods := ready[Ref{Namespace: g.Namespace, Name: g.Name}]
		w.ReadyPods = pods.ready
		// Pods tell the truth; before there are any, the deployment controller names the account after
		// the Gateway (gatewaycommon/deploymentcontroller.go).
		w.ServiceAccount = cmp.Or(pods.account, infrastructureAnnotation(g, AnnotationGatewayServiceAccount),
			infrastructureAnnotation(g, AnnotationNameOverride), g.Name)
		w.Principal = b.principal(g.Namespace, w.ServiceAccount)
		// istiod goes by the address, which is written once a pod has been ready, not by the condition.
		w.Programmed = len(g.Status.Addresses) > 0
		w.StatusKnown = w.Programmed || len(g.Status.Conditions) > 0 || g.UID != "" || !g.CreationTimestamp.IsZero()
		if b.assume.ready[w.Ref] {
			w.Programmed, w.StatusKnown, w.ReadyPods = true, true, max(w.ReadyPods, 1)
		}
		w.Admits, w.AdmitsAll = b.admitted(g)
		b.mesh.Waypoints = append(b.mesh.Waypoints, w)
		b.mesh.waypoints[w.Ref] = w
	}
}

func (b *builder) principal(namespace, account string) string {
	return b.mesh.Settings.TrustDomain + "/ns/" + namespace + "/sa/" + account
}

// infrastructureAnnotation reads an annotation of generated objects: spec.infrastructure replaces the
// Gateway's own where present.
func infrastructureAnnotation(g *gatewayv1.Gateway, name string) string {
	if i := g.Spec.Infrastructure; i != nil && len(i.Annotations) > 0 {
		return string(i.Annotations[gatewayv1.AnnotationKey(name)])
	}
	return g.Annotations[name]
}

// isWaypointGateway tells waypoints from other Gateways: by class, by the class's controller, or by a
// listener that only a waypoint (or one in front of another proxy) has. East-west gateways have an HBONE
// listener too and are none.
func isWaypointGateway(g *gatewayv1.Gateway, class *gatewayv1.GatewayClass) bool {
	switch string(g.Spec.GatewayClassName) {
	case ClassWaypoint, ClassAgentWaypoint:
		return true
	case ClassEastWest:
		return false
	}
	if class != nil {
		switch string(class.Spec.ControllerName) {
		case controllerMesh, controllerAgent:
			return true
		}
	}
	return slices.ContainsFunc(g.Spec.Listeners, func(l gatewayv1.Listener) bool {
		return l.Protocol == hboneProtocol && l.Port == hbonePort || l.Protocol == proxyProtocol
	})
}

// admitted lists the namespaces that may bind: those that the HBONE listener's allowedRoutes admit, the
// Gateway's own by default.
func (b *builder) admitted(g *gatewayv1.Gateway) (namespaces []string, all bool) {
	var rule *gatewayv1.RouteNamespaces
	for _, l := range g.Spec.Listeners {
		if l.Protocol == proxyProtocol || l.Protocol == hboneProtocol && l.Port == hbonePort {
			if l.AllowedRoutes != nil {
				rule = l.AllowedRoutes.Namespaces
			}
			break
		}
	}
	if rule == nil || rule.From == nil {
		return []string{g.Namespace}, false
	}
	switch *rule.From {
	case gatewayv1.NamespacesFromAll:
		return nil, true
	case gatewayv1.NamespacesFromSelector:
		sel, err := metav1.LabelSelectorAsSelector(rule.Selector)
		if err != nil {
			return nil, false
		}
		for _, ns := range snapshot.All[*corev1.Namespace](b.snap) {
			if sel.Matches(b.namespaceOf(ns.Name).labels) {
				namespaces = append(namespaces, ns.Name)
			}
		}
		return namespaces, false
	}
	return []string{g.Namespace}, false
}

type gatewayPods struct {
	ready   int
	account string
}

// readyPodsByGateway counts ready pods by the Gateway whose name they bear.
func (b *builder) readyPodsByGateway() map[Ref]gatewayPods {
	out := map[Ref]gatewayPods{}
	for _, w := range b.mesh.Workloads {
		if w.Role != Waypoint && w.Role != Gateway {
			continue
		}
		for _, p := range w.Pods {
			key := Ref{Namespace: p.Namespace, Name: cmp.Or(p.Labels[LabelGatewayName], p.Labels[LabelGatewayNameOld])}
			if key.Name == "" {
				continue
			}
			g := out[key]
			g.account = cmp.Or(g.account, p.Spec.ServiceAccountName)
			if podReady(p) {
				g.ready++
			}
			out[key] = g
		}
	}
	return out
}

func podReady(p *snapshot.Pod) bool {
	return p.DeletionTimestamp == nil && p.Status.Ready == corev1.ConditionTrue
}

// bindAll settles the waypoint of every service and workload.
func (b *builder) bindAll() {
	for _, s := range b.mesh.Services {
		ns := b.namespaceOf(s.Namespace)
		labels := s.Object.GetLabels()
		switch labels[LabelGatewayManaged] {
		case ManagedByMesh, ManagedByAgentWaypoint, ManagedByEastWest:
			continue // a waypoint's own Service has none
		}
		binding := b.bind(s.Ref, labels, labelField, ns, forService)
		b.bindCanary(&binding, s.Object, ns)
		s.Waypoint = binding.kept()
		ingress, own := labels[LabelIngressUseWaypoint]
		if !own {
			ingress = ns.labels[LabelIngressUseWaypoint]
		}
		s.IngressUseWaypoint, _ = strconv.ParseBool(ingress) // what is no boolean is false to istiod
	}
	for _, w := range b.mesh.Workloads {
		if w.Role != Application {
			continue
		}
		field := func(name string) string { return w.templateField(labelField(name)) }
		if w.Template == nil {
			field = labelField
		}
		binding := b.bind(w.Ref, w.Labels, field, b.namespaceOf(w.Namespace), forWorkload)
		w.Waypoint = binding.kept()
	}
}

// kept returns a Binding to keep, the one that all share where there is nothing to keep.
func (b Binding) kept() *Binding {
	if b == (Binding{}) {
		return unbound
	}
	return &b
}

// bind resolves the labels of an object and its namespace: the object's own label decides alone, even
// when what it names is not ready and the namespace's waypoint is.
func (b *builder) bind(object Ref, labels map[string]string, field func(string) string, ns *namespace, traffic string) Binding {
	inherited, _ := b.resolve(ns.ref, ns.labels, labelField, object.Namespace, traffic)
	inherited.Inherited = true
	own, present := b.resolve(object, labels, field, object.Namespace, traffic)
	if !present {
		if inherited.OptOut { // a namespace that says none says nothing
			return Binding{}
		}
		if inherited.Refused == UnsupportedTrafficType && traffic == forWorkload {
			return Binding{} // a service waypoint of the namespace is no error for its pods
		}
		if !inherited.Asked {
			return Binding{}
		}
		return inherited
	}
	if inherited.Asked && inherited.Gateway != own.Gateway {
		own.Shadows, own.ShadowsBound = inherited.Gateway, inherited.Bound
	}
	return own
}

// resolve reads one level of labels.
func (b *builder) resolve(object Ref, labels map[string]string, field func(string) string, consumer, traffic string) (Binding, bool) {
	name, ok := labels[LabelUseWaypoint]
	if !ok {
		return Binding{}, false
	}
	binding := Binding{Evidence: evidence(object, field(LabelUseWaypoint), name)}
	if name == WaypointNone {
		binding.OptOut = true
		return binding, true
	}
	namespace := consumer
	if v, ok := labels[LabelUseWaypointNS]; ok {
		namespace = v
	}
	binding.Asked = true
	binding.Gateway = Ref{Group: kindGateway.Group, Kind: kindGateway.Kind, Namespace: namespace, Name: name}
	binding.Bound, binding.Assumed, binding.Refused = b.attach(binding.Gateway, consumer, traffic)
	return binding, true
}

// attach tells whether a Gateway takes a consumer's traffic.
func (b *builder) attach(gateway Ref, consumer, traffic string) (bound, assumed bool, refused string) {
	w := b.mesh.waypoints[gateway]
	if w == nil {
		if _, exists := snapshot.Get[*gatewayv1.Gateway](b.snap, gateway.Namespace, gateway.Name); exists {
			return false, false, NotAWaypoint
		}
		return false, false, WaypointIsNotReady
	}
	switch {
	case w.StatusKnown && !w.Programmed:
		return false, false, WaypointIsNotReady
	case !w.AdmitsAll && !slices.Contains(w.Admits, consumer):
		return false, false, AttachmentDenied
	case w.For != traffic && w.For != forAll:
		return false, false, UnsupportedTrafficType
	}
	return true, !w.StatusKnown, ""
}

// bindCanary reads the second waypoint of a weighted pair (1.31, release note 60801), which is declared
// at the same level as the first.
func (b *builder) bindCanary(binding *Binding, o snapshot.Object, ns *namespace) {
	if !binding.Bound {
		return
	}
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	if binding.Inherited && labels[LabelUseWaypointCanary] == "" && ns.object != nil {
		labels = ns.labels
	}
	name := labels[LabelUseWaypointCanary]
	if name == "" || name == WaypointNone {
		return
	}
	binding.Canary = Ref{Group: kindGateway.Group, Kind: kindGateway.Kind,
		Namespace: cmp.Or(labels[LabelUseWaypointCanaryNS], o.GetNamespace()), Name: name}
	weight, ok := annotations[AnnotationCanaryWeight]
	if !ok && binding.Inherited && ns.object != nil {
		weight = ns.object.Annotations[AnnotationCanaryWeight]
	}
	n, err := strconv.Atoi(cmp.Or(strings.TrimSpace(weight), "0"))
	switch {
	case binding.Canary == binding.Gateway:
		binding.CanaryRefused = CanarySameAsPrimary
	case err != nil || n < 0 || n > 100:
		binding.CanaryRefused = CanaryInvalidWeight
	default:
		if _, _, refused := b.attach(binding.Canary, o.GetNamespace(), forService); refused != "" {
			binding.CanaryRefused = refused
			return
		}
		binding.CanaryWeight = n
	}
}
