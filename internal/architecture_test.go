// Package internal_test holds the rules about packages that no linter configuration should be
// able to switch off: what the pure ones may import and do, and who may import whom.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sidestep-mesh/sidestep/"

// pure packages compute: no clock, no network, no process, no goroutine. Time, randomness and files
// arrive as arguments.
var pure = []string{"object", "enrol", "snapshot", "authz", "route", "mesh", "audit", "plan", "verify", "migrate", "metric", "roi", "account", "demo", "assertion", "replay", "doctor", "generate", "gate", "duty"}

// impureImports are what a pure package must not import; a trailing slash covers the packages below.
var impureImports = []string{
	"context", "os", "os/", "net/http", "net/http/", "log", "log/slog", "math/rand",
	"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/", "github.com/prometheus/client_golang/",
	"github.com/spf13/",
}

// impureCalls are the functions of otherwise harmless packages that read the clock, wait, or draw from a
// source of randomness that nobody gave them.
var impureCalls = map[string][]string{
	"rand": {"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint", "Uint32", "Uint64", "N", "Float32", "Float64",
		"NormFloat64", "ExpFloat64", "Perm", "Shuffle"},
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"},
}

// mayImport is the import table: a package under internal may import those listed and no other.
var mayImport = map[string][]string{
	"object":     {},
	"snapshot":   {},
	"authz":      {"snapshot"},
	"assertion":  {"authz"},
	"route":      {},
	"replay":     {"authz"},
	"doctor":     {"audit", "mesh", "metric", "snapshot"},
	"generate":   {"audit", "doctor", "mesh", "metric", "snapshot"},
	"metric":     {},
	"roi":        {},
	"mesh":       {"snapshot", "authz", "route"},
	"enrol":      {"mesh", "authz", "snapshot"},
	"audit":      {"enrol", "mesh", "authz", "route", "snapshot"},
	"plan":       {"enrol", "audit", "mesh", "authz", "route", "snapshot"},
	"verify":     {"mesh", "metric", "snapshot"},
	"migrate":    {"mesh", "plan", "snapshot", "verify"},
	"account":    {"mesh", "audit", "metric", "plan", "roi", "snapshot"},
	"demo":       {"snapshot"},
	"duty":       {"assertion", "audit", "authz", "doctor", "mesh", "plan", "snapshot"},
	"report":     {"assertion", "replay", "doctor", "audit", "authz", "route", "plan", "migrate", "roi", "mesh"},
	"gate":       {"report"},
	"live":       {"snapshot", "authz", "mesh", "audit", "plan", "verify", "migrate", "metric", "roi"},
	"cli":        {"*"},
	"controller": {"*"},
}

// within is the import table inside a room: its folder may import those folders of the room that are listed and no
// other, so that the store, for one, cannot come to depend on how it is read or redacted.
var within = map[string][]string{
	"snapshot":                    {"snapshot/partial"},
	"snapshot/partial":            {},
	"snapshot/manifest":           {"snapshot", "snapshot/partial", "snapshot/manifest/plainyaml"},
	"snapshot/manifest/plainyaml": {},
	"snapshot/redact":             {"snapshot", "snapshot/partial"},
}

// leaf holds the words of every room, which all may import.
const leaf = "object"

// testOnly packages may be imported by tests alone.
var testOnly = []string{"meshtest", "livetest"}

// forbiddenEverywhere would bring Istio's or Kubernetes' own servers into the product.
var forbiddenEverywhere = []string{"istio.io/istio/", "k8s.io/kubernetes/", "github.com/prometheus/prometheus/"}

// labelsFile is the one file that reads Istio's label and annotation names; catalogueFile beside it
// lists all of those that Istio's API packages define, names unread.
const (
	labelsFile    = "mesh/labels.go"
	catalogueFile = "mesh/known.go"
)

// belowLabels are names that packages below mesh need, which cannot import labelsFile.
var belowLabels = map[string]string{
	"istio.io/api/annotation":             "authz",    // dry-run policies
	"gateway.istio.io/defaults-for-class": "snapshot", // ConfigMaps worth keeping
	"proxy.istio.io/config":               "snapshot", // settings with secrets in them
	"proxy.istio.io/overrides":            "snapshot",
}

