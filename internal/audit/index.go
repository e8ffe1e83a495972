package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// index holds lookups over a mesh that rules would otherwise build for each workload. Each is built at
// its first use, so that a rule's reads are its own, and once, so that the time per workload does not
// grow with the mesh.
type index struct {
	mesh       *mesh.Mesh
	namespaces map[string]*corev1.Namespace
	sidecars   *int
	// applications counts application workloads by mode.
	applications map[mesh.Mode]int
	// fates are policies compiled for ztunnel; strangers the answers of notUnder; judges finds by kind, namespace and name what scales or judges.
	fates     map[[2]string]*policyFate
	strangers map[[2]mesh.Ref]*mesh.Workload
	judges    map[mesh.Ref][]mesh.Judge
	// shown is what the model says of the verdicts, nil where it was not asked.
	shown *shown
	// network says what network policies let through.
	network *mesh.Network
}

func (x *index) namespace(name string) *corev1.Namespace {
	if x.namespaces == nil {
		x.namespaces = map[string]*corev1.Namespace{}
		for _, ns := range snapshot.All[*corev1.Namespace](x.mesh.Snapshot) {
			x.namespaces[ns.Name] = ns
		}
	}
	if ns := x.namespaces[name]; ns != nil {
		return ns
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func (x *index) sidecarWorkloads() int {
	if x.sidecars == nil {
		n := 0
		for _, w := range x.mesh.Workloads {
			if w.Mode == mesh.Sidecar {
				n++
			}
		}
		x.sidecars = &n
	}
	return *x.sidecars
}
