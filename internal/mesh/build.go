package mesh

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// builder holds what derivations hand to each other.
type builder struct {
	snap   *snapshot.Snapshot
	mesh   *Mesh
	assume assumed
	owner  map[Ref]Ref // ReplicaSet or Job to the workload that owns it

	planes   []*controlPlane
	webhooks []*webhook
	// assumedWebhooks tells that the snapshot has no injector webhook and the chart's rules stand in.
	assumedWebhooks bool
	// presumed are the namespaces whose workloads are judged as if injected, each with what shows it.
	presumed map[string]*Because
	// enablement are istio-cni's configured selectors, nil for the default rule.
	enablement []enablement

	siblings  siblings
	endpoints *endpointIndex
	// template is what templateOf made last, of the pods whose spec is templateSpec.
	template     *corev1.PodTemplateSpec
	templateSpec *corev1.PodSpec

	index *workloadIndex
	hosts *hostIndex

	boundServices                    map[Ref][]*Service
	boundWorkloads, gatewayWorkloads map[Ref][]*Workload
	namespaceUses                    map[string][]Use
	// routed are the Services that a route is listed at; active the routes and rules that change some call.
	routed map[*Policy][]*Service
	active map[Ref]bool

	// versions are those of sidecars here, made at first use; versionsKnown tells that none is missing.
	versions      []string
	versionsKnown bool
}

// Build derives every fact of a snapshot, and of a state that is supposed on top of it. It never fails: what cannot be read is listed in
// Settings.Problems or Workload.Unknown. Cost grows with objects and with the facts they yield, never
// with the product of services and pods.
func Build(s *snapshot.Snapshot, assume Assume) *Mesh {
	b := &builder{
		snap: s, assume: assume.index(), presumed: map[string]*Because{}, owner: map[Ref]Ref{}, namespaceUses: map[string][]Use{},
		routed: map[*Policy][]*Service{},
		mesh: &Mesh{Snapshot: s, workloads: map[Ref]*Workload{}, services: map[Ref]*Service{},
			waypoints: map[Ref]*WaypointGateway{}, namespaces: map[string]*namespace{}},
	}
	m := b.mesh
	b.readControlPlanes()
	b.readWebhooks()
	b.readSettings()
	b.readEndpoints()
	b.gatherWorkloads()
	b.settleEndpoints()
	b.presumeInjection()
	for _, w := range m.Workloads {
		b.restart(w)
		b.settlePods(w)
		w.Principal = b.principal(w.Namespace, w.ServiceAccount)
		b.decideMode(w)
		w.inject()
	}
	b.index = indexWorkloads(selectorKeys(s), m.Workloads, b.assume.old)
	for _, w := range m.Workloads {
		b.podSets(w)
	}
	b.gatherServices()
	b.gatherWaypoints()
	b.bindAll()
	b.expose()
	b.compileAuthz()
	b.gatherOutside()
	b.attachPolicies()
	b.attachVirtualServices()
	b.attachDestinationRules()
	b.readClientTLS()
	b.attachGatewayRoutes()
	b.compileRoutes()
	b.routeFacts()
	b.attachActive()
	for _, svc := range m.Services {
		b.serviceShape(svc)
		mixedRoutes(svc)
	}
	for _, w := range m.Workloads {
		b.workloadShape(w)
	}
	b.spreadNamespaceUses()
	b.markUnknown()
	b.settle()
	return m
}

// mixedRoutes sees hosts with both kinds of route.
func mixedRoutes(s *Service) {
	var virtual, gateway *Policy
	for _, r := range s.Routes {
		switch r.Kind {
		case kindVirtualService.Kind:
			virtual = r
		case kindHTTPRoute.Kind, kindGRPCRoute.Kind, kindTCPRoute.Kind, kindTLSRoute.Kind:
			gateway = r
		}
	}
	if virtual == nil || gateway == nil {
		return
	}
	use := []found{{MixedRoutes, Inbound, []Evidence{evidence(virtual.Ref, "spec.hosts", s.Name), evidence(gateway.Ref, "spec.parentRefs", s.Name)}}}
	s.use(use)
	for _, w := range s.Workloads {
		w.use(use)
	}
}

// settle puts every list into its final order.
func (b *builder) settle() {
	byRef := func(x, y *Policy) int { return x.Ref.Compare(y.Ref) }
	slices.SortFunc(b.mesh.Policies, byRef)
	slices.SortFunc(b.mesh.Routes, byRef)
	for _, w := range b.mesh.Workloads {
		slices.SortStableFunc(w.Policies, byRef)
		slices.SortStableFunc(w.Routes, byRef)
		w.Routes = slices.Compact(w.Routes)
		sortUses(w.Uses)
	}
	for _, s := range b.mesh.Services {
		slices.SortStableFunc(s.Policies, byRef)
		slices.SortStableFunc(s.Routes, byRef)
		sortUses(s.Uses)
	}
	sortUses(b.mesh.Uses)
}

