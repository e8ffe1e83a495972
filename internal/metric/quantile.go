package metric

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// quantilesOf turns series of bucket rates (labels namespace and le) into series of quantiles (labels namespace and
// quantile), in units of scale. Points at which nothing was observed are left out.
func quantilesOf(in []Series, quantiles []string, scale float64) []Series {
	type instant struct {
		namespace string
		t         int64
	}
	at := map[instant][]bucket{}
	var order []instant // namespaces in the order of the answer, time within it
	for _, s := range in {
		le, err := strconv.ParseFloat(s.Labels["le"], 64)
		if err != nil {
			continue // no bucket
		}
		for _, p := range s.Points {
			k := instant{s.Labels["namespace"], p.T}
			if at[k] == nil {
				order = append(order, k)
			}
			at[k] = append(at[k], bucket{le, p.V})
		}
	}
	slices.SortFunc(order, func(a, b instant) int { return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.t, b.t)) })
	var out []Series
	for _, name := range quantiles {
		q, err := strconv.ParseFloat(name, 64)
		if err != nil {
			continue
		}
		for i, k := range order {
			if i == 0 || order[i-1].namespace != k.namespace {
				out = append(out, Series{Labels: map[string]string{"namespace": k.namespace, "quantile": name}})
			}
			if v := bucketQuantile(q, at[k]); Finite(v) {
				s := &out[len(out)-1]
				s.Points = append(s.Points, Point{k.t, v * scale})
			}
		}
	}
	return slices.DeleteFunc(out, func(s Series) bool { return len(s.Points) == 0 })
}

// bucket is a cumulative count of observations, or their rate, up to an upper bound.
type bucket struct{ le, count float64 }

// bucketQuantile is PromQL's histogram_quantile for classic histograms (Prometheus' promql/quantile.go): linear within a
// bucket, the last finite bound for what lies beyond it, NaN where there is nothing or no bucket without bound. It sorts its argument.
func bucketQuantile(q float64, buckets []bucket) float64 {
	slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.le, b.le) })
	n := len(buckets)
	if n < 2 || !math.IsInf(buckets[n-1].le, 1) {
		return math.NaN()
	}
	// Buckets scraped a moment apart may shrink towards the right.
	for i := 1; i < n; i++ {
		buckets[i].count = max(buckets[i].count, buckets[i-1].count)
	}
	all := buckets[n-1].count
	if all <= 0 {
		return math.NaN()
	}
	rank := q * all
	b := 0
	for b < n-1 && buckets[b].count < rank {
		b++
	}
	if b == n-1 {
		return buckets[n-2].le
	}
	if b == 0 && buckets[0].le <= 0 {
		return buckets[0].le
	}
	low, below := 0.0, 0.0
	if b > 0 {
		low, below = buckets[b-1].le, buckets[b-1].count
	}
	if buckets[b].count == below {
		return low
	}
	return low + (buckets[b].le-low)*(rank-below)/(buckets[b].count-below)
}
