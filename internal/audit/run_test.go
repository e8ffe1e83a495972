package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

func TestTheRunnerSeesWhatIsWrong(t *testing.T) {
	const yaml = `
-- mesh.yaml --
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns}
spec: {containers: [{name: c, image: i}]}
`
	tests := map[string]struct{ text, says string }{
		"a wrong mode":              {"# x\nexpect workload ns/Pod/p sidecar ambient\nexpect mesh SS902 SS903 SS915" + yaml, "expected: workload ns/Pod/p sidecar ambient"},
		"a wrong verdict":           {"# x\nexpect workload ns/Pod/p none ambient\nexpect mesh SS902 SS903 SS915" + yaml, "got:      workload ns/Pod/p none none"},
		"a code too many":           {"# x\nexpect workload ns/Pod/p none none SS101\nexpect mesh SS902 SS903 SS915" + yaml, "expected: workload ns/Pod/p none none SS101"},
		"a workload that is not":    {"# x\nexpect workload ns/Pod/p none none\nexpect workload ns/Pod/q none none\nexpect mesh SS902 SS903 SS915" + yaml, "expected: workload ns/Pod/q none none"},
		"a workload left out":       {"# x\nexpect mesh SS902 SS903 SS915" + yaml, "got:      workload ns/Pod/p none none"},
		"a mesh finding left out":   {"# x\nexpect workload ns/Pod/p none none\nexpect mesh SS902 SS903" + yaml, "got:      mesh SS902 SS903 SS915"},
		"nothing, when all is said": {"# x\nexpect workload ns/Pod/p none none\nexpect mesh SS915 SS903 SS902" + yaml, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parseScenario("x.txtar", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			diff := s.compare(Run(s.mesh(t), Options{}))
			if (diff == "") != (test.says == "") || !strings.Contains(diff, test.says) {
				t.Errorf("says %q, want it to contain %q", diff, test.says)
			}
		})
	}
	for name, text := range map[string]string{
		"no story":            "expect mesh SS902\n",
		"no expectation":      "# x\nuse web\n",
		"a word it knows not": "# x\nexcept mesh SS902\n",
		"a number that is no": "# x\nhighscale many\nexpect mesh SS902\n",
		"a kind without group": "# x\nhide Pod forbidden: no\n" +
			"expect mesh SS902\n",
	} {
		if _, err := parseScenario("x.txtar", []byte(text)); err == nil {
			t.Errorf("a scenario with %s is accepted", name)
		}
	}
}

func workload(mode mesh.Mode, change func(*mesh.Workload)) *mesh.Workload {
	w := &mesh.Workload{Ref: mesh.Ref{Kind: "Deployment", Namespace: "n", Name: "w"}, Mode: mode, Role: mesh.Application, Replicas: 3, Derived: true}
	if mode == mesh.Sidecar {
		w.Proxy = mesh.Proxy{Kind: mesh.ClassicSidecar, CPUMilli: 100, MemoryBytes: 128 << 20, RequestsKnown: true}
	}
	if change != nil {
		change(w)
	}
	return w
}

