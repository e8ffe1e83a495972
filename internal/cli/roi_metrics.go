package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"github.com/spf13/cobra"
)

func itoa(n int) string { return strconv.Itoa(n) }

// metricFlags say where metrics come from: a server, a recorded dump, or nowhere.
type metricFlags struct {
	prom         live.PromConfig
	passwordFile string
	dump         string
	window       string
	until        string
	params       metric.Params
}

func (f *metricFlags) registerServer(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.prom.URL, "prometheus", "", "`URL` of a server with the Prometheus API (Prometheus, Thanos, Mimir, VictoriaMetrics)")
	fl.StringVar(&f.prom.BearerFile, "prometheus-token-file", "", "`FILE` with a bearer token")
	fl.StringVar(&f.prom.User, "prometheus-user", "", "`USER` for basic authentication")
	fl.StringVar(&f.passwordFile, "prometheus-password-file", "", "`FILE` with the password of --prometheus-user")
	fl.StringVar(&f.prom.CAFile, "prometheus-ca", "", "PEM `FILE` with the authority of the server's certificate")
	fl.StringVar(&f.prom.CertFile, "prometheus-cert", "", "PEM `FILE` with a client certificate")
	fl.StringVar(&f.prom.KeyFile, "prometheus-key", "", "PEM `FILE` with its key")
	fl.StringVar(&f.prom.Tenant, "prometheus-tenant", "", "`NAME` sent as X-Scope-OrgID")
	fl.StringVar(&f.prom.Proxy, "prometheus-proxy", "", "`URL` of a proxy on the way to the server")
	fl.DurationVar(&f.prom.Timeout, "prometheus-timeout", time.Minute, "how long one query may take")
	fl.StringVar(&f.window, "window", "14d", "how far back to measure")
	fl.StringVar(&f.until, "until", "", "`TIME` (RFC 3339) at which the window ends; default: now")
	fl.StringVar(&f.params.EdgeMatcher, "edge", "", "PromQL label `MATCHERS` of the latency series that stay the same across the migration (default: ingress gateways)")
	fl.StringVar(&f.params.LatencyMetric, "latency-metric", "", "latency histogram `NAME` without _bucket, of an application or a probe")
	fl.Float64Var(&f.params.LatencyScale, "latency-scale", 1, "milliseconds in one unit of --latency-metric; 1000 for seconds")
	fl.StringVar(&f.params.RequestsMetric, "requests-metric", "", "request counter `NAME` of the same instrument")
	fl.StringVar(&f.params.ErrorMatcher, "error-matcher", "", "PromQL label `MATCHERS` of failed requests in --requests-metric")
	fl.StringVar(&f.params.WorkloadBy, "latency-workload-label", "", "`LABEL` of these series that names the destination workload, for latency by mode (default: Istio's)")
	fl.StringVar(&f.params.GroupBy, "latency-namespace-label", "", "`LABEL` of these series that names the destination namespace")
}

func (f *metricFlags) register(c *cobra.Command) {
	f.registerServer(c)
	c.Flags().StringVar(&f.dump, "metrics", "", "read metrics from this `FILE` of sidestep roi collect instead of a server")
	c.MarkFlagsMutuallyExclusive("metrics", "prometheus")
}

// load reads the dump or asks the server. Without either it gives an empty dump that says so. An unusable server is no error: the result
// lists what that costs.
func (f *metricFlags) load(ctx context.Context, env *Env) (metric.Dump, error) {
	if f.dump != "" {
		file, err := os.Open(env.Path(f.dump))
		if err != nil {
			return metric.Dump{}, err
		}
		defer func() { _ = file.Close() }() // only read
		d, err := metric.Decode(file)
		if err != nil {
			return d, fmt.Errorf("%s: %w", f.dump, err)
		}
		return d, nil
	}
	window, err := parseWindow(f.window)
	if err != nil {
		return metric.Dump{}, err
	}
	now := env.Now()
	if f.until != "" {
		if now, err = time.Parse(time.RFC3339, f.until); err != nil {
			return metric.Dump{}, fmt.Errorf("--until %q: want 2026-09-01T10:00:00Z", f.until)
		}
	}
	start, end := live.Window(now, window)
	if f.prom.URL == "" {
		return metric.Dump{Start: start, End: end, Failed: "no metrics were given (--prometheus or --metrics)"}, nil
	}
	f.params.Start, f.params.End = start, end
	if f.params.RequestsMetric != "" && f.params.ErrorMatcher == "" {
		return metric.Dump{}, fmt.Errorf("--requests-metric needs --error-matcher, or errors would read zero")
	}
	conf := f.prom
	for _, p := range []*string{&conf.BearerFile, &conf.CAFile, &conf.CertFile, &conf.KeyFile} {
		if *p != "" {
			*p = env.Path(*p)
		}
	}
	if f.passwordFile != "" {
		raw, err := os.ReadFile(env.Path(f.passwordFile))
		if err != nil {
			return metric.Dump{}, fmt.Errorf("--prometheus-password-file: %w", err)
		}
		conf.Password = strings.TrimSpace(string(raw))
	}
	p, err := live.NewProm(conf)
	if err != nil {
		return metric.Dump{}, err
	}
	defer p.CloseIdle()
	return p.Collect(ctx, f.params, metric.All()), nil
}

// parseWindow reads 14d, 36h, 90m.
func parseWindow(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 366 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 10*time.Minute {
		return d, nil
	}
	return 0, fmt.Errorf("--window %q: want a number of days such as 14d, or at least 10m", s)
}

// metricGaps is one line for the server or for each exporter that is silent, with what can still be said, and one for each
// further metric without an answer.
func metricGaps(d metric.Dump) []terms.Gap {
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

// usageOf is each pod's mean over the instants at which it was seen.
func usageOf(d metric.Dump) map[string]roi.Use {
	out := map[string]roi.Use{}
	r := d.Result("proxy_usage")
	if !r.Usable() {
		return out
	}
	for _, s := range r.Series {
		v, ok := s.Mean()
		if !ok {
			continue
		}
		k := s.Labels["namespace"] + "/" + s.Labels["pod"]
		u := out[k]
		switch s.Labels["resource"] {
		case "cpu":
			u.CPU, u.HasCPU = v, true
		case "memory":
			u.Memory, u.HasMemory = v, true
		}
		out[k] = u
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
	use := usageOf(d)
	var out []roi.MeshPod
	for _, s := range roles.Series {
		p := roi.MeshPod{Namespace: s.Labels["namespace"], Name: s.Labels["pod"], Role: terms.Role(s.Labels["role"])}
		switch s.Labels["role"] {
		case metric.RoleSidecarClassic:
			p.Role, p.Sidecar = terms.Application, terms.Classic
		case metric.RoleSidecarNative:
			p.Role, p.Sidecar = terms.Application, terms.Native
		}
		p.Requests, p.Use = requests[p.Key()], use[p.Key()]
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

func queriesOf(d metric.Dump) map[string]string {
	out := map[string]string{}
	for _, r := range d.Results {
		out[r.Metric] = r.Query
	}
	return out
}
