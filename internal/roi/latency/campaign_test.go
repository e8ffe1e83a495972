package latency

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var reports = flag.Int("reports", 0, "reports a model of noise in the campaign of latency verdicts; 0 for a small sample")

// world is a mesh as a report sees it: namespaces that moved half way, and those that did not.
type world struct {
	days, moved, controls int
	// phi is how much an hour resembles the one before, sd the spread of hours and day that of whole days, all relative; swing is how far the day goes up and down.
	phi, sd, day, swing float64
	// shared is how much of the noise of hours all namespaces have in common.
	shared float64
	// effect is the relative change that the move brings.
	effect float64
}

func (w world) series(rng *rand.Rand, base float64, effect float64, common []float64) []Hourly {
	n := 24 * w.days
	out := make([]Hourly, n)
	noise, level := rng.NormFloat64()*w.sd, 0.0
	for i := range out {
		noise = w.phi*noise + math.Sqrt(1-w.phi*w.phi)*rng.NormFloat64()*w.sd
		if i%24 == 0 {
			level = rng.NormFloat64() * w.day
		}
		v := base * (1 + w.swing*math.Sin(2*math.Pi*float64(i%24)/24)) * math.Exp(math.Sqrt(1-w.shared)*(noise+level)+math.Sqrt(w.shared)*common[i])
		if i >= n/2 {
			v *= 1 + effect
		}
		out[i] = Hourly{T: start.Add(time.Duration(i+1) * time.Hour).Unix(), V: v}
	}
	return out
}

func (w world) edge(seed uint64) []EdgeSeries {
	rng := rand.New(rand.NewPCG(seed, 11))
	n := 24 * w.days
	common := make([]float64, n)
	if w.shared > 0 {
		x := rng.NormFloat64() * w.sd
		for i := range common {
			x = w.phi*x + math.Sqrt(1-w.phi*w.phi)*rng.NormFloat64()*w.sd
			common[i] = x
		}
	}
	var out []EdgeSeries
	for i := range w.moved + w.controls {
		e := EdgeSeries{Namespace: fmt.Sprintf("ns-%02d", i), RPS: flat(n, 100), Errors: flat(n, 0.001)}
		effect := 0.0
		if i < w.moved {
			e.EnrolledAt, effect = start.Add(time.Duration(n/2)*time.Hour), w.effect
		}
		e.P50, e.P99 = w.series(rng, 12, effect, common), w.series(rng, 90, effect, common)
		out = append(out, e)
	}
	return out
}

// noises are those of which a verdict must not make a change.
var noises = map[string]world{
	"independent hours":                                      {days: 14, moved: 1, sd: .03},
	"independent hours, five days":                           {days: 10, moved: 1, sd: .03},
	"hours that resemble each other by half":                 {days: 14, moved: 1, controls: 2, phi: .5, sd: .05},
	"0.9":                                                    {days: 14, moved: 1, phi: .9, sd: .05},
	"0.97, a flat day":                                       {days: 14, moved: 1, phi: .97, sd: .05},
	"0.97, a daily rhythm":                                   {days: 14, moved: 1, phi: .97, sd: .05, swing: .5},
	"0.97, one control":                                      {days: 14, moved: 1, controls: 1, phi: .97, sd: .05},
	"0.97, five controls":                                    {days: 14, moved: 1, controls: 5, phi: .97, sd: .05},
	"0.99":                                                   {days: 14, moved: 1, phi: .99, sd: .05},
	"0.99, one control":                                      {days: 14, moved: 1, controls: 1, phi: .99, sd: .05},
	"0.99, four weeks":                                       {days: 28, moved: 1, phi: .99, sd: .05},
	"days of their own level":                                {days: 14, moved: 1, sd: .03, day: .05},
	"days of their own level, one control":                   {days: 14, moved: 1, controls: 1, sd: .03, day: .05},
	"days of their own level, little else":                   {days: 14, moved: 1, sd: .001, day: .05},
	"twenty namespaces, independent hours":                   {days: 14, moved: 20, sd: .03},
	"twenty namespaces, 0.5, three controls":                 {days: 14, moved: 20, controls: 3, phi: .5, sd: .05},
	"twenty namespaces, 0.9, three controls":                 {days: 14, moved: 20, controls: 3, phi: .9, sd: .05},
	"twenty namespaces, 0.97, three controls":                {days: 14, moved: 20, controls: 3, phi: .97, sd: .05},
	"twenty namespaces, 0.99":                                {days: 14, moved: 20, phi: .99, sd: .05},
	"twenty namespaces, 0.99, three controls":                {days: 14, moved: 20, controls: 3, phi: .99, sd: .05},
	"twenty namespaces, days of their own, three controls":   {days: 14, moved: 20, controls: 3, sd: .03, day: .05},
	"twenty namespaces, days of their own":                   {days: 14, moved: 20, sd: .03, day: .05},
	"twenty namespaces, 0.97, half of it shared":             {days: 14, moved: 20, phi: .97, sd: .05, shared: .5},
	"twenty namespaces, 0.9, three controls, four weeks":     {days: 28, moved: 20, controls: 3, phi: .9, sd: .05},
	"twenty namespaces, 0.97, three controls, a daily swing": {days: 14, moved: 20, controls: 3, phi: .97, sd: .05, swing: .5},
}

