package standin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"

	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// role is what a pod is for.
type role int

const (
	application role = iota
	waypointProxy
	gatewayProxy
	ztunnelProxy
	other
)

// podView is a pod as the exporters see it.
type podView struct {
	*corev1.Pod
	role         role
	sidecar      bool
	ambient      bool
	workload     string // the owner's owner, as Istio names workloads
	app, version string
	zone, region string
	rps          float64 // requests or connections a second that its proxy handles
}

func (p *podView) principal() string {
	if !p.sidecar && !p.ambient && p.role == application {
		return "unknown"
	}
	return "spiffe://cluster.local/ns/" + p.Namespace + "/sa/" + p.Spec.ServiceAccountName
}

// edge is a call between two workloads, with the pods on both sides as they are now.
type edge struct {
	scenario.Call
	clients, servers []*podView
	waypoints        []*podView // pods of the waypoint on the way; empty: none
	service          string     // the callee's Service, by its label app
}

type mesh struct {
	pods  []*podView
	nodes []*corev1.Node
	edges []edge
	// everyPod says that every pod exposes its share of its workload's traffic; in a large mesh one pod exposes all of it.
	everyPod bool
	// edgeLatencyAlone leaves out the histograms of sidecars and applications: nobody queries them by
	// default, and they are nine tenths of a large mesh's series.
	edgeLatencyAlone bool
}

// mesh reads the state of the caches and joins it with the call graph.
func (w *World) mesh(calls []scenario.Call, bound map[string]string) (*mesh, error) {
	m := &mesh{}
	nodes, err := w.Nodes.List(k8slabels.Everything())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	m.nodes = nodes
	zones := map[string]*corev1.Node{}
	for _, n := range nodes {
		zones[n.Name] = n
	}
	pods, err := w.Pods.List(k8slabels.Everything())
	if err != nil {
		return nil, err
	}
	byWorkload, byGateway := map[string][]*podView{}, map[string][]*podView{}
	for _, pod := range pods {
		v := viewPod(pod)
		if n := zones[pod.Spec.NodeName]; n != nil {
			v.zone, v.region = n.Labels[corev1.LabelTopologyZone], n.Labels[corev1.LabelTopologyRegion]
		}
		m.pods = append(m.pods, v)
		if pod.Status.Phase != corev1.PodRunning {
			continue
		}
		byWorkload[pod.Namespace+"/"+v.workload] = append(byWorkload[pod.Namespace+"/"+v.workload], v)
		if v.role == waypointProxy {
			gateway := pod.Namespace + "/" + pod.Labels[labelGatewayName]
			byGateway[gateway] = append(byGateway[gateway], v)
		}
	}
	m.everyPod = len(m.pods) <= detailLimit
	slices.SortFunc(m.pods, func(a, b *podView) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, group := range []map[string][]*podView{byWorkload, byGateway} {
		for _, views := range group {
			slices.SortFunc(views, func(a, b *podView) int { return cmp.Compare(a.Name, b.Name) })
		}
	}
	for _, call := range calls {
		m.addEdge(call, byWorkload, byGateway, bound)
	}
	m.shareOutZtunnels()
	return m, nil
}

func (m *mesh) addEdge(call scenario.Call, byWorkload, byGateway map[string][]*podView, bound map[string]string) {
	e := edge{Call: call, clients: byWorkload[call.From], servers: byWorkload[call.To]}
	if len(e.clients) == 0 || len(e.servers) == 0 {
		return
	}
	if e.ServiceMS == 0 {
		e.ServiceMS = 5
	}
	ns, _, _ := strings.Cut(call.To, "/")
	e.service = e.servers[0].app
	// Only ambient clients go by a waypoint: sidecars never do.
	if e.clients[0].ambient {
		e.waypoints = byGateway[bound[ns+"/"+e.service]]
	}
	for _, side := range [][]*podView{e.clients, e.servers, e.waypoints} {
		for _, p := range side {
			p.rps += e.RPS / float64(len(side))
		}
	}
	m.edges = append(m.edges, e)
}

// shareOutZtunnels gives each ztunnel the load of the ambient pods on its node.
func (m *mesh) shareOutZtunnels() {
	byNode := map[string]float64{}
	for _, p := range m.pods {
		if p.ambient {
			byNode[p.Spec.NodeName] += p.rps
		}
	}
	for _, p := range m.pods {
		if p.role == ztunnelProxy {
			p.rps = byNode[p.Spec.NodeName]
		}
	}
}

func viewPod(pod *corev1.Pod) *podView {
	v := &podView{Pod: pod, app: pod.Labels["app"], version: pod.Labels["version"]}
	v.workload = workloadName(pod)
	if v.app == "" {
		v.app = v.workload
	}
	if v.version == "" {
		v.version = "latest"
	}
	_, v.sidecar = pod.Annotations[annotationStatus]
	v.ambient = pod.Annotations[annotationRedirection] == redirectionEnabled
	switch class := pod.Labels[labelGatewayClass]; {
	case class == classWaypoint:
		v.role = waypointProxy
	case class != "":
		v.role = gatewayProxy
	case pod.Labels["app"] == "ztunnel":
		v.role = ztunnelProxy
	case pod.Namespace == "istio-system" || pod.Namespace == metav1.NamespaceSystem:
		v.role = other
	}
	// Gateways and waypoints bear the injector's annotation too, yet no application.
	v.sidecar = v.sidecar && v.role == application
	return v
}

// workloadName is the owner's name without what a ReplicaSet adds to it.
func workloadName(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return pod.Name
	}
	if hash := pod.Labels["pod-template-hash"]; owner.Kind == "ReplicaSet" && hash != "" {
		return strings.TrimSuffix(owner.Name, "-"+hash)
	}
	return owner.Name
}

// boundServices asks which Services istiod has bound to which waypoint.
func boundServices(ctx context.Context, w *World) (map[string]string, error) {
	services, err := w.Client.Kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	bound := map[string]string{}
	for _, s := range services.Items {
		for _, c := range s.Status.Conditions {
			if c.Type != conditionWaypointBound || c.Status != metav1.ConditionTrue {
				continue
			}
			from := s.Labels
			if _, own := from[labelUseWaypoint]; !own {
				if ns, err := w.Namespaces.Get(s.Namespace); err == nil {
					from = ns.Labels
				}
			}
			namespace := cmp.Or(from[labelUseWaypointNamespace], s.Namespace)
			bound[s.Namespace+"/"+s.Name] = namespace + "/" + from[labelUseWaypoint]
		}
	}
	return bound, nil
}
