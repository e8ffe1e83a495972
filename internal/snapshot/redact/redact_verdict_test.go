package redact_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/redact"
)

func stream(text string) manifest.Input { return manifest.Stream("in", strings.NewReader(text)) }

func archiveOf(t *testing.T, s *snapshot.Snapshot) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := manifest.WriteArchive(&out, s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// verdicts says what an audit decided without a name in it, sorted: redaction changes the order too.
func verdicts(s *snapshot.Snapshot) []string {
	result := audit.Run(mesh.Build(s, mesh.Assume{}), audit.Options{})
	var out []string
	for _, w := range result.Workloads {
		line := fmt.Sprintf("%s %s %s", w.Workload.Kind, w.Workload.Mode, w.Verdict)
		var codes []string
		for _, f := range w.Findings {
			codes = append(codes, f.Code+" "+string(f.Requires))
		}
		slices.Sort(codes)
		out = append(out, line+": "+strings.Join(codes, ", "))
	}
	for _, f := range result.Findings {
		out = append(out, "mesh: "+f.Code)
	}
	slices.Sort(out)
	return out
}

// TestRedactionChangesNoVerdict takes every scenario of the audit, so that every rule fires and stays silent on
// a redacted snapshot, read back from its archive, as it does on the original.
func TestRedactionChangesNoVerdict(t *testing.T) {
	files, err := filepath.Glob("../../audit/testdata/*/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			scenario, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var inputs []manifest.Input
			for line := range strings.Lines(string(scenario.Comment)) {
				if fields := strings.Fields(line); len(fields) == 2 && (fields[0] == "use" || fields[0] == "istio") {
					name, minor := fields[1], "31"
					if fields[0] == "istio" {
						name, minor = "istio", fields[1]
					}
					text, err := os.ReadFile("../../audit/testdata/fixtures/" + name + ".yaml")
					if err != nil {
						t.Fatal(err)
					}
					inputs = append(inputs, stream(strings.ReplaceAll(string(text), "MINOR", minor)))
				}
			}
			for _, f := range scenario.Files {
				inputs = append(inputs, stream(string(f.Data)))
			}
			whole := manifest.Load(inputs...)
			redacted := manifest.Load(manifest.Stream("archive", strings.NewReader(string(archiveOf(t, redact.Redact(whole, []byte("key")))))))
			if got, want := verdicts(redacted), verdicts(whole); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
