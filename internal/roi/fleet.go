package roi

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// Machines is how many nodes of a type there are and what one costs per hour, 0 where that is not known.
type Machines struct {
	InstanceType string  `json:"instanceType,omitempty"`
	Spot         bool    `json:"spot,omitempty"`
	Nodes        int     `json:"nodes"`
	PerHour      float64 `json:"perHour,omitempty"`
}

func (m Machines) key() string {
	if m.Spot {
		return m.InstanceType + " (spot)"
	}
	return m.InstanceType
}

// Machines counts a cluster's nodes by type. Nodes that are billed by their pods are none.
func (p Prices) Machines(c terms.Cluster) []Machines {
	hourly := p.Hourly(c)
	by := map[string]*Machines{}
	sum, priced := map[string]float64{}, map[string]float64{}
	for _, n := range c.Nodes {
		if terms.RuleOf(n, c.Autoscaler) == terms.PerPod {
			continue
		}
		m := Machines{InstanceType: n.Labels[corev1.LabelInstanceTypeStable], Spot: spotNode(n.Labels)}
		if by[m.key()] == nil {
			by[m.key()] = &m
		}
		by[m.key()].Nodes++
		if v, ok := hourly[n.Name]; ok {
			sum[m.key()], priced[m.key()] = sum[m.key()]+v, priced[m.key()]+1
		}
	}
	var out []Machines
	for k, m := range by {
		m.PerHour, _ = terms.Ratio(sum[k], priced[k])
		out = append(out, *m)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].key() < out[j].key() })
	return out
}

// fleetDifference prices both fleets, type by type, with the same prices (the baseline's; where a type is new, today's) and subtracts. meanBefore and meanAfter are the mean numbers of
// nodes over the windows, 0 where only one instant is known: a fleet breathes with the day.
func fleetDifference(before, after []Machines, meanBefore, meanAfter float64) (perHour float64, how string, err error) {
	price := map[string]float64{}
	for _, list := range [][]Machines{after, before} { // the baseline's last, so that it stands
		for _, m := range list {
			if m.PerHour > 0 {
				price[m.key()] = m.PerHour
			}
		}
	}
	cost := func(list []Machines, mean float64) (sum float64, parts string, err error) {
		n := 0
		var words, none []string
		for _, m := range list {
			n += m.Nodes
			p, ok := price[m.key()]
			if !ok {
				none = append(none, fmt.Sprintf("%d nodes of type %q", m.Nodes, m.key()))
				continue
			}
			sum += float64(m.Nodes) * p
			words = append(words, fmt.Sprintf("%d x %s %s", m.Nodes, m.key(), terms.Number(p)))
		}
		if len(none) > 0 {
			return 0, "", fmt.Errorf("no price for %s", strings.Join(none, ", "))
		}
		parts = strings.Join(words, " + ")
		if q, ok := terms.Ratio(mean, float64(n)); ok && mean > 0 && math.Abs(q-1) > 0.01 {
			sum *= q
			parts += fmt.Sprintf(" (%s nodes in the mean of the window)", terms.Number(mean))
		}
		return sum, parts, nil
	}
	x, was, err := cost(before, meanBefore)
	if err != nil {
		return 0, "", fmt.Errorf("at the baseline: %w", err)
	}
	y, is, err := cost(after, meanAfter)
	if err != nil {
		return 0, "", fmt.Errorf("now: %w", err)
	}
	return x - y, was + " less " + is, nil
}

// Proxied is a workload with sidecars when the baseline was frozen.
type Proxied struct {
	Workload string `json:"workload"`
	Pods     int    `json:"pods"`
	// Requests and usage are per pod. Stays tells that it is to keep its sidecar.
	Requests terms.Resources `json:"requests"`
	Stays    bool            `json:"stays,omitempty"`
	State    ProxyState      `json:"state"`
}

