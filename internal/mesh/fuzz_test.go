package mesh_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// FuzzBuild: whatever loads gives a mesh, the same one twice, and a world of it.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no situations: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(data).Files {
			if part.Name == "input.yaml" {
				f.Add(string(part.Data))
			}
		}
	}
	f.Add(base + "---\n" + routed(", match: [null, {uri: null}], retries: null"))
	f.Add(base + "---\n" + authzPolicy("shop", "{rules: [null, {from: [null], to: [{}], when: [null]}], targetRefs: [null]}"))
	f.Add(base + "---\n" + onCart("trafficPolicy: {portLevelSettings: [null]}, subsets: [null]"))
	f.Fuzz(func(t *testing.T, yaml string) {
		s := manifest.Load(manifest.Stream("fuzz", strings.NewReader(yaml)))
		m := mesh.Build(s, mesh.Assume{})
		if !slices.Equal(meshtest.Facts(m), meshtest.Facts(mesh.Build(s, mesh.Assume{}))) {
			t.Fatal("two builds of one snapshot differ")
		}
		world, sets := mesh.AuthzWorld(m), 0
		for _, w := range m.Workloads {
			sets += len(w.Sets)
		}
		names := map[authz.Pods]bool{}
		for _, w := range world.Workloads {
			names[w.Pods()] = true
		}
		if len(world.Workloads) < sets || len(names) != len(world.Workloads) {
			t.Fatalf("the world has %d workloads of %d names, the mesh %d sets of pods", len(world.Workloads), len(names), sets)
		}
	})
}
