package plan

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the expected plans of testdata anew")

// Each file of testdata is one case: a mesh, the calls that exist, and the plan in short. The plan is read by a person before it is
// written there; that it is safe is then proved for every prefix of it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runScenario(t, name) })
	}
}

func runScenario(t *testing.T, name string) {
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := txtar.Parse(raw)
	part := func(name string) string {
		for _, f := range a.Files {
			if f.Name == name {
				return string(f.Data)
			}
		}
		return ""
	}
	var more []string
	if objects := part("objects.yaml"); objects != "" {
		more = append(more, objects)
	}
	s := loadText(t, part("mesh"), more...)
	var o Options
	if calls := part("calls"); calls != "" {
		o.Calls = callsOf(t, calls)
	}
	for _, line := range strings.Split(part("accept"), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			x, err := ParseAcceptance(line)
			if err != nil {
				t.Fatal(err)
			}
			x.Why = "said in the scenario"
			o.Accept = append(o.Accept, x)
		}
	}
	p, err := Build(s, o)
	if err != nil {
		t.Fatal(err)
	}
	got := short(p)
	if *update {
		setPart(a, "plan", got)
		if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want := part("plan"); got != want {
		t.Errorf("the plan is\n%s\nwant\n%s", got, want)
	}
	checkPlan(t, s, p, o)
}

func setPart(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

// callsOf reads lines such as "app/c app/s", "outside app/s" or "mon/prom app/s 9102" (to the pods' own addresses, at a port);
// a single "none" is a graph that has calls, but none among the workloads at hand.
func callsOf(t testing.TB, text string) *CallGraph {
	t.Helper()
	g := &CallGraph{Source: "scenario"}
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 2 {
			t.Fatalf("calls: %q: want FROM TO [PORT]", line)
		}
		c := Call{To: peerOf(f[1])}
		if f[0] != "outside" {
			c.From = peerOf(f[0])
		}
		if len(f) > 2 {
			c.PodIP, c.Port = true, portNumber(f[2])
		}
		g.Calls = append(g.Calls, c)
	}
	return g
}

func peerOf(text string) Peer {
	namespace, name, _ := strings.Cut(text, "/")
	return Peer{Namespace: namespace, Workload: name}
}

// short writes a plan as a few lines.
func short(p *Plan) string {
	var b bytes.Buffer
	for _, w := range p.Waves {
		fmt.Fprintf(&b, "%s:\n", w.Name)
		for _, s := range w.Steps {
			fmt.Fprintf(&b, "  %s %s", s.Kind, s.Subject)
			for _, g := range s.Gates {
				if g.Check == GateNoCalls {
					fmt.Fprintf(&b, " unless it calls %s", g.Object)
				}
			}
			fmt.Fprintln(&b)
		}
	}
	event := func(e Event) string {
		out := fmt.Sprintf("%s %s", e.Kind, e.Subject)
		for _, r := range e.Others {
			out += ", " + r.String()
		}
		return out
	}
	for _, n := range p.Needs {
		fmt.Fprintf(&b, "%s before %s: %s, %s\n", event(n.First), event(n.Then), n.Evidence, n.Reason)
	}
	for _, s := range p.Stays {
		fmt.Fprintf(&b, "%s stays:", s.Workload)
		for _, w := range s.Because {
			fmt.Fprintf(&b, " %s", w.Code)
		}
		fmt.Fprintln(&b)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}