// ProxiedOf lists workloads with sidecars. stays says which are to keep them; rps is the rate of requests by namespace, nil where it is not known.
func ProxiedOf(pods []MeshPod, stays func(workload string) bool, rps map[string]float64) []Proxied {
	by := map[string][]MeshPod{}
	inNamespace := map[string]int{}
	leaves := map[string]bool{} // namespaces with workloads that do not stay: whose requests are whose cannot be told there
	for _, p := range pods {
		if p.Role == terms.Application && p.Workload != "" {
			by[p.Workload] = append(by[p.Workload], p)
			inNamespace[p.Namespace]++
			leaves[p.Namespace] = leaves[p.Namespace] || !stays(p.Workload)
		}
	}
	var out []Proxied
	for w, list := range by {
		share, _ := terms.Ratio(float64(len(list)), float64(inNamespace[list[0].Namespace]))
		if leaves[list[0].Namespace] {
			share = 0
		}
		x := Proxied{Workload: w, Pods: len(list), Stays: stays(w), State: StateOf(list, rps[list[0].Namespace]*share, 0)}
		var sum terms.Resources
		for _, p := range list {
			sum = sum.Plus(p.Requests)
		}
		x.Requests = terms.Resources{CPUMilli: sum.CPUMilli / int64(len(list)), MemoryBytes: sum.MemoryBytes / int64(len(list))}
		out = append(out, x)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Workload < out[j].Workload })
	return out
}

// moved is what became of the workloads of a baseline.
type moved struct {
	known bool
	// left are pods that run without a sidecar now, of workloads that had one; freed is what sidecars of their size would request.
	left  int
	freed terms.Resources
	// still are pods with a sidecar of workloads that were to leave.
	still int
}

// movedOf compares the baseline's workloads with the pods that run now, so that what scaled meanwhile does not pass for savings: what counts is how many pods run without the
// sidecar that they had.
func movedOf(b Baseline, now Now) moved {
	if len(b.Proxied) == 0 || now.PodsOf == nil {
		return moved{}
	}
	m := moved{known: true}
	with := map[string]int{}
	for _, p := range now.MeshPods {
		if p.Role == terms.Application {
			with[p.Workload]++
		}
	}
	for _, p := range b.Proxied {
		without := max(now.PodsOf[p.Workload]-with[p.Workload], 0)
		m.left += without
		m.freed = m.freed.Plus(p.Requests.Times(int64(without)))
		if !p.Stays {
			m.still += with[p.Workload]
		}
	}
	return m
}

// staying averages the sidecars of the same workloads at both ends: those that were to stay when the baseline was frozen and still run with one.
func staying(b Baseline, now Now) (before, after ProxyState, ok bool) {
	after0 := map[string]Proxied{}
	for _, p := range now.Proxied {
		after0[p.Workload] = p
	}
	var was, is []Proxied
	for _, p := range b.Proxied {
		if n, there := after0[p.Workload]; there && p.Stays {
			was, is = append(was, p), append(is, n)
		}
	}
	if len(was) == 0 {
		return before, after, false
	}
	before, after = meanState(was, is), meanState(is, is)
	before.IstiodMemory, before.PushesPerHour = b.Sidecars.IstiodMemory, b.Sidecars.PushesPerHour
	after.IstiodMemory, after.PushesPerHour = now.Sidecars.IstiodMemory, now.Sidecars.PushesPerHour
	return before, after, true
}

// meanState averages workloads, weighted by the pods they have now, so that scaling one of them is no growth of its sidecars.
func meanState(list, weights []Proxied) ProxyState {
	var out ProxyState
	cpu, mem, all := 0.0, 0.0, 0.0
	rps := true
	for i, p := range list {
		w := float64(weights[i].Pods)
		out.Pods += p.Pods
		all += w
		if p.State.HasCPU {
			cpu, out.CPUCores = cpu+w, out.CPUCores+w*p.State.CPUCores
		}
		if p.State.HasMemory {
			mem, out.MemoryBytes = mem+w, out.MemoryBytes+w*p.State.MemoryBytes
		}
		out.RPS += w * p.State.RPS
		rps = rps && p.State.RPS > 0
	}
	out.HasCPU, out.HasMemory = cpu > 0, mem > 0
	out.CPUCores, _ = terms.Ratio(out.CPUCores, cpu)
	out.MemoryBytes, _ = terms.Ratio(out.MemoryBytes, mem)
	out.RPS, _ = terms.Ratio(out.RPS, all)
	if !rps {
		out.RPS = 0
	}
	return out
}