// innerRooms are packages below a room: what each may import of the same room. A room itself may import all of them that are not for tests.
var innerRooms = map[string][]string{
	"roi/terms":   {},
	"roi/packing": {"roi/terms"},
	"roi/latency": {"roi/terms"},
	"roi/roitest": {"roi/terms"},
}

// innerTestOnly are inner rooms that tests alone may import.
var innerTestOnly = []string{"roi/roitest"}

func TestInnerRoomsFollowTheirTable(t *testing.T) {
	for file := range sources(t) {
		inner := path.Dir(file.name)
		allowed, known := innerRooms[inner]
		for imported := range file.imports() {
			to, internal := strings.CutPrefix(imported, module+"internal/")
			if !internal {
				continue
			}
			if slices.Contains(innerTestOnly, to) {
				t.Errorf("internal/%s imports %s, which is for tests", file.name, imported)
			} else if known && strings.HasPrefix(to, file.room) && !slices.Contains(allowed, to) {
				t.Errorf("internal/%s imports %s; %s may import %v", file.name, imported, inner, allowed)
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	for file := range sources(t) {
		if !slices.Contains(pure, file.room) {
			continue
		}
		for imported := range file.imports() {
			if matchesAny(imported, impureImports) {
				t.Errorf("internal/%s imports %s; package %s is pure", file.name, imported, file.room)
			}
		}
		ast.Inspect(file.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine; package %s is pure", file.at(n), file.room)
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(impureCalls[pkg.Name], n.Sel.Name) {
					t.Errorf("%s uses %s.%s; package %s is pure", file.at(n), pkg.Name, n.Sel.Name, file.room)
				}
			}
			return true
		})
	}
}

func TestImportsFollowTheTable(t *testing.T) {
	for file := range sources(t) {
		allowed, known := mayImport[file.room]
		if !known && !slices.Contains(testOnly, file.room) {
			t.Errorf("internal/%s: package %s is not in the import table of this test", file.name, file.room)
			continue
		}
		for imported := range file.imports() {
			if matchesAny(imported, forbiddenEverywhere) {
				t.Errorf("internal/%s imports %s, which no part of the product may", file.name, imported)
			}
			rest, internal := strings.CutPrefix(imported, module+"internal/")
			room, _, _ := strings.Cut(rest, "/")
			if !internal || room == file.room || room == leaf || slices.Contains(testOnly, file.room) {
				continue
			}
			if slices.Contains(testOnly, room) {
				t.Errorf("internal/%s imports %s, which is for tests", file.name, imported)
			} else if !slices.Contains(allowed, room) && !slices.Contains(allowed, "*") {
				t.Errorf("internal/%s imports %s; %s may import %v", file.name, imported, file.room, allowed)
			}
		}
	}
}

func TestImportsInsideARoomFollowTheTable(t *testing.T) {
	for file := range sources(t) {
		folder := path.Dir(file.name)
		allowed, listed := within[folder]
		if !listed && folder != file.room {
			for parent := range within {
				if strings.HasPrefix(parent, file.room+"/") {
					t.Errorf("internal/%s: folder %s is not in the table of its room", file.name, folder)
					break
				}
			}
		}
		for imported := range file.imports() {
			to, internal := strings.CutPrefix(imported, module+"internal/")
			if room, _, _ := strings.Cut(to, "/"); listed && internal && room == file.room && !slices.Contains(allowed, to) {
				t.Errorf("internal/%s imports %s; %s may import %v of its room", file.name, imported, folder, allowed)
			}
		}
	}
}

// Only live may talk to a network: whoever else could write to a cluster is one import away from it.
func TestOnlyLiveTalksToANetwork(t *testing.T) {
	network := []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/", "net/http", "istio.io/client-go/pkg/clientset/", "github.com/prometheus/client_golang/api/"}
	for file := range sources(t) {
		if file.room == "live" || file.room == "controller" || slices.Contains(testOnly, file.room) {
			continue
		}
		for imported := range file.imports() {
			if matchesAny(imported, network) {
				t.Errorf("internal/%s imports %s; only live and controller may", file.name, imported)
			}
		}
	}
}

func TestIstioNamesAreReadInOneFile(t *testing.T) {
	for file := range sources(t) {
		if file.name == labelsFile || file.name == catalogueFile || file.room == "demo" { // the sample mesh writes manifests, as a user does
			continue
		}
		for imported := range file.imports() {
			if (imported == "istio.io/api/label" || imported == "istio.io/api/annotation") && belowLabels[imported] != file.room {
				t.Errorf("internal/%s imports %s; label and annotation names are read in %s", file.name, imported, labelsFile)
			}
		}
		ast.Inspect(file.syntax, func(n ast.Node) bool {
			if _, isImport := n.(*ast.ImportSpec); isImport {
				return false
			}
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if text, _ := strconv.Unquote(literal.Value); isIstioName(text) && belowLabels[text] != file.room {
				t.Errorf("%s has the literal %q; label and annotation names are read in %s", file.at(n), text, labelsFile)
			}
			return true
		})
	}
}

// isIstioName tells whether a whole string is a label or annotation key of Istio's, rather than a
// sentence, a URL or an API group that contains one.
func isIstioName(text string) bool {
	if text == "istio-injection" {
		return true
	}
	prefix, name, slash := strings.Cut(text, "/")
	if !slash || strings.ContainsAny(text, " :\n=[]") || strings.Contains(name, "/") {
		return false
	}
	if prefix != "istio.io" && !strings.HasSuffix(prefix, ".istio.io") {
		return false
	}
	// group/version of an API
	return !strings.HasPrefix(name, "v1") && name != ""
}

func TestIsIstioName(t *testing.T) {
	for text, want := range map[string]bool{
		"istio.io/rev":                 true,
		"sidecar.istio.io/inject":      true,
		"istio-injection":              true,
		"networking.istio.io/v1beta1":  false,
		"https://istio.io/latest/docs": false,
		"set istio.io/rev to stable":   false,
		"gateway.networking.k8s.io/x":  false,
	} {
		if isIstioName(text) != want {
			t.Errorf("isIstioName(%q) = %v", text, !want)
		}
	}
}

type source struct {
	room   string // the package's folder under internal
	name   string // path under internal
	syntax *ast.File
	files  *token.FileSet
}

func (s source) imports() map[string]bool {
	out := map[string]bool{}
	for _, spec := range s.syntax.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		out[p] = true
	}
	return out
}

