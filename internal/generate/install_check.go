package generate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// preflightChecks are the checks of doctor that say something of a cluster before ambient mode is on.
var preflightChecks = []string{"cluster-network", "network-policies", "images-reachable", "releases-sound", "versions-agree", "restart-keeps-mode", "labels-take-effect"}

// podSecurity is the label of Kubernetes' pod security admission.
const podSecurity = "pod-security.kubernetes.io/enforce"

// mostNamed is how many findings of one check the preflight names.
const mostNamed = 5

// check lists what on this cluster would break, and the restarts that HBONE needs.
func (i *Install) check(m *mesh.Mesh, nodes []*corev1.Node) {
	add := func(format string, args ...any) { i.preflight = append(i.preflight, fmt.Sprintf(format, args...)) }
	if m.Snapshot.Len() == 0 {
		add("No cluster was given: nothing was checked, and sizes are those of Istio's charts. Generate again with -f or from a cluster.")
		return
	}
	if have := m.Settings.Minor; have > 0 && (have > i.minor || have < i.minor-2) {
		add("istiod is 1.%d and these files are for %s: a control plane is upgraded by one or two minors at a time, and never down.", have, i.version)
	}
	if known := m.Snapshot.Knowledge(snapshot.Kind{Group: "gateway.networking.k8s.io", Kind: "Gateway"}); known.State == snapshot.NotServed {
		add("The cluster does not serve the Gateway API: apply its CRDs first, or no waypoint can be made.")
	}
	if len(snapshot.All[*corev1.Node](m.Snapshot)) == 0 {
		add("The input holds no nodes: the platform was not recognised, and sizes assume several nodes.")
	}
	for _, n := range nodes {
		if n.Status.NodeInfo.OperatingSystem == "windows" {
			add("Node %s runs Windows: its pods are never captured.", n.Name)
		}
	}
	for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot) {
		if level := ns.Labels[podSecurity]; (ns.Name == i.platform.agents || ns.Name == istioSystem) && (level == "baseline" || level == "restricted") {
			add("Namespace %s admits no privileged pods (%s: %s): istio-cni and ztunnel would not start there. Set it to privileged.", ns.Name, podSecurity, level)
		}
	}
	for _, r := range doctor.Run(m, metric.Dump{}, doctor.Only{Checks: preflightChecks}) {
		for n, f := range r.Findings {
			if n == mostNamed {
				add("and %d more of the same: sidestep doctor --check %s", len(r.Findings)-n, r.Check.ID)
				break
			}
			add("%s Fix: %s", f.Message, f.Fix)
		}
		if r.State == doctor.Unknown {
			add("Not told: %s (%s).", r.Check.Sentence, r.Why)
		}
	}
	i.restarts = restarts(m)
}

// restarts are the commands that make pods with sidecars anew, so that their sidecars speak HBONE. Any order is safe; the smallest namespace
// comes first, so that what goes wrong goes wrong where little runs, and gateways come last.
func restarts(m *mesh.Mesh) []string {
	pods := map[string]int{}
	var list []*mesh.Workload
	for _, w := range m.Workloads {
		if (w.Role == mesh.Application || w.Role == mesh.Gateway) && w.Mode == mesh.Sidecar && !w.Proxy.HBONE {
			list = append(list, w)
			pods[w.Namespace] += w.Replicas
		}
	}
	slices.SortStableFunc(list, func(a, b *mesh.Workload) int {
		gateway := map[bool]int{a.Role == mesh.Gateway: -1}[true] - map[bool]int{b.Role == mesh.Gateway: -1}[true]
		return cmp.Or(-gateway, cmp.Compare(pods[a.Namespace], pods[b.Namespace]), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var out []string
	for _, w := range list {
		switch w.Kind {
		case "Deployment", "StatefulSet", "DaemonSet":
			out = append(out, fmt.Sprintf("kubectl rollout restart -n %s %s/%s && kubectl rollout status -n %[1]s %[2]s/%[3]s", w.Namespace, strings.ToLower(w.Kind), w.Name))
		default:
			out = append(out, fmt.Sprintf("# %s %s/%s: kubectl cannot restart it; make its pods anew", w.Kind, w.Namespace, w.Name))
		}
	}
	return out
}
