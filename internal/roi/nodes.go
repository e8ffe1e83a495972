package roi

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// NodeForecast is the node simulations and what they mean.
type NodeForecast struct {
	Now           int               `json:"now"`
	ReplaceBefore packing.Packing   `json:"replaceBefore"`
	ReplaceAfter  packing.Packing   `json:"replaceAfter"`
	DrainBefore   packing.Draining  `json:"drainBefore"`
	DrainAfter    packing.Draining  `json:"drainAfter"`
	Scaling       packing.Scaling   `json:"scaling"`
	Removable     int               `json:"removable"`    // replace: before minus after
	Drained       int               `json:"drained"`      // drain: after minus before
	PackingAlone  int               `json:"packingAlone"` // now minus replaceBefore: slack that is there without the change
	BreakEven     packing.BreakEven `json:"breakEven"`
	Headroom      packing.Headroom  `json:"headroom"`
	// Rule says in words what decides about nodes here, and so which simulation the headline rests on.
	Rule string `json:"rule"`
	// NoBasis is why packing afresh says nothing here; empty where it does.
	NoBasis string `json:"noBasis,omitempty"`
	// Expected is the headline: the nodes that go by the cluster's own rule.
	Expected terms.Figure `json:"expected"`

	perHour outcome
}

// outcome is a number of nodes and their price per hour, each with its range.
type outcome struct {
	nodes, low, high          int
	hour, hourLow, hourHigh   float64
	priced                    bool
	source                    string
	replace, replaceAtMost    float64 // price per hour of what packing afresh finds
	billedBefore, billedAfter int
}

// byHand reports whether nothing scales the nodes that are there.
func byHand(rules map[terms.Rule]int) bool {
	return rules[terms.ByKarpenter]+rules[terms.ByAutoscaler] == 0
}

// allPerPod reports whether every node is billed by its pods.
func allPerPod(rules map[terms.Rule]int, nodes int) bool {
	return nodes > 0 && rules[terms.PerPod] == nodes
}

// simulate packs and drains before and after.
func (f *Forecast) simulate(in Input) {
	if !in.HasObjects || len(in.Cluster.Nodes) == 0 {
		return
	}
	c := in.Cluster
	n := &NodeForecast{Now: len(c.Nodes),
		ReplaceBefore: packing.Replace(c, terms.Change{}), ReplaceAfter: packing.Replace(c, in.Change),
		DrainBefore: packing.Drain(c, terms.Change{}), DrainAfter: packing.Drain(c, in.Change),
		Scaling: packing.Scale(c, in.Change, false), Headroom: packing.MorePods(c, in.Change)}
	n.NoBasis = noBasis(n.ReplaceBefore, n.Now)
	n.ReplaceBefore, n.ReplaceAfter = n.ReplaceBefore.Within(n.Now), n.ReplaceAfter.Within(n.Now+waypointSpill(n.ReplaceAfter, n.Now))
	n.Removable = n.ReplaceBefore.Nodes - n.ReplaceAfter.Nodes
	n.Drained = len(n.DrainAfter.Removed) - len(n.DrainBefore.Removed)
	n.PackingAlone = n.Now - n.ReplaceBefore.Nodes
	n.Rule = ruleWords(n.Scaling.Rules)
	f.breakEven(in, n)
	f.Steps = append(f.Steps,
		terms.Stepf("nodes, replace", "all pods packed afresh on nodes as they are: %d before, %d after; %d - %d = %d", n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes,
			n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes, n.Removable),
		terms.Stepf("nodes, drain", "nodes that their autoscaler would take where pods run now: %d before, %d after; %d - %d = %d", len(n.DrainBefore.Removed), len(n.DrainAfter.Removed),
			len(n.DrainAfter.Removed), len(n.DrainBefore.Removed), n.Drained),
		terms.Stepf("nodes, by rule", "%d restarts in random orders, with and without the change, then the rule: %d (%d to %d) fewer", n.Scaling.Runs, n.Scaling.Nodes, n.Scaling.Low, n.Scaling.High))
	f.Nodes = n
	n.perHour = f.outcomeOf(in, n)
	n.Expected = f.expected(n)
}

// waypointSpill is how many nodes more than there are a packing may need: only what a change adds can ask for more.
func waypointSpill(after packing.Packing, now int) int { return max(0, after.Nodes-now) }

// noBasis is why a packing of today's pods cannot be the basis of a forecast: it needs clearly more nodes than they have today.
func noBasis(before packing.Packing, now int) string {
	if over := before.Nodes - now; over > max(2, now/20) {
		return fmt.Sprintf("packing today's pods needs %d nodes and they run on %d: something that packs them closer here is not modelled", before.Nodes, now)
	}
	return ""
}

