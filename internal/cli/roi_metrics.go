package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/spf13/cobra"
)

// metricFlags say where metrics come from: a server, a recorded dump, or nowhere.
type metricFlags struct {
	prom         live.PromConfig
	passwordFile string
	dump         string
	window       string
	cluster      string
	until        string
	params       metric.Params
	// metrics are those to ask for; nil asks for all that costs are counted from.
	metrics []metric.Metric
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
	fl.StringVar(&f.cluster, "cluster-label", "", "`LABEL=VALUE` of this cluster's series, on a server that has several clusters")
	fl.StringVar(&f.window, "window", "14d", "how far back to measure")
	fl.StringVar(&f.until, "until", "", "`TIME` (RFC 3339) at which the window ends; default: now")
	fl.StringVar(&f.params.EdgeMatcher, "edge", "", "PromQL label `MATCHERS` of the latency series that stay the same across the migration (default: the pods that are gateways)")
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
	if f.cluster != "" {
		if f.params.Cluster, err = metric.ClusterMatcher(f.cluster); err != nil {
			return metric.Dump{}, fmt.Errorf("--cluster-label %w", err)
		}
	}
	if f.params.LatencyMetric != "" && f.params.RequestsMetric == "" {
		return metric.Dump{}, fmt.Errorf("--latency-metric needs --requests-metric and --error-matcher of the same instrument, or requests and errors would be those of another")
	}
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
	metrics := f.metrics
	if metrics == nil {
		metrics = metric.All()
	}
	return p.Collect(ctx, f.params, metrics), nil
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
