package roi

import (
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// meshOf is so many pods of a workload with sidecars of a size and usage.
func meshOf(workload string, pods int, cpu float64, memory float64) []MeshPod {
	var out []MeshPod
	for range pods {
		out = append(out, MeshPod{Namespace: workload, Name: workload, Workload: workload + "/Deployment/" + workload, Role: terms.Application, Sidecar: terms.Classic,
			Requests: terms.Resources{CPUMilli: 100, MemoryBytes: 128 << 20}, Use: Use{CPU: cpu, Memory: memory, HasCPU: true, HasMemory: true}})
	}
	return out
}

func freeze(pods []MeshPod, machines []Machines, stays string, promised float64) Baseline {
	nodes := 0
	for _, m := range machines {
		nodes += m.Nodes
	}
	line := func(name string, v float64, unit string) terms.Line {
		return terms.Line{Name: name, Figure: terms.Known(v, unit, "test").Between(0, v)}
	}
	return Baseline{At: start, Nodes: nodes, Machines: machines, NodePrice: 0.3, Currency: "USD", Accounts: Accounts(pods, "test"), Sidecars: StateOf(pods, 0, 0),
		Proxied:  ProxiedOf(pods, func(w string) bool { return strings.HasSuffix(w, stays) }, map[string]float64{"web": 100, "light": 100, "heavy": 5000}),
		Promised: Forecast{Ladder: []Rung{{Number: 3, Lines: []terms.Line{line("expected", promised, "nodes")}}}}}
}

func reported(b Baseline, pods []MeshPod, podsOf map[string]int, machines []Machines, rps float64) Report {
	nodes := 0
	for _, m := range machines {
		nodes += m.Nodes
	}
	return Compare(b, Now{At: start.AddDate(0, 1, 0), Nodes: nodes, HasNodes: true, MeshPods: pods, HasPods: true, PodsOf: podsOf, Machines: machines, EngineeringCost: 5000,
		Proxied: ProxiedOf(pods, func(string) bool { return true }, map[string]float64{"web": rps, "light": rps, "heavy": rps}), Sidecars: StateOf(pods, 0, 0)})
}

func TestRealisedMoneyIsTheDifferenceOfTwoFleets(t *testing.T) {
	all := meshOf("web", 100, 0.1, 1<<26)
	for name, c := range map[string]struct {
		before, after []Machines
		worth         float64
	}{
		"larger nodes, fewer, dearer": {[]Machines{{InstanceType: "m6i.xlarge", Nodes: 10, PerHour: 0.192}}, []Machines{{InstanceType: "m6i.4xlarge", Nodes: 3, PerHour: 0.768}}, -280.32},
		"the cheap ones go": {[]Machines{{InstanceType: "m6i.xlarge", Nodes: 10, PerHour: 0.192}, {InstanceType: "m6i.4xlarge", Nodes: 10, PerHour: 0.768}},
			[]Machines{{InstanceType: "m6i.xlarge", Nodes: 4, PerHour: 0.25}, {InstanceType: "m6i.4xlarge", Nodes: 10, PerHour: 0.8}}, 840.96},
	} {
		r := reported(freeze(all, c.before, "none", 3), nil, map[string]int{"web/Deployment/web": 100}, c.after, 100)
		if got := r.Ladder[4].Lines[0].Figure; got.Value == nil || *got.Value != c.worth {
			t.Errorf("%s: worth %s, want %g", name, got, c.worth)
		}
	}
}

func TestNothingThatMovedMeansNothingAttributed(t *testing.T) {
	ten, six := []Machines{{InstanceType: "m6i.xlarge", Nodes: 10, PerHour: 0.2}}, []Machines{{InstanceType: "m6i.xlarge", Nodes: 6, PerHour: 0.2}}
	night := meshOf("web", 90, 0.1, 1<<26)
	r := reported(freeze(meshOf("web", 150, 0.1, 1<<26), ten, "none", 4), night, map[string]int{"web/Deployment/web": 90}, six, 60)
	for _, f := range []terms.Figure{r.Ladder[0].Lines[0].Figure, r.Ladder[3].Lines[0].Figure, r.Ladder[4].Lines[0].Figure, r.Ladder[4].Lines[2].Figure} {
		if f.Value != nil || !strings.Contains(f.Missing, "not attributable") {
			t.Errorf("%s, want not attributable", f)
		}
	}
	// Half of them moved, and the rest scaled in: what counts is the pods that run without their sidecar.
	r = reported(freeze(meshOf("web", 150, 0.1, 1<<26), ten, "none", 4), meshOf("web", 40, 0.1, 1<<26), map[string]int{"web/Deployment/web": 90}, six, 60)
	if v := r.Ladder[0].Lines[0].Figure; v.Value == nil || *v.Value != 5 {
		t.Errorf("%s freed, want 50 pods x 100m", v)
	}
}

func TestAPromiseCanBeBroken(t *testing.T) {
	all := meshOf("web", 100, 0.1, 1<<26)
	for name, c := range map[string]struct {
		nodes int
		want  string
	}{
		"as many as promised": {8, "as promised"},
		"nothing":             {12, "less than promised"},
		"less than nothing":   {13, "less than promised"},
		"more":                {6, "more than promised"},
	} {
		r := reported(freeze(all, []Machines{{InstanceType: "m", Nodes: 12, PerHour: 0.2}}, "none", 4), nil, map[string]int{"web/Deployment/web": 100}, []Machines{{InstanceType: "m", Nodes: c.nodes, PerHour: 0.2}}, 100)
		if got := r.Rows[2]; got.Finding != c.want {
			t.Errorf("%s: %s (%s of %s)", name, got.Finding, got.Realised, got.Promised)
		}
		if broken := c.want == "less than promised"; broken != (len(r.Drift) > 0) {
			t.Errorf("%s: drift %q", name, r.Drift)
		}
	}
}

func TestTheHybridTaxComparesTheSameSidecars(t *testing.T) {
	m := []Machines{{InstanceType: "m", Nodes: 5, PerHour: 0.2}}
	light, heavy := meshOf("light", 10, 0.02, 60<<20), meshOf("heavy", 100, 0.2, 150<<20)
	b := freeze(append(append([]MeshPod{}, light...), heavy...), m, "light", 1)
	podsOf := map[string]int{"light/Deployment/light": 10, "heavy/Deployment/heavy": 100}
	if r := reported(b, append(append([]MeshPod{}, light...), heavy[:60]...), podsOf, m, 100); r.Hybrid.Verdict != "none" {
		t.Errorf("heavy ones that have not moved yet: %s (%s)", r.Hybrid.Verdict, r.Hybrid.Why)
	}
	if r := reported(b, meshOf("light", 10, 0.06, 450<<20), podsOf, m, 100); r.Hybrid.Verdict != "tax" || !strings.Contains(r.Hybrid.Why, "+200%") {
		t.Errorf("three times the CPU for the same traffic: %s (%s)", r.Hybrid.Verdict, r.Hybrid.Why)
	}
	if r := reported(b, meshOf("light", 10, 0.04, 60<<20), podsOf, m, 200); r.Hybrid.Verdict != "none" || !strings.Contains(r.Hybrid.CPU.Source, "2.00 times the requests") {
		t.Errorf("twice the CPU for twice the traffic: %s (%s, %s)", r.Hybrid.Verdict, r.Hybrid.Why, r.Hybrid.CPU.Source)
	}
}
