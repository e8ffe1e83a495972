package latency

import (
	"math"
	"math/rand/v2"
	"sort"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Median is the median; it sorts a copy.
func Median(in []float64) float64 { return Quantile(in, 0.5) }

// Quantile interpolates between order statistics. Of nothing it is 0; callers check the length.
func Quantile(in []float64, q float64) float64 {
	if len(in) == 0 {
		return 0
	}
	s := append([]float64(nil), in...)
	sort.Float64s(s)
	pos := q * float64(len(s)-1)
	lo := int(math.Floor(pos))
	hi := min(lo+1, len(s)-1)
	return s[lo] + (pos-float64(lo))*(s[hi]-s[lo])
}

// MannWhitney is the two-sided p-value of the rank-sum test that a and b come from the same distribution, by the
// normal approximation with tie and continuity correction, which is close from 20 values a side on. inflation is how many
// values are worth one independent one (1 when all are). The result is 1 when either side is empty or all values are equal.
func MannWhitney(a, b []float64, inflation float64) float64 {
	n, m := float64(len(a)), float64(len(b))
	if n == 0 || m == 0 {
		return 1
	}
	type obs struct {
		v     float64
		first bool
	}
	all := make([]obs, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, obs{v, true})
	}
	for _, v := range b {
		all = append(all, obs{v, false})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].v < all[j].v })
	rankSum, ties := 0.0, 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		rank := float64(i+j+1) / 2
		for k := i; k < j; k++ {
			if all[k].first {
				rankSum += rank
			}
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	u := rankSum - n*(n+1)/2
	total := n + m
	variance := n * m / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		return 1
	}
	z := (math.Abs(u-n*m/2) - 0.5) / math.Sqrt(variance*math.Max(inflation, 1))
	if z <= 0 {
		return 1
	}
	return math.Erfc(z / math.Sqrt2)
}

// BlockBootstrap is a confidence interval of the median of a series by the circular block bootstrap: whole runs of neighbouring
// values are drawn, so that values which resemble their neighbours (latency by the hour does) do not pass for independent ones. With few
// blocks the percentile interval is too narrow; it is widened as Student's t is against the normal.
func BlockBootstrap(series []float64, block, rounds int, confidence float64, rng *rand.Rand) (low, high float64) {
	n := len(series)
	if n == 0 {
		return 0, 0
	}
	block = max(1, min(block, n))
	medians := make([]float64, rounds)
	sample := make([]float64, 0, n+block)
	for r := range medians {
		sample = sample[:0]
		for len(sample) < n {
			start := rng.IntN(n)
			for k := range block {
				sample = append(sample, series[(start+k)%n])
			}
		}
		medians[r] = Median(sample[:n])
	}
	tail := (1 - confidence) / 2
	widen := studentWidening(n/block - 1)
	middle := Median(series)
	return middle - widen*(middle-Quantile(medians, tail)), middle + widen*(Quantile(medians, 1-tail)-middle)
}

// studentWidening is the ratio of the 97.5% quantiles of Student's t with df degrees of freedom and of the normal, by the first terms of
// the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5).
func studentWidening(df int) float64 {
	d := float64(max(df, 1))
	const z = 1.959964
	g1 := (z*z*z + z) / 4
	g2 := (5*math.Pow(z, 5) + 16*z*z*z + 3*z) / 96
	g3 := (3*math.Pow(z, 7) + 19*math.Pow(z, 5) + 17*z*z*z - 15*z) / 384
	return (z + g1/d + g2/(d*d) + g3/(d*d*d)) / z
}

// inflationOf is how many values of the series are worth one independent one, were it first-order autoregressive: (1+r)/(1-r). The sample
// autocorrelation is biased low by about (1+4r)/n, which is put back, with half its standard error on top: too few false alarms are better
// than too many.
func inflationOf(s []float64) float64 {
	r, n := autocorrelation(s), float64(max(len(s), 1))
	r += (1+4*r)/n + 0.5*math.Sqrt(math.Max(1-r*r, 0)/n)
	r = math.Max(0, math.Min(r, 0.95))
	return (1 + r) / (1 - r)
}

// autocorrelation at lag one, 0 where it cannot be said.
func autocorrelation(s []float64) float64 {
	if len(s) < 3 {
		return 0
	}
	mean := 0.0
	for _, v := range s {
		mean += v
	}
	mean /= float64(len(s))
	num, den := 0.0, 0.0
	for i, v := range s {
		den += (v - mean) * (v - mean)
		if i > 0 {
			num += (v - mean) * (s[i-1] - mean)
		}
	}
	r, ok := terms.Ratio(num, den)
	if !ok {
		return 0
	}
	return r
}
