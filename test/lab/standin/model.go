package standin

import (
	"fmt"
	"math"
)

// Stands in for: what proxies cost and how long they take.
//
// The "published" model has the figures of Istio's performance page (1.24: one proxy at 1,000
// requests a second of 1 KB: sidecar 0.20 vCPU and 60 MB, waypoint 0.25 and 60, ztunnel 0.06 and 12) and of its
// "sidecar or ambient" page (p90 to p99 that two sidecars add: 0.63 to 0.88 ms, L4 0.16 to 0.20, with a waypoint 0.40 to 0.50).
//
// The "bad" model is for gates that must fail: sidecars that take in the whole
// mesh's addresses (istio#60757: up to 10 times the CPU; istio#58457: 70 to 450
// MB idle), a ztunnel with too many connections (istio#50209: 2 cores, 7.7 GiB) and
// a saturated waypoint that adds tens of milliseconds and errors.
//
// Differs: real cost is not linear in requests, and real latency depends on load.
type model struct {
	sidecar, waypoint, ztunnel proxyCost
	// Added to the callee's own time, in milliseconds, on the way named.
	sidecarPairMS, l4MS, waypointMS float64
	// waypointErrors is the share of requests that a waypoint answers with 503.
	waypointErrors float64
}

type proxyCost struct {
	idleCPU     float64 // cores
	cpuPer1kRPS float64 // cores
	idleBytes   float64
	// bytesPer1kRPS is added to that; the published figures do not split it, so it is small here.
	bytesPer1kRPS float64
}

func (c proxyCost) cpu(rps float64) float64   { return c.idleCPU + c.cpuPer1kRPS*rps/1000 }
func (c proxyCost) bytes(rps float64) float64 { return c.idleBytes + c.bytesPer1kRPS*rps/1000 }

const mb = 1e6

var published = &model{
	sidecar:       proxyCost{idleCPU: 0.004, cpuPer1kRPS: 0.20, idleBytes: 50 * mb, bytesPer1kRPS: 10 * mb},
	waypoint:      proxyCost{idleCPU: 0.004, cpuPer1kRPS: 0.25, idleBytes: 50 * mb, bytesPer1kRPS: 10 * mb},
	ztunnel:       proxyCost{idleCPU: 0.003, cpuPer1kRPS: 0.06, idleBytes: 10 * mb, bytesPer1kRPS: 2 * mb},
	sidecarPairMS: 0.75, l4MS: 0.18, waypointMS: 0.45,
}

var bad = &model{
	sidecar:       proxyCost{idleCPU: 0.04, cpuPer1kRPS: 2.0, idleBytes: 450 * mb, bytesPer1kRPS: 10 * mb},
	waypoint:      proxyCost{idleCPU: 0.05, cpuPer1kRPS: 1.0, idleBytes: 300 * mb, bytesPer1kRPS: 50 * mb},
	ztunnel:       proxyCost{idleCPU: 2.0, cpuPer1kRPS: 0.66, idleBytes: 7700 * mb, bytesPer1kRPS: 20 * mb},
	sidecarPairMS: 0.75, l4MS: 3, waypointMS: 40, waypointErrors: 0.02,
}

func modelNamed(name string) (*model, error) {
	switch name {
	case "", "published":
		return published, nil
	case "bad":
		return bad, nil
	}
	return nil, fmt.Errorf("no model is called %q; there are published and bad", name)
}

// spread is the sigma of the lognormal distribution of service times: p99 is about four times the median.
const spread = 0.6

// latency is the distribution function of a call's duration in milliseconds:
// lognormal service time with the given median, plus what the path adds.
func latency(medianMS, addedMS float64) (cdf func(ms float64) float64, mean float64) {
	cdf = func(ms float64) float64 {
		if ms <= addedMS {
			return 0
		}
		return 0.5 * math.Erfc(-math.Log((ms-addedMS)/medianMS)/(spread*math.Sqrt2))
	}
	return cdf, medianMS*math.Exp(spread*spread/2) + addedMS
}

// wholeMilliseconds is how Envoy's istio_stats records: it cuts off the fraction, so
// what lasts 1.9 ms counts as 1 and falls into the bucket le="1".
func wholeMilliseconds(cdf func(float64) float64) func(float64) float64 {
	return func(le float64) float64 { return cdf(math.Floor(le) + 1) }
}

// istioBuckets are Envoy's default histogram buckets, in milliseconds.
var istioBuckets = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}

// otelBuckets are the bucket bounds that OpenTelemetry advises for http.server.request.duration, in seconds.
var otelBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