func (f *Forecast) breakEven(in Input, n *NodeForecast) {
	var sidecars []terms.Resources
	for _, p := range in.Cluster.Pods {
		if !p.Finished() && in.Change.Takes(p) {
			sidecars = append(sidecars, terms.SidecarRequests(p))
		}
	}
	if len(sidecars) == 0 {
		return
	}
	perNode := in.Change.Ztunnel.Plus(in.Change.CNI)
	one := packing.Median(sidecars)
	n.BreakEven = packing.BreakEvenPods(perNode, one)
	if q, ok := terms.Ratio(float64(len(sidecars)), float64(n.Now)); ok {
		n.BreakEven.Now = terms.Tidy(q)
	}
	f.Steps = append(f.Steps, terms.Stepf("break-even pods per node", "CPU ceil(%d/%d) = %d, memory ceil(%s/%s Mi) = %d", perNode.CPUMilli, one.CPUMilli, n.BreakEven.CPU,
		terms.Number(float64(perNode.MemoryBytes)/(1<<20)), terms.Number(float64(one.MemoryBytes)/(1<<20)), n.BreakEven.Memory))
}

// ruleWords says what decides about the nodes.
func ruleWords(rules map[terms.Rule]int) string {
	var parts []string
	say := func(r terms.Rule, words string) {
		if n := rules[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d nodes: %s", n, words))
		}
	}
	say(terms.ByKarpenter, "Karpenter deletes a node whose pods fit elsewhere and replaces it where a cheaper kind does")
	say(terms.ByAutoscaler, "cluster-autoscaler (as a node group of this kind usually has) removes a node below 50% of its requests whose pods fit elsewhere; if nothing scales them, they go by hand")
	say(terms.ByHand, "nothing that scales them was seen, so they go when somebody empties them")
	say(terms.Fixed, "control plane, never removed for pods")
	say(terms.PerPod, "billed by the requests of pods, not as machines")
	return strings.Join(parts, "; ")
}

// outcomeOf is what the rule of the cluster makes of the change, in nodes and money per hour, never more than there is.
func (f *Forecast) outcomeOf(in Input, n *NodeForecast) outcome {
	fleet := 0.0
	for _, p := range in.Cluster.Hourly {
		fleet += p
	}
	o := outcome{priced: len(in.Cluster.Hourly) > 0, billedBefore: n.Now}
	mean, _ := terms.Ratio(fleet, float64(len(in.Cluster.Hourly)))
	o.replace = kindsPerHour(n.ReplaceBefore) - kindsPerHour(n.ReplaceAfter)
	perNode := mean
	if q, ok := terms.Ratio(o.replace, float64(n.Removable)); ok && q > 0 {
		perNode = q
	}
	o.replaceAtMost = float64(n.ReplaceBefore.High-n.ReplaceAfter.Low) * perNode
	if byHand(n.Scaling.Rules) {
		o.nodes, o.low, o.high = n.Removable, n.ReplaceBefore.Low-n.ReplaceAfter.High, n.ReplaceBefore.High-n.ReplaceAfter.Low
		o.hour, o.hourLow, o.hourHigh = o.replace, float64(o.low)*perNode, float64(o.high)*perNode
		o.source = "all pods packed afresh on the nodes that there are"
	} else {
		s := n.Scaling
		o.nodes, o.low, o.high = s.Nodes, s.Low, s.High
		o.hour, o.hourLow, o.hourHigh = s.PerHour, s.PerHourLow, s.PerHourHigh
		if !s.Priced {
			o.hour, o.hourLow, o.hourHigh = float64(s.Nodes)*mean, float64(s.Low)*mean, float64(s.High)*mean
		}
		o.source = fmt.Sprintf("pods that change restarted in %d random orders, with and without the change, then the rule", s.Runs)
	}
	o.nodes, o.low, o.high = min(o.nodes, n.Now), min(o.low, n.Now), min(o.high, n.Now)
	o.hour, o.hourLow, o.hourHigh = min(o.hour, fleet), min(o.hourLow, fleet), min(o.hourHigh, fleet)
	o.low, o.high = min(o.low, o.nodes), max(o.high, o.nodes)
	o.hourLow, o.hourHigh = min(o.hourLow, o.hour), max(o.hourHigh, o.hour)
	o.billedAfter = n.Now - o.nodes
	return o
}

// kindsPerHour is the price of a packing, kind by kind; a kind without a price counts as nothing (the forecast names it).
func kindsPerHour(p packing.Packing) float64 {
	sum := 0.0
	for _, g := range p.ByGroup {
		sum += float64(g.Nodes) * g.Hourly
	}
	return sum
}

func (f *Forecast) expected(n *NodeForecast) terms.Figure {
	o := n.perHour
	switch {
	case allPerPod(n.Scaling.Rules, n.Now):
		return terms.Missing("nodes", "nodes are not machines here: pods are billed by their requests (rung 1)")
	case byHand(n.Scaling.Rules) && n.NoBasis != "":
		return terms.Missing("nodes", n.NoBasis)
	}
	fig := terms.Known(float64(o.nodes), "nodes", "simulation: "+o.source+". "+n.Rule, simulationLeavesOut)
	if f.Leaving > 0 {
		fig = fig.Between(float64(o.low), float64(o.high))
	}
	if w := n.ReplaceAfter.Waiting; w > 0 {
		fig.LeftOut = append(fig.LeftOut, fmt.Sprintf("%d pods wait for room and take what becomes free", w))
	}
	return fig
}

