package audit

import (
	"cmp"
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// loneWaypoint: what a sidecar was to one pod, a waypoint is to all Services bound to it.
var loneWaypoint = Rule{
	Code:       "SS814",
	Title:      "A waypoint in use can go away all at once",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactWaypoints, FactServices, FactWorkloads}, Kinds: []snapshot.Kind{kindPodDisruptionBudget}},
	References: []string{"istio/istio pilot/pkg/config/kube/gatewaycommon/deploymentcontroller.go", "istio/istio releasenotes gateway-customization (1.26)"},
	Why: "Calls to a bound Service fail while its waypoint has no ready pod; they do not fall back. istiod's Deployment for a waypoint has one replica and no " +
		"PodDisruptionBudget unless its options say otherwise, so one evicted pod, or one drained node, stops every Service behind it.",
	Remedy: "From 1.26 on, name a ConfigMap in spec.infrastructure.parametersRef with horizontalPodAutoscaler (minReplicas 2) and podDisruptionBudget (minAvailable 1); before, scale " +
		"the Deployment of the Gateway's name and add a budget of your own.",
	Whole: func(m *MeshView) []Finding {
		bound := map[mesh.Ref]int{}
		for _, s := range m.Services() {
			if s.Waypoint.Bound {
				bound[s.Waypoint.Gateway]++
			}
		}
		kept := budgeted(m)
		var out []Finding
		for _, w := range m.Waypoints() {
			n := bound[w.Ref]
			if n == 0 || w.ReadyPods == 0 { // without a ready pod it is SS813's, and manifests have no pods
				continue
			}
			services := count(n, "Service", "Services")
			switch {
			case w.ReadyPods == 1:
				out = append(out, one(fmt.Sprintf("Waypoint %s/%s is one pod: while it is replaced, calls to %s bound to it fail.", w.Namespace, w.Name, services), at(w.Ref, "spec.infrastructure.parametersRef", ""))...)
			case m.Snapshot().KnowledgeIn(kindPodDisruptionBudget, w.Namespace).State != snapshot.Hidden && !kept[mesh.Ref{Namespace: w.Namespace, Name: w.Name}]:
				out = append(out, one(fmt.Sprintf("Waypoint %s/%s has no PodDisruptionBudget: draining nodes may take all its pods, and calls to %s bound to it then fail.", w.Namespace, w.Name, services),
					at(w.Ref, "spec.infrastructure.parametersRef", ""))...)
			}
		}
		return out
	},
}

// budgeted lists the waypoints whose pods some PodDisruptionBudget selects.
func budgeted(m *MeshView) map[mesh.Ref]bool {
	out := map[mesh.Ref]bool{}
	budgets := snapshot.All[*policyv1.PodDisruptionBudget](m.Snapshot())
	for _, w := range m.Workloads() {
		if w.Role != mesh.Waypoint {
			continue
		}
		for _, b := range budgets {
			selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if err == nil && b.Namespace == w.Namespace && selector.Matches(labels.Set(w.Labels)) {
				out[mesh.Ref{Namespace: w.Namespace, Name: cmp.Or(w.Labels[mesh.LabelGatewayName], w.Labels[mesh.LabelGatewayNameOld])}] = true
			}
		}
	}
	return out
}
