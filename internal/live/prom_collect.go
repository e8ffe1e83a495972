package live

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// Collect asks every metric of the catalogue, two at a time and in that order, and records the answers. It always returns a dump: a failure is recorded
// where it happened, so that a report can say which figures remain possible.
func (p *Prom) Collect(ctx context.Context, params metric.Params, metrics []metric.Metric) metric.Dump {
	params = params.Defaults()
	d := metric.Dump{Start: params.Start, End: params.End}
	server, err := p.Detect(ctx)
	d.Server = server.String()
	if err != nil {
		d.Failed = err.Error()
		return d
	}
	d.Results = make([]metric.Result, len(metrics))
	if why := p.findInstrument(ctx, &params, metrics, d.Results); why != "" {
		for i, m := range metrics {
			if m.NeedsInstrument(params) {
				d.Results[i] = metric.Result{Metric: m.Name, Unit: m.Unit, Failed: why}
			}
		}
	}
	d.Instrument = params.EdgeMatcher
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan int)
	for range min(p.concurrency, len(metrics)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				r, fatal := p.ask(ctx, metrics[i], params)
				d.Results[i] = r
				if fatal {
					stop() // no use in being refused twenty times
				}
			}
		}()
	}
	for i := range metrics {
		if d.Results[i].Metric == "" {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	return spreadFatal(d)
}

// findInstrument asks which workloads are gateways where the edge metrics need to know, and says why they cannot be asked.
func (p *Prom) findInstrument(ctx context.Context, params *metric.Params, metrics []metric.Metric, results []metric.Result) string {
	if !slices.ContainsFunc(metrics, func(m metric.Metric) bool { return m.NeedsInstrument(*params) }) {
		return ""
	}
	for i, m := range metrics {
		if m.Name != "edge_instruments" {
			continue
		}
		results[i], _ = p.ask(ctx, m, *params)
		if found := metric.InstrumentMatcher(results[i]); found != "" {
			params.EdgeMatcher = found
			return ""
		}
		return results[i].Why()
	}
	return "no instrument is named (--edge)"
}

// spreadFatal replaces "cancelled" by the failure that caused it.
func spreadFatal(d metric.Dump) metric.Dump {
	cause := ""
	for _, r := range d.Results {
		if r.Failed != "" && r.Failed != "cancelled" {
			cause = r.Failed
			break
		}
	}
	for i := range d.Results {
		if d.Results[i].Failed == "cancelled" && cause != "" {
			d.Results[i].Failed = cause
		}
	}
	return d
}

func (p *Prom) ask(ctx context.Context, m metric.Metric, params metric.Params) (metric.Result, bool) {
	a := &answer{Result: metric.Result{Metric: m.Name, Query: m.Text(params), Unit: m.Unit}, at: map[model.Fingerprint][]int{}}
	for _, e := range m.Evaluations(params) {
		if err := p.evaluate(ctx, a, e); err != nil {
			why, fatal := p.whyFailed(err)
			a.Failed, a.Series = why, nil
			return a.Result, fatal
		}
	}
	if m.Reduce != nil {
		a.Series = m.Reduce(params, a.Series)
	}
	return a.Result, false
}

// answer is a result in the making; at finds its series by their labels.
type answer struct {
	metric.Result
	at map[model.Fingerprint][]int
}

func (p *Prom) evaluate(ctx context.Context, r *answer, e metric.Evaluation) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var v model.Value
	var warnings promv1.Warnings
	var err error
	if e.Step > 0 {
		v, warnings, _, err = p.api.QueryRange(ctx, r.Query, promv1.Range{Start: e.Start, End: e.End, Step: e.Step}, promv1.WithTimeout(p.timeout))
	} else {
		v, warnings, _, err = p.api.Query(ctx, r.Query, e.End, promv1.WithTimeout(p.timeout))
	}
	if err != nil {
		return err
	}
	r.warn(warnings)
	return r.add(v)
}

// warn marks an answer that came with warnings: a store that did not answer, a limit that cut it off. PromQL's own notes on a query arrive apart,
// as infos, and do not count.
func (a *answer) warn(warnings promv1.Warnings) {
	for _, w := range warnings {
		a.Partial = true
		a.Warnings = append(a.Warnings, firstLine(w))
	}
}

// add appends an answer to the result, dropping values that are not finite and counting them.
func (a *answer) add(v model.Value) error {
	point := func(labels model.Metric, t model.Time, v float64) {
		if !metric.Finite(v) {
			a.Dropped++
			return
		}
		s := a.series(labels)
		s.Points = append(s.Points, metric.Point{T: t.Unix(), V: v})
	}
	switch v := v.(type) {
	case model.Vector:
		for _, s := range v {
			point(s.Metric, s.Timestamp, float64(s.Value))
		}
	case model.Matrix:
		for _, s := range v {
			for _, x := range s.Values {
				point(s.Metric, x.Timestamp, float64(x.Value))
			}
		}
	case *model.Scalar:
		point(nil, v.Timestamp, float64(v.Value))
	default:
		return fmt.Errorf("the server answered with a %T", v)
	}
	return nil
}

// series finds or begins the series with these labels. The pointer holds until the next call.
func (a *answer) series(labels model.Metric) *metric.Series {
	print := labels.Fingerprint()
	for _, i := range a.at[print] {
		if sameLabels(a.Series[i].Labels, labels) {
			return &a.Series[i]
		}
	}
	l := make(map[string]string, len(labels))
	for k, v := range labels {
		if k != model.MetricNameLabel {
			l[string(k)] = string(v)
		}
	}
	a.at[print] = append(a.at[print], len(a.Series))
	a.Series = append(a.Series, metric.Series{Labels: l})
	return &a.Series[len(a.Series)-1]
}

func sameLabels(have map[string]string, labels model.Metric) bool {
	n := len(labels)
	if _, named := labels[model.MetricNameLabel]; named {
		n--
	}
	if n != len(have) {
		return false
	}
	for k, v := range have {
		if labels[model.LabelName(k)] != model.LabelValue(v) {
			return false
		}
	}
	return true
}

// Window is the window that ends now, rounded down to the minute so that repeated runs share the server's caches.
func Window(now time.Time, length time.Duration) (start, end time.Time) {
	end = now.Truncate(time.Minute)
	return end.Add(-length), end
}
