package promql

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

func engine(t testing.TB) *promql.Engine {
	return promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{MaxSamples: 50_000_000, Timeout: 2 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 }, EnableAtModifier: true, EnableNegativeOffset: true,
		Parser: parser.NewParser(parser.Options{})})
}

// run asks one metric as the client would, in process.
func run(t *testing.T, s storage.Queryable, m metric.Metric, p metric.Params) []metric.Series {
	t.Helper()
	p = instrument(t, s, m, p.Defaults())
	at := map[string]int{}
	var out []metric.Series
	for _, e := range m.Evaluations(p) {
		for _, x := range evaluate(t, s, m.Query(p), e) {
			k := x.Metric.String()
			if _, ok := at[k]; !ok {
				at[k] = len(out)
				out = append(out, metric.Series{Labels: x.Metric.Map()})
			}
			for _, f := range x.Floats {
				out[at[k]].Points = append(out[at[k]].Points, metric.Point{T: f.T / 1000, V: f.F})
			}
		}
	}
	if m.Reduce != nil {
		out = m.Reduce(p, out)
	}
	return out
}

// instrument finds the gateways for a metric that needs to know them, as the client does.
func instrument(t *testing.T, s storage.Queryable, m metric.Metric, p metric.Params) metric.Params {
	t.Helper()
	if m.NeedsInstrument(p) {
		if found := metric.InstrumentMatcher(metric.Result{Metric: "edge_instruments", Series: run(t, s, lookup(t, "edge_instruments"), p)}); found != "" {
			p.EdgeMatcher = found
		}
	}
	return p
}

func evaluate(t *testing.T, s storage.Queryable, text string, e metric.Evaluation) promql.Matrix {
	t.Helper()
	var q promql.Query
	var err error
	if e.Step > 0 {
		q, err = engine(t).NewRangeQuery(context.Background(), s, nil, text, e.Start, e.End, e.Step)
	} else {
		q, err = engine(t).NewInstantQuery(context.Background(), s, nil, text, e.End)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		t.Fatalf("%v\n%s", res.Err, text)
	}
	if w, _ := res.Warnings.AsStrings("", 0, 0); len(w) > 0 {
		t.Errorf("warnings %v\n%s", w, text)
	}
	var out promql.Matrix
	switch v := res.Value.(type) {
	case promql.Matrix:
		for _, s := range v { // the engine takes its memory back
			out = append(out, promql.Series{Metric: s.Metric, Floats: append([]promql.FPoint(nil), s.Floats...)})
		}
	case promql.Vector:
		for _, s := range v {
			out = append(out, promql.Series{Metric: s.Metric, Floats: []promql.FPoint{{T: s.T, F: s.F}}})
		}
	default:
		t.Fatalf("%T\n%s", res.Value, text)
	}
	return out
}

// serve puts Prometheus' own HTTP API before a storage, on loopback.
func serve(t testing.TB, s storage.SampleAndChunkQueryable, version string) *httptest.Server {
	t.Helper()
	api := apiv1.NewAPI(engine(t), s, nil, nil, nil,
		func(context.Context) apiv1.ScrapePoolsRetriever { return nil },
		func(context.Context) apiv1.TargetRetriever { return nil },
		func(context.Context) apiv1.AlertmanagerRetriever { return nil },
		func() config.Config { return config.Config{} }, nil, apiv1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f }, nil, "", false, promslog.NewNopLogger(),
		func(context.Context) apiv1.RulesRetriever { return nil }, 0, 0, 0, false, nil,
		func() (apiv1.RuntimeInfo, error) { return apiv1.RuntimeInfo{}, errors.New("not served here") },
		&apiv1.PrometheusVersion{Version: version, Revision: "test"}, nil, nil, prometheus.NewRegistry(), nil, nil, false, nil,
		false, false, false, false, 5*time.Minute, false, false, nil, nil, apiv1.OpenAPIOptions{}, parser.NewParser(parser.Options{}))
	r := route.New().WithPrefix("/api/v1")
	api.Register(r)
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	return srv
}
