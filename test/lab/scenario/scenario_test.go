package scenario

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryScenarioCanBeRead(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.Story == "" || len(s.Objects) == 0 || len(s.OwnNamespaces()) == 0 {
				t.Errorf("story %q, %d objects, namespaces %v", s.Story, len(s.Objects), s.OwnNamespaces())
			}
			workloads := map[string]bool{}
			for _, w := range s.Mesh.Workloads {
				workloads[w.Name] = true
			}
			for _, c := range s.Mesh.Calls {
				if !workloads[c.From] || !workloads[c.To] {
					t.Errorf("the call from %s to %s: no such workload", c.From, c.To)
				}
			}
			for _, m := range s.Modes {
				if !workloads[m.Workload] {
					t.Errorf("a mode for %s: no such workload", m.Workload)
				}
			}
			// What is outside the scenario's own namespaces can only be in those of the platform.
			own := append(s.OwnNamespaces(), "istio-system", "kube-system", "")
			for _, o := range s.Objects {
				if !slices.Contains(own, o.GetNamespace()) {
					t.Errorf("%s %s is in a namespace that is not the scenario's: %s", o.GetKind(), o.GetName(), o.GetNamespace())
				}
			}
		})
	}
}

func TestScenariosDoNotShareNamespaces(t *testing.T) {
	of := map[string]string{}
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, ns := range s.OwnNamespaces() {
			if other, taken := of[ns]; taken {
				t.Errorf("%s and %s both make namespace %s", other, name, ns)
			}
			of[ns] = name
		}
	}
}

func TestAGeneratedMeshIsTheSameEveryTime(t *testing.T) {
	text := func() string {
		s, err := Load("payments-400")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, o := range s.Objects {
			raw, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			b.Write(raw)
		}
		for _, c := range s.Mesh.Calls {
			b.WriteString(c.From + c.To)
		}
		return b.String()
	}
	if first, second := text(), text(); first != second {
		t.Error("two readings differ")
	}
}

func TestMistakesInAScenarioAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown file":                {"-- notes --\nx\n", "notes: a scenario has no such file"},
		"an unknown field":               {"-- mesh.yaml --\nworkload: []\n", "mesh.yaml: error unmarshaling JSON"},
		"a workload without a namespace": {"-- mesh.yaml --\nworkloads: [{name: web}]\n", `workload "web": the name must be NAMESPACE/NAME`},
		"an unknown kind":                {"-- mesh.yaml --\nworkloads: [{name: a/web, kind: Replica}]\n", `kind "Replica" is none of`},
		"a quantity that is none":        {"-- mesh.yaml --\nworkloads: [{name: a/web, cpu: much}]\n", "workload a/web: cpu"},
		"an unknown instance type":       {"-- mesh.yaml --\nnodes: [{name: np, count: 1, zones: [a], instanceType: big}]\n", "node pool np"},
		"an unknown trait":               {"-- mesh.yaml --\ngenerate: {services: 1, replicas: [1], domains: [{name: a, traits: [fast]}]}\n", `domain a: no trait is called "fast"`},
		"a mesh of no services":          {"-- mesh.yaml --\ngenerate: {domains: [{name: a}]}\n", "services and replicas are needed"},
		"a claim without a verdict":      {"-- audit --\na/b sidecar\n", "audit: line 1: want NAMESPACE/WORKLOAD MODE VERDICT"},
		"a claim with a strange code":    {"-- audit --\na/b sidecar ambient XX1\n", "XX1 is no code of a rule"},
		"an answer without a question":   {"-- authz --\nallow\n", "authz: line 1: an answer without a question"},
		"a question without an answer":   {"-- authz --\n> can --from a/b --to c/d:80\n", "has no answer"},
		"another command":                {"-- authz --\n> delete all\n", "delete is neither can nor diff"},
		"a divergence of no kind":        {"-- authz --\n> diff --move a=ambient\nno change\n", "want [no] weaker or stricter"},
		"a quote that stays open":        {"-- authz --\n> diff --move a=ambient\nweaker \"GET /\n", "a quote is not closed"},
		"an object without a name":       {"-- objects.yaml --\nkind: Service\n", "objects.yaml, document 1: kind or metadata.name is missing"},
		"a broken condition":             {"-- conditions --\n\nService a/b\n", "conditions: line 2: want KIND NAMESPACE/NAME"},
		"a mode that is none":            {"-- modes --\na/b waypoint\n", "modes: line 1: want NAMESPACE/WORKLOAD"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("test", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
