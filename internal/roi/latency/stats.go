package latency

import (
	"math"
	"sort"
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

func mean(in []float64) float64 {
	sum := 0.0
	for _, v := range in {
		sum += v
	}
	return sum / float64(max(1, len(in)))
}

// lags, in hours, at which the resemblance of hours is read to tell how much a day resembles the day before.
var lags = []int{1, 6, 12, 24}

// resemblance is what a series of hours says about the autocorrelation at each of lags, put right for its bias.
type resemblance struct {
	at [4]float64
	n  float64 // hours
}

// resemblanceOf reads it from a series with gaps.
func resemblanceOf(series []Hourly) resemblance {
	out := resemblance{n: float64(len(series))}
	at := make(map[int64]float64, len(series))
	m := mean(Values(series))
	spread := 0.0
	for _, h := range series {
		at[hour(h.T)] = h.V - m
		spread += (h.V - m) * (h.V - m)
	}
	if spread == 0 || len(series) < 3 {
		return out
	}
	for i, lag := range lags {
		sum, pairs := 0.0, 0
		for _, h := range series { // in order, so that equal series give equal sums
			if before, ok := at[hour(h.T)-int64(lag)]; ok {
				sum += (h.V - m) * before
				pairs++
			}
		}
		if pairs == 0 {
			continue
		}
		// Divided by all hours, not by the pairs, so that it never exceeds 1; a gap takes no more away than the end of the series does.
		r := sum / float64(pairs) / (spread / out.n) * float64(max(0, len(series)-lag)) / out.n
		out.at[i] = r + (1+4*math.Max(r, 0))/out.n
	}
	return out
}

// dayToDay is how much the mean of a day resembles that of the day before, were the series first-order autoregressive. A day is too coarse to tell from one week, so lags within
// a day count as well: each estimate is raised by margin times its standard error and the largest stands, since too few false alarms are better than too many.
func (x resemblance) dayToDay(margin float64) float64 {
	most := 0.0
	for i, lag := range lags {
		if x.n == 0 {
			break
		}
		r := x.at[i] + margin*math.Sqrt(math.Max(1-x.at[i]*x.at[i], 0)/x.n)
		r = math.Max(0, math.Min(r, math.Pow(longest, float64(lag))))
		most = math.Max(most, math.Pow(r, 24/float64(lag)))
	}
	return most
}

// longest is the strongest resemblance of neighbouring hours that is reckoned with: noise that halves in two weeks. What moves more slowly is a trend and no series of two weeks can tell it from a change.
const longest = 0.998

// meanVariance is the variance of the mean of n values of a first-order autoregressive series of variance 1.
func meanVariance(n int, r float64) float64 {
	sum := float64(n)
	for k := 1; k < n; k++ {
		sum += 2 * float64(n-k) * math.Pow(r, float64(k))
	}
	return sum / float64(n*n)
}

// dayError is the standard error of the mean of days that resemble the day before by r, and the degrees of freedom that it rests on. independent is how many of them there are with a
// day before of their own: a day that serves as the comparison for several brings its own error into all of them.
func dayError(days []float64, independent int, r float64) (se, df float64) {
	m, ss := mean(days), 0.0
	for _, d := range days {
		ss += (d - m) * (d - m)
	}
	// The days' own spread leaves out how far all of them are off together.
	spread := ss / float64(len(days)) / (1 - meanVariance(len(days), r))
	return math.Sqrt(spread * meanVariance(independent, r)), math.Max(1, float64(independent-1)*(1-r)/(1+r))
}

// studentTail is the probability that Student's t with df degrees of freedom (rounded down) lies beyond t on either side, by the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.
func studentTail(t, df float64) float64 {
	v := int(math.Max(1, math.Floor(df)))
	theta := math.Atan(math.Abs(t) / math.Sqrt(float64(v)))
	s, c := math.Sincos(theta)
	if v%2 == 1 {
		sum, term := 0.0, c
		for k := 1; k <= v-2; k += 2 {
			sum += term
			term *= c * c * float64(k+1) / float64(k+2)
		}
		return math.Max(0, 1-2/math.Pi*(theta+s*sum))
	}
	sum, term := 0.0, 1.0
	for k := 0; k <= v-2; k += 2 {
		sum += term
		term *= c * c * float64(k+1) / float64(k+2)
	}
	return math.Max(0, 1-s*sum)
}

// studentQuantile is the t beyond which, on both sides together, a share of tail lies.
func studentQuantile(tail, df float64) float64 {
	lo, hi := 0.0, 1e6
	for range 80 {
		if mid := (lo + hi) / 2; studentTail(mid, df) > tail {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
