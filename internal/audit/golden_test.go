package audit

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files and docs/rules.md instead of comparing with them")

// golden compares text with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	lines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(lines) || lines[i] != line {
			t.Errorf("%s:%d is not up to date: run go test ./internal/audit -update and look at the difference\ngot: %s", path, i+1, line)
			return
		}
	}
	t.Errorf("%s is longer than it should be: run go test ./internal/audit -update", path)
}

func TestDocs(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "..", "docs", "rules.md"), b.String())
}

// TestMessages pins every word of the scenarios that people meet most.
func TestMessages(t *testing.T) {
	want := []string{
		"T01-three-namespaces", "T01-generated-policy", "T02-deny-paths", "T02-deny-paths-left-behind", "T02b-deny-ports-and-paths",
		"T02c-deny-two-rules", "T02-copied", "T02-other-copy", "T03-allow-mixed", "T04-custom", "T06-l4-allow-behind-waypoint", "T10a-namespace-wide", "T10b-mesh-wide",
		"T14-missing", "T14-override", "T15-ingress", "T17-readers-and-writers", "T17-source-labels", "T18-registry-only-mesh",
		"T19-hybrid-labels", "T19-waypoint-before-sidecar", "ambient-leftovers", "ambient-served", "high-scale", "several-problems",
	}
	for _, s := range scenarios(t) {
		name := strings.TrimSuffix(filepath.Base(s.name), ".txtar")
		for i, w := range want {
			if w == name {
				golden(t, filepath.Join("testdata", "golden", name+".txt"), tell(Run(s.mesh(t), Options{HighScaleReplicas: s.highScale})))
				want = append(want[:i], want[i+1:]...)
				break
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no scenario is called %s", strings.Join(want, ", "))
	}
}
