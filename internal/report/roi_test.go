package report

import (
	"io"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi"
)

var friday = time.Date(2026, 9, 4, 12, 0, 0, 0, time.UTC)

// sampleForecast has one of everything that a forecast's renderers can meet, with the characters that formats must escape.
func sampleForecast() roi.Forecast {
	cpu, memory := roi.Known(18.9, "cores", "pods of the input", "istiod's own requests"), roi.Known(23.625, "GiB", "pods of the input")
	still := roi.Resources{CPUMilli: 1600, MemoryBytes: 2 << 30}
	return roi.Forecast{
		APIVersion: roi.APIVersion, Kind: roi.ForecastKind, At: friday, WindowStart: friday.AddDate(0, 0, -14), Leaving: 1193, Staying: 16,
		Accounts: []roi.Account{
			{Role: roi.Application, Sidecar: roi.Native, Pods: 1209, Measured: 1200, CPURequests: roi.Known(120.9, "cores", "pods of the input"), MemoryRequests: roi.Known(151.125, "GiB", "pods of the input"),
				CPUUsage: roi.Known(24.18, "cores", "cAdvisor", "9 of 1209 pods without series"), MemoryUsage: roi.Missing("GiB", "no usage was measured for these pods")},
			{Role: roi.Waypoint, Pods: 2, CPURequests: roi.Known(0.2, "cores", "pods of the input"), MemoryRequests: roi.Known(0.25, "GiB", "pods of the input"),
				CPUUsage: roi.Known(0, "cores", "cAdvisor"), MemoryUsage: roi.Known(0.0004, "GiB", "cAdvisor")},
		},
		Ladder: []roi.Rung{
			{Number: 1, Name: "requests freed", Means: "no node is gone", Lines: []roi.Line{{Name: "CPU", Figure: cpu}, {Name: "memory", Figure: memory}}},
			{Number: 3, Name: "nodes removable", Means: "simulated", Lines: []roi.Line{{Name: "replace", Figure: roi.Known(-2, "nodes", "simulation").Between(-3, -1)}}},
			{Number: 4, Name: "nodes gone", Means: "counted", Lines: []roi.Line{{Name: "nodes", Figure: roi.Missing("nodes", "only sidestep roi report can say")}}},
		},
		Nodes: &roi.NodeForecast{Now: 48,
			ReplaceBefore: roi.Packing{Nodes: 46, Low: 45, High: 47, Binding: "cpu"},
			ReplaceAfter:  roi.Packing{Nodes: 48, Low: 48, High: 48, Binding: "pods per node", Full: map[string]float64{"cpu": 0.981, "memory": 0.27, "pods": 0.41}, Pending: 3},
			DrainAfter:    roi.Draining{Removed: []string{"node-1"}, Blocked: []roi.Blocker{{Node: "node-2", Why: "shop/db-0 keeps local storage"}, {Node: "node-3", Why: "shop/db-1 keeps local storage"}, {Node: "node-4", Why: "stuck"}}},
			Removable:     -2, Drained: 1, PackingAlone: 2, BreakEven: roi.BreakEven{CPU: 3, Memory: 5, Now: 24.9}, Headroom: roi.Headroom{Before: 34, After: 149, MoreThanNow: 115}},
		Money: roi.Money{Currency: "EUR", FleetPerMonth: roi.Known(6727.68, "EUR/month", "48 priced nodes x 730 h"), PerMonth: roi.Known(-280.32, "EUR/month", "nodes of rung 3"),
			Committed: "40 nodes are committed: freed nodes below that number save nothing until 2027-01-01", PaybackMonths: roi.Missing("months", "never: the change frees no paid node")},
		Waves: []roi.WaveROI{
			{Wave: "pilot", Leaving: 16, Freed: still, Added: still.Times(2), Net: roi.Resources{}.Minus(still), NetSoFar: roi.Resources{}.Minus(still), RemovableSoFar: roi.Known(0, "nodes", "simulation"),
				WorthSoFar: roi.Known(0, "EUR/month", "x"), Advice: "do not stop after this wave"},
			{Wave: "2", Leaving: 1177, Freed: still.Times(70), NetSoFar: still.Times(69), Net: still.Times(70), RemovableSoFar: roi.Known(-2, "nodes", "simulation").Between(-3, -1), WorthSoFar: roi.Missing("EUR/month", "no node has a price")},
		},
		Groups: []roi.GroupROI{
			{Wave: "pilot", Namespace: "shop", Leaving: 16, Staying: 16, Freed: still, Waypoints: still.Times(2), Net: roi.Resources{}.Minus(still), Advice: "share a waypoint"},
			{Wave: "2", Namespace: "search", Leaving: 1177, Freed: still.Times(70), Net: still.Times(70)},
		},
		Costly: []roi.Costly{{Workload: "shop/Deployment/ledger", Features: []string{"SS501: EnvoyFilter shop/lua|x <b>keeps</b> the sidecar"}, Only: true, Pods: 16, Requests: still}},
		Modes: []roi.ModeLatency{{Mode: roi.ModeSidecar, Namespaces: []string{"calm", "shop"}, P50: roi.Known(4.2, "ms", "edge"), P99: roi.Known(38, "ms", "edge"), Errors: roi.Missing("ratio", "no requests"),
			Startup: roi.Known(9, "seconds", "pods")}},
		Zones: roi.ZoneLedger{Measured: roi.Missing("GB/month", "no workload is enrolled"), Estimated: roi.Known(1234567.8, "GB/month", "where pods run", "DNS"),
			Price: roi.Known(24691.36, "EUR/month", "0.02 per GB"), Avoidable: roi.Known(12000, "EUR/month", "trafficDistribution")},
		Causes: []string{"2 waypoint replicas take part of what is freed"},
		Prices: []roi.PriceUse{{Price: roi.Price{PerHour: 0.192, Currency: "EUR", Source: "CSV prices,eu.csv", Date: "2026-08-01"}, InstanceType: "m6i.xlarge", Nodes: 47},
			{Price: roi.Price{PerHour: 0.2, Currency: "EUR", Source: "--node-price"}, Nodes: 1}},
		Gaps:  []roi.Gap{{What: "metrics", Why: "half of the exporters are missing", Costs: "rung 2"}, {What: "volumes", Why: "not listed"}},
		Steps: []roi.Step{{What: "sidecar requests freed", How: "sum over 1193 pods = 119300 millicores"}},
	}
}

