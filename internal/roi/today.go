package roi

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// OpenCost's default prices of a core and a GiB per hour (AWS and GCP). Only their proportion is used: it splits the known price of a node between the two.
const (
	coreWeight = 0.031611
	gibWeight  = 0.004237
)

// today is what the sidecars that run hold of the fleet: the share of what nodes can allocate, and that share of the fleet's price. It is no saving: a node is paid for as a whole.
func (f *Forecast) today(in Input) {
	unit := unitOf(f.Money.Currency)
	f.Money.SidecarShare = terms.Missing("%", "pods and nodes are needed")
	f.Money.SidecarsPerMonth = terms.Missing(unit, "pods and nodes are needed")
	if f.Nodes == nil {
		return
	}
	var all, held float64
	machines := 0
	for _, n := range in.Cluster.Nodes {
		if terms.RuleOf(n, in.Cluster.Autoscaler) == terms.PerPod {
			continue
		}
		machines++
		a := terms.ResourcesOf(n.Status.Allocatable)
		all += terms.Cores(a.CPUMilli)*coreWeight + terms.GiBs(a.MemoryBytes)*gibWeight
	}
	pods := 0
	for _, p := range in.Cluster.Pods {
		if p.Finished() || p.Waiting() || p.Sidecar == terms.NoSidecar || p.Object.Spec.NodeName == "" {
			continue
		}
		r := terms.SidecarRequests(p)
		held += terms.Cores(r.CPUMilli)*coreWeight + terms.GiBs(r.MemoryBytes)*gibWeight
		pods++
	}
	share, ok := terms.Ratio(held, all)
	if !ok || machines == 0 {
		f.Money.SidecarShare = terms.Missing("%", "no node says what it can allocate")
		f.Money.SidecarsPerMonth = terms.Missing(unit, "no node says what it can allocate")
		return
	}
	f.Money.SidecarShare = terms.Known(share*100, "%", fmt.Sprintf("requests of %d sidecars, of what %d nodes can allocate; a core weighs %.3g GiB, as OpenCost's default prices do", pods, machines, coreWeight/gibWeight))
	if f.Money.FleetPerMonth.Value == nil {
		f.Money.SidecarsPerMonth = terms.Missing(unit, f.Money.FleetPerMonth.Missing)
		return
	}
	f.Money.SidecarsPerMonth = terms.Known(share**f.Money.FleetPerMonth.Value, unit, "their share of what the fleet costs; no saving by itself, since a node is paid for as a whole", f.Money.FleetPerMonth.LeftOut...)
}
