package route

import (
	"slices"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// Translation is what a VirtualService becomes as routes of the Gateway API on the Service that it is for, with what that
// changes. Nothing in it is applied.
type Translation struct {
	Of Ref `json:"of"`
	// Service is what the routes are for, Host its name.
	Service Ref    `json:"service"`
	Host    string `json:"host"`
	// Objects are to be created; Removes are no longer needed, Keeps stay in force at the waypoint.
	Objects []metav1.Object `json:"objects"`
	Removes []Ref           `json:"removes,omitempty"`
	Keeps   []Ref           `json:"keeps,omitempty"`
	// Lost are fields that no route expresses.
	Lost []Lost `json:"lost,omitempty"`
	// Diff compares today with everybody behind the Service's waypoint and these routes.
	Diff Result `json:"diff"`
	// Exact reports whether every call is treated as today. Otherwise somebody has to accept Lost and Diff.
	Exact bool `json:"exact"`
}

// Lost is a field that cannot be expressed, why, and what could be done instead.
type Lost struct {
	Field   string `json:"field"`
	Why     string `json:"why"`
	Instead string `json:"instead"`
}

// Translate turns the VirtualServices of a state, and the subsets that they name, into routes of the Gateway API: one
// Translation for each Service that a VirtualService names.
func Translate(w *World) []Translation {
	out := []Translation{}
	for _, v := range w.Objects.virtuals {
		if v.gatewayAPI || !v.mesh() {
			continue
		}
		for _, host := range v.hosts {
			s := w.service(host, v.namespace)
			if s == nil {
				out = append(out, Translation{Of: v.origin, Host: host, Objects: []metav1.Object{}, Lost: []Lost{{Field: Origin{v.origin, "spec.hosts"}.String(),
					Why: "no Service or ServiceEntry has the host " + host, Instead: "a route needs one as its parent: write a ServiceEntry, or name Services one by one"}}})
				continue
			}
			out = append(out, w.translate(v, s, host))
		}
	}
	return out
}

// translation is one being made.
type translation struct {
	world    *World
	virtual  *virtual
	service  *Service
	host     string
	out      Translation
	versions map[string]version // by host and subset
	// added are Services and rules to compare with.
	added      []Service
	addedRules []*networkingv1.DestinationRule
	grants     map[string]bool
	// segments reports whether prefixes are written as PathPrefix, which ends at a slash; else as regular expressions.
	segments bool
	https    []*gatewayv1.HTTPRoute
	grpcs    []*gatewayv1.GRPCRoute
	tcps     []*gatewayv1alpha2.TCPRoute
	tlss     []*gatewayv1alpha2.TLSRoute
}

// translate tries the plain way to write prefixes first, and the exact one where that changes a call.
func (w *World) translate(v *virtual, s *Service, host string) Translation {
	plain := w.attempt(v, s, host, true)
	if plain.Exact {
		return plain
	}
	if exact := w.attempt(v, s, host, false); exact.Exact || len(exact.Diff.Differences) < len(plain.Diff.Differences) {
		return exact
	}
	return plain
}

func (w *World) attempt(v *virtual, s *Service, host string, segments bool) Translation {
	t := &translation{world: w, virtual: v, service: s, host: host, versions: map[string]version{}, grants: map[string]bool{}, segments: segments,
		out: Translation{Of: v.origin, Service: s.Ref, Host: host, Objects: []metav1.Object{}, Removes: []Ref{v.origin}}}
	t.scope()
	t.http()
	t.connections()
	t.keeps()
	t.prove()
	return t.out
}

func (t *translation) lose(at Origin, why, instead string) {
	l := Lost{Field: at.String(), Why: why, Instead: instead}
	if !slices.Contains(t.out.Lost, l) {
		t.out.Lost = append(t.out.Lost, l)
	}
}

// scope names what holds for the whole object.
func (t *translation) scope() {
	v := t.virtual
	if len(v.exportTo) > 0 && !slices.Contains(v.exportTo, "*") {
		t.lose(Origin{v.origin, "spec.exportTo"}, "a route on a Service holds for every caller that passes its waypoint",
			"nothing, where the namespaces listed are all that call the Service")
	}
	if slices.ContainsFunc(v.gateways, func(g string) bool { return g != meshGateway }) {
		t.lose(Origin{v.origin, "spec.gateways"}, "the routes made here are for calls inside of the mesh",
			"keep the VirtualService for its gateways, without \"mesh\" in the list")
		t.out.Removes = nil
	}
	for _, h := range v.hosts {
		if h != t.host {
			t.out.Removes = nil // it serves other hosts as well, until those are translated
		}
	}
}

// keeps lists the DestinationRules of the host, and names those that a waypoint does not read.
func (t *translation) keeps() {
	w, s := t.world, t.service
	for _, r := range w.Objects.rulesCovering(t.host) {
		switch {
		case r.selected:
			t.lose(Origin{r.origin, "spec.workloadSelector"}, "a waypoint is none of the workloads that are selected", "settings for all callers, in a rule without a selector")
		case r.origin.Namespace == s.Ref.Namespace, r.origin.Namespace == w.Config.RootNamespace:
			t.out.Keeps = append(t.out.Keeps, r.origin)
		default:
			t.lose(Origin{r.origin, "metadata.namespace"}, "a waypoint reads DestinationRules of its own and the Service's namespace", "the rule in namespace "+s.Ref.Namespace)
		}
	}
}

// prove compares today with the state in which the routes stand and every caller passes the waypoint.
func (t *translation) prove() {
	w := t.world
	after := World{Config: w.Config, Unknown: w.Unknown, Workloads: slices.Clone(w.Workloads), Services: slices.Clone(w.Services)}
	for i := range after.Workloads {
		if after.Workloads[i].Mode == Sidecar {
			after.Workloads[i].Mode = Ambient
		}
	}
	for i := range after.Services {
		if s := &after.Services[i]; s.Ref == t.service.Ref && s.Waypoint == (Ref{}) {
			s.Waypoint = Ref{Group: gatewayGroup, Kind: "Gateway", Namespace: s.Ref.Namespace, Name: "waypoint"}
		}
	}
	after.Services = append(after.Services, t.added...)
	in := w.Input
	in.VirtualServices = slices.DeleteFunc(slices.Clone(in.VirtualServices), func(o *networkingv1.VirtualService) bool { return virtualServiceRef(o) == t.virtual.origin })
	in.DestinationRules = append(slices.Clone(in.DestinationRules), t.addedRules...)
	in.HTTPRoutes = append(slices.Clone(in.HTTPRoutes), t.https...)
	in.GRPCRoutes = append(slices.Clone(in.GRPCRoutes), t.grpcs...)
	in.TCPRoutes = append(slices.Clone(in.TCPRoutes), t.tcps...)
	in.TLSRoutes = append(slices.Clone(in.TLSRoutes), t.tlss...)
	after.Objects = Compile(&after.Config, in, after.Services)
	d := newDiffer(w, &after)
	d.host(t.service, t.host)
	t.out.Diff = d.finish()
	t.out.Exact = t.out.Diff.Equivalent && len(t.out.Lost) == 0
}

// meta is the metadata of a route, which stands with its Service.
func (t *translation) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: t.service.Ref.Namespace}
}