const simulationLeavesOut = "preferred (soft) rules, priorities, pods that could move to nodes of another group"

func (f *Forecast) nodesRung() Rung {
	r := Rung{3, "nodes removable", "simulated: how many nodes fewer the same pods need; what scales the nodes still has to remove them", nil}
	if f.Nodes == nil {
		why := "pods and nodes are needed: give a kubeconfig, -f with a snapshot, or files"
		r.Lines = []terms.Line{{Name: "expected", Figure: terms.Missing("nodes", why)}, {Name: "replace", Figure: terms.Missing("nodes", why)}, {Name: "drain", Figure: terms.Missing("nodes", why)}}
		return r
	}
	n := f.Nodes
	rep := terms.Known(float64(n.Removable), "nodes", fmt.Sprintf("simulation: all pods packed afresh, %d nodes before and %d after; binding: %s",
		n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes, n.ReplaceAfter.Binding), simulationLeavesOut)
	if f.Leaving > 0 { // equally good orders of packing differ by a node or two
		rep = rep.Between(float64(n.ReplaceBefore.Low-n.ReplaceAfter.High), float64(n.ReplaceBefore.High-n.ReplaceAfter.Low))
	}
	if n.NoBasis != "" {
		rep = terms.Missing("nodes", n.NoBasis)
	}
	if n.ReplaceAfter.Pending > 0 {
		rep.LeftOut = append(rep.LeftOut, fmt.Sprintf("%d pods without a node", n.ReplaceAfter.Pending))
	}
	if u := len(n.ReplaceAfter.Unplaced); u > 0 {
		rep.LeftOut = append(rep.LeftOut, fmt.Sprintf("%d pods that no node could take in the packing; their nodes are kept", u))
	}
	dr := terms.Known(float64(n.Drained), "nodes", fmt.Sprintf("simulation: the autoscaler's rule where pods run now, %d removable before and %d after, %d blocked",
		len(n.DrainBefore.Removed), len(n.DrainAfter.Removed), len(n.DrainAfter.Blocked)), simulationLeavesOut)
	if v := n.ReplaceAfter.VolumesUnknown; v > 0 {
		left := fmt.Sprintf("where the volumes of %d pods can be used: they are kept in their zone", v)
		rep.LeftOut, dr.LeftOut = append(rep.LeftOut, left), append(dr.LeftOut, left)
	}
	r.Lines = []terms.Line{{Name: "expected", Figure: n.Expected}, {Name: "replace", Figure: rep}, {Name: "drain", Figure: dr},
		{Name: "not due to the change: slack that packing afresh would find today", Figure: terms.Known(float64(n.PackingAlone), "nodes", "simulation")}}
	return r
}

// causes says why a return is not positive.
func (f *Forecast) causes(in Input) []string {
	if f.Leaving == 0 {
		if !in.HasObjects {
			return []string{"what could leave its sidecar is not known without the cluster's objects"}
		}
		return []string{"nothing leaves its sidecar: there is nothing to gain"}
	}
	n := f.Nodes
	if n == nil || n.perHour.nodes > 0 || n.Expected.Value == nil {
		return nil
	}
	var out []string
	if n.BreakEven.Now < float64(max(n.BreakEven.CPU, n.BreakEven.Memory)) {
		out = append(out, fmt.Sprintf("%s pods per node leave their sidecar; ambient breaks even at %d for CPU and %d for memory",
			terms.Number(n.BreakEven.Now), n.BreakEven.CPU, n.BreakEven.Memory))
	}
	replicas, more := 0, 0
	for _, w := range in.Change.Waypoints {
		replicas += w.Replicas
	}
	for _, m := range in.Change.More {
		more += m
	}
	if replicas > 0 {
		out = append(out, fmt.Sprintf("%d waypoint replicas take part of what is freed", replicas))
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more replicas, since horizontal autoscalers counted the sidecar's request in their utilisation", more))
	}
	if n.ReplaceAfter.Waiting > 0 {
		out = append(out, fmt.Sprintf("%d pods wait for room and take what becomes free", n.ReplaceAfter.Waiting))
	}
	if n.Removable > 0 {
		out = append(out, fmt.Sprintf("packed afresh the pods would need %d nodes fewer, and what scales these nodes does not get there by itself: %s", n.Removable, n.Rule))
	} else {
		out = append(out, "the number of nodes is bound by "+n.ReplaceAfter.Binding+", which the change does not relieve enough to empty a node")
	}
	sort.Strings(out)
	return out
}
