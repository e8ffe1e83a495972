package latency

import (
	"math"
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

func p99(t *testing.T, series []EdgeSeries) LatencyVerdict {
	t.Helper()
	for _, v := range Latency(series, Options{Settle: time.Hour}) {
		if v.Namespace == "moved" && v.Quantile == "P99" {
			return v
		}
	}
	t.Fatal("no verdict for the namespace that moved")
	return LatencyVerdict{}
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
		"traffic fell by a quarter": {func(e *EdgeSeries) {
			for i := len(e.RPS) / 2; i < len(e.RPS); i++ {
				e.RPS[i].V *= 0.75
			}
		}, "traffic changed by -25% (100 to 75 requests/s)"},
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
			v := p99(t, series)
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
	series := []EdgeSeries{{Namespace: "moved", P99: flat(336, 4.96), RPS: flat(336, 10), EnrolledAt: start.Add(168 * time.Hour)}}
	if v := p99(t, series); v.Finding != Insufficient || v.Shift.Value != nil {
		t.Errorf("a quantile that never moves gave %q (%s)", v.Finding, v.Why)
	}
}

func TestACommonShockIsNotTakenForTheMesh(t *testing.T) {
	series := mesh(rand.New(rand.NewPCG(5, 5)), 336, 1, 0, 0)
	for i := range series { // everyone slows down by a fifth at the same time
		for h := 168; h < 336; h++ {
			series[i].P99[h].V *= 1.2
		}
	}
	if v := p99(t, series); v.Finding != NoChange {
		t.Errorf("got %q: %s", v.Finding, v.Why)
	}
}

// A control of 2 s that becomes 5% slower says nothing of a service of 20 ms in milliseconds, and does not hide its +30%.
func TestControlsInAnotherLeague(t *testing.T) {
	for effect, want := range map[float64]Finding{0: NoChange, 0.3: Worse} {
		rng := rand.New(rand.NewPCG(7, 5))
		series := mesh(rng, 336, 0.2, 0, 40*effect)
		series[1].P99, series[2].P99 = hours(rng, 336, 2000, 20, 0, 336, 0), hours(rng, 336, 2000, 20, 0, 336, 0)
		v := p99(t, series)
		if v.Finding != want || math.Abs(*v.Shift.Value-40*effect) > 2 {
			t.Errorf("effect %g: %q, %s", effect, v.Finding, v.Why)
		}
	}
}

// What changed in anything is no control: a namespace that moved half way and got slower by that makes no other one faster.
func TestAControlHasChangedInNothing(t *testing.T) {
	for name, spoil := range map[string]func(*EdgeSeries){
		"some of its workloads moved": func(e *EdgeSeries) { e.Changed = "2 of its workloads changed mode" },
		"it was released":             func(e *EdgeSeries) { e.VersionChanged = true },
	} {
		series := mesh(rand.New(rand.NewPCG(6, 5)), 336, 1, 0, 0)[:2]
		for h := 168; h < 336; h++ {
			series[1].P99[h].V *= 1.2
		}
		if v := p99(t, series); v.Finding != Improved {
			t.Errorf("%s: the case shows nothing: %s", name, v.Why)
		}
		spoil(&series[1])
		if v := p99(t, series); v.Finding != NoChange || v.Controls != 0 {
			t.Errorf("%s: %q with %d controls: %s", name, v.Finding, v.Controls, v.Why)
		}
	}
}

// Hours of which it is not known whether the namespace had moved are neither before nor after.
func TestHoursOfAnUnknownSideDropOut(t *testing.T) {
	series := mesh(rand.New(rand.NewPCG(8, 5)), 336, 1, 0, 0)[:1]
	series[0].EnrolledFrom, series[0].EnrolledAt = start.Add(140*time.Hour), start.Add(196*time.Hour)
	for h := 140; h < 196; h++ {
		series[0].P99[h].V *= 3
	}
	if v := p99(t, series); v.Finding != NoChange {
		t.Errorf("%q: %s", v.Finding, v.Why)
	}
}

// A tenth less traffic makes a service faster whose latency follows its load; that is no gain of the mesh's.
func TestWhatTrafficExplainsIsNoChange(t *testing.T) {
	for name, swing := range map[string]float64{"load varies over the day": 30, "load is steady": 0} {
		rng := rand.New(rand.NewPCG(9, 5))
		e := mesh(rng, 336, 0, 0, 0)[0]
		for i := range e.P99 {
			load := 100 + swing*math.Sin(2*math.Pi*float64(i)/24) + rng.NormFloat64()
			if i >= 168 {
				load *= 0.88
			}
			e.RPS[i].V, e.P99[i].V = load, 0.4*load*(1+0.01*rng.NormFloat64())
		}
		if v := p99(t, []EdgeSeries{e}); v.Finding == Improved || v.Finding == Worse {
			t.Errorf("%s: %q: %s", name, v.Finding, v.Why)
		}
	}
}

func TestStudentsT(t *testing.T) {
	// Tables of the two-sided quantiles.
	for _, c := range []struct{ tail, df, want float64 }{{.05, 1, 12.706}, {.05, 6, 2.447}, {.01, 6, 3.707}, {.05, 13, 2.160}, {.001, 30, 3.646}} {
		if got := studentQuantile(c.tail, c.df); math.Abs(got-c.want) > 0.001 {
			t.Errorf("t of %g with %g degrees of freedom is %.4f, want %g", c.tail, c.df, got, c.want)
		}
	}
}
