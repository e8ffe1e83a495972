package roi

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// HoursPerMonth is the month that clouds bill by.
const HoursPerMonth = 730

// Price is what one node costs.
type Price struct {
	PerHour  float64 `json:"perHour"`
	Currency string  `json:"currency"`
	Source   string  `json:"source"`
	// Date is the day the price was true, yyyy-mm-dd.
	Date string `json:"date"`
	Spot bool   `json:"spot,omitempty"`
}

// Commitment is spend that goes on whether nodes are used or not (reserved instances, savings plans).
type Commitment struct {
	// Nodes is how many nodes are paid for anyway, until the given day.
	Nodes int       `json:"nodes"`
	Until time.Time `json:"until"`
}

// Prices finds the price of a node. The first source that knows it wins: a flag of the user's, the node's own series in OpenCost, a CSV
// in OpenCost's columns, the dated table.
type Prices struct {
	Flat       *Price           // --node-price
	ByNode     map[string]Price // OpenCost series, by node name
	ByInstance map[string]Price // CSV, by instance type
	Table      map[string]Price // dated table, by instance type
	// SpotFactor multiplies table prices of spot nodes; 0 means that a table price is not used for them, since it would be wrong.
	SpotFactor float64
	Commitment Commitment
}

// Of returns the price of a node, or why there is none.
func (p Prices) Of(node, instanceType string, spot bool) (Price, error) {
	pr, err := p.find(node, instanceType, spot)
	if err != nil {
		return Price{}, err
	}
	if v, ok := terms.Finite(pr.PerHour); !ok || v < 0 {
		return Price{}, fmt.Errorf("the price from %s is not a number that a node can cost", pr.Source)
	}
	return pr, nil
}

func (p Prices) find(node, instanceType string, spot bool) (Price, error) {
	if p.Flat != nil {
		return *p.Flat, nil
	}
	if pr, ok := p.ByNode[node]; ok {
		return pr, nil
	}
	if pr, ok := p.ByInstance[instanceType]; ok {
		return pr, nil
	}
	pr, ok := p.Table[instanceType]
	if !ok {
		return Price{}, fmt.Errorf("no price for instance type %q: give --node-price, --prices CSV, or install OpenCost", instanceType)
	}
	if spot {
		if p.SpotFactor <= 0 {
			return Price{}, fmt.Errorf("node %s is spot and the table has on-demand prices: give --spot-factor, --prices CSV, or install OpenCost", node)
		}
		pr.PerHour *= p.SpotFactor
		pr.Spot = true
		pr.Source += fmt.Sprintf(" x spot factor %g", p.SpotFactor)
	}
	return pr, nil
}

// StaticTable is list prices, on demand, Linux, us-east-1, as karpenter-provider-aws ships them
// (zz_generated.pricing_aws.go, Apache-2.0). It is for orientation: any other source is better.
func StaticTable() map[string]Price {
	out := map[string]Price{}
	for name, usd := range map[string]float64{
		"m6i.xlarge": 0.192, "m6i.2xlarge": 0.384, "m6i.4xlarge": 0.768, "m7i.xlarge": 0.2016,
		"m7g.xlarge": 0.1632, "c6i.xlarge": 0.17, "t3.xlarge": 0.1664,
	} {
		out[name] = Price{PerHour: usd, Currency: "USD", Date: "2026-09-01",
			Source: "static table: AWS list, on demand, us-east-1 (karpenter-provider-aws)"}
	}
	return out
}

