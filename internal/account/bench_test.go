package account

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// 10,000 pods of 500 workloads on 400 nodes, moved in 50 waves: the bound is 20 s of processor time and 200 MB of what lives.
func BenchmarkForecastOfTenThousandPodsInFiftyWaves(b *testing.B) {
	x := newCluster()
	x.nodes(400, "15890m")
	for w := range 500 {
		x.deployment(fmt.Sprintf("app-%03d", w), 20, 400, 100+50*(w%8), 100, 0)
	}
	snap := meshtest.Load(b, x.b.String())
	x.b.Reset()
	plan := "apiVersion: sidestep.dev/v1alpha1\nkind: Plan\nwaves:\n"
	for i := range 50 {
		plan += fmt.Sprintf("- name: wave-%02d\n  steps:\n", i)
		for w := range 10 {
			plan += fmt.Sprintf("  - {subject: {kind: Deployment, namespace: shop, name: app-%03d}}\n", 10*i+w)
		}
	}
	p, err := ReadPlan([]byte(plan), "plan")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := FromObjects(snap, metric.Dump{Failed: "none were given"}, p)
		f := s.Forecast(options())
		if f.Leaving != 10_000 || len(f.Waves) != 50 {
			b.Fatalf("%d pods leave in %d waves", f.Leaving, len(f.Waves))
		}
		b.StopTimer()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-live")
		runtime.KeepAlive(s)
		b.StartTimer()
	}
}