func TestSummaryCountsPods(t *testing.T) {
	tests := map[string]struct {
		w       *mesh.Workload
		verdict Verdict
		want    Summary
	}{
		"manifests count the replicas that are wanted": {workload(mesh.Sidecar, nil), VerdictAmbient,
			Summary{Sidecars: 3, SidecarsRemovable: 3, HeldCPUMilli: 300, HeldMemoryBytes: 384 << 20, RemovableCPUMilli: 300, RemovableMemoryBytes: 384 << 20}},
		"a sidecar that stays is held and not removable": {workload(mesh.Sidecar, nil), VerdictSidecar,
			Summary{Sidecars: 3, HeldCPUMilli: 300, HeldMemoryBytes: 384 << 20}},
		"half restarted: only the pods that still have one count": {workload(mesh.Sidecar, func(w *mesh.Workload) { w.Derived, w.PodModes = false, mesh.PodModes{Sidecar: 1, Ambient: 2} }), VerdictWaypoint,
			Summary{Sidecars: 1, SidecarsRemovable: 1, HeldCPUMilli: 100, HeldMemoryBytes: 128 << 20, RemovableCPUMilli: 100, RemovableMemoryBytes: 128 << 20}},
		"requests that are not known are counted and not guessed": {workload(mesh.Sidecar, func(w *mesh.Workload) { w.Proxy.RequestsKnown = false }), VerdictAmbient,
			Summary{Sidecars: 3, SidecarsRemovable: 3, RequestsUnknown: 3}},
		"requests of zero are known": {workload(mesh.Sidecar, func(w *mesh.Workload) { w.Proxy.CPUMilli, w.Proxy.MemoryBytes = 0, 0 }), VerdictAmbient,
			Summary{Sidecars: 3, SidecarsRemovable: 3}},
		"ambient workloads hold nothing":                          {workload(mesh.Ambient, nil), VerdictWaypoint, Summary{}},
		"a virtual machine has an agent, not a sidecar container": {workload(mesh.Sidecar, func(w *mesh.Workload) { w.Proxy = mesh.Proxy{} }), VerdictSidecar, Summary{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Summary{ByVerdict: map[Verdict]int{}}
			got.add(test.w, test.verdict)
			if got.ByVerdict[test.verdict] != 1 {
				t.Errorf("by verdict %v", got.ByVerdict)
			}
			got.ByVerdict = nil
			if !equalSummary(got, test.want) {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func equalSummary(a, b Summary) bool {
	return a.Sidecars == b.Sidecars && a.SidecarsRemovable == b.SidecarsRemovable && a.HeldCPUMilli == b.HeldCPUMilli && a.HeldMemoryBytes == b.HeldMemoryBytes &&
		a.RemovableCPUMilli == b.RemovableCPUMilli && a.RemovableMemoryBytes == b.RemovableMemoryBytes && a.RequestsUnknown == b.RequestsUnknown
}

func TestTheVerdictLattice(t *testing.T) {
	order := []Verdict{VerdictNone, VerdictAmbient, VerdictWaypoint, VerdictSidecar}
	for i, a := range order {
		for j, b := range order {
			if got := a.Costlier(b); got != (i > j) {
				t.Errorf("%s costlier than %s: %v", a, b, got)
			}
			if got := costliest(a, b); got != order[max(i, j)] {
				t.Errorf("costliest of %s and %s: %s", a, b, got)
			}
		}
	}
	if !Verdict("moon").Costlier(VerdictWaypoint) {
		t.Error("a verdict nobody knows must count as the costliest")
	}
}

func TestHighScaleNamesTheOneRule(t *testing.T) {
	kept := func(codes ...string) []Finding {
		var out []Finding
		for _, c := range codes {
			code, requires, _ := strings.Cut(c, " ")
			out = append(out, Finding{Code: code, Requires: Verdict(requires)})
		}
		return out
	}
	tests := map[string]struct {
		findings []Finding
		by       string
		keepers  []string
	}{
		"one rule":                        {kept("SS501 sidecar", "SS301 waypoint"), "SS501", []string{"SS501"}},
		"one rule that found two objects": {kept("SS501 sidecar", "SS501 sidecar"), "SS501", []string{"SS501"}},
		"two rules":                       {kept("SS501 sidecar", "SS709 sidecar"), "", []string{"SS501", "SS709"}},
	}
	for name, test := range tests {
		by, keepers := keptBy(test.findings)
		if (by == nil) != (test.by == "") || by != nil && by.Code != test.by || !slices.Equal(keepers, test.keepers) {
			t.Errorf("%s: kept by %v, keepers %v", name, by, keepers)
		}
	}
}

func TestSeverityIsByWhatIsTrueToday(t *testing.T) {
	rules := map[string]Rule{
		"lost on moving": {Code: "SSX01", Severity: Error, Requires: VerdictWaypoint, Remedy: "r"},
		"broken already": {Code: "SSX02", Severity: Error, Requires: VerdictWaypoint, Remedy: "r", Today: true},
		"asks no proxy":  {Code: "SSX03", Severity: Error, Requires: VerdictAmbient, Remedy: "r"},
		"only a warning": {Code: "SSX04", Severity: Warning, Requires: VerdictSidecar, Remedy: "r"},
	}
	tests := map[string]struct {
		rule           string
		mode           mesh.Mode
		today, ifMoved Severity
	}{
		"a sidecar still enforces it":              {"lost on moving", mesh.Sidecar, Warning, Error},
		"nobody enforces it any more":              {"lost on moving", mesh.Ambient, Error, ""},
		"the rule says that it is broken already":  {"broken already", mesh.Sidecar, Error, ""},
		"what asks for no proxy cannot be put off": {"asks no proxy", mesh.Sidecar, Error, ""},
		"a warning stays one":                      {"only a warning", mesh.Sidecar, Warning, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rule := rules[test.rule]
			rule.Check = func(v *View) []Finding { return one("m", at(v.Workload(), "f", "")) }
			m := &mesh.Mesh{Snapshot: snapshot.NewBuilder().Build(), Workloads: []*mesh.Workload{workload(test.mode, nil)}}
			f := run(m, Options{}, []Rule{rule}, nil).Workloads[0].Findings[0]
			if f.Severity != test.today || f.IfMoved != test.ifMoved {
				t.Errorf("severity %q, if moved %q; want %q and %q", f.Severity, f.IfMoved, test.today, test.ifMoved)
			}
		})
	}
}
