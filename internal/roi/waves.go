package roi

import (
	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// WaveROI is what one wave of a plan brings, and where the plan stands once it is done. Savings in nodes come in steps: a wave
// that empties no node is paid back by a later one, so the nodes are given as a running total.
type WaveROI struct {
	Wave    string `json:"wave"`
	Leaving int    `json:"podsLeaving"`
	// Freed are the requests of this wave's sidecars, Added those of its waypoints and, in the first wave in which anything leaves, of
	// ztunnel and istio-cni on the nodes that lack them.
	Freed terms.Resources `json:"sidecarRequestsFreed"`
	Added terms.Resources `json:"requestsAdded"`
	Net   terms.Resources `json:"net"`
	// NetSoFar, RemovableSoFar and WorthSoFar stand after this wave, counted from before the first.
	NetSoFar       terms.Resources `json:"netSoFar"`
	RemovableSoFar terms.Figure    `json:"removableSoFar"`
	WorthSoFar     terms.Figure    `json:"worthPerMonthSoFar"`
	// StillSidecars is how many pods of the wave have a sidecar now; only a report knows.
	StillSidecars *int `json:"podsStillWithSidecar,omitempty"`
	// Advice says when the running balance speaks against stopping after this wave; empty otherwise.
	Advice string `json:"advice,omitempty"`
}

// wavesOf gives each wave of in.Waves in order. Each running total is a packing of its own: what two waves free together may be a node that
// neither frees alone.
func (f *Forecast) wavesOf(in Input) []WaveROI {
	if len(in.Waves) == 0 {
		return nil
	}
	var out []WaveROI
	var soFar terms.Resources
	daemonsPaid := false
	for i, name := range in.Waves {
		w := WaveROI{Wave: name}
		prefix := in.Change.Until(in.Cluster, in.Waves[:i+1])
		for _, p := range in.Cluster.Pods {
			if !p.Finished() && p.Wave == name && in.Change.Takes(p) {
				w.Leaving++
				w.Freed = w.Freed.Plus(terms.SidecarRequests(p))
			}
		}
		for _, wp := range in.Change.Waypoints {
			if wp.Wave == name {
				w.Added = w.Added.Plus(wp.Each.Times(int64(wp.Replicas)))
			}
		}
		if !daemonsPaid && len(prefix.Leaves) > 0 {
			daemons, _, _ := packing.Daemons(in.Cluster, prefix)
			w.Added = w.Added.Plus(daemons)
			daemonsPaid = true
		}
		w.Net = w.Freed.Minus(w.Added)
		soFar = soFar.Plus(w.Net)
		w.NetSoFar = soFar
		f.nodesSoFar(in, prefix, &w)
		if w.NetSoFar.CPUMilli < 0 || w.NetSoFar.MemoryBytes < 0 {
			w.Advice = "up to here the mesh requests more than before: ztunnel, istio-cni and waypoints are paid for, and too few sidecars have left; do not stop after this wave"
		}
		out = append(out, w)
	}
	return out
}

func (f *Forecast) nodesSoFar(in Input, prefix terms.Change, w *WaveROI) {
	w.RemovableSoFar, w.WorthSoFar = terms.Missing("nodes", "pods and nodes are needed"), terms.Missing(unitOf(f.Money.Currency), "nodes are not known")
	if f.Nodes == nil {
		return
	}
	n := *f.Nodes
	if len(prefix.Leaves) != len(in.Change.Leaves) || len(prefix.Waypoints) != len(in.Change.Waypoints) {
		if byHand(n.Scaling.Rules) {
			n.ReplaceAfter = packing.ReplaceFew(in.Cluster, prefix)
			n.ReplaceAfter = n.ReplaceAfter.Within(n.Now + waypointSpill(n.ReplaceAfter, n.Now))
			n.Removable = n.ReplaceBefore.Nodes - n.ReplaceAfter.Nodes
		} else {
			n.Scaling = packing.Scale(in.Cluster, prefix, true)
		}
		n.perHour = f.outcomeOf(in, &n)
	}
	o := n.perHour
	if n.Expected.Value == nil {
		w.RemovableSoFar, w.WorthSoFar = n.Expected, terms.Missing(unitOf(f.Money.Currency), n.Expected.Missing)
		return
	}
	w.RemovableSoFar = terms.Known(float64(o.nodes), "nodes", "simulation: "+o.source)
	if len(prefix.Leaves) > 0 { // equally good orders differ by a node or two
		w.RemovableSoFar = w.RemovableSoFar.Between(float64(o.low), float64(o.high))
	}
	if f.Money.FleetPerMonth.Value == nil {
		w.WorthSoFar = terms.Missing(unitOf(f.Money.Currency), f.Money.FleetPerMonth.Missing)
		return
	}
	w.WorthSoFar = terms.Known(o.hour*HoursPerMonth, unitOf(f.Money.Currency), "removable nodes so far x their price x 730 h")
	if c := in.Prices.Commitment; c.Nodes > 0 {
		mean, _ := in.Prices.Price(in.Cluster).Mean()
		w.WorthSoFar = terms.Known(c.saved(n.Now, n.Now-o.nodes, in.At, mean)*HoursPerMonth, unitOf(f.Money.Currency), "nodes off the bill so far x mean price x 730 h")
	}
}

// waveOrder ranks wave names as the plan does; pods in no wave come last.
func waveOrder(waves []string) func(string) int {
	rank := make(map[string]int, len(waves))
	for i, w := range waves {
		rank[w] = i
	}
	return func(w string) int {
		if r, ok := rank[w]; ok {
			return r
		}
		return len(waves)
	}
}
