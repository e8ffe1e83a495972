package mesh

import "github.com/sidestep-mesh/sidestep/internal/authz"

// PodOwners names the workload of every live pod, by namespace/name, as package authz spells workloads.
func PodOwners(m *Mesh) map[string]authz.Ref {
	out := map[string]authz.Ref{}
	for _, w := range m.Workloads {
		for _, p := range w.Pods {
			out[p.Namespace+"/"+p.Name] = authzRef(w.Ref)
		}
	}
	return out
}
