package audit

import (
	"slices"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// TestAppliedObjectsEndTheirFinding: what a finding says should be created ends it, and creating it brings no
// other finding but the one about ports that HBONE carries along.
func TestAppliedObjectsEndTheirFinding(t *testing.T) {
	tried := map[string]int{}
	for _, s := range scenarios(t) {
		m := s.mesh(t)
		for _, w := range Run(m, Options{}).Workloads {
			for _, f := range w.Findings {
				if len(f.Apply) == 0 {
					continue
				}
				tried[f.Code]++
				after := Run(mesh.Build(with(t, m.Snapshot, f.Apply), mesh.Assume{}), Options{})
				i := slices.IndexFunc(after.Workloads, func(r WorkloadResult) bool { return r.Workload.Ref == w.Workload.Ref })
				before := codes(w.Findings)
				for _, g := range after.Workloads[i].Findings {
					switch {
					case g.Code == f.Code && g.Subject == f.Subject:
						t.Errorf("%s: %s still has %s after its remedy: %s", s.name, w.Workload.Ref, g.Code, g.Message)
					case !slices.Contains(before, g.Code) && g.Code != networkPolicyPorts.Code:
						t.Errorf("%s: the remedy of %s brings %s: %s", s.name, f.Code, g.Code, g.Message)
					}
				}
			}
		}
	}
	for _, code := range []string{networkPolicy.Code, networkPolicyEgress.Code, networkPolicyProbes.Code, networkPolicyWaypoint.Code} {
		if tried[code] == 0 {
			t.Errorf("no scenario has %s with objects to create", code)
		}
	}
}

// with is a snapshot with more objects.
func with(t *testing.T, s *snapshot.Snapshot, more []snapshot.Object) *snapshot.Snapshot {
	t.Helper()
	b := snapshot.NewBuilder()
	for o := range s.Objects() {
		if err := b.Add(o, s.Source(o)); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range more {
		if err := b.Add(o, snapshot.Source{File: "remedy"}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}
