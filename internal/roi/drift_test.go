package roi

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/roitest"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

func TestWhatGotWorseIsDrift(t *testing.T) {
	used := func(cpu float64) []MeshPod {
		return []MeshPod{{Namespace: "shop", Name: "web", Role: terms.Application, Sidecar: terms.Native, Use: Use{CPU: cpu, Memory: 1 << 30, HasCPU: true, HasMemory: true}}}
	}
	for name, c := range map[string]struct {
		cpu, shift, errors float64
		want               string // empty: no drift
	}{
		"all as before":                        {10, 0, 0, ""},
		"the mesh uses a little more":          {11, 0, 0, ""},
		"the mesh uses half as much":           {5, 0, 0, ""},
		"the mesh uses half as much again":     {15, 0, 0, "CPU used by the mesh grew: 15 cores now, 10 cores at the baseline"},
		"answers take longer":                  {10, 20, 0, "P99 latency is worse in 1 of 1 namespaces"},
		"answers come sooner":                  {10, -20, 0, ""},
		"more requests fail than did":          {10, 0, 0.02, "errors in moved rose from 0.1% to 2% of requests"},
		"more fail, so speed cannot be judged": {10, 20, 0.02, "errors in moved rose"},
	} {
		rng := rand.New(rand.NewPCG(3, 4))
		b := Baseline{At: start, Accounts: Accounts(used(10), "test")}
		edge := movedHalfway(rng, c.shift)
		if c.errors > 0 {
			for i := range edge[0].Errors {
				if edge[0].Errors[i].T > edge[0].EnrolledAt.Unix() {
					edge[0].Errors[i].V = c.errors
				}
			}
		}
		r := Compare(b, Now{At: start.AddDate(0, 1, 0), MeshPods: used(c.cpu), HasPods: true, Edge: edge, Settle: time.Hour})
		got := strings.Join(r.Drift, "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: drift %q, want %q", name, got, c.want)
		}
		if c.errors > 0 && strings.Contains(got, "latency is worse") {
			t.Errorf("%s: latency was judged although the share of errors changed: %q", name, got)
		}
	}
}

// movedHalfway is a namespace that changed mode after 200 of 400 hours, its latency by shift, and two that did not.
func movedHalfway(rng *rand.Rand, shift float64) []latency.EdgeSeries {
	const n, at = 400, 200
	out := []latency.EdgeSeries{{Namespace: "moved", P99: hourly(roitest.Hours(rng, n, 40, 2, 0, at, shift)), RPS: hourly(roitest.Flat(n, 100)),
		Errors: hourly(roitest.Flat(n, 0.001)), EnrolledAt: start.Add(at * time.Hour)}}
	for _, ns := range []string{"still-a", "still-b"} {
		out = append(out, latency.EdgeSeries{Namespace: ns, P99: hourly(roitest.Hours(rng, n, 30, 2, 0, n, 0)), RPS: hourly(roitest.Flat(n, 50)), Errors: hourly(roitest.Flat(n, 0))})
	}
	return out
}
