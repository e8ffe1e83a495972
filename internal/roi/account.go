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
	// Workload is namespace/kind/name of what made the pod; empty where only metrics are known.
	Workload string
	Role     terms.Role
	Sidecar  terms.Sidecar
	Requests terms.Resources
	// Unrequested tells that what it requests is not known: metrics without the series that say it.
	Unrequested bool
	Use         Use
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
		m := MeshPod{Namespace: p.Object.Namespace, Name: p.Object.Name, Role: p.Role, Sidecar: p.Sidecar, Workload: p.Workload}
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
		unknown          int // pods whose requests are not known
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
		if p.Unrequested {
			s.unknown++
		}
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
			CPURequests:    requested(terms.Cores(s.req.CPUMilli), s.unknown, s.pods, "cores", source),
			MemoryRequests: requested(terms.GiBs(s.req.MemoryBytes), s.unknown, s.pods, "GiB", source),
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

func requested(v float64, unknown, pods int, unit, source string) terms.Figure {
	if unknown == pods {
		return terms.Missing(unit, "no series says what these pods request (kube_pod_container_resource_requests)")
	}
	f := terms.Known(v, unit, source)
	if unknown > 0 {
		f.LeftOut = append(f.LeftOut, fmt.Sprintf("%d of %d pods whose requests no series says", unknown, pods))
	}
	return f
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