// sampleReport is the same for promised against realised.
func sampleReport() roi.Report {
	f := sampleForecast()
	none := 0
	f.Waves[0].StillSidecars = &none
	return roi.Report{
		APIVersion: roi.APIVersion, Kind: roi.ReportKind, At: friday.AddDate(0, 1, 0), Baseline: "0123456789abcdef", BaselineAt: friday, Simulated: "traffic, by a generator",
		Rows: []roi.Row{{Name: "CPU requests freed", Promised: roi.Known(18.9, "cores", "x"), Realised: roi.Known(18, "cores", "y"), Finding: "as promised"},
			{Name: "nodes gone", Promised: roi.Known(3, "nodes", "x").Between(2, 4), Realised: roi.Missing("nodes", "nodes could not be counted now"), Finding: "cannot say"}},
		Ladder: f.Ladder, Accounts: f.Accounts, Modes: f.Modes, Zones: f.Zones, Waves: f.Waves, Gaps: f.Gaps, Steps: f.Steps,
		Hybrid: roi.HybridTax{Verdict: "tax", Why: "CPU per sidecar grew by 22%", CPU: roi.Known(0.8, "cores", "cAdvisor"), Memory: roi.Missing("GiB", "not measured on both sides"), Remedy: []string{"scope sidecars with a Sidecar resource"}},
		Latency: []roi.LatencyVerdict{{Namespace: "shop", Quantile: "P99", Finding: "worse", Why: "P99 rose", Shift: roi.Known(2.1, "ms", "edge").Between(1.7, 2.6), Before: roi.Known(38, "ms", "edge"),
			After: roi.Known(40, "ms", "edge"), N: 120, P: 0.001, Controls: 3}},
		Drift:    []string{"sidecars came back: 16 last time (2026-W39), 40 now"},
		History:  []roi.Week{{Week: "2026-W39", Nodes: roi.Known(46, "nodes", "counted"), Sidecars: 16, CPU: roi.Known(20, "cores", "x"), Memory: roi.Known(30, "GiB", "x"), EdgeRPS: roi.Known(900, "requests/s", "edge")}},
		ThisWeek: roi.Week{Week: "2026-W40", Nodes: roi.Known(46, "nodes", "counted"), Sidecars: 40, CPU: roi.Known(20, "cores", "x"), Memory: roi.Known(30, "GiB", "x"), EdgeRPS: roi.Missing("requests/s", "no edge series")},
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
