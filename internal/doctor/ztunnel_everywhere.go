package doctor

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

var ztunnelEverywhere = Check{
	ID:         "ztunnel-everywhere",
	Sentence:   "A ready ztunnel runs on every node that has ambient pods",
	Otherwise:  "A node with ambient pods has no ready ztunnel",
	Severity:   audit.Error,
	Confidence: Certain,
	Symptoms:   []Symptom{Symptom503, SymptomStartup},
	Cause:      "ztunnel's pod of this node is not ready or not there: a taint that it does not tolerate, a node selector, or a crash.",
	Fix:        "Look at the ztunnel DaemonSet and at the events of its pod on this node; its chart tolerates every taint unless it was changed.",
	References: []string{"istio/istio manifests/charts/ztunnel/templates/daemonset.yaml"},
	NeedsPods:  true,
	Look: func(v *View) []Finding {
		served, ambient := map[string]bool{}, map[string]int{}
		found := false
		for _, w := range v.Mesh.Workloads {
			for _, p := range w.Pods {
				switch {
				case w.Role == mesh.Ztunnel:
					found = true
					served[p.NodeName] = served[p.NodeName] || p.Status.Ready == corev1.ConditionTrue
				case w.Mode == mesh.Ambient && p.NodeName != "" && p.Status.Phase == corev1.PodRunning:
					ambient[p.NodeName]++
				}
			}
		}
		if !found {
			return nil // the input leaves ztunnel's namespace out
		}
		var nodes []string
		for n := range ambient {
			if !served[n] {
				nodes = append(nodes, n)
			}
		}
		slices.Sort(nodes)
		var out []Finding
		for _, n := range nodes {
			out = append(out, Finding{Subject: mesh.Ref{Kind: "Node", Name: n}, Message: fmt.Sprintf("Node %s has %d ambient pods and no ready ztunnel.", n, ambient[n])})
		}
		return out
	},
}
