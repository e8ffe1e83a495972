package audit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// A scenario is a txtar file: a story, directives, and YAML. Lines of the comment that start with # tell
// the story; the others are directives:
//
//	istio MINOR               a control plane of that minor with the ambient profile (fixtures/istio.yaml)
//	use NAME                  fixtures/NAME.yaml
//	hide GROUP/KIND REASON    the kind could not be read (a core kind has no group: /Pod)
//	missing GROUP/KIND        the API server has no such kind
//	highscale N               the replicas from which a workload is costly
//	expect workload NS/KIND/NAME MODE VERDICT [CODE...]
//	expect mesh CODE...       findings about no workload
//	expect keeps NS/KIND/NAME CODE...
//	                          the rules that keep a costly workload's sidecar
//
// Every application workload has to be expected, with exactly the codes of its findings, and so have all
// findings about no workload.
type scenario struct {
	name      string
	minor     string
	fixtures  []string
	knowledge map[snapshot.Kind]snapshot.Knowledge
	highScale int
	expected  []string // lines as observed renders them
	files     []txtar.File
}

func parseScenario(name string, data []byte) (*scenario, error) {
	archive := txtar.Parse(data)
	s := &scenario{name: name, knowledge: map[snapshot.Kind]snapshot.Knowledge{}, files: archive.Files}
	story := false
	for i, line := range strings.Split(string(archive.Comment), "\n") {
		fields := strings.Fields(line)
		bad := fmt.Errorf("%s:%d: not a directive: %s", name, i+1, line)
		switch {
		case len(fields) == 0:
		case strings.HasPrefix(line, "#"):
			story = true
		case fields[0] == "istio" && len(fields) == 2:
			s.minor = fields[1]
		case fields[0] == "use" && len(fields) == 2:
			s.fixtures = append(s.fixtures, fields[1])
		case (fields[0] == "hide" || fields[0] == "missing") && len(fields) > 1:
			group, kind, ok := strings.Cut(fields[1], "/")
			if !ok {
				return nil, bad
			}
			known := snapshot.Knowledge{State: snapshot.NotServed}
			if fields[0] == "hide" {
				known = snapshot.Knowledge{State: snapshot.Hidden, Reason: strings.Join(fields[2:], " ")}
			}
			s.knowledge[snapshot.Kind{Group: group, Kind: kind}] = known
		case fields[0] == "highscale" && len(fields) == 2:
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				return nil, bad
			}
			s.highScale = n
		case fields[0] == "expect" && len(fields) > 2:
			s.expected = append(s.expected, canonical(fields[1:]))
		default:
			return nil, bad
		}
	}
	switch {
	case !story:
		return nil, fmt.Errorf("%s: tells no story: start with a line of # and what it is about", name)
	case len(s.expected) == 0:
		return nil, fmt.Errorf("%s: expects nothing", name)
	}
	slices.Sort(s.expected)
	return s, nil
}

// canonical sorts the codes of an expectation.
func canonical(fields []string) string {
	head := map[string]int{"workload": 4, "mesh": 1, "keeps": 2}[fields[0]]
	if head == 0 || head > len(fields) {
		return strings.Join(fields, " ")
	}
	codes := slices.Sorted(slices.Values(fields[head:]))
	return strings.Join(append(slices.Clone(fields[:head]), slices.Compact(codes)...), " ")
}

// mesh loads the scenario's objects.
func (s *scenario) mesh(t testing.TB) *mesh.Mesh {
	t.Helper()
	var inputs []manifest.Input
	read := func(fixture string) string {
		data, err := os.ReadFile(filepath.Join("testdata", "fixtures", fixture+".yaml"))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		return string(data)
	}
	if s.minor != "" {
		inputs = append(inputs, manifest.Stream("istio.yaml", strings.NewReader(strings.ReplaceAll(read("istio"), "MINOR", s.minor))))
	}
	for _, f := range s.fixtures {
		inputs = append(inputs, manifest.Stream(f+".yaml", strings.NewReader(read(f))))
	}
	for _, f := range s.files {
		inputs = append(inputs, manifest.Stream(f.Name, strings.NewReader(string(f.Data))))
	}
	loaded := manifest.Load(inputs...)
	for _, p := range loaded.Problems() {
		t.Fatalf("%s: %s:%d: %s", s.name, p.Source.File, p.Source.Line, p.Message)
	}
	for _, i := range loaded.Ignored() {
		if i.MakesPods {
			continue // SS917 has to say so
		}
		t.Fatalf("%s: %s %s/%s is not used: %s", s.name, i.Kind, i.Namespace, i.Name, i.Reason)
	}
	if len(s.knowledge) == 0 {
		return mesh.Build(loaded, mesh.Assume{})
	}
	b := snapshot.NewBuilder()
	for o := range loaded.Objects() {
		if err := b.Add(o, loaded.Source(o)); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	for kind, known := range s.knowledge {
		b.Mark(kind, known)
	}
	return mesh.Build(b.Build(), mesh.Assume{})
}

// observed renders a result as expectations.
func observed(r *Result) []string {
	var out []string
	for _, w := range r.Workloads {
		fields := []string{"workload", w.Workload.Namespace + "/" + w.Workload.Kind + "/" + w.Workload.Name, string(w.Workload.Mode), string(w.Verdict)}
		out = append(out, canonical(append(fields, codes(w.Findings)...)))
		if w.HighScale {
			out = append(out, canonical(append([]string{"keeps", fields[1]}, w.Keepers...)))
		}
	}
	if len(r.Findings) > 0 {
		out = append(out, canonical(append([]string{"mesh"}, codes(r.Findings)...)))
	}
	slices.Sort(out)
	return out
}

func codes(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Code)
	}
	return out
}

// compare says where a result is not what a scenario expects; empty when it is.
func (s *scenario) compare(r *Result) string {
	got := observed(r)
	if slices.Equal(got, s.expected) {
		return ""
	}
	var b strings.Builder
	for _, line := range s.expected {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&b, "  expected: %s\n", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(s.expected, line) {
			fmt.Fprintf(&b, "  got:      %s\n", line)
		}
	}
	b.WriteString("all findings:\n" + tell(r))
	return b.String()
}

// tell renders every finding, for people.
func tell(r *Result) string {
	var b strings.Builder
	line := func(f *Finding) {
		fmt.Fprintf(&b, "    %s %s requires %s: %s\n", f.Code, f.Severity, f.Requires, f.Message)
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "      at %s %s", e.Object, e.Field)
			if e.Value != "" {
				fmt.Fprintf(&b, " = %s", e.Value)
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "      do %s\n", f.Remedy)
	}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		fmt.Fprintf(&b, "  %s: %s, verdict %s\n", w.Workload.Ref, w.Workload.Mode, w.Verdict)
		for j := range w.Findings {
			line(&w.Findings[j])
		}
	}
	if len(r.Findings) > 0 {
		b.WriteString("  the mesh\n")
	}
	for i := range r.Findings {
		line(&r.Findings[i])
	}
	return b.String()
}

// scenarios reads every scenario file below testdata.
func scenarios(t testing.TB) []*scenario {
	t.Helper()
	var out []*scenario
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".txtar" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := parseScenario(filepath.ToSlash(path), data)
		out = append(out, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestScenarios(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(strings.TrimPrefix(strings.TrimSuffix(s.name, ".txtar"), "testdata/"), func(t *testing.T) {
			if diff := s.compare(Run(s.mesh(t), Options{HighScaleReplicas: s.highScale})); diff != "" {
				t.Errorf("%s\n%s", s.name, diff)
			}
		})
	}
}
