package metric

import (
	"fmt"
	"math"
	"testing"
)

// That quantiles are the engine's own is tested in test/promql.
func TestWorkloadsArePutTogetherByGroup(t *testing.T) {
	var r Result
	add := func(workload, result, le string, v float64) {
		l := map[string]string{"namespace": "shop", "workload": workload, "result": result}
		if le != "" {
			l["le"] = le
		}
		r.Series = append(r.Series, Series{Labels: l, Points: []Point{{1, v}}})
	}
	// a answers within 10 ms, b between 10 and 20, and twice as often.
	for _, x := range []struct {
		name         string
		below10, all float64
	}{{"a", 10, 10}, {"b", 0, 20}} {
		add(x.name, "bucket", "10", x.below10)
		add(x.name, "bucket", "20", x.all)
		add(x.name, "bucket", "+Inf", x.all)
		add(x.name, "all", "", x.all)
	}
	add("b", "failed", "", 3)
	add("silent", "all", "", 0)
	for name, c := range map[string]struct {
		group func(ns, workload string) string
		want  map[string]EdgeSummary
	}{
		"each by itself": {func(_, w string) string { return w }, map[string]EdgeSummary{
			"a":      {P50: 5, P99: 9.9, HasLatency: true, HasErrorRatio: true, Requests: 10},
			"b":      {P50: 15, P99: 19.9, Errors: 0.15, HasLatency: true, HasErrorRatio: true, Requests: 20},
			"silent": {}}},
		"together: buckets are added, not quantiles": {func(ns, _ string) string { return ns }, map[string]EdgeSummary{
			"shop": {P50: 12.5, P99: 19.85, Errors: 0.1, HasLatency: true, HasErrorRatio: true, Requests: 30}}},
		"left out": {func(string, string) string { return "" }, map[string]EdgeSummary{}},
	} {
		got := SummariseEdge(r, c.group)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAQuantileOfNothingIsNotANumber(t *testing.T) {
	for name, buckets := range map[string][]bucket{
		"no buckets":          nil,
		"one bucket":          {{math.Inf(1), 5}},
		"no last bucket":      {{1, 5}, {2, 6}},
		"nothing was counted": {{1, 0}, {math.Inf(1), 0}},
	} {
		if q := bucketQuantile(0.5, buckets); !math.IsNaN(q) {
			t.Errorf("%s: %g", name, q)
		}
	}
	if q := bucketQuantile(0.99, []bucket{{math.Inf(1), 10}, {5, 5}, {1, 0}}); q != 5 {
		t.Errorf("beyond the last bound the answer is that bound, not %g", q)
	}
}
