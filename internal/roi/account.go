package roi

import (
	"fmt"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Use is the measured usage of one pod's mesh containers. Has tells which of the two were measured.
type Use struct {
	CPU, Memory       float64 // cores, bytes
	HasCPU, HasMemory bool
}

// clean forgets values that no instrument can have measured.
func (u Use) clean() Use {
	_, cpu := terms.Finite(u.CPU)
	_, mem := terms.Finite(u.Memory)
	u.HasCPU, u.HasMemory = u.HasCPU && cpu && u.CPU >= 0, u.HasMemory && mem && u.Memory >= 0
	return u
}

// MeshPod is one pod that the mesh put there, or put a container into: what it is and what its mesh containers take.
type MeshPod struct {
	Namespace, Name string
	Role            terms.Role
	Sidecar         terms.Sidecar
	Requests        terms.Resources
	Use             Use
}

// Key is namespace/name.
func (m MeshPod) Key() string { return m.Namespace + "/" + m.Name }

// MeshPods lists the mesh's own pods and the sidecars of a cluster, from its objects. Finished pods hold nothing and are left out.
func MeshPods(c terms.Cluster, use map[string]Use) []MeshPod {
	var out []MeshPod
	for _, p := range c.Pods {
		if p.Finished() || p.Role == terms.Application && p.Sidecar == terms.NoSidecar {
			continue
		}
		m := MeshPod{Namespace: p.Object.Namespace, Name: p.Object.Name, Role: p.Role, Sidecar: p.Sidecar}
		if p.Role == terms.Application {
			m.Requests = terms.SidecarRequests(p)
		} else {
			m.Requests = terms.Requests(p.Object)
		}
		m.Use = use[m.Key()]
		out = append(out, m)
	}
	return out
}

// Account sums one role.
type Account struct {
	Role    terms.Role    `json:"role"`
	Sidecar terms.Sidecar `json:"sidecar,omitempty"`
	Pods    int           `json:"pods"`
	// Measured is how many of the pods have usage; the usage figures are theirs alone.
	Measured       int          `json:"podsMeasured"`
	CPURequests    terms.Figure `json:"cpuRequests"`
	MemoryRequests terms.Figure `json:"memoryRequests"`
	CPUUsage       terms.Figure `json:"cpuUsage"`
	MemoryUsage    terms.Figure `json:"memoryUsage"`
}

// Accounts sums mesh pods by role, sidecars by kind. source says where roles and requests came from.
func Accounts(pods []MeshPod, source string) []Account {
	type key struct {
		role terms.Role
		kind terms.Sidecar
	}
	type sum struct {
		pods, cpuN, memN int
		req              terms.Resources
		cpu, mem         float64
	}
	by := map[key]*sum{}
	for _, p := range pods {
		k := key{p.Role, p.Sidecar}
		s := by[k]
		if s == nil {
			s = &sum{}
			by[k] = s
		}
		s.pods++
		s.req = s.req.Plus(p.Requests)
		u := p.Use.clean()
		if u.HasCPU {
			s.cpuN, s.cpu = s.cpuN+1, s.cpu+u.CPU
		}
		if u.HasMemory {
			s.memN, s.mem = s.memN+1, s.mem+u.Memory
		}
	}
	var out []Account
	for k, s := range by {
		a := Account{Role: k.role, Sidecar: k.kind, Pods: s.pods, Measured: min(s.cpuN, s.memN),
			CPURequests:    terms.Known(terms.Cores(s.req.CPUMilli), "cores", source),
			MemoryRequests: terms.Known(terms.GiBs(s.req.MemoryBytes), "GiB", source),
			CPUUsage:       usage(s.cpu, s.cpuN, s.pods, "cores"),
			MemoryUsage:    usage(s.mem/terms.GiB, s.memN, s.pods, "GiB")}
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Role != out[j].Role {
			return out[i].Role < out[j].Role
		}
		return out[i].Sidecar < out[j].Sidecar
	})
	return out
}

func usage(v float64, measured, pods int, unit string) terms.Figure {
	if measured == 0 {
		return terms.Missing(unit, "no usage was measured for these pods")
	}
	f := terms.Known(v, unit, "cAdvisor, mean over the window")
	if measured < pods {
		f.LeftOut = append(f.LeftOut, fmt.Sprintf("%d of %d pods without usage series", pods-measured, pods))
	}
	return f
}
