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

	corev1 "k8s.io/api/core/v1"

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
	// Region is where it holds, empty for everywhere.
	Region string `json:"region,omitempty"`
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
	Flat       *Price             // --node-price
	ByNode     map[string]Price   // OpenCost series, by node name
	ByInstance map[string][]Price // CSV, by instance type: a row for each region
	Table      map[string]Price   // dated table, by instance type
	// SpotFactor multiplies table prices of spot nodes; 0 means that a table price is not used for them, since it would be wrong.
	SpotFactor float64
	Commitment Commitment
}

// Of returns the price of a node, or why there is none.
func (p Prices) Of(n *corev1.Node) (Price, error) {
	pr, err := p.find(n)
	if err != nil {
		return Price{}, err
	}
	if v, ok := terms.Finite(pr.PerHour); !ok || v < 0 {
		return Price{}, fmt.Errorf("the price from %s is not a number that a node can cost", pr.Source)
	}
	return pr, nil
}

func (p Prices) find(n *corev1.Node) (Price, error) {
	if p.Flat != nil {
		return *p.Flat, nil
	}
	if pr, ok := p.ByNode[n.Name]; ok {
		return pr, nil
	}
	for _, id := range providerIDs(n.Spec.ProviderID) {
		if pr, ok := p.ByNode[id]; ok {
			return pr, nil
		}
	}
	instanceType, region := n.Labels[corev1.LabelInstanceTypeStable], regionOf(n)
	if rows := p.ByInstance[instanceType]; len(rows) > 0 {
		pr, err := ofRegion(rows, instanceType, region)
		if err != nil {
			return Price{}, err
		}
		if !spotNode(n.Labels) || pr.Spot {
			return pr, nil
		}
		return p.spot(n.Name, pr, "the row of "+instanceType+" in "+pr.Source+" does not say that it is a spot price")
	}
	pr, ok := p.Table[instanceType]
	if !ok {
		return Price{}, fmt.Errorf("no price for instance type %q: give --node-price, --prices CSV, or install OpenCost", instanceType)
	}
	if region != "" && region != tableRegion {
		return Price{}, fmt.Errorf("no price for instance type %q in %s: the table has %s only; give --node-price, --prices CSV, or install OpenCost", instanceType, region, tableRegion)
	}
	if spotNode(n.Labels) {
		return p.spot(n.Name, pr, "the table has on-demand prices")
	}
	return pr, nil
}

// spot is an on-demand price as a spot node costs it, where the user says how much that is.
func (p Prices) spot(node string, pr Price, why string) (Price, error) {
	if p.SpotFactor <= 0 {
		return Price{}, fmt.Errorf("node %s is spot and %s: give --spot-factor, a row of its provider id in --prices, or install OpenCost", node, why)
	}
	pr.PerHour *= p.SpotFactor
	pr.Spot = true
	pr.Source += fmt.Sprintf(" x spot factor %g", p.SpotFactor)
	return pr, nil
}

// ofRegion picks the row of the node's region. A row without a region is for all of them; rows of other regions price nothing.
func ofRegion(rows []Price, instanceType, region string) (Price, error) {
	var everywhere *Price
	regions := []string{}
	for i, r := range rows {
		switch {
		case r.Region == "":
			everywhere = &rows[i]
		case r.Region == region:
			return r, nil
		default:
			regions = append(regions, r.Region)
		}
	}
	switch {
	case everywhere != nil:
		return *everywhere, nil
	case region == "" && len(rows) == 1:
		return rows[0], nil
	case region == "":
		return Price{}, fmt.Errorf("no price for instance type %q: --prices has it for %s, and the node names no region", instanceType, strings.Join(regions, ", "))
	}
	return Price{}, fmt.Errorf("no price for instance type %q in %s: --prices has it for %s", instanceType, region, strings.Join(regions, ", "))
}

// regionOf reads the node's region from its label, else from its zone as its provider id has it (aws:///eu-central-1a/i-1).
func regionOf(n *corev1.Node) string {
	if r := n.Labels[corev1.LabelTopologyRegion]; r != "" {
		return r
	}
	if rest, ok := strings.CutPrefix(n.Spec.ProviderID, "aws:///"); ok {
		zone, _, _ := strings.Cut(rest, "/")
		return strings.TrimRight(zone, "abcdefghijklmnopqrstuvwxyz")
	}
	return ""
}

// providerIDs are the ways in which a price list may name a machine: the whole id, and its last part.
func providerIDs(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id, id[strings.LastIndex(id, "/")+1:]}
}

// tableRegion is the region of StaticTable.
const tableRegion = "us-east-1"

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
func ReadCSV(r io.Reader, name, currency string) (byInstance map[string][]Price, byNode map[string]Price, err error) {
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
	byInstance, byNode = map[string][]Price{}, map[string]Price{}
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
		pr := Price{PerHour: price, Currency: currency, Source: "CSV " + name, Date: date, Region: get("region"),
			Spot: strings.EqualFold(get("usagetype"), "spot") || strings.EqualFold(get("capacitytype"), "spot")}
		if id := get("instanceid"); id != "" {
			byNode[id] = pr // one machine, whatever its type
			continue
		}
		if t := get("instancetype"); t != "" {
			byInstance[t] = withRow(byInstance[t], pr)
		}
	}
	return byInstance, byNode, errors.Join(errs...)
}

// withRow adds a row to those of an instance type; a later row of the same region stands.
func withRow(rows []Price, pr Price) []Price {
	for i := range rows {
		if rows[i].Region == pr.Region && rows[i].Spot == pr.Spot {
			rows[i] = pr
			return rows
		}
	}
	return append(rows, pr)
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
	f.Currency = p.each(c, func(n *corev1.Node, pr Price) {
		f.PerHour += pr.PerHour
		f.nodes++
		use[PriceUse{Price: pr, InstanceType: n.Labels[corev1.LabelInstanceTypeStable]}]++
	}, func(why string) { f.Unpriced[why]++ })
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

// each visits the nodes with a price in the currency of the first one, and tells why the others have none.
func (p Prices) each(c terms.Cluster, visit func(*corev1.Node, Price), without func(why string)) (currency string) {
	for _, n := range c.Nodes {
		pr, err := p.Of(n)
		if err == nil && currency == "" {
			currency = pr.Currency
		}
		switch {
		case terms.RuleOf(n, c.Autoscaler) == terms.PerPod:
			err = errors.New("billed by the requests of pods, not as a machine")
		case err == nil && pr.Currency != currency:
			err = errors.New("prices are in " + currency + " and " + pr.Currency)
		}
		if err == nil {
			visit(n, pr)
		} else if without != nil {
			without(err.Error())
		}
	}
	return currency
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

// Hourly is the price per hour of each node that has one, all in one currency. Nodes that are billed by their pods have none.
func (p Prices) Hourly(c terms.Cluster) map[string]float64 {
	out := map[string]float64{}
	p.each(c, func(n *corev1.Node, pr Price) { out[n.Name] = pr.PerHour }, nil)
	return out
}
