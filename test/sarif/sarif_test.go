package sarif

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif" // carries the schema
	"github.com/sidestep-mesh/sidestep/internal/cli"
	"github.com/xeipuuv/gojsonschema"
)

// schema is the constant of that name in the module's source: it is not exported, and its own Validate judges only what its types keep.
func schema(t *testing.T) *gojsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatalf("find the module that carries the schema: %v", err)
	}
	name := filepath.Join(strings.TrimSpace(string(dir)), "schema.go")
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			lit, ok := v.Values[0].(*ast.BasicLit)
			if v.Names[0].Name != "schema" || !ok {
				continue
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			compiled, err := gojsonschema.NewSchema(gojsonschema.NewStringLoader(text))
			if err != nil {
				t.Fatalf("compile the schema: %v", err)
			}
			return compiled
		}
	}
	t.Fatalf("%s has no constant called schema", name)
	return nil
}

func run(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	env := &cli.Env{Args0: "sidestep", Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
	if code := cli.Run(context.Background(), env, args); code == cli.ExitError {
		t.Fatalf("sidestep %s: %s", strings.Join(args, " "), errs.String())
	}
	return out.Bytes()
}

func TestOutputIsValidSARIF(t *testing.T) {
	s := schema(t)
	dir := t.TempDir()
	run(t, dir, "demo", "--out", "mesh")
	for name, document := range map[string][]byte{
		"files, with places": run(t, dir, "audit", "-f", "mesh", "-o", "sarif"),
		"the demo":           run(t, dir, "demo", "-o", "sarif"),
		"one namespace":      run(t, dir, "audit", "-f", "mesh", "-n", "payments", "-o", "sarif"),
	} {
		result, err := s.Validate(gojsonschema.NewBytesLoader(document))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, e := range result.Errors() {
			t.Errorf("%s: %s", name, e)
		}
	}
}

// The judge must be able to say no.
func TestTheSchemaRefusesWhatIsNotSARIF(t *testing.T) {
	s := schema(t)
	good := run(t, t.TempDir(), "demo", "-n", "payments", "-o", "sarif")
	for name, edit := range map[string][2]string{
		"a level that does not exist": {`"level": "error"`, `"level": "dreadful"`},
		"a misspelt property":         {`"ruleId"`, `"ruleID"`},
		"another version":             {`"version": "2.1.0"`, `"version": "9"`},
	} {
		bad := bytes.Replace(good, []byte(edit[0]), []byte(edit[1]), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: %s is not in the output", name, edit[0])
		}
		if result, err := s.Validate(gojsonschema.NewBytesLoader(bad)); err == nil && result.Valid() {
			t.Errorf("%s passes", name)
		}
	}
}
