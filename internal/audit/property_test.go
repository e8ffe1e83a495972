package audit

import (
	"reflect"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"pgregory.net/rapid"
)

// mixtures draws meshes: the objects of a few scenarios together, the first of each name counting.
func mixtures(t *testing.T) *rapid.Generator[*mesh.Mesh] {
	var snaps []*snapshot.Snapshot
	for _, s := range scenarios(t) {
		snaps = append(snaps, s.mesh(t).Snapshot)
	}
	return rapid.Custom(func(t *rapid.T) *mesh.Mesh {
		b := snapshot.NewBuilder()
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(snaps)-1), 1, 6, rapid.ID).Draw(t, "scenarios") {
			for o := range snaps[i].Objects() {
				_ = b.Add(o, snaps[i].Source(o)) // a second object of the name is left out
			}
			for _, k := range snaps[i].Unknown() {
				b.Mark(k, snaps[i].Knowledge(k))
			}
		}
		return mesh.Build(b.Build(), mesh.Assume{})
	})
}

func TestOrderOfRulesChangesNothing(t *testing.T) {
	meshes := mixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		m := meshes.Draw(t, "mesh")
		want := Run(m, Options{HighScaleReplicas: 2})
		got := run(m, Options{HighScaleReplicas: 2}, rapid.Permutation(All()).Draw(t, "rules"), consult)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("another order gives another result\nwant:\n%s\ngot:\n%s", tell(want), tell(got))
		}
	})
}

func TestVerdictIsTheMaximumOfWhatFindingsRequire(t *testing.T) {
	meshes := mixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		m := meshes.Draw(t, "mesh")
		for _, w := range Run(m, Options{}).Workloads {
			want := VerdictNone
			v := &View{facts: facts{mesh: m, index: &index{mesh: m}}, w: w.Workload}
			if w.Workload.Mode != mesh.None || len(hiddenFromMode(v)) > 0 {
				if w.Workload.Mode != mesh.None {
					want = VerdictAmbient
				}
				for _, f := range w.Findings {
					want = costliest(want, f.Requires)
				}
			}
			if w.Verdict != want {
				t.Fatalf("%s (%s): verdict %s, findings require %s", w.Workload.Ref, w.Workload.Mode, w.Verdict, want)
			}
		}
	})
}

func TestMoreRulesNeverLowerAVerdict(t *testing.T) {
	meshes := mixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		m := meshes.Draw(t, "mesh")
		rules := rapid.Permutation(All()).Draw(t, "rules")
		some := rules[:rapid.IntRange(0, len(rules)).Draw(t, "some")]
		few, all := run(m, Options{}, some, nil), run(m, Options{}, rules, nil)
		for i := range all.Workloads {
			if few.Workloads[i].Verdict.Costlier(all.Workloads[i].Verdict) {
				t.Fatalf("%s: %s with %d rules, %s with all", all.Workloads[i].Workload.Ref, few.Workloads[i].Verdict, len(some), all.Workloads[i].Verdict)
			}
		}
	})
}

// TestFindingsKeepTheirRulesPromises holds that the page of a rule tells the worst it can say, and that
// every finding can be acted on.
func TestFindingsKeepTheirRulesPromises(t *testing.T) {
	meshes := mixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		m := meshes.Draw(t, "mesh")
		r := Run(m, Options{})
		check := func(f *Finding) {
			rule, ok := Explain(f.Code)
			if !ok {
				t.Fatalf("finding with unknown code %q", f.Code)
			}
			if f.Severity.Worse(rule.Severity) || f.Requires.Costlier(rule.Requires) {
				t.Fatalf("%s says %s and %s, its rule at most %s and %s", f.Code, f.Severity, f.Requires, rule.Severity, rule.Requires)
			}
			if f.Message == "" || f.Remedy == "" || f.Subject.Kind == "" || f.Subject.Name == "" || len(f.Evidence) == 0 {
				t.Fatalf("incomplete finding: %+v", f)
			}
			if _, known := m.Snapshot.Find(snapshot.Kind{Group: f.Subject.Group, Kind: f.Subject.Kind}, f.Subject.Namespace, f.Subject.Name); known && f.Source.Line == 0 {
				t.Fatalf("%s is about %s and does not say where that stands", f.Code, f.Subject)
			}
		}
		for i := range r.Findings {
			check(&r.Findings[i])
		}
		for i := range r.Workloads {
			for j := range r.Workloads[i].Findings {
				check(&r.Workloads[i].Findings[j])
			}
		}
	})
}

func TestSummaryAddsUp(t *testing.T) {
	meshes := mixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		r := Run(meshes.Draw(t, "mesh"), Options{})
		n := 0
		for _, count := range r.Summary.ByVerdict {
			n += count
		}
		s := r.Summary
		if n != len(r.Workloads) || s.SidecarsRemovable > s.Sidecars || s.RemovableCPUMilli > s.HeldCPUMilli ||
			s.RemovableMemoryBytes > s.HeldMemoryBytes || s.RequestsUnknown > s.Sidecars {
			t.Fatalf("%d workloads, summary %+v", len(r.Workloads), s)
		}
	})
}
