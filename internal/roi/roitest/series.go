package roitest

import (
	"math"
	"math/rand/v2"
	"time"
)

// Start is a Monday, the time at which series of tests begin.
var Start = time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC)

// Hours makes hourly latency with a daily rhythm and noise that resembles the hour before by phi.
func Hours(rng *rand.Rand, n int, base, sd, phi float64, shiftAt int, shift float64) []float64 {
	out := make([]float64, n)
	noise := 0.0
	for i := range out {
		noise = phi*noise + math.Sqrt(1-phi*phi)*rng.NormFloat64()*sd
		v := base + 5*math.Sin(2*math.Pi*float64(i)/24) + noise
		if i >= shiftAt {
			v += shift
		}
		out[i] = v
	}
	return out
}

// Flat is n times the same value.
func Flat(n int, v float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}
