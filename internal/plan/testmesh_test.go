package plan

import (
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// loadText loads a mesh of lines, with further manifests.
func loadText(t testing.TB, lines string, more ...string) *snapshot.Snapshot {
	t.Helper()
	text, err := meshtest.Text(lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range more {
		text += "---\n" + m
	}
	return meshtest.Load(t, text)
}