// parent is the reference of a route to the Service, at one port or all.
func (t *translation) parent(port uint32) gatewayv1.ParentReference {
	group, kind := gatewayv1.Group(t.service.Ref.Group), gatewayv1.Kind(t.service.Ref.Kind)
	ref := gatewayv1.ParentReference{Group: &group, Kind: &kind, Name: gatewayv1.ObjectName(t.service.Ref.Name)}
	if port != 0 {
		n := gatewayv1.PortNumber(port)
		ref.Port = &n
	}
	return ref
}

// backendRef is a destination as a route names it; ok is false where none can.
func (t *translation) backendRef(d Destination, port uint32) (gatewayv1.BackendRef, bool) {
	w, target := t.world, d.Target
	n := gatewayv1.PortNumber(target.Port)
	if target.Subset != "" {
		v, ok := t.version(d, port)
		if !ok {
			return gatewayv1.BackendRef{}, false
		}
		return gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(v.name), Namespace: t.elsewhere(v.namespace), Port: &n}}, true
	}
	s := w.service(target.Host, t.virtual.namespace)
	if s == nil || s.Ref.Kind != "Service" {
		group, kind := gatewayv1.Group(istioGroup), gatewayv1.Kind("Hostname")
		return gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Group: &group, Kind: &kind, Name: gatewayv1.ObjectName(target.Host), Port: &n}}, true
	}
	return gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(s.Ref.Name), Namespace: t.elsewhere(s.Ref.Namespace), Port: &n}}, true
}

// elsewhere is the namespace of a backend where it is another than the route's, which a ReferenceGrant has to allow.
func (t *translation) elsewhere(namespace string) *gatewayv1.Namespace {
	if namespace == t.service.Ref.Namespace {
		return nil
	}
	t.grants[namespace] = true
	n := gatewayv1.Namespace(namespace)
	return &n
}
