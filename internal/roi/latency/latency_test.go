package latency

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/roitest"
)

var start = roitest.Start

func hours(rng *rand.Rand, n int, base, sd, phi float64, shiftAt int, shift float64) []Hourly {
	return hourly(roitest.Hours(rng, n, base, sd, phi, shiftAt, shift))
}

func flat(n int, v float64) []Hourly { return hourly(roitest.Flat(n, v)) }

// hourly gives each value the end of its hour.
func hourly(values []float64) []Hourly {
	out := make([]Hourly, len(values))
	for i, v := range values {
		out[i] = Hourly{T: start.Add(time.Duration(i+1) * time.Hour).Unix(), V: v}
	}
	return out
}

// mesh is one namespace that changes after half of n hours, and two that do not.
func mesh(rng *rand.Rand, n int, sd, phi, shift float64) []EdgeSeries {
	at := n / 2
	out := []EdgeSeries{{Namespace: "moved", P99: hours(rng, n, 40, sd, phi, at, shift), RPS: flat(n, 100), Errors: flat(n, 0.001),
		EnrolledAt: start.Add(time.Duration(at) * time.Hour)}}
	for _, ns := range []string{"still-a", "still-b"} {
		out = append(out, EdgeSeries{Namespace: ns, P99: hours(rng, n, 30, sd, phi, n, 0), RPS: flat(n, 50), Errors: flat(n, 0)})
	}
	return out
}

func p99(t *testing.T, series []EdgeSeries, rng *rand.Rand) LatencyVerdict {
	t.Helper()
	for _, v := range Latency(series, time.Hour, rng) {
		if v.Namespace == "moved" && v.Quantile == "P99" {
			return v
		}
	}
	t.Fatal("no verdict for the namespace that moved")
	return LatencyVerdict{}
}

func TestFalsePositivesOnEqualDataAreAtMostFivePercent(t *testing.T) {
	for name, c := range map[string]struct {
		hours int
		phi   float64
	}{
		"two weeks, independent hours":              {336, 0},
		"two weeks, hours that resemble each other": {336, 0.5},
		"five days, independent hours":              {120, 0},
		"five days, hours that resemble each other": {120, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			const runs = 400
			wrong := 0
			for seed := range uint64(runs) {
				rng := rand.New(rand.NewPCG(seed, 1))
				v := p99(t, mesh(rng, c.hours, 2, c.phi, 0), rng)
				if v.Finding == Insufficient {
					t.Fatalf("seed %d: %s", seed, v.Why)
				}
				if v.Finding != NoChange {
					wrong++
				}
			}
			t.Logf("%d of %d wrong (%.1f%%)", wrong, runs, 100*float64(wrong)/runs)
			if wrong > runs*5/100 {
				t.Errorf("%d of %d A/A comparisons found a change, at most %d may", wrong, runs, runs*5/100)
			}
		})
	}
}

func TestATwoMillisecondShiftIsFoundFromFiftyPairedHoursOn(t *testing.T) {
	for name, c := range map[string]struct {
		hours int
		shift float64
		want  Finding
	}{
		"improvement, two weeks":            {336, -2, Improved},
		"improvement, fifty-odd hours each": {108, -2, Improved},
		"worsening, two weeks":              {336, 2, Worse},
	} {
		t.Run(name, func(t *testing.T) {
			const runs = 200
			found, fewest := 0, 1<<30
			for seed := range uint64(runs) {
				rng := rand.New(rand.NewPCG(seed, 2))
				v := p99(t, mesh(rng, c.hours, 1.5, 0.2, c.shift), rng)
				if v.Finding == c.want {
					found++
				}
				fewest = min(fewest, v.N)
			}
			t.Logf("found in %d of %d, fewest paired hours %d", found, runs, fewest)
			if fewest < MinPoints {
				t.Errorf("only %d paired hours", fewest)
			}
			if found < runs*90/100 {
				t.Errorf("a %+g ms shift was found in %d of %d runs, want 90%%", c.shift, found, runs)
			}
		})
	}
}

func TestLatencyIsNotJudgedWhen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*EdgeSeries)
		want   string
	}{
		"there are fewer than fifty paired hours": {func(e *EdgeSeries) { e.P99 = e.P99[:200] }, "31 paired hours, at least 50 are needed"},
		"traffic grew by half": {func(e *EdgeSeries) {
			for i := len(e.RPS) / 2; i < len(e.RPS); i++ {
				e.RPS[i].V *= 1.5
			}
		}, "traffic changed by +50% (100 to 150 requests/s)"},
		"errors went up": {func(e *EdgeSeries) {
			for i := len(e.Errors) / 2; i < len(e.Errors); i++ {
				e.Errors[i].V = 0.05
			}
		}, "the error ratio changed from 0.1% to 5%"},
		"the application was released":   {func(e *EdgeSeries) { e.VersionChanged = true }, "the application was released in the same window"},
		"the request rate is not known":  {func(e *EdgeSeries) { e.RPS = nil }, "the request rate is not known on both sides"},
		"nothing was measured":           {func(e *EdgeSeries) { e.P99 = nil }, "0 paired hours, at least 50 are needed"},
		"there was no traffic before":    {func(e *EdgeSeries) { e.RPS = flat(336, 0) }, "there were no requests before the change"},
		"it began only after the change": {func(e *EdgeSeries) { e.P99 = e.P99[170:] }, "0 paired hours, at least 50 are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 3))
			series := mesh(rng, 336, 1, 0, -10)
			c.change(&series[0])
			v := p99(t, series, rng)
			if v.Finding != Insufficient || v.Why != c.want {
				t.Errorf("got %q because %q, want insufficient data because %q", v.Finding, v.Why, c.want)
			}
			if v.Shift.Value != nil {
				t.Errorf("a number was printed: %s", v.Shift)
			}
		})
	}
}

func TestAnInstrumentThatCannotResolveIsSaidSo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	series := []EdgeSeries{{Namespace: "moved", P99: flat(336, 4.96), RPS: flat(336, 10), EnrolledAt: start.Add(168 * time.Hour)}}
	if v := p99(t, series, rng); v.Finding != Insufficient || v.Shift.Value != nil {
		t.Errorf("a quantile that never moves gave %q (%s)", v.Finding, v.Why)
	}
}

func TestACommonShockIsNotTakenForTheMesh(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	series := mesh(rng, 336, 1, 0, 8)
	for i := 1; i < len(series); i++ { // everyone else slows down by the same at the same time
		for h := 168; h < 336; h++ {
			series[i].P99[h].V += 8
		}
	}
	if v := p99(t, series, rng); v.Finding != NoChange {
		t.Errorf("got %q: %s", v.Finding, v.Why)
	}
}

func TestMannWhitney(t *testing.T) {
	for name, c := range map[string]struct {
		a, b      []float64
		low, high float64
	}{
		"nothing against something is no evidence": {nil, []float64{1, 2}, 1, 1},
		"all values equal is no evidence":          {[]float64{1, 1, 1}, []float64{1, 1}, 1, 1},
		// Worked by hand: U=0, mean 12.5, sd sqrt(25/12*11)=4.787, z=(12.5-0.5)/4.787=2.507, p=0.0122.
		"five below five": {[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 0.0121, 0.0123},
	} {
		if p := MannWhitney(c.a, c.b, 1); p < c.low || p > c.high {
			t.Errorf("%s: p=%v, want %v to %v", name, p, c.low, c.high)
		}
	}
}
