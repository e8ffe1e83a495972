package roi

import (
	"fmt"
	"sort"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Money is the worth of a change. Nothing in it is billed until nodes are off the bill.
type Money struct {
	Currency string `json:"currency,omitempty"`
	// FleetPerMonth is what all priced nodes cost now.
	FleetPerMonth terms.Figure `json:"fleetPerMonth"`
	// SidecarsPerMonth is the share of it that sidecars hold today, SidecarShare that share.
	SidecarsPerMonth terms.Figure `json:"sidecarsPerMonth"`
	SidecarShare     terms.Figure `json:"sidecarShare"`
	// PerMonth is what the nodes cost that go by the rule of this cluster.
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
	case allPerPod(f.Nodes.Scaling.Rules, f.Nodes.Now):
		f.Money.FleetPerMonth = terms.Missing(unit, "pods are billed by their requests, and no price of a requested core is known")
		f.Money.PerMonth = f.Money.FleetPerMonth
	default:
		f.Money.FleetPerMonth = terms.Known(fleet.PerHour*HoursPerMonth, unit, fmt.Sprintf("%d priced nodes x %d h", fleet.nodes, HoursPerMonth), reasons...)
		f.worth(in, fleet, mean, reasons)
	}
	f.payback(in, unit)
}

// worth prices what the cluster's rule removes.
func (f *Forecast) worth(in Input, fleet Fleet, mean float64, leftOut []string) {
	unit := unitOf(fleet.Currency)
	o := f.Nodes.perHour
	if f.Nodes.Expected.Value == nil {
		f.Money.PerMonth = terms.Missing(unit, f.Nodes.Expected.Missing)
		return
	}
	if c := in.Prices.Commitment; c.Nodes > 0 {
		saved := func(nodes int) float64 { return c.saved(f.Nodes.Now, f.Nodes.Now-nodes, in.At, mean) }
		o.hour, o.hourLow, o.hourHigh = saved(o.nodes), saved(o.low), saved(o.high)
		f.Money.Committed = fmt.Sprintf("the commitment of %d nodes ended on %s", c.Nodes, c.Until.Format(time.DateOnly))
		if in.At.Before(c.Until) {
			f.Money.Committed = fmt.Sprintf("%d nodes are committed: freed nodes below that number save nothing until %s", c.Nodes, c.Until.Format(time.DateOnly))
		}
	}
	f.Money.PerMonth = terms.Known(o.hour*HoursPerMonth, unit, "nodes that go by the rule of this cluster (rung 3, expected) x their price x 730 h", leftOut...)
	if f.Leaving > 0 {
		f.Money.PerMonth = f.Money.PerMonth.Between(o.hourLow*HoursPerMonth, o.hourHigh*HoursPerMonth)
	}
	f.Steps = append(f.Steps, terms.Stepf("worth per month", "%s per hour x %d h = %s %s", terms.Number(o.hour), HoursPerMonth, terms.Number(o.hour*HoursPerMonth), unit))
}

func (f *Forecast) payback(in Input, unit string) {
	switch {
	case in.EngineeringCost <= 0:
		f.Money.PaybackMonths = terms.Missing("months", "no engineering cost was stated (--engineering-cost)")
	case in.CostCurrency != "" && f.Money.Currency != "" && in.CostCurrency != f.Money.Currency:
		f.Money.PaybackMonths = terms.Missing("months", fmt.Sprintf("the engineering cost is in %s and the prices of nodes in %s: give --node-price or --prices in %s", in.CostCurrency, f.Money.Currency, in.CostCurrency))
	case f.Money.PerMonth.Value == nil:
		f.Money.PaybackMonths = terms.Missing("months", "the monthly worth is not known")
	case *f.Money.PerMonth.Value <= 0:
		f.Money.PaybackMonths = terms.Missing("months", "never: the change frees no paid node")
	default:
		w := *f.Money.PerMonth.Value
		p := terms.Known(in.EngineeringCost/w, "months", fmt.Sprintf("%s / %s %s", terms.Number(in.EngineeringCost), terms.Number(w), unit))
		if low, high := f.Money.PerMonth.Low, f.Money.PerMonth.High; low != nil && high != nil && *high > 0 {
			if *low > 0 {
				p = p.Between(in.EngineeringCost / *high, in.EngineeringCost / *low)
			} else {
				p.LeftOut = append(p.LeftOut, fmt.Sprintf("at best %s months, at worst never: the low end of the worth is not above zero", terms.Number(in.EngineeringCost / *high)))
				p.Unit = "months, at worst never"
			}
		}
		f.Money.PaybackMonths = p
	}
}
