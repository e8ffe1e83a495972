package roi

import (
	"fmt"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// ZoneFlow is bytes per second between two zones towards a namespace, both directions of the connections.
type ZoneFlow struct {
	From, To, Namespace string
	BytesPerSecond      float64
}

// NamespaceFlow is bytes per second between two namespaces, zones unknown.
type NamespaceFlow struct {
	From, To       string
	BytesPerSecond float64
}

// ZoneInput is what cross-zone traffic is worked out from.
type ZoneInput struct {
	// Measured are ztunnel's own counts, by zone (Istio 1.25 and later); Flows what sidecars count, without zones.
	Measured []ZoneFlow
	Flows    []NamespaceFlow
	// Pods counts running pods by namespace and zone.
	Pods map[string]map[string]int
	// PerGB is the price of a GB (10^9 bytes) that crosses, both directions of the charge together.
	PerGB    float64
	Currency string
	Source   string
	// Distribution are namespaces whose services already prefer close endpoints.
	Distribution map[string]bool
	// Why flows are missing, if they are.
	Missing string
}

// ZoneLedger is cross-zone traffic and its price.
type ZoneLedger struct {
	// Measured is counted by ztunnel; Estimated is worked out from where pods run, for traffic that sidecars carry.
	Measured  terms.Figure `json:"measuredGBPerMonth"`
	Estimated terms.Figure `json:"estimatedGBPerMonth"`
	Price     terms.Figure `json:"pricePerMonth"`
	// Avoidable is what trafficDistribution could keep inside zones: traffic that crosses although the caller's zone has an
	// endpoint. It helps sidecars as well: it is no merit of the migration.
	Avoidable  terms.Figure `json:"avoidablePerMonth"`
	Namespaces []ZoneNS     `json:"namespaces,omitempty"`
}

// ZoneNS is one destination namespace.
type ZoneNS struct {
	Namespace string       `json:"namespace"`
	CrossGB   terms.Figure `json:"crossGBPerMonth"`
	Avoidable terms.Figure `json:"avoidableGBPerMonth"`
}

const secondsPerMonth = HoursPerMonth * 3600

// Zones makes the ledger.
func Zones(in ZoneInput) ZoneLedger {
	gb := func(bps float64) float64 { return bps * secondsPerMonth / 1e9 }
	cross, avoid := map[string]float64{}, map[string]float64{}
	measured, estimated := 0.0, 0.0
	for _, f := range in.Measured {
		if f.From == f.To {
			continue
		}
		measured += f.BytesPerSecond
		cross[f.Namespace] += f.BytesPerSecond
		if in.Pods[f.Namespace][f.From] > 0 && !in.Distribution[f.Namespace] {
			avoid[f.Namespace] += f.BytesPerSecond
		}
	}
	unknown := 0
	for _, f := range in.Flows {
		p, local, ok := crossShare(in.Pods[f.From], in.Pods[f.To])
		if !ok {
			unknown++
			continue
		}
		estimated += f.BytesPerSecond * p
		cross[f.To] += f.BytesPerSecond * p
		if !in.Distribution[f.To] {
			avoid[f.To] += f.BytesPerSecond * local
		}
	}
	l := ZoneLedger{Measured: terms.Missing("GB/month", why(in.Missing, "no traffic between zones was counted by ztunnel")),
		Estimated: terms.Missing("GB/month", why(in.Missing, "no traffic between sidecars was counted"))}
	if len(in.Measured) > 0 {
		l.Measured = terms.Known(gb(measured), "GB/month", "ztunnel zone labels, mean of the last day", "traffic of workloads that are not enrolled")
	}
	if len(in.Flows) > 0 && unknown < len(in.Flows) {
		l.Estimated = terms.Known(gb(estimated), "GB/month", "estimate: bytes between sidecars x chance that caller and endpoint are in different zones, by where pods run", "locality load balancing, headless services, gateways")
		if unknown > 0 {
			l.Estimated.LeftOut = append(l.Estimated.LeftOut, fmt.Sprintf("%d namespace pairs whose pods' zones are not known", unknown))
		}
	}
	if len(in.Measured) == 0 && l.Estimated.Value == nil {
		l.Price = terms.Missing(unitOf(in.Currency), "traffic is not known")
		l.Avoidable = l.Price
		return l
	}
	total, could := 0.0, 0.0
	for ns := range cross {
		total += cross[ns]
		could += avoid[ns]
		l.Namespaces = append(l.Namespaces, ZoneNS{ns, terms.Known(gb(cross[ns]), "GB/month", "as above"), terms.Known(gb(avoid[ns]), "GB/month", "caller's zone has an endpoint")})
	}
	sort.Slice(l.Namespaces, func(i, j int) bool {
		a, b := *l.Namespaces[i].CrossGB.Value, *l.Namespaces[j].CrossGB.Value
		if a != b {
			return a > b
		}
		return l.Namespaces[i].Namespace < l.Namespaces[j].Namespace
	})
	if in.PerGB < 0 {
		l.Price = terms.Missing(unitOf(in.Currency), "the nodes name no cloud whose list price is known: give --zone-price")
		l.Avoidable = l.Price
		return l
	}
	l.Price = terms.Known(gb(total)*in.PerGB, unitOf(in.Currency), fmt.Sprintf("%s GB x %s (%s)", terms.Number(gb(total)), terms.Number(in.PerGB), in.Source), "the waypoint's extra hop before it exists")
	if len(in.Measured) > 0 && len(in.Pods) == 0 {
		l.Avoidable = terms.Missing(unitOf(in.Currency), "in which zones the pods run is not known")
		return l
	}
	l.Avoidable = terms.Known(gb(could)*in.PerGB, unitOf(in.Currency), "upper bound: trafficDistribution on every service whose callers have an endpoint in their zone; sidecars honour it too")
	return l
}

func why(given, otherwise string) string {
	if given != "" {
		return given
	}
	return otherwise
}

// crossShare is the chance that a caller and an endpoint, both drawn from where pods run, are in different zones, and the part of
// it in which the caller's zone has an endpoint of its own.
func crossShare(from, to map[string]int) (cross, avoidable float64, ok bool) {
	nf, nt := 0, 0
	for _, n := range from {
		nf += n
	}
	for _, n := range to {
		nt += n
	}
	if nf == 0 || nt == 0 {
		return 0, 0, false
	}
	same := 0.0
	for z, n := range from {
		p := float64(n) / float64(nf)
		q := float64(to[z]) / float64(nt)
		same += p * q
		if to[z] > 0 {
			avoidable += p * (1 - q)
		}
	}
	return 1 - same, avoidable, true
}
