package standin

// Stands in for: weeks of a Prometheus server's past. What the exporters show now
// is taken as having been so all along, under a daily curve of load.
//
// Differs: nothing ever restarted, rolled out or failed in that past, and every
// day is like the other.

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// ServeRates answers with every series and how fast it grows (C, or N for whole things) or what it is (G), under the
// model that is set now.
// With ?pods=N it speaks of a made-up mesh of N pods with sidecars, not of the cluster.
func (e *Exporters) ServeRates(w http.ResponseWriter, r *http.Request) {
	pods := 0
	if text := r.URL.Query().Get("pods"); text != "" {
		var err error
		if pods, err = strconv.Atoi(text); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	fault := e.control.Faults().Metrics
	m, err := modelNamed(fault.Model)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	x := &exposition{now: time.Now(), model: m, counters: map[string]*counter{}, round: 1, fault: fault}
	if pods > 0 {
		x.mesh = syntheticMesh(pods)
	} else {
		e.mu.Lock()
		x.mesh, err = e.world.mesh(e.calls, e.bound)
		e.mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	x.all()
	_, _ = w.Write(x.rates())
}

// syntheticMesh is a mesh without a cluster: pods with a native sidecar, a hundred to a
// namespace, 45 to a node, five to a workload. Every workload calls the next one of its namespace, and an
// ingress gateway of two pods calls the first of each namespace.
func syntheticMesh(pods int) *mesh {
	const perNode, perNamespace, perWorkload = 45, 100, 5
	m := &mesh{everyPod: true, edgeLatencyAlone: true}
	always := corev1.ContainerRestartPolicyAlways
	requests := func(cpu, memory string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}}
	}
	controller := true
	add := func(namespace, workload, name, node, owner, kind string, r role, spec corev1.PodSpec) *podView {
		v := &podView{role: r, workload: workload, app: workload, version: "v1", zone: "zone-a", region: "lab-1", Pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: name, UID: types.UID(namespace + "-" + name),
				OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: &controller}},
			},
			Spec:   spec,
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}}
		v.Spec.NodeName, v.Status.PodIP = node, fmt.Sprintf("10.0.%d.%d", len(m.pods)/250, len(m.pods)%250)
		m.pods = append(m.pods, v)
		return v
	}
	var gateways []*podView
	for i := range 2 {
		gateways = append(gateways, add("istio-ingress", "istio-ingressgateway", fmt.Sprintf("istio-ingressgateway-7c9-%d", i), fmt.Sprintf("synthetic-%04d", i),
			"istio-ingressgateway-7c9", "ReplicaSet", gatewayProxy, corev1.PodSpec{Containers: []corev1.Container{{Name: proxyContainer, Image: "proxyv2", Resources: requests("2", "1Gi")}}}))
	}
	var before []*podView // the workload that calls the one in the making
	var workloadPods []*podView
	for i := range pods {
		node := fmt.Sprintf("synthetic-%04d", i/perNode)
		if i%perNode == 0 {
			allocatable := corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("15910m"), corev1.ResourceMemory: resource.MustParse("60Gi"), corev1.ResourcePods: resource.MustParse("234"),
			}
			m.nodes = append(m.nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: corev1.NodeStatus{Allocatable: allocatable, Capacity: allocatable}})
			add("istio-system", "ztunnel", "ztunnel-"+node, node, "ztunnel", "DaemonSet", ztunnelProxy, corev1.PodSpec{
				Containers: []corev1.Container{{Name: proxyContainer, Image: "ztunnel", Resources: requests("200m", "512Mi")}},
			})
		}
		workload := fmt.Sprintf("web-%02d", i%perNamespace/perWorkload)
		v := add(fmt.Sprintf("ns-%03d", i/perNamespace), workload, fmt.Sprintf("%s-5f7d-%05d", workload, i), node, workload+"-5f7d", "ReplicaSet", application, corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: proxyContainer, Image: "proxyv2", RestartPolicy: &always, Resources: requests("100m", "128Mi")}},
			Containers:     []corev1.Container{{Name: "app", Image: "app", Resources: requests(fmt.Sprintf("%dm", 100*(1+i%5)), "256Mi")}},
		})
		v.sidecar, v.rps = true, float64(10*(i%8))
		if workloadPods = append(workloadPods, v); len(workloadPods) < perWorkload {
			continue
		}
		call := scenario.Call{RPS: float64(10 + i/perWorkload%50), ServiceMS: float64(5 + i/perWorkload%40)}
		clients := before
		if i%perNamespace < perWorkload {
			clients, call.Errors = gateways, 0.001
		}
		m.edges = append(m.edges, edge{Call: call, clients: clients, servers: workloadPods, service: workload})
		before, workloadPods = workloadPods, nil
	}
	return m
}
