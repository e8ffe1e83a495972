package account

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// MetricGaps is one line for the server or for each exporter that is silent, with what can still be said, and one for each
// further metric without an answer.
func MetricGaps(d metric.Dump) []terms.Gap {
	const onlyObjects = "rungs 1 and 3 and what nodes are worth can still be given from pods and nodes; usage (rung 2), latency, cross-zone traffic and the hybrid tax cannot"
	if d.Failed != "" {
		return []terms.Gap{{What: "metrics", Why: d.Failed, Costs: onlyObjects}}
	}
	var gaps []terms.Gap
	presence := d.Result("presence")
	if !presence.Usable() {
		return []terms.Gap{{What: "metrics", Why: presence.Why(), Costs: onlyObjects}}
	}
	there := map[string]bool{}
	for _, s := range presence.Series {
		there[s.Labels["source"]] = true
	}
	for _, x := range []struct {
		source metric.Source
		costs  string
	}{
		{metric.KubeStateMetrics, "roles and requests come from pods alone; no count of nodes over time"},
		{metric.CAdvisor, "no usage: rung 2 and the hybrid tax cannot be given; all other rungs can"},
		{metric.IstioProxies, "no latency, request rates or estimate of cross-zone traffic; the ladder can be given"},
		{metric.Ztunnel, "cross-zone traffic is estimated instead of measured"},
		{metric.Istiod, "the hybrid tax is judged by proxies alone"},
		{metric.OpenCost, "prices come from --node-price, --prices or the dated table"},
	} {
		if !there[string(x.source)] {
			gaps = append(gaps, terms.Gap{What: string(x.source), Why: "none of its series was scraped in the last five minutes", Costs: x.costs})
		}
	}
	for _, r := range d.Results {
		m, ok := metric.Lookup(r.Metric)
		if r.Usable() || !ok || r.Metric == "presence" || slices.ContainsFunc(m.Sources, func(s metric.Source) bool { return !there[string(s)] }) && r.Failed == "" {
			continue // the exporter's own line says it
		}
		gaps = append(gaps, terms.Gap{What: "metric " + r.Metric + " (" + strings.Join(m.Series, ", ") + ")", Why: r.Why()})
	}
	for _, r := range d.Results {
		if r.Dropped > 0 {
			gaps = append(gaps, terms.Gap{What: "metric " + r.Metric, Why: fmt.Sprintf("%d values were NaN or infinite and are left out", r.Dropped)})
		}
	}
	return append(gaps, coverage(d)...)
}

// coverage tells how much of the window the server remembers.
func coverage(d metric.Dump) []terms.Gap {
	r := d.Result("node_count")
	if !r.Usable() || len(r.Series[0].Points) == 0 {
		return nil
	}
	points := r.Series[0].Points
	first, last := time.Unix(points[0].T, 0), time.Unix(points[len(points)-1].T, 0)
	var gaps []terms.Gap
	if first.Sub(d.Start) > 3*time.Hour {
		gaps = append(gaps, terms.Gap{What: "window", Why: fmt.Sprintf("the server's data begins %s, the window %s", first.UTC().Format(time.RFC3339), d.Start.UTC().Format(time.RFC3339)),
			Costs: "means are over the shorter time"})
	}
	if d.End.Sub(last) > 3*time.Hour {
		gaps = append(gaps, terms.Gap{What: "window", Why: fmt.Sprintf("the newest data is of %s: scraping has stopped", last.UTC().Format(time.RFC3339)),
			Costs: "figures are as old as that"})
	}
	return gaps
}

// usageOf is each pod's mean over the instants at which it was seen. A pod that was seen at one alone, since it is younger than the window, gets the mean of its workload's earlier
// pods with it: what is released every day has pods of a few hours, and one hour of the day says little.
func usageOf(d metric.Dump, c terms.Cluster) map[string]roi.Use {
	out := map[string]roi.Use{}
	r := d.Result("proxy_usage")
	if !r.Usable() {
		return out
	}
	set := func(pod, resource string, v float64) {
		u := out[pod]
		switch resource {
		case "cpu":
			u.CPU, u.HasCPU = v, true
		case "memory":
			u.Memory, u.HasMemory = v, true
		}
		out[pod] = u
	}
	for _, s := range r.Series {
		if v, ok := s.Mean(); ok {
			set(s.Labels["namespace"]+"/"+s.Labels["pod"], s.Labels["resource"], v)
		}
	}
	earlier := earlierPods(r, c)
	for _, s := range r.Series {
		pod := s.Labels["namespace"] + "/" + s.Labels["pod"]
		if w := earlier.workload[pod]; w != "" && len(s.Points) == 1 {
			if v, ok := earlier.mean(w, s.Labels["resource"]); ok {
				set(pod, s.Labels["resource"], v)
			}
		}
	}
	return out
}

