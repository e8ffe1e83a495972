package plan

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/demo"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// sideBySide uses every core, as the command line does.
func sideBySide(n int, do func(int)) {
	var wg sync.WaitGroup
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	wg.Wait()
}

func demoMesh() *snapshot.Snapshot {
	var inputs []manifest.Input
	for _, m := range demo.Manifests() {
		inputs = append(inputs, manifest.Stream(m.Path, bytes.NewReader(m.Text)))
	}
	return manifest.Load(inputs...)
}

// chainOfCalls is a call graph in which every workload that may move is called by the one before it in its namespace.
func chainOfCalls(s *snapshot.Snapshot) *CallGraph {
	g := &CallGraph{Source: "invented"}
	start := mesh.Build(s, mesh.Assume{})
	last := map[string]*mover{}
	for _, v := range candidatesOf(start, audit.Run(start, audit.Options{}), nil).movers {
		c := Call{To: Peer{Namespace: v.w.Namespace, Workload: v.w.Name}}
		if l := last[v.w.Namespace]; l != nil {
			c.From = Peer{Namespace: l.w.Namespace, Workload: l.w.Name}
		} else {
			c.From = Peer{Namespace: "istio-ingress", Workload: "istio-ingressgateway"}
		}
		g.Calls = append(g.Calls, c)
		last[v.w.Namespace] = v
	}
	return g
}

// The sample mesh has 355 workloads that may move: with calls that form no cycle all of them do, and nobody accepts anything.
func TestTheSampleMeshMoves(t *testing.T) {
	s := demoMesh()
	p, err := Build(s, Options{Calls: chainOfCalls(s), Each: sideBySide})
	if err != nil {
		t.Fatal(err)
	}
	moves := 0
	for _, w := range p.Waves {
		for _, step := range w.Steps {
			if step.Kind == KindMove {
				moves++
			}
		}
	}
	if moves < 347 || len(p.Accepted) > 0 {
		t.Errorf("%d workloads move, with %d divergences accepted; want at least 347 with none", moves, len(p.Accepted))
	}
	for _, stay := range p.Stays {
		if len(stay.Because) == 0 || len(stay.Choices) == 0 {
			t.Errorf("%s stays without reason or choice", stay.Workload)
		}
	}
}

func BenchmarkPlanSample(b *testing.B) {
	s := demoMesh()
	calls := chainOfCalls(s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(s, Options{Calls: calls, Each: sideBySide}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlan plans meshes of that many Services, each with a Deployment of five pods and every second with a policy: all prefixes are
// proved. No calls are known, which asks for the most needs.
func BenchmarkPlan(b *testing.B) {
	for _, services := range []int{400, 1000, 4000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			var text bytes.Buffer
			if err := (meshtest.Bulk{Services: services, PodsPerService: 5, Policies: services / 2, Deployments: true}).Write(&text); err != nil {
				b.Fatal(err)
			}
			s := manifest.Load(manifest.Stream("mesh.yaml", &text))
			b.ReportAllocs()
			for b.Loop() {
				p, err := Build(s, Options{Each: sideBySide})
				if err != nil {
					b.Fatal(err)
				}
				moves := 0
				for _, step := range p.Steps() {
					if step.Kind == KindMove {
						moves++
					}
				}
				b.ReportMetric(float64(moves), "moves")
			}
		})
	}
}
