package roi

import (
	"fmt"
	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/roi/roitest"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"pgregory.net/rapid"
)

// inWaves puts app-j into wave j modulo n.
func inWaves(c terms.Cluster, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("wave %d", i+1)
	}
	for i := range c.Pods {
		var j int
		if _, err := fmt.Sscanf(c.Pods[i].Workload, "shop/Deployment/app-%d", &j); err != nil {
			panic(err)
		}
		c.Pods[i].Wave = names[j%n]
	}
	return names
}

func TestWavesAddUpToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := roitest.Crowd(rapid.IntRange(1, 6).Draw(t, "nodes"))
		in := input(c, roitest.LeaveAll(c), 0.5)
		in.Waves = inWaves(c, rapid.IntRange(1, 12).Draw(t, "waves"))
		in.Change.Waypoints = []terms.WaypointPlan{{Namespace: "shop", Wave: rapid.SampledFrom(in.Waves).Draw(t, "waypoint"), Replicas: 2, Each: terms.DefaultWaypoint}}
		f := Make(in)
		leaving := 0
		var net terms.Resources
		for _, w := range f.Waves {
			leaving += w.Leaving
			net = net.Plus(w.Net)
			if w.NetSoFar != net {
				t.Errorf("%s: net so far %v, the waves up to it add up to %v", w.Wave, w.NetSoFar, net)
			}
		}
		if leaving != f.Leaving {
			t.Errorf("%d leave in waves, %d in all", leaving, f.Leaving)
		}
		last := f.Waves[len(f.Waves)-1]
		if got, want := terms.Cores(net.CPUMilli), *f.Ladder[0].Lines[0].Figure.Value; terms.Tidy(got) != want {
			t.Errorf("waves free %g cores, the whole %g", got, want)
		}
		if *last.RemovableSoFar.Value != float64(f.Nodes.Removable) || *last.WorthSoFar.Value != *f.Money.PerMonth.Value {
			t.Errorf("after the last wave %s worth %s, the whole %d nodes worth %s", last.RemovableSoFar, last.WorthSoFar, f.Nodes.Removable, f.Money.PerMonth)
		}
	})
}

func TestTheFirstWavePaysForTheDaemonSets(t *testing.T) {
	c := roitest.Crowd(10)
	in := input(c, roitest.LeaveAll(c), 1)
	in.Waves = inWaves(c, 12) // one workload a wave, one pod a node: below break-even
	waves := Make(in).Waves
	daemons, _, _ := packing.Daemons(c, in.Change)
	if w := waves[0]; w.Added != daemons || w.Net.CPUMilli >= 0 || !strings.Contains(w.Advice, "do not stop after this wave") {
		t.Errorf("first wave: %+v", w)
	}
	if w := waves[1]; !w.Added.IsZero() {
		t.Errorf("the second wave pays again: %v", w.Added)
	}
	if w := waves[11]; w.Advice != "" || *w.RemovableSoFar.Value <= 0 {
		t.Errorf("all have left: %+v", w)
	}
}

func TestAReportCountsSidecarsThatAreStillThere(t *testing.T) {
	c := roitest.Crowd(3)
	in := input(c, roitest.LeaveAll(c), 1)
	in.Waves = inWaves(c, 2)
	b, err := Baseline{At: start, Nodes: 3, Promised: Make(in)}.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	r := Compare(b, Now{At: start, WaveSidecars: map[string]int{"wave 1": 0}})
	if w := r.Waves[0]; w.StillSidecars == nil || *w.StillSidecars != 0 {
		t.Errorf("wave 1: %+v", w)
	}
	if w := r.Waves[1]; w.StillSidecars != nil {
		t.Errorf("wave 2 was not counted: %+v", w)
	}
}