// effects are those that must be found, with the whole mesh moved (no controls).
var effects = map[string]struct {
	world
	want Finding
}{
	"20% slower, a daily swing of half":                       {world{days: 14, moved: 1, sd: .03, swing: .5, effect: .2}, Worse},
	"20% faster, a daily swing of half":                       {world{days: 14, moved: 1, sd: .03, swing: .5, effect: -.2}, Improved},
	"10% slower, a daily swing of half":                       {world{days: 14, moved: 1, sd: .03, swing: .5, effect: .1}, Worse},
	"20% slower in each of twenty namespaces":                 {world{days: 14, moved: 20, sd: .03, swing: .5, effect: .2}, Worse},
	"20% slower in each of twenty, hours resemble each other": {world{days: 14, moved: 20, sd: .03, phi: .5, swing: .5, effect: .2}, Worse},
	"nothing, and that is said":                               {world{days: 14, moved: 1, sd: .03, swing: .5}, NoChange},
	"nothing in each of twenty, and that is said":             {world{days: 14, moved: 20, sd: .03, swing: .5}, NoChange},
}

func sample(t *testing.T, small int) int {
	t.Helper()
	if *reports > 0 {
		return *reports
	}
	return small
}

// A report that finds a change anywhere where nothing changed is wrong as a whole.
func TestFalsePositivesOfAReport(t *testing.T) {
	allWrong, all := 0, 0
	for name, w := range noises {
		runs, wrong := sample(t, max(3, 12/w.moved)), 0
		for seed := range uint64(runs) {
			for _, v := range Latency(w.edge(seed), Options{Settle: 0}) {
				if v.Finding == Improved || v.Finding == Worse {
					wrong++
					break
				}
			}
		}
		all, allWrong = all+runs, allWrong+wrong
		t.Logf("%5.1f%% of %d reports: %s", 100*float64(wrong)/float64(runs), runs, name)
		if bound := atMost(runs, alpha); wrong > bound {
			t.Errorf("%s: %d of %d reports found a change, at most %d may by chance", name, wrong, runs, bound)
		}
	}
	if allWrong > all*5/100 {
		t.Errorf("%d of %d reports over all models of noise found a change", allWrong, all)
	}
}

// atMost is how many of n happen by chance, in all but one of a thousand times, when each happens with probability p.
func atMost(n int, p float64) int {
	term := math.Pow(1-p, float64(n))
	sum := term
	for k := 0; ; k++ {
		if sum >= 0.999 {
			return k
		}
		term *= float64(n-k) / float64(k+1) * p / (1 - p)
		sum += term
	}
}

func TestRealChangesAreFound(t *testing.T) {
	for name, c := range effects {
		runs, found, all := sample(t, max(2, 10/c.moved)), 0, 0
		for seed := range uint64(runs) {
			for _, v := range Latency(c.edge(seed), Options{}) {
				all++
				if v.Finding == c.want {
					found++
				}
			}
		}
		t.Logf("%5.1f%% of %d: %s", 100*float64(found)/float64(all), all, name)
		if 10*found < 9*all {
			t.Errorf("%s: %q in %d of %d", name, c.want, found, all)
		}
	}
}
