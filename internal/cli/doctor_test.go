package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// eachWrite calls a function with all that was written so far.
type eachWrite struct {
	mu   sync.Mutex
	all  strings.Builder
	call func(all string)
}

func (w *eachWrite) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	w.call(w.all.String())
	return len(p), nil
}

// Doctor goes on looking: a fault that begins is said once, one that ends is said too, and the exit code is that of the last look.
func TestDoctorWatches(t *testing.T) {
	const mesh = `apiVersion: v1
kind: Namespace
metadata: {name: late, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: late, labels: {app: web}, annotations: {ambient.istio.io/redirection: STATE}}
spec: {nodeName: n1, containers: [{name: app, image: "registry.example.com/app:1"}]}
status: {phase: Running, conditions: [{type: Ready, status: "True"}]}
`
	dir := t.TempDir()
	write := func(state string) {
		next := filepath.Join(dir, "next")
		if err := os.WriteFile(next, []byte(strings.Replace(mesh, "STATE", state, 1)), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "mesh.yaml")); err != nil { // never half a file
			t.Error(err)
		}
	}
	write("enabled")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var errs strings.Builder
	out := &eachWrite{}
	out.call = func(all string) {
		switch {
		case strings.Count(all, "began") == 2:
			interrupt()
		case strings.Contains(all, "ended"), strings.Contains(all, "1 check: 1 well") && !strings.Contains(all, "began"):
			write("pending")
		case strings.Contains(all, "began"):
			write("enabled")
		}
	}
	env := &Env{Args0: "sidestep", Dir: dir, Stdin: strings.NewReader(""), Stdout: out, Stderr: &errs, Getenv: func(string) string { return "" },
		Now: func() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }}
	code := Run(ctx, env, []string{"doctor", "-f", "mesh.yaml", "--check", "pods-enrolled", "--watch", "--every", "1ms"})
	if code != ExitFindings || errs.String() != "" {
		t.Fatalf("exit code %d: %s\n%s", code, errs.String(), out.all.String())
	}
	var said []string
	for line := range strings.Lines(out.all.String()) {
		if strings.HasPrefix(line, "12:00:00") {
			said = append(said, strings.Fields(line)[2])
		}
	}
	if strings.Join(said, " ") != "began ended began" {
		t.Errorf("it says %v\n%s", said, out.all.String())
	}
}
