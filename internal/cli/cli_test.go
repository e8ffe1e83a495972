package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/livetest"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/report"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var update = flag.Bool("update", false, "write the expected output in scripts and in README.md anew")

// TestScript runs the stories in testdata/script: whole command lines, in process.
//
//	sidestep ARGS...          must exit 0 (or, with !, anything else)
//	exits CODE sidestep ARGS  must exit with CODE
//	... <FILE                 as the last argument gives standard input
//	mesh-server OUT FILE      starts a small API server with the mesh of a file (see livetest), and writes a kubeconfig for it
//	edit-as MANAGER KIND NS/NAME KEY VALUE   sets a label of a pod template there, or of a Service, as somebody else
//	api-that-answers CODE OUT starts an API server that refuses everything, and writes a kubeconfig for it
//
// The clock stands still.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			// Text archives cannot hold a binary file.
			return os.WriteFile(filepath.Join(env.WorkDir, "binary.yaml"), []byte("\x7fELF\x02\x01\x01\x00"), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sidestep":         program("sidestep"),
			"kubectl-sidestep": program("kubectl-sidestep"),
			"api-that-answers": apiThatAnswers,
			"mesh-server":      meshServer,
			"edit-as":          editAs,
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

// apiThatAnswers stands in for an API server that refuses every request in the way real ones do.
func apiThatAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: api-that-answers CODE KUBECONFIG")
	}
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	reason := map[int]metav1.StatusReason{401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden}[code]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Reason: reason, Code: int32(code), Message: string(reason),
		})
	}))
	ts.Defer(server.Close)
	writeKubeconfig(ts, args[1], server.URL)
}

func writeKubeconfig(ts *testscript.TestScript, name, url string) {
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"test",
"clusters":[{"name":"test","cluster":{"server":%q}}],
"contexts":[{"name":"test","context":{"cluster":"test","user":"test"}}],
"users":[{"name":"test","user":{"token":"expired"}}]}`, url)
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
}

// servers are the mesh servers of scripts that run, by their work folder.
var servers sync.Map

// meshServer starts a server whose world moves on whenever it is read, and in which one write in ten fails.
func meshServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mesh-server KUBECONFIG MESH")
	}
	text, err := meshtest.Text(ts.ReadFile(args[1]))
	ts.Check(err)
	server, err := livetest.Start(text)
	ts.Check(err)
	ts.Defer(server.Close)
	server.Settle()
	server.Alive = true
	n := 0
	server.Refuse = func(livetest.Write) int {
		if n++; n%10 == 0 {
			return 500
		}
		return 0
	}
	servers.Store(ts.MkAbs("."), server)
	writeKubeconfig(ts, args[0], server.URL)
}

func editAs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: edit-as MANAGER RESOURCE NAMESPACE/NAME LABEL VALUE")
	}
	s, _ := servers.Load(ts.MkAbs("."))
	namespace, name, _ := strings.Cut(args[2], "/")
	group := ""
	path := []string{"metadata", "labels"}
	if args[1] == "deployments" {
		group, path = "apps", []string{"spec", "template", "metadata", "labels"}
	}
	ts.Check(s.(*livetest.Server).Edit(group, args[1], namespace, name, args[0], func(o map[string]any) {
		for _, p := range path {
			next, ok := o[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				o[p] = next
			}
			o = next
		}
		if args[4] == "" {
			delete(o, args[3])
		} else {
			o[args[3]] = args[4]
		}
	}))
}

// program runs a command line that must exit with 0 or, negated, with anything else.
func program(name string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if code := runScript(ts, name, args); (code != 0) != neg {
			ts.Fatalf("exit code %d", code)
		}
	}
}

func runScript(ts *testscript.TestScript, program string, args []string) int {
	stdin := ""
	if last := len(args) - 1; last >= 0 && strings.HasPrefix(args[last], "<") {
		stdin = ts.ReadFile(args[last][1:])
		args = args[:last]
	}
	var out bytes.Buffer
	code := Run(context.Background(), &Env{
		Args0:  program,
		Dir:    ts.MkAbs("."),
		Stdin:  strings.NewReader(stdin),
		Stdout: io.MultiWriter(&out, ts.Stdout()),
		Stderr: ts.Stderr(),
		Getenv: ts.Getenv,
		Now:    func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) },
	}, args)
	// What is a document holds to the schema of its kind, whatever the script looks for.
	if bytes.HasPrefix(out.Bytes(), []byte("{\n  \"apiVersion\": \""+report.APIVersion)) {
		if err := report.ValidateDocument(out.Bytes()); err != nil {
			ts.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
		}
	}
	return code
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
