package mesh_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// TestSituations builds the mesh of each file in testdata and compares its facts. A file holds
// manifests and, under "want", lines as meshtest.Expect reads them.
func TestSituations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no situations in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			if parts["input.yaml"] == "" || parts["want"] == "" {
				t.Fatalf("%s needs input.yaml and want", file)
			}
			m := mesh.Build(meshtest.Load(t, parts["input.yaml"]), mesh.Assume{})
			meshtest.Expect(t, meshtest.Facts(m), parts["want"])
		})
	}
}
