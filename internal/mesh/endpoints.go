package mesh

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// endpointSet is what EndpointSlices put behind a Service besides the pods that its selector selects.
type endpointSet struct {
	workloads []*Workload // each once
	reach     map[Ref]authz.Reach
	outside   []string           // what is no workload, as route.Service.Outside names it
	ports     map[string][]int32 // by the name of the Service's port, each number once
}

// endpointWish is one endpoint whose pod is looked for.
type endpointWish struct {
	to        *endpointSet
	namespace string // of the slice
	address   string
	uid       types.UID // of the pod that it refers to by name, where it says one
	named     string    // NAMESPACE/NAME of that pod, empty for an address alone
	met       bool
}

// endpointIndex finds the pods behind endpoints while pods are gathered: a pod made anew takes the place of the one that was named.
type endpointIndex struct {
	sets      map[Ref]*endpointSet // by Service
	wishes    []*endpointWish
	byName    map[string][]*endpointWish
	byAddress map[string][]*endpointWish
}

// readEndpoints reads EndpointSlices, and Endpoints of manifests, which a cluster mirrors into them. As in istiod, those count that name
// their Service by label and whose addresses are IP addresses (pilot/pkg/serviceregistry/kube/controller/endpointslice.go).
func (b *builder) readEndpoints() {
	x := &endpointIndex{sets: map[Ref]*endpointSet{}, byName: map[string][]*endpointWish{}, byAddress: map[string][]*endpointWish{}}
	b.endpoints = x
	for _, o := range snapshot.All[*discoveryv1.EndpointSlice](b.snap) {
		set := b.endpointsOf(o.Namespace, o.Labels[discoveryv1.LabelServiceName], false)
		if set == nil || o.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, p := range o.Ports {
			if p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
				set.port(valueOf(p.Name), *p.Port)
			}
		}
		for _, e := range o.Endpoints {
			for _, a := range e.Addresses {
				x.wish(set, o.Namespace, a, e.TargetRef)
			}
		}
	}
	for _, o := range snapshot.All[*corev1.Endpoints](b.snap) { //nolint:staticcheck // deprecated, and still written
		skip, _ := strconv.ParseBool(o.Labels[discoveryv1.LabelSkipMirror])
		set := b.endpointsOf(o.Namespace, o.Name, true)
		if set == nil || skip {
			continue
		}
		for _, s := range o.Subsets {
			for _, p := range s.Ports {
				if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
					set.port(p.Name, p.Port)
				}
			}
			for _, a := range s.Addresses {
				x.wish(set, o.Namespace, a.IP, a.TargetRef)
			}
		}
	}
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// endpointsOf returns the set of a Service, nil where endpoints say nothing about one. Endpoints of a Service with a selector are the
// control plane's own and are not mirrored.
func (b *builder) endpointsOf(namespace, name string, mirrored bool) *endpointSet {
	o, ok := snapshot.Get[*corev1.Service](b.snap, namespace, name)
	if !ok || o.Spec.Type == corev1.ServiceTypeExternalName || mirrored && len(o.Spec.Selector) > 0 {
		return nil
	}
	ref := refOf(kindService, o)
	set := b.endpoints.sets[ref]
	if set == nil {
		set = &endpointSet{reach: map[Ref]authz.Reach{}, ports: map[string][]int32{}}
		b.endpoints.sets[ref] = set
	}
	return set
}

func (s *endpointSet) port(name string, number int32) {
	if !slices.Contains(s.ports[name], number) {
		s.ports[name] = append(s.ports[name], number)
		slices.Sort(s.ports[name])
	}
}

func (x *endpointIndex) wish(set *endpointSet, namespace, address string, pod *corev1.ObjectReference) {
	w := &endpointWish{to: set, namespace: namespace, address: address}
	x.wishes = append(x.wishes, w)
	if pod == nil {
		x.byAddress[address] = append(x.byAddress[address], w)
		return
	}
	w.uid, w.named = pod.UID, pod.Namespace+"/"+pod.Name
	if pod.Namespace == "" {
		w.named = namespace + w.named
	}
	x.byName[w.named] = append(x.byName[w.named], w)
}

// meet hands a pod to the endpoints that mean it.
func (x *endpointIndex) meet(p *snapshot.Pod, w *Workload) {
	if len(x.wishes) == 0 {
		return
	}
	for _, e := range x.byName[p.Namespace+"/"+p.Name] {
		reach := authz.ReachPod
		if p.UID != "" && p.UID != e.uid { // ztunnel's index has the UID in its key (ambient/workloads.go endpointSliceAddressIndex)
			reach = authz.ReachName
		}
		e.take(w, reach)
	}
	addresses := []string{p.Status.PodIP}
	for _, ip := range p.Status.PodIPs {
		if ip.IP != p.Status.PodIP {
			addresses = append(addresses, ip.IP)
		}
	}
	for _, a := range addresses {
		for _, e := range x.byAddress[a] {
			reach := authz.ReachAddress
			if e.namespace != p.Namespace { // istiod looks for a pod in the slice's namespace alone (endpointslice.go getPod)
				reach = authz.ReachForeignAddress
			}
			e.take(w, reach)
		}
	}
}