func (s source) at(n ast.Node) string {
	p := s.files.Position(n.Pos())
	return "internal/" + s.name + ":" + strconv.Itoa(p.Line)
}

// sources yields every file below internal that is not a test.
func sources(t *testing.T) func(func(source) bool) {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || !strings.Contains(name, "/") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(files, name, text, 0)
		if err != nil {
			return err
		}
		room, _, _ := strings.Cut(name, "/")
		all = append(all, source{room: room, name: name, syntax: syntax, files: files})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("found no source files")
	}
	return slices.Values(all)
}

// matchesAny tells whether a path is one of the patterns or below one that ends in a slash.
func matchesAny(p string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return p == pattern || strings.HasSuffix(pattern, "/") && (strings.HasPrefix(p, pattern) || p == strings.TrimSuffix(pattern, "/"))
	})
}

// The table is a partial order: a cycle would let any package reach any other.
func TestTheImportTableHasNoCycle(t *testing.T) {
	var visit func(room string, trail []string)
	visit = func(room string, trail []string) {
		if slices.Contains(trail, room) {
			t.Fatalf("cycle: %v", append(trail, room))
		}
		for _, next := range mayImport[room] {
			visit(next, append(trail, room))
		}
	}
	for _, room := range slices.Sorted(maps.Keys(mayImport)) {
		visit(room, nil)
	}
}