// meshPodsFromMetrics lists mesh pods by the PromQL heuristic, for when the Kubernetes API cannot be asked.
func meshPodsFromMetrics(d metric.Dump) []roi.MeshPod {
	roles := d.Result("pod_role")
	if !roles.Usable() {
		return nil
	}
	requests := map[string]terms.Resources{}
	if r := d.Result("proxy_requests"); r.Usable() {
		for _, s := range r.Series {
			v, ok := s.Last()
			if !ok {
				continue
			}
			k := s.Labels["namespace"] + "/" + s.Labels["pod"]
			x := requests[k]
			if s.Labels["resource"] == "cpu" {
				x.CPUMilli = int64(v*1000 + 0.5)
			} else {
				x.MemoryBytes = int64(v)
			}
			requests[k] = x
		}
	}
	use := usageOf(d, terms.Cluster{})
	var out []roi.MeshPod
	for _, s := range roles.Series {
		p := roi.MeshPod{Namespace: s.Labels["namespace"], Name: s.Labels["pod"], Role: terms.Role(s.Labels["role"])}
		switch s.Labels["role"] {
		case metric.RoleSidecarClassic:
			p.Role, p.Sidecar = terms.Application, terms.Classic
		case metric.RoleSidecarNative:
			p.Role, p.Sidecar = terms.Application, terms.Native
		}
		var known bool
		p.Requests, known = requests[p.Key()]
		p.Unrequested, p.Use = !known, use[p.Key()]
		out = append(out, p)
	}
	return out
}

// edgeOf puts the edge series of each namespace together.
func edgeOf(d metric.Dump, modes map[string]terms.Mode) []latency.EdgeSeries {
	by := map[string]*latency.EdgeSeries{}
	failed := map[string]map[int64]float64{}
	each := func(name string, set func(*latency.EdgeSeries, metric.Series)) {
		r := d.Result(name)
		if !r.Usable() {
			return
		}
		for _, s := range r.Series {
			ns := s.Labels["namespace"]
			if ns == "" || ns == "unknown" {
				continue
			}
			if by[ns] == nil {
				by[ns] = &latency.EdgeSeries{Namespace: ns, Mode: modes[ns]}
				if by[ns].Mode == "" {
					by[ns].Mode = "unknown"
				}
			}
			set(by[ns], s)
		}
	}
	each("edge_latency", func(e *latency.EdgeSeries, s metric.Series) {
		switch s.Labels["quantile"] {
		case metric.P50:
			e.P50 = hours(s)
		case metric.P99:
			e.P99 = hours(s)
		}
	})
	each("edge_requests", func(e *latency.EdgeSeries, s metric.Series) {
		switch s.Labels["result"] {
		case metric.AllRequests:
			e.RPS = hours(s)
		case metric.FailedRequests:
			failed[e.Namespace] = map[int64]float64{}
			for _, p := range s.Points {
				failed[e.Namespace][p.T] = p.V
			}
		}
	})
	out := make([]latency.EdgeSeries, 0, len(by))
	for _, ns := range slices.Sorted(maps.Keys(by)) {
		e := by[ns]
		for _, h := range e.RPS {
			if h.V > 0 { // no failure series where there was traffic means no failure
				e.Errors = append(e.Errors, latency.Hourly{T: h.T, V: failed[ns][h.T] / h.V})
			}
		}
		out = append(out, *e)
	}
	return out
}

func hours(s metric.Series) []latency.Hourly {
	out := make([]latency.Hourly, len(s.Points))
	for i, p := range s.Points {
		out[i] = latency.Hourly{T: p.T, V: p.V}
	}
	return out
}

// edgeRPS is the mean request rate at the edge over the window.
func edgeRPS(edge []latency.EdgeSeries) (float64, bool) {
	sum, n := 0.0, 0
	for _, e := range edge {
		total := 0.0
		for _, h := range e.RPS {
			total += h.V
		}
		if len(e.RPS) > 0 {
			sum += total / float64(len(e.RPS))
			n++
		}
	}
	return sum, n > 0
}

func zoneInput(d metric.Dump, c terms.Cluster, distribution map[string]bool, perGB float64, currency string) roi.ZoneInput {
	in := roi.ZoneInput{Pods: zonesOf(c), PerGB: perGB, Currency: currency, Source: "--zone-price", Distribution: distribution}
	if r := d.Result("zone_bytes"); r.Usable() {
		for _, s := range r.Series {
			if v, ok := s.Last(); ok {
				in.Measured = append(in.Measured, roi.ZoneFlow{From: s.Labels["source_zone"], To: s.Labels["destination_zone"], Namespace: s.Labels["namespace"], BytesPerSecond: v})
			}
		}
	}
	if r := d.Result("mesh_bytes"); r.Usable() {
		for _, s := range r.Series {
			if v, ok := s.Last(); ok {
				in.Flows = append(in.Flows, roi.NamespaceFlow{From: s.Labels["source_workload_namespace"], To: s.Labels["destination_service_namespace"], BytesPerSecond: v})
			}
		}
	} else if len(in.Measured) == 0 {
		in.Missing = r.Why()
	}
	return in
}

// proxyState averages the sidecars, with their request rate and istiod's pushes.
func proxyState(d metric.Dump, pods []roi.MeshPod) roi.ProxyState {
	rps, pushes := 0.0, 0.0
	if r := d.Result("proxied_requests"); r.Usable() {
		for _, s := range r.Series {
			if v, ok := s.Last(); ok && s.Labels["reporter"] == "destination" {
				rps += v
			}
		}
	}
	if r := d.Result("istiod_pushes"); r.Usable() {
		for _, p := range r.Series[0].Points {
			pushes += p.V
		}
		if n := len(r.Series[0].Points); n > 0 {
			pushes = pushes / float64(n) * 3600
		}
	}
	return roi.StateOf(pods, rps, pushes)
}
