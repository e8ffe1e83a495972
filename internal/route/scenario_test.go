package route_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/route"
	"golang.org/x/tools/txtar"
)

// A scenario is a file with a mesh and what has to hold for it:
//
//	-- mesh.yaml --   the objects beside those of base.yaml
//	-- can --         CALLER TO:PORT [method=M path=P host=H sni=S tcp header:N=V query:N=V] -> WORDS
//	-- diff --        NS[/NAME]=MODE ... -> equivalent, or GRADE: WORDS, one a line; each has to occur and no other grade
//	-- translate --   NS/VIRTUALSERVICE -> WORDS of what it becomes
//	-- problems --    texts that problems of the objects have
//
// WORDS have to be in the answer, or not, after a "!".
func TestScenarios(t *testing.T) {
	files, err := fs.Glob(os.DirFS("testdata"), "*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	base, err := os.ReadFile("testdata/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(name, ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile("testdata/" + name)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			m := mesh.Build(meshtest.Load(t, string(base)+"---\n"+parts["mesh.yaml"]), mesh.Assume{})
			checked := eachLine(parts["can"], func(line string) { checkCan(t, m, line) })
			checked += eachLine(parts["diff"], func(line string) { checkDiff(t, m, line) })
			world := mesh.RouteWorld(m)
			checked += eachLine(parts["translate"], func(line string) { checkTranslation(t, &world, line) })
			checked += eachLine(parts["problems"], func(line string) { checkProblem(t, &world, line) })
			if checked == 0 {
				t.Error("the scenario checks nothing")
			}
		})
	}
}

func eachLine(text string, check func(string)) int {
	n := 0
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			check(line)
			n++
		}
	}
	return n
}

func checkCan(t *testing.T, m *mesh.Mesh, line string) {
	t.Helper()
	question, want, ok := strings.Cut(line, "->")
	fields := strings.Fields(question)
	if !ok || len(fields) < 2 {
		t.Fatalf("not a question: %s", line)
	}
	ns, name, _ := strings.Cut(fields[0], "/")
	i := strings.LastIndexByte(fields[1], ':')
	port, err := strconv.Atoi(fields[1][i+1:])
	if err != nil {
		t.Fatal(err)
	}
	q := route.Query{From: route.Ref{Kind: "Deployment", Namespace: ns, Name: name}, To: fields[1][:i], Port: uint32(port)}
	q.Headers, q.Query = map[string]string{}, map[string]string{}
	for _, f := range fields[2:] {
		key, value, _ := strings.Cut(f, "=")
		kind, of, _ := strings.Cut(key, ":")
		switch kind {
		case "method":
			q.Method = value
		case "path":
			q.Path = value
		case "host":
			q.Authority = value
		case "sni":
			q.SNI, q.Speech = value, route.SpeakTLS
		case "tcp":
			q.Speech = route.SpeakTCP
		case "header":
			q.Headers[of] = value
		case "query":
			q.Request.Query[of] = value
		default:
			t.Fatalf("unknown word %s in: %s", f, line)
		}
	}
	world := mesh.RouteWorld(m)
	a, err := route.Can(&world, q)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	expectWords(t, line, string(a.By)+" "+a.Where+": "+a.Does+" by "+a.Rule, want)
}

func expectWords(t *testing.T, line, got, want string) {
	t.Helper()
	for _, w := range strings.Split(want, "&") {
		word, absent := strings.CutPrefix(strings.TrimSpace(w), "!")
		if strings.Contains(got, word) == absent {
			t.Errorf("%s\n  got %s", line, got)
		}
	}
}

func checkDiff(t *testing.T, m *mesh.Mesh, line string) {
	t.Helper()
	moves, want, ok := strings.Cut(line, "->")
	if !ok {
		t.Fatalf("not a comparison: %s", line)
	}
	a, b := mesh.RouteWorld(m), mesh.RouteWorld(m)
	for _, move := range strings.Fields(moves) {
		what, mode, _ := strings.Cut(move, "=")
		for i, w := range m.Workloads {
			if w.Role == mesh.Application && (what == w.Namespace || what == w.Namespace+"/"+w.Name) {
				b.Workloads[i].Mode = route.Mode(mode)
			}
		}
	}
	r := route.Diff(&a, &b)
	want = strings.TrimSpace(want)
	if want == "equivalent" {
		if !r.Equivalent {
			t.Errorf("%s\n  got %s", line, describe(r))
		}
		return
	}
	grade, words, _ := strings.Cut(want, ":")
	found := false
	for _, d := range r.Differences {
		text := d.Request.Words + " before " + d.Before.Does + " after " + d.After.Does
		if string(d.Grade) == strings.TrimSpace(grade) && strings.Contains(text, strings.TrimSpace(words)) {
			found = true
		}
		checkTellsApart(t, &a, &b, d)
	}
	if !found {
		t.Errorf("%s\n  got %s", line, describe(r))
	}
}

// checkTellsApart asks both states about the request of a difference: they must answer otherwise.
func checkTellsApart(t *testing.T, a, b *route.World, d route.Difference) {
	t.Helper()
	q := route.Query{From: d.Request.From, To: d.Request.Host, Port: d.Request.Port, Request: d.Request.Request}
	x, err1 := route.Can(a, q)
	y, err2 := route.Can(b, q)
	if err1 != nil || err2 != nil {
		t.Errorf("%s: %v %v", d.Request.Words, err1, err2)
		return
	}
	if x.Does != d.Before.Does || y.Does != d.After.Does || x.Does == y.Does {
		t.Errorf("%s: the difference says %q and %q, the answers are %q and %q", d.Request.Words, d.Before.Does, d.After.Does, x.Does, y.Does)
	}
}

func describe(r route.Result) string {
	var b strings.Builder
	for _, o := range r.Omitted {
		b.WriteString("\n    omitted: " + o)
	}
	for _, d := range r.Differences {
		b.WriteString("\n    " + string(d.Grade) + ": " + d.Request.Words + " before " + d.Before.Does + " after " + d.After.Does)
	}
	return b.String()
}

func checkProblem(t *testing.T, w *route.World, line string) {
	t.Helper()
	var all []string
	for _, p := range w.Objects.Problems {
		all = append(all, p.Origin.String()+": "+p.Message)
	}
	expectWords(t, line, strings.Join(all, "\n"), line)
}

func checkTranslation(t *testing.T, w *route.World, line string) {
	t.Helper()
	name, want, ok := strings.Cut(line, "->")
	if !ok {
		t.Fatalf("not a translation: %s", line)
	}
	var b strings.Builder
	for _, x := range route.Translate(w) {
		if x.Of.Namespace+"/"+x.Of.Name != strings.TrimSpace(name) {
			continue
		}
		b.WriteString(map[bool]string{true: "exact", false: "changed"}[x.Exact])
		for _, l := range x.Lost {
			b.WriteString("\n    lost " + l.Field + ": " + l.Why)
		}
		b.WriteString(describe(x.Diff))
		for _, o := range x.Objects {
			text, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("\n    creates " + strings.ReplaceAll(string(text), `"`, ""))
		}
	}
	expectWords(t, line, b.String(), want)
}
