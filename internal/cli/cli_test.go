package cli

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the stories in testdata/script: whole command lines, in process.
//
//	sidestep ARGS...          must exit 0 (or, with !, anything else)
//	exits CODE sidestep ARGS  must exit with CODE
//	... <FILE                 as the last argument gives standard input
//
// The clock stands still.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sidestep": func(ts *testscript.TestScript, neg bool, args []string) {
				code := runScript(ts, "sidestep", args)
				if (code != 0) != neg {
					ts.Fatalf("exit code %d", code)
				}
			},
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
				}
				code := runScript(ts, args[1], args[2:])
				if want := args[0]; want != strconv.Itoa(code) {
					ts.Fatalf("exit code %d, want %s", code, want)
				}
			},
		},
	})
}

func runScript(ts *testscript.TestScript, program string, args []string) int {
	stdin := ""
	if last := len(args) - 1; last >= 0 && strings.HasPrefix(args[last], "<") {
		stdin = ts.ReadFile(args[last][1:])
		args = args[:last]
	}
	return Run(context.Background(), &Env{
		Args0:  program,
		Dir:    ts.MkAbs("."),
		Stdin:  strings.NewReader(stdin),
		Stdout: ts.Stdout(),
		Stderr: ts.Stderr(),
		Getenv: ts.Getenv,
		Now:    func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) },
	}, args)
}

func TestHelpNamesTheProgramTheUserTyped(t *testing.T) {
	for name, want := range map[string]string{
		"/usr/local/bin/sidestep":         "  sidestep [command]",
		"/usr/local/bin/kubectl-sidestep": "  kubectl sidestep [command]",
	} {
		var out bytes.Buffer
		env := &Env{Args0: name, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, Now: time.Now}
		if code := Run(context.Background(), env, []string{"--help"}); code != ExitClean {
			t.Errorf("%s --help: exit code %d", name, code)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s --help does not say %q:\n%s", name, want, out.String())
		}
	}
}
