package roi

import (
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// GroupROI is the balance of one namespace, and of one wave where a plan gives waves: what its sidecars hold against what its
// waypoints ask for. Per-node costs are not in it: they come once for all.
type GroupROI struct {
	Namespace string          `json:"namespace"`
	Wave      string          `json:"wave,omitempty"`
	Leaving   int             `json:"podsLeaving"`
	Staying   int             `json:"podsStaying"`
	Freed     terms.Resources `json:"sidecarRequestsFreed"`
	Waypoints terms.Resources `json:"waypointRequests"`
	Net       terms.Resources `json:"net"`
	// Advice says when the balance speaks against the plan; empty otherwise.
	Advice string `json:"advice,omitempty"`
}

// groupsOf splits by wave and namespace, best balance first. Waypoints are not free: a small namespace with L7 rules may pay more for
// its waypoint than its sidecars cost.
func groupsOf(in Input) []GroupROI {
	type key struct{ wave, ns string }
	by := map[key]*GroupROI{}
	get := func(wave, ns string) *GroupROI {
		k := key{wave, ns}
		if by[k] == nil {
			by[k] = &GroupROI{Namespace: ns, Wave: wave}
		}
		return by[k]
	}
	for _, p := range in.Cluster.Pods {
		if p.Finished() || p.Sidecar == terms.NoSidecar {
			continue
		}
		g := get(p.Wave, p.Object.Namespace)
		if in.Change.Takes(p) {
			g.Leaving++
			g.Freed = g.Freed.Plus(terms.SidecarRequests(p))
		} else {
			g.Staying++
		}
	}
	for _, w := range in.Change.Waypoints {
		g := get(w.Wave, w.Namespace)
		g.Waypoints = g.Waypoints.Plus(w.Each.Times(int64(w.Replicas)))
	}
	var out []GroupROI
	for _, g := range by {
		g.Net = g.Freed.Minus(g.Waypoints)
		if g.Net.CPUMilli < 0 || g.Net.MemoryBytes < 0 {
			g.Advice = "the waypoint requests more than the sidecars it replaces: share a waypoint, keep the sidecars, or do without L7 here"
		}
		out = append(out, *g)
	}
	rank := waveOrder(in.Waves)
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case a.Wave != b.Wave:
			return rank(a.Wave) < rank(b.Wave)
		case a.Net.CPUMilli != b.Net.CPUMilli:
			return a.Net.CPUMilli > b.Net.CPUMilli
		}
		return a.Namespace < b.Namespace
	})
	return out
}

// Costly is a workload that keeps its sidecars, with what they hold and why. With one feature only, that feature is the price tag.
type Costly struct {
	Workload string          `json:"workload"`
	Features []string        `json:"features"`
	Only     bool            `json:"onlyOneFeature"`
	Pods     int             `json:"pods"`
	Requests terms.Resources `json:"sidecarRequests"`
}

// costly ranks kept workloads: those held by a single feature first, then by what their sidecars request.
func costly(in Input) []Costly {
	pods := map[string][]terms.Pod{}
	for _, p := range in.Cluster.Pods {
		if !p.Finished() && p.Sidecar != terms.NoSidecar {
			pods[p.Workload] = append(pods[p.Workload], p)
		}
	}
	var out []Costly
	for _, k := range in.Keeps {
		if len(pods[k.Workload]) == 0 {
			continue
		}
		c := Costly{Workload: k.Workload, Features: k.Features, Only: len(k.Features) == 1, Pods: len(pods[k.Workload])}
		for _, p := range pods[k.Workload] {
			c.Requests = c.Requests.Plus(terms.SidecarRequests(p))
		}
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case a.Only != b.Only:
			return a.Only
		case a.Requests.CPUMilli != b.Requests.CPUMilli:
			return a.Requests.CPUMilli > b.Requests.CPUMilli
		}
		return a.Workload < b.Workload
	})
	return out
}
