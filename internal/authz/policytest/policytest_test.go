package policytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz/policytest"
)

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := policytest.Execute(string(b)); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		})
	}
}

func TestRunnerFails(t *testing.T) {
	const mesh = "workload a/x\nworkload a/y\nservice a/y 80:8080/http\n"
	for name, c := range map[string]struct{ script, want string }{
		"when an expectation is not met":          {mesh + "request a/x a/y:80 GET /\nexpect deny", "line 5: expect deny: got allow"},
		"when the policy is another":              {mesh + "request a/x a/y:80 GET /\nexpect allow policy=a/p", "got allow"},
		"when nothing is expected":                {mesh, "expects nothing"},
		"when a verb is unknown":                  {"frobnicate", `unknown verb "frobnicate"`},
		"when an option is unknown":               {"workload a/x colour=red", `unknown option "colour"`},
		"when a policy is never ended":            {"load\nkind: X", "load without end"},
		"when worlds differ and should not":       {mesh + "world one\nworkload a/z\nload\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: a}\nspec: {}\nend\ndiff one now\nexpect equivalent", "they differ"},
		"when a divergence is missing":            {mesh + "world one\ndiff one now\nexpect weaker", "there is none such"},
		"when the destination is not there":       {mesh + "request a/x a/nope:80 GET /\nexpect allow", "no such service"},
		"when a quote is left open":               {`config root="x`, "a quote is not closed"},
		"when an expectation comes before asking": {"expect allow", "nothing was asked yet"},
	} {
		t.Run(name, func(t *testing.T) {
			err := policytest.Execute(c.script)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
