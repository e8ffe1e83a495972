package report

import (
	"io"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

var friday = time.Date(2026, 9, 4, 12, 0, 0, 0, time.UTC)

// sampleForecast has one of everything that a forecast's renderers can meet, with the characters that formats must escape.
func sampleForecast() roi.Forecast {
	cpu, memory := terms.Known(18.9, "cores", "pods of the input", "istiod's own requests"), terms.Known(23.625, "GiB", "pods of the input")
	still := terms.Resources{CPUMilli: 1600, MemoryBytes: 2 << 30}
	return roi.Forecast{
		APIVersion: roi.APIVersion, Kind: roi.ForecastKind, At: friday, WindowStart: friday.AddDate(0, 0, -14), Leaving: 1193, Staying: 16,
		Accounts: []roi.Account{
			{Role: terms.Application, Sidecar: terms.Native, Pods: 1209, Measured: 1200, CPURequests: terms.Known(120.9, "cores", "pods of the input"), MemoryRequests: terms.Known(151.125, "GiB", "pods of the input"),
				CPUUsage: terms.Known(24.18, "cores", "cAdvisor", "9 of 1209 pods without series"), MemoryUsage: terms.Missing("GiB", "no usage was measured for these pods")},
			{Role: terms.Waypoint, Pods: 2, CPURequests: terms.Known(0.2, "cores", "pods of the input"), MemoryRequests: terms.Known(0.25, "GiB", "pods of the input"),
				CPUUsage: terms.Known(0, "cores", "cAdvisor"), MemoryUsage: terms.Known(0.0004, "GiB", "cAdvisor")},
		},
		Ladder: []roi.Rung{
			{Number: 1, Name: "requests freed", Means: "no node is gone", Lines: []terms.Line{{Name: "CPU", Figure: cpu}, {Name: "memory", Figure: memory}}},
			{Number: 3, Name: "nodes removable", Means: "simulated", Lines: []terms.Line{{Name: "replace", Figure: terms.Known(-2, "nodes", "simulation").Between(-3, -1)}}},
			{Number: 4, Name: "nodes gone", Means: "counted", Lines: []terms.Line{{Name: "nodes", Figure: terms.Missing("nodes", "only sidestep roi report can say")}}},
		},
		Nodes: &roi.NodeForecast{Now: 48,
			ReplaceBefore: packing.Packing{Nodes: 46, Low: 45, High: 47, Binding: "cpu"},
			ReplaceAfter:  packing.Packing{Nodes: 48, Low: 48, High: 48, Binding: "pods per node", Full: map[string]float64{"cpu": 0.981, "memory": 0.27, "pods": 0.41}, Pending: 3},
			DrainAfter:    packing.Draining{Removed: []string{"node-1"}, Blocked: []packing.Blocker{{Node: "node-2", Why: "shop/db-0 keeps local storage"}, {Node: "node-3", Why: "shop/db-1 keeps local storage"}, {Node: "node-4", Why: "stuck"}}},
			Removable:     -2, Drained: 1, PackingAlone: 2, BreakEven: packing.BreakEven{CPU: 3, Memory: 5, Now: 24.9}, Headroom: packing.Headroom{Before: 34, After: 149, MoreThanNow: 115}},
		Money: roi.Money{Currency: "EUR", FleetPerMonth: terms.Known(6727.68, "EUR/month", "48 priced nodes x 730 h"), PerMonth: terms.Known(-280.32, "EUR/month", "nodes of rung 3"),
			Committed: "40 nodes are committed: freed nodes below that number save nothing until 2027-01-01", PaybackMonths: terms.Missing("months", "never: the change frees no paid node")},
		Waves: []roi.WaveROI{
			{Wave: "pilot", Leaving: 16, Freed: still, Added: still.Times(2), Net: terms.Resources{}.Minus(still), NetSoFar: terms.Resources{}.Minus(still), RemovableSoFar: terms.Known(0, "nodes", "simulation"),
				WorthSoFar: terms.Known(0, "EUR/month", "x"), Advice: "do not stop after this wave"},
			{Wave: "2", Leaving: 1177, Freed: still.Times(70), NetSoFar: still.Times(69), Net: still.Times(70), RemovableSoFar: terms.Known(-2, "nodes", "simulation").Between(-3, -1), WorthSoFar: terms.Missing("EUR/month", "no node has a price")},
		},
		Groups: []roi.GroupROI{
			{Wave: "pilot", Namespace: "shop", Leaving: 16, Staying: 16, Freed: still, Waypoints: still.Times(2), Net: terms.Resources{}.Minus(still), Advice: "share a waypoint"},
			{Wave: "2", Namespace: "search", Leaving: 1177, Freed: still.Times(70), Net: still.Times(70)},
		},
		Costly: []roi.Costly{{Workload: "shop/Deployment/ledger", Features: []string{"SS501: EnvoyFilter shop/lua|x <b>keeps</b> the sidecar"}, Only: true, Pods: 16, Requests: still}},
		Modes: []latency.ModeLatency{{Mode: terms.ModeSidecar, Namespaces: []string{"calm", "shop"}, P50: terms.Known(4.2, "ms", "edge"), P99: terms.Known(38, "ms", "edge"), Errors: terms.Missing("ratio", "no requests"),
			Startup: terms.Known(9, "seconds", "pods")}},
		Zones: roi.ZoneLedger{Measured: terms.Missing("GB/month", "no workload is enrolled"), Estimated: terms.Known(1234567.8, "GB/month", "where pods run", "DNS"),
			Price: terms.Known(24691.36, "EUR/month", "0.02 per GB"), Avoidable: terms.Known(12000, "EUR/month", "trafficDistribution")},
		Causes: []string{"2 waypoint replicas take part of what is freed"},
		Prices: []roi.PriceUse{{Price: roi.Price{PerHour: 0.192, Currency: "EUR", Source: "CSV prices,eu.csv", Date: "2026-08-01"}, InstanceType: "m6i.xlarge", Nodes: 47},
			{Price: roi.Price{PerHour: 0.2, Currency: "EUR", Source: "--node-price"}, Nodes: 1}},
		Gaps:  []terms.Gap{{What: "metrics", Why: "half of the exporters are missing", Costs: "rung 2"}, {What: "volumes", Why: "not listed"}},
		Steps: []terms.Step{{What: "sidecar requests freed", How: "sum over 1193 pods = 119300 millicores"}},
	}
}

// sampleReport is the same for promised against realised.
func sampleReport() roi.Report {
	f := sampleForecast()
	none := 0
	f.Waves[0].StillSidecars = &none
	return roi.Report{
		APIVersion: roi.APIVersion, Kind: roi.ReportKind, At: friday.AddDate(0, 1, 0), Baseline: "0123456789abcdef", BaselineAt: friday, Simulated: "traffic, by a generator",
		Rows: []roi.Row{{Name: "CPU requests freed", Promised: terms.Known(18.9, "cores", "x"), Realised: terms.Known(18, "cores", "y"), Finding: "as promised"},
			{Name: "nodes gone", Promised: terms.Known(3, "nodes", "x").Between(2, 4), Realised: terms.Missing("nodes", "nodes could not be counted now"), Finding: "cannot say"}},
		Ladder: f.Ladder, Accounts: f.Accounts, Modes: f.Modes, Zones: f.Zones, Waves: f.Waves, Gaps: f.Gaps, Steps: f.Steps,
		Hybrid: roi.HybridTax{Verdict: "tax", Why: "CPU per sidecar grew by 22%", CPU: terms.Known(0.8, "cores", "cAdvisor"), Memory: terms.Missing("GiB", "not measured on both sides"), Remedy: []string{"scope sidecars with a Sidecar resource"}},
		Latency: []latency.LatencyVerdict{{Namespace: "shop", Quantile: "P99", Finding: "worse", Why: "P99 rose", Shift: terms.Known(2.1, "ms", "edge").Between(1.7, 2.6), Change: terms.Known(5.5, "%", "edge").Between(4.5, 6.8), Before: terms.Known(38, "ms", "edge"),
			After: terms.Known(40, "ms", "edge"), N: 120, P: 0.001, Controls: 3}},
		Drift:    []string{"sidecars came back: 16 last time (2026-W39), 40 now"},
		History:  []roi.Week{{Week: "2026-W39", Nodes: terms.Known(46, "nodes", "counted"), Sidecars: 16, CPU: terms.Known(20, "cores", "x"), Memory: terms.Known(30, "GiB", "x"), EdgeRPS: terms.Known(900, "requests/s", "edge")}},
		ThisWeek: roi.Week{Week: "2026-W40", Nodes: terms.Known(46, "nodes", "counted"), Sidecars: 40, CPU: terms.Known(20, "cores", "x"), Memory: terms.Known(30, "GiB", "x"), EdgeRPS: terms.Missing("requests/s", "no edge series")},
	}
}

func TestRenderingsOfOneForecastAndOneReport(t *testing.T) {
	queries := map[string]string{"proxy_usage": `sum by (namespace) (rate(x{a="<b>"}[5m]))`, "node_count": "count(kube_node_info)"}
	for name, r := range map[string]*ROI{"roi-forecast": NewROIForecast(sampleForecast(), queries, true), "roi-report": NewROIReport(sampleReport(), queries, true)} {
		for ending, write := range map[string]func(io.Writer) error{"txt": r.Text, "json": r.JSON, "csv": r.CSV, "md": r.Markdown, "html": r.HTML, "prom": r.Prometheus} {
			t.Run(name+"."+ending, func(t *testing.T) { rendered(t, name+"."+ending, write) })
		}
	}
}