// ReadCSV reads node prices in the columns of OpenCost's CSV provider (EndTimestamp, InstanceID, Region, AssetClass,
// InstanceIDField, InstanceType, MarketPriceHourly, Version; order and case are free, the last three of interest suffice). It also reads rows
// that match a node by name or provider id in InstanceID. Lines it cannot use are errors with their number.
func ReadCSV(r io.Reader, name, currency string) (byInstance, byNode map[string]Price, err error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	c.TrimLeadingSpace = true
	head, err := c.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: read the header line: %w", name, err)
	}
	col := map[string]int{}
	for i, h := range head {
		col[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))] = i
	}
	if _, ok := col["marketpricehourly"]; !ok {
		return nil, nil, fmt.Errorf("%s:1: no column MarketPriceHourly; want OpenCost's CSV columns", name)
	}
	byInstance, byNode = map[string]Price{}, map[string]Price{}
	var errs []error
	for {
		rec, err := c.Read()
		if err == io.EOF {
			break
		}
		line, _ := c.FieldPos(0)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			break
		}
		get := func(k string) string {
			if i, ok := col[k]; ok && i < len(rec) {
				return strings.TrimSpace(rec[i])
			}
			return ""
		}
		if class := strings.ToLower(get("assetclass")); class != "" && class != "node" {
			continue // OpenCost lists disks in the same file
		}
		price, perr := strconv.ParseFloat(get("marketpricehourly"), 64)
		if _, ok := terms.Finite(price); perr != nil || !ok || price < 0 {
			errs = append(errs, fmt.Errorf("%s:%d: MarketPriceHourly %q is not a price", name, line, get("marketpricehourly")))
			continue
		}
		date, _, _ := strings.Cut(get("endtimestamp"), " ")
		date, _, _ = strings.Cut(date, "T")
		pr := Price{PerHour: price, Currency: currency, Source: "CSV " + name, Date: date}
		if t := get("instancetype"); t != "" {
			byInstance[t] = pr
		}
		if id := get("instanceid"); id != "" {
			byNode[id] = pr
		}
	}
	return byInstance, byNode, errors.Join(errs...)
}

// Fleet is the price of a set of nodes.
type Fleet struct {
	PerHour  float64
	Currency string
	// Used lists each distinct price with how many nodes bear it.
	Used []PriceUse
	// Unpriced are nodes without a price, by reason; they are left out of PerHour.
	Unpriced map[string]int
	nodes    int
}

// PriceUse is one price and how many nodes bear it.
type PriceUse struct {
	Price
	InstanceType string `json:"instanceType"`
	Nodes        int    `json:"nodes"`
}

// Mean is the mean price of a priced node.
func (f Fleet) Mean() (float64, bool) { return terms.Ratio(f.PerHour, float64(f.nodes)) }

// Price prices the nodes of a cluster. Currencies are never added up: nodes in another currency than the first count as unpriced.
func (p Prices) Price(c terms.Cluster) Fleet {
	f := Fleet{Unpriced: map[string]int{}}
	use := map[PriceUse]int{}
	for _, n := range c.Nodes {
		it := n.Labels["node.kubernetes.io/instance-type"]
		pr, err := p.Of(n.Name, it, spotNode(n.Labels))
		if err != nil {
			f.Unpriced[err.Error()]++
			continue
		}
		if f.Currency == "" {
			f.Currency = pr.Currency
		}
		if pr.Currency != f.Currency {
			f.Unpriced["prices are in "+f.Currency+" and "+pr.Currency]++
			continue
		}
		f.PerHour += pr.PerHour
		f.nodes++
		use[PriceUse{Price: pr, InstanceType: it}]++
	}
	for u, n := range use {
		u.Nodes = n
		f.Used = append(f.Used, u)
	}
	sort.Slice(f.Used, func(i, j int) bool {
		a, b := f.Used[i], f.Used[j]
		if a.InstanceType != b.InstanceType {
			return a.InstanceType < b.InstanceType
		}
		return a.PerHour < b.PerHour
	})
	return f
}

// spotNode reads the labels by which providers mark interruptible nodes.
func spotNode(l map[string]string) bool {
	return l["karpenter.sh/capacity-type"] == "spot" || l["eks.amazonaws.com/capacityType"] == "SPOT" ||
		l["cloud.google.com/gke-spot"] == "true" || l["kubernetes.azure.com/scalesetpriority"] == "spot"
}

// billed is how many of n nodes are paid for on a day: never fewer than are committed.
func (c Commitment) billed(n int, day time.Time) int {
	if c.Nodes > n && day.Before(c.Until) {
		return c.Nodes
	}
	return n
}

// saved is what leaves the bill per hour when before nodes become after, at a price per node and hour.
func (c Commitment) saved(before, after int, day time.Time, price float64) float64 {
	return float64(c.billed(before, day)-c.billed(after, day)) * price
}
