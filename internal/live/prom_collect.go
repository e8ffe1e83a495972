package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// maxPoints keeps range queries below the 11,000 points per series that the API allows.
const maxPoints = 10_000

// Collect asks every metric of the catalogue, two at a time, and records the answers. It always returns a dump: a failure is recorded
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
	var wg sync.WaitGroup
	slots := make(chan struct{}, p.concurrency)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var once sync.Once
	for i, m := range metrics {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			r, fatal := p.ask(ctx, m, params)
			d.Results[i] = r
			if fatal {
				once.Do(func() { stop() }) // no use in being refused seventeen times
			}
		}()
	}
	wg.Wait()
	return spreadFatal(d)
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
	r := metric.Result{Metric: m.Name, Query: m.Query(params), Unit: m.Unit}
	var err error
	if m.Kind == metric.Range {
		err = p.askRange(ctx, &r, m, params)
	} else {
		err = p.askInstant(ctx, &r, params)
	}
	if err != nil {
		why, fatal := p.whyFailed(err)
		r.Failed, r.Series = why, nil
		return r, fatal
	}
	return r, false
}

func (p *Prom) askInstant(ctx context.Context, r *metric.Result, params metric.Params) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	v, warnings, _, err := p.api.Query(ctx, r.Query, params.End, promv1.WithTimeout(p.timeout))
	if err != nil {
		return err
	}
	warn(r, warnings)
	return add(r, v)
}

// askRange asks chunk by chunk; chunks meet but do not overlap.
func (p *Prom) askRange(ctx context.Context, r *metric.Result, m metric.Metric, params metric.Params) error {
	// Hours end on the hour, whoever asks and whenever. A window too short for hours gets a dozen points.
	step := m.Step
	if params.Window() < 12*step {
		step = max(time.Minute, (params.Window() / 12).Truncate(time.Minute))
	}
	start, end := params.Start.Truncate(step).Add(step), params.End.Truncate(step)
	for from := start; !from.After(end); from = from.Add(maxPoints * step) {
		to := from.Add((maxPoints - 1) * step)
		if to.After(end) {
			to = end
		}
		if err := p.askChunk(ctx, r, promv1.Range{Start: from, End: to, Step: step}); err != nil {
			return err
		}
	}
	return nil
}

func (p *Prom) askChunk(ctx context.Context, r *metric.Result, rng promv1.Range) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	v, warnings, _, err := p.api.QueryRange(ctx, r.Query, rng, promv1.WithTimeout(p.timeout))
	if err != nil {
		return err
	}
	warn(r, warnings)
	return add(r, v)
}

// warn marks an answer that came with warnings: a store that did not answer, a limit that cut it off. PromQL's own notes on a query arrive apart,
// as infos, and do not count.
func warn(r *metric.Result, warnings promv1.Warnings) {
	for _, w := range warnings {
		r.Partial = true
		r.Warnings = append(r.Warnings, firstLine(w))
	}
}

// add appends an answer to the result, dropping values that are not finite and counting them.
func add(r *metric.Result, v model.Value) error {
	at := map[string]int{}
	for i, s := range r.Series {
		at[fmt.Sprint(s.Labels)] = i
	}
	series := func(labels model.Metric) *metric.Series {
		l := make(map[string]string, len(labels))
		for k, v := range labels {
			if k != model.MetricNameLabel {
				l[string(k)] = string(v)
			}
		}
		k := fmt.Sprint(l)
		i, ok := at[k]
		if !ok {
			i = len(r.Series)
			at[k] = i
			r.Series = append(r.Series, metric.Series{Labels: l})
		}
		return &r.Series[i]
	}
	point := func(s *metric.Series, t model.Time, v float64) {
		if !metric.Finite(v) {
			r.Dropped++
			return
		}
		s.Points = append(s.Points, metric.Point{T: t.Unix(), V: v})
	}
	switch v := v.(type) {
	case model.Vector:
		for _, s := range v {
			if metric.Finite(float64(s.Value)) {
				point(series(s.Metric), s.Timestamp, float64(s.Value))
			} else {
				r.Dropped++
			}
		}
	case model.Matrix:
		for _, ss := range v {
			s := series(ss.Metric)
			for _, x := range ss.Values {
				point(s, x.Timestamp, float64(x.Value))
			}
		}
	case *model.Scalar:
		point(series(nil), v.Timestamp, float64(v.Value))
	default:
		return fmt.Errorf("the server answered with a %T", v)
	}
	return nil
}

// Window is the window that ends now, rounded down to the minute so that repeated runs share the server's caches.
func Window(now time.Time, length time.Duration) (start, end time.Time) {
	end = now.Truncate(time.Minute)
	return end.Add(-length), end
}