func (e *endpointWish) take(w *Workload, reach authz.Reach) {
	e.met = true
	had, seen := e.to.reach[w.Ref]
	switch {
	case !seen:
		e.to.workloads = append(e.to.workloads, w)
	case had != reach:
		reach = authz.ReachMixed
	}
	e.to.reach[w.Ref] = reach
}

// settleEndpoints tells where endpoints lead that met no pod: to a StatefulSet, which names its pods, or outside the mesh.
func (b *builder) settleEndpoints() {
	for _, e := range b.endpoints.wishes {
		if e.met {
			continue
		}
		if w := b.statefulSetOf(e.named); w != nil {
			e.take(w, authz.ReachPod)
			continue
		}
		what := "address " + e.address
		if e.named != "" {
			what = "pod " + e.named
		}
		if !slices.Contains(e.to.outside, what) {
			e.to.outside = append(e.to.outside, what)
		}
	}
	for _, set := range b.endpoints.sets {
		slices.SortFunc(set.workloads, func(x, y *Workload) int { return x.Ref.Compare(y.Ref) })
		slices.Sort(set.outside)
	}
}

// statefulSetOf returns the StatefulSet that makes pods of that name, nil where none does.
func (b *builder) statefulSetOf(pod string) *Workload {
	namespace, name, _ := strings.Cut(pod, "/")
	cut := strings.LastIndexByte(name, '-')
	if cut < 0 {
		return nil
	}
	if _, err := strconv.ParseUint(name[cut+1:], 10, 31); err != nil {
		return nil
	}
	return b.mesh.Workload(kStatefulSet, namespace, name[:cut])
}

// join adds to a Service what its EndpointSlices put behind it. Pods that its selector selects as well are known by it.
func (set *endpointSet) join(s *Service) {
	if set == nil {
		return
	}
	s.sliced, s.Outside, s.reach = true, set.outside, map[Ref]authz.Reach{}
	selected := s.Workloads
	for _, w := range set.workloads {
		if slices.Contains(selected, w) {
			continue
		}
		s.Workloads = append(slices.Clip(s.Workloads), w)
		s.reach[w.Ref] = set.reach[w.Ref]
	}
	slices.SortFunc(s.Workloads, func(x, y *Workload) int { return x.Ref.Compare(y.Ref) })
}

// joinPort corrects a port's target by EndpointSlices, which Envoys and kube-proxy go by. ztunnel takes of them which pods there are, and
// the port from the Service (ambient/workloads.go podWorkloadBuilder).
func (set *endpointSet) joinPort(p *Port, service Ref, selects bool) {
	if set == nil || selects {
		return
	}
	switch numbers := set.ports[p.Name]; {
	case len(numbers) > 1:
		p.Doubt = fmt.Sprintf("EndpointSlices of Service %s/%s give port %s several numbers: %v", service.Namespace, service.Name, portText(p), numbers)
		p.Target = numbers[0]
	case len(numbers) == 1 && numbers[0] != p.Target:
		p.ZtunnelDoubt = fmt.Sprintf("an EndpointSlice of Service %s/%s has %d for port %s, and the Service has targetPort %d, which ztunnel would call",
			service.Namespace, service.Name, numbers[0], portText(p), p.Target)
		p.Target = numbers[0]
	}
}

func portText(p *Port) string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Port))
}

// needsEndpoints reports whether EndpointSlices say what is behind a Service of a namespace.
func (b *builder) needsEndpoints(namespace string) bool {
	return slices.ContainsFunc(snapshot.In[*corev1.Service](b.snap, namespace), func(o *corev1.Service) bool {
		return len(o.Spec.Selector) == 0 && o.Spec.Type != corev1.ServiceTypeExternalName
	})
}

// endpointsHidden says why it is not known what is behind a Service, empty where it is.
func (m *Mesh) endpointsHidden(s *Service) string {
	o, ok := s.Object.(*corev1.Service)
	if !ok || s.External || len(o.Spec.Selector) > 0 {
		return ""
	}
	if k := m.Snapshot.KnowledgeIn(kindEndpointSlice, s.Namespace); k.State == snapshot.Hidden {
		return k.Reason
	}
	return ""
}
