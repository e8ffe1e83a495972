package analyzers

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	"sigs.k8s.io/yaml"
)

// istio is the version whose fixtures are read; only downloaded, never built here.
const istio = "istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad"

// fixtures is the folder of the analyzers' test data in the module cache.
func fixtures(t *testing.T) fs.FS {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", istio)
	cmd.Dir = t.TempDir() // outside any module: the download must not depend on one
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s", istio, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	return os.DirFS(filepath.Join(module.Dir, "pkg/config/analysis/analyzers/testdata"))
}

// objects counts the objects of a file by splitting and parsing it in the plainest way there is.
func objects(t *testing.T, name string, text []byte) int {
	n := 0
	for doc := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---")) {
		var o map[string]any
		if err := yaml.Unmarshal(doc, &o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kind, _ := o["kind"].(string)
		if items, ok := o["items"].([]any); ok && strings.HasSuffix(kind, "List") {
			n += len(items)
		} else if o != nil {
			n++
		}
	}
	return n
}

func TestEveryFixtureIsReadOrAccountedFor(t *testing.T) {
	files, total, used, ignored := 0, 0, 0, 0
	kinds := map[string]int{}
	dir := fixtures(t)
	err := fs.WalkDir(dir, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(p) != ".yaml" {
			return err
		}
		text, err := fs.ReadFile(dir, p)
		if err != nil {
			return err
		}
		files++
		s := manifest.Load(manifest.Path(p, dir, p))
		want := objects(t, p, text)
		if got := s.Len() + len(s.Ignored()) + len(s.Problems()); got != want {
			t.Errorf("%s: %d objects, %d read, %d ignored, %d problems", p, want, s.Len(), len(s.Ignored()), len(s.Problems()))
		}
		for _, i := range s.Ignored() {
			kinds[i.APIVersion+" "+i.Kind+": "+i.Reason]++
			if i.Reason == "" || i.Source.Line == 0 {
				t.Errorf("%s: ignored without reason or line: %+v", p, i)
			}
		}
		for _, problem := range s.Problems() {
			t.Errorf("an object that Istio's analyzers read is none here: %s", problem)
		}
		for o := range s.Objects() {
			for _, f := range s.UnknownFields(o) {
				t.Logf("%s: %s %s: unknown field %s", s.Source(o), o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), f)
			}
		}
		total, used, ignored = total+want, used+s.Len(), ignored+len(s.Ignored())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d fixtures found", files)
	}
	for kind, n := range kinds {
		t.Logf("ignored: %d %s", n, kind)
	}
	t.Logf("%d files, %d objects: %d used, %d ignored with a reason", files, total, used, ignored)
}

func TestTheFolderAsAWhole(t *testing.T) {
	s := manifest.Load(manifest.Path("testdata", fixtures(t), "."))
	if s.Len() == 0 {
		t.Fatal("nothing was read")
	}
	for _, p := range s.Problems() {
		if p.Source.File == "" || p.Message == "" || strings.Contains(p.String(), "\n") {
			t.Errorf("not one clear line: %q", p)
		}
	}
}
