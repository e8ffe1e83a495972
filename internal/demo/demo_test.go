package demo

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

func TestManifestsAreTheSameEveryTime(t *testing.T) {
	first, second := generate(), generate()
	if len(first) != len(second) {
		t.Fatalf("%d files, then %d", len(first), len(second))
	}
	for i := range first {
		if first[i].Path != second[i].Path || !bytes.Equal(first[i].Text, second[i].Text) {
			t.Errorf("%s differs from run to run", first[i].Path)
		}
	}
}

func TestTheMeshHasTheSizeItIsMadeFor(t *testing.T) {
	var all strings.Builder
	for _, m := range Manifests() {
		all.Write(m.Text)
	}
	services := strings.Count(all.String(), "\nkind: Service\n")
	injected := strings.Count(all.String(), `"sidecar.istio.io/status":`)
	if services < 400 || services > 410 || injected < 1950 || injected > 2100 {
		t.Errorf("%d services and %d pods with a sidecar; want about 400 and 2,000", services, injected)
	}
}

// The table is text: a word that names no feature must not pass as a plain service.
func TestEveryFeatureInTheTableExistsAndIsUsed(t *testing.T) {
	used := map[string]bool{}
	for _, team := range teams {
		for _, word := range strings.Fields(team.services) {
			_, what, found := strings.Cut(word, ":")
			what, _, _ = strings.Cut(what, "*")
			if _, ok := features[what]; !found || !ok {
				t.Errorf("team %s: %q names no feature", team.name, word)
			}
			used[what] = true
		}
		for _, extra := range team.extras {
			if namespaceExtras[extra] == nil {
				t.Errorf("team %s: no extra %q", team.name, extra)
			}
			used[extra] = true
		}
	}
	for name := range features {
		if !used[name] {
			t.Errorf("feature %q is in no team", name)
		}
	}
	for name := range namespaceExtras {
		if !used[name] {
			t.Errorf("extra %q is in no team", name)
		}
	}
}

// Everything is read, and nothing is read in vain: a typo in a field or a second object of a name shows here.
func TestManifestsLoadWithoutAProblem(t *testing.T) {
	var inputs []manifest.Input
	for _, m := range Manifests() {
		inputs = append(inputs, manifest.Stream(m.Path, bytes.NewReader(m.Text)))
	}
	snap := manifest.Load(inputs...)
	for _, p := range snap.Problems() {
		t.Error(p)
	}
	for _, i := range snap.Ignored() {
		t.Errorf("%v: %s %s/%s is ignored: %s", i.Source, i.Kind, i.Namespace, i.Name, i.Reason)
	}
}

func BenchmarkGenerate(b *testing.B) {
	size := 0
	for b.Loop() {
		size = 0
		for _, m := range generate() {
			size += len(m.Text)
		}
	}
	b.ReportMetric(float64(size), "bytes")
}
