package roi

import (
	"fmt"
	"sort"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Money is the worth of a change. Nothing in it is billed until nodes are off the bill.
type Money struct {
	Currency string `json:"currency,omitempty"`
	// FleetPerMonth is what all priced nodes cost now.
	FleetPerMonth terms.Figure `json:"fleetPerMonth"`
	// PerMonth is what the removable nodes cost; Low is the drain simulation, High the replace one, as they come.
	PerMonth terms.Figure `json:"worthPerMonth"`
	// Committed says what a commitment does to it.
	Committed string `json:"commitment,omitempty"`
	// PaybackMonths is how long the stated engineering cost takes to come back.
	PaybackMonths terms.Figure `json:"paybackMonths"`
}

func (f *Forecast) moneyRung(in Input) Rung {
	f.money(in)
	r := Rung{5, "money", "worth of the nodes of rung 3 at the prices shown; it is saved when they leave the bill, not before", nil}
	r.Lines = append(r.Lines, terms.Line{Name: "worth per month if the removable nodes go", Figure: f.Money.PerMonth},
		terms.Line{Name: "billed", Figure: terms.Missing(unitOf(f.Money.Currency), "give the bill before and after with sidestep roi report --billed-before and --billed-after")},
		terms.Line{Name: "payback of the engineering cost", Figure: f.Money.PaybackMonths})
	return r
}

func unitOf(currency string) string {
	if currency == "" {
		currency = "currency"
	}
	return currency + "/month"
}

func (f *Forecast) money(in Input) {
	fleet := in.Prices.Price(in.Cluster)
	f.Prices = fleet.Used
	unit := unitOf(fleet.Currency)
	f.Money.Currency = fleet.Currency
	var reasons []string
	for why, n := range fleet.Unpriced {
		reasons = append(reasons, fmt.Sprintf("%d nodes: %s", n, why))
	}
	sort.Strings(reasons)
	if len(reasons) > 0 {
		f.Gaps = append(f.Gaps, terms.Gap{What: "node prices", Why: fmt.Sprint(reasons), Costs: "money is worked out from the priced nodes alone"})
	}
	mean, ok := fleet.Mean()
	switch {
	case f.Nodes == nil:
		f.Money.FleetPerMonth = terms.Missing(unit, "nodes are not known")
		f.Money.PerMonth = terms.Missing(unit, "no rung 3, so nothing to price")
	case !ok:
		f.Money.FleetPerMonth = terms.Missing(unit, "no node has a price")
		f.Money.PerMonth = terms.Missing(unit, "no node has a price: give --node-price, --prices CSV, or install OpenCost")
	default:
		f.Money.FleetPerMonth = terms.Known(fleet.PerHour*HoursPerMonth, unit, fmt.Sprintf("%d priced nodes x %d h", fleet.nodes, HoursPerMonth), reasons...)
		f.worth(in, fleet, mean, reasons)
	}
	f.payback(in, unit)
}

// worth prices removable nodes group by group where all nodes of a group bear one price, by the mean otherwise.
func (f *Forecast) worth(in Input, fleet Fleet, mean float64, leftOut []string) {
	unit := unitOf(fleet.Currency)
	perHour := f.replaceWorth(in)
	drained := float64(f.Nodes.Drained) * mean
	if c := in.Prices.Commitment; c.Nodes > 0 {
		perHour, drained = f.committed(in, c, mean)
	}
	f.Money.PerMonth = terms.Known(perHour*HoursPerMonth, unit, "nodes of rung 3 x their price x 730 h; range from drain to replace", leftOut...).
		Between(drained*HoursPerMonth, perHour*HoursPerMonth)
	f.Steps = append(f.Steps, terms.Stepf("worth per month", "%s per hour x %d h = %s %s", terms.Number(perHour), HoursPerMonth, terms.Number(perHour*HoursPerMonth), unit))
}

// replaceWorth prices the difference of the two packings and says how.
func (f *Forecast) replaceWorth(in Input) float64 {
	return packingWorth(in, f.Money.Currency, f.Nodes.ReplaceBefore, f.Nodes.ReplaceAfter, func(group string, fewer int, price float64) {
		f.Steps = append(f.Steps, terms.Stepf("group "+group, "%d nodes fewer x %s per hour", fewer, terms.Number(price)))
	})
}

// packingWorth prices the difference of two packings per hour, group by group; a group without a price in this currency counts as nothing (the
// forecast names it). tell, if there is one, hears of every group that changes.
func packingWorth(in Input, currency string, before, after packing.Packing, tell func(group string, fewer int, price float64)) float64 {
	groups, of := packing.NodeGroups(in.Cluster)
	sum := make([]float64, len(groups))
	count := make([]float64, len(groups))
	for _, n := range in.Cluster.Nodes {
		p, err := in.Prices.Of(n.Name, groups[of[n.Name]].InstanceType, spotNode(n.Labels))
		if err == nil && p.Currency == currency {
			sum[of[n.Name]] += p.PerHour
			count[of[n.Name]]++
		}
	}
	total := 0.0
	for i := range groups {
		fewer := before.ByGroup[i].Nodes - after.ByGroup[i].Nodes
		price, ok := terms.Ratio(sum[i], count[i])
		if !ok {
			continue
		}
		total += float64(fewer) * price
		if fewer != 0 && tell != nil {
			tell(groups[i].Name, fewer, price)
		}
	}
	return total
}

// committed counts only nodes that leave the bill: what is paid for anyway saves nothing.
func (f *Forecast) committed(in Input, c Commitment, mean float64) (replace, drain float64) {
	n := f.Nodes
	replace = c.saved(n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes, in.At, mean)
	drain = c.saved(n.Now-len(n.DrainBefore.Removed), n.Now-len(n.DrainAfter.Removed), in.At, mean)
	if in.At.Before(c.Until) {
		f.Money.Committed = fmt.Sprintf("%d nodes are committed: freed nodes below that number save nothing until %s", c.Nodes, c.Until.Format(time.DateOnly))
	} else {
		f.Money.Committed = fmt.Sprintf("the commitment of %d nodes ended on %s", c.Nodes, c.Until.Format(time.DateOnly))
	}
	return replace, drain
}

func (f *Forecast) payback(in Input, unit string) {
	switch {
	case in.EngineeringCost <= 0:
		f.Money.PaybackMonths = terms.Missing("months", "no engineering cost was stated (--engineering-cost)")
	case f.Money.PerMonth.Value == nil:
		f.Money.PaybackMonths = terms.Missing("months", "the monthly worth is not known")
	case *f.Money.PerMonth.Value <= 0:
		f.Money.PaybackMonths = terms.Missing("months", "never: the change frees no paid node")
	default:
		w := *f.Money.PerMonth.Value
		f.Money.PaybackMonths = terms.Known(in.EngineeringCost/w, "months", fmt.Sprintf("%s / %s %s", terms.Number(in.EngineeringCost), terms.Number(w), unit))
	}
}