// Workload returns the workload of a reference (Kind, Namespace, Name), nil when there is none.
func (m *Mesh) Workload(kind, namespace, name string) *Workload {
	return m.workloads[Ref{Kind: kind, Namespace: namespace, Name: name}]
}

// Service returns a Kubernetes Service, nil when there is none.
func (m *Mesh) Service(namespace, name string) *Service {
	return m.services[Ref{Kind: kindService.Kind, Namespace: namespace, Name: name}]
}

// ServiceEntry returns a ServiceEntry, nil when there is none.
func (m *Mesh) ServiceEntry(namespace, name string) *Service {
	return m.services[Ref{Group: kindServiceEntry.Group, Kind: kindServiceEntry.Kind, Namespace: namespace, Name: name}]
}

// Waypoint returns the waypoint of a Gateway reference, nil when it is none.
func (m *Mesh) Waypoint(gateway Ref) *WaypointGateway { return m.waypoints[gateway] }

// NamespaceLabels returns a namespace's labels and whether its object is in the snapshot.
func (m *Mesh) NamespaceLabels(name string) (map[string]string, bool) {
	o, ok := snapshot.Get[*corev1.Namespace](m.Snapshot, "", name)
	if !ok {
		return nil, false
	}
	return o.Labels, true
}

// EnrolledByLabels tells whether a namespace's and a pod's labels enrol a pod without sidecar in ambient
// mode, by istio-cni's rule.
func EnrolledByLabels(namespace, pod map[string]string) bool {
	wish := pod[LabelDataplaneMode]
	return wish == ModeAmbient || namespace[LabelDataplaneMode] == ModeAmbient && wish != ModeNone
}

// alwaysNeeded are the kinds that any workload's verdict depends on: an object of one of them, unseen,
// may keep a sidecar or need a waypoint.
var alwaysNeeded = []snapshot.Kind{
	kindNamespace, kindService, kindConfigMap,
	kindAuthorizationPolicy, kindRequestAuthentication, kindPeerAuthentication,
	kindEnvoyFilter, kindSidecar, kindTelemetry, kindWasmPlugin, kindTrafficExtension, kindProxyConfig,
	kindVirtualService, kindDestinationRule, kindServiceEntry,
	kindHTTPRoute, kindGRPCRoute, kindTCPRoute, kindTLSRoute,
}

// neededToDerive are those that the mode depends on where no pod shows it.
var neededToDerive = []snapshot.Kind{kindPod, kindWebhook}

// neededToBind are those that a waypoint binding depends on.
var neededToBind = []snapshot.Kind{kindGateway, kindGatewayClass}

// markUnknown lists for each workload the kinds that could not be read and that matter to it: in its own
// namespace or in the root namespace. Workloads of a namespace share the list.
func (b *builder) markUnknown() {
	type lists struct{ always, derived, bind []snapshot.Kind }
	byNamespace := map[string]lists{}
	for _, w := range b.mesh.Workloads {
		if w.Role != Application {
			continue
		}
		l, done := byNamespace[w.Namespace]
		if !done {
			l.always = b.hidden(alwaysNeeded, w.Namespace)
			if b.needsEndpoints(w.Namespace) {
				l.always = append(l.always, b.hidden([]snapshot.Kind{kindEndpointSlice}, w.Namespace)...)
			}
			l.derived = append(slices.Clip(l.always), b.hidden(neededToDerive, w.Namespace)...)
			l.bind = b.hidden(neededToBind, w.Namespace)
			byNamespace[w.Namespace] = l
		}
		w.Unknown = l.always
		if w.Derived {
			w.Unknown = l.derived
		}
		if len(l.bind) > 0 && b.asksForWaypoint(w) {
			w.Unknown = append(slices.Clip(w.Unknown), l.bind...)
		}
	}
}

func (b *builder) asksForWaypoint(w *Workload) bool {
	return w.Waypoint.Asked || slices.ContainsFunc(w.Services, func(s *Service) bool { return s.Waypoint.Asked })
}

func (b *builder) hidden(kinds []snapshot.Kind, namespace string) []snapshot.Kind {
	var out []snapshot.Kind
	for _, k := range kinds {
		for _, ns := range []string{namespace, b.mesh.Settings.RootNamespace} {
			if b.snap.KnowledgeIn(k, ns).State == snapshot.Hidden {
				out = append(out, k)
				break
			}
		}
	}
	return out
}
