package verify

import "math"

// share is how many of a number of things were so.
type share struct{ so, all float64 }

// z is the quantile of the normal distribution for two-sided intervals at 99%.
const z = 2.576

// wilson is the interval in which the true share lies at 99% (E. B. Wilson, 1927); all of it where nothing was counted.
func (s share) wilson() (low, high float64) {
	if s.all <= 0 {
		return 0, 1
	}
	p := min(max(s.so/s.all, 0), 1)
	centre := (p + z*z/(2*s.all)) / (1 + z*z/s.all)
	half := z / (1 + z*z/s.all) * math.Sqrt(p*(1-p)/s.all+z*z/(4*s.all*s.all))
	return max(0, centre-half), min(1, centre+half)
}

// rise is the interval of the difference between two shares at 99% (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10).
func rise(before, now share) (low, high float64) {
	p, q := before.ratio(), now.ratio()
	bl, bh := before.wilson()
	nl, nh := now.wilson()
	return q - p - math.Hypot(q-nl, bh-p), q - p + math.Hypot(nh-q, p-bl)
}

func (s share) ratio() float64 {
	if s.all <= 0 {
		return 0
	}
	return min(max(s.so/s.all, 0), 1)
}

// compare says whether a share rose by more than a tolerance: fail where it certainly did, pass where it certainly did not, inconclusive
// where the traffic is too little to tell.
func compareShares(what string, before, now share, tolerance float64) Result {
	low, high := rise(before, now)
	switch {
	case now.all < fewestCalls || before.all < fewestCalls:
		return notYet("%s: %.0f calls before and %.0f now are too few to tell; %d are needed", what, before.all, now.all, fewestCalls)
	case low > tolerance:
		return fail(New, "%s rose from %.2f%% to %.2f%% of %.0f calls", what, 100*before.ratio(), 100*now.ratio(), now.all)
	case high < tolerance:
		return pass("%s is %.2f%% of %.0f calls, and was %.2f%%", what, 100*now.ratio(), now.all, 100*before.ratio())
	}
	return notYet("%s is %.2f%% of %.0f calls, and was %.2f%% of %.0f: too few to tell a rise of %.0f points from chance", what, 100*now.ratio(), now.all, 100*before.ratio(), before.all, 100*tolerance)
}
