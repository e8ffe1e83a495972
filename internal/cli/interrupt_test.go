package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever a command waits for, it ends when it is told to. Where it did not, this test would hang.
func TestEveryWaitCanBeInterrupted(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // nothing was written to it
	address := silent.Addr().String()
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := strings.ReplaceAll(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://ADDRESS"}}]
users: [{name: u, user: {}}]
`, "ADDRESS", address)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"standard input that stays open":    {"audit", "-f", "-"},
		"an API server that hangs":          {"audit", "--kubeconfig", kubeconfig},
		"an API server that hangs, by diff": {"authz", "diff", "--kubeconfig", kubeconfig, "--move", "shop=ambient"},
		"a snapshot of a cluster":           {"snapshot", "--kubeconfig", kubeconfig, "--out", filepath.Join(t.TempDir(), "s")},
		"a Prometheus that hangs":           {"roi", "forecast", "-f", "testdata/script", "--prometheus", "http://" + address},
	} {
		t.Run(name, func(t *testing.T) {
			open, end := io.Pipe()
			defer end.Close() //nolint:errcheck // nobody reads it
			var out, errs bytes.Buffer
			env := &Env{Args0: "sidestep", Stdin: open, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
			ctx, interrupt := context.WithCancel(t.Context())
			code := make(chan int)
			go func() { code <- Run(ctx, env, args) }()
			interrupt()
			if got := <-code; got != ExitError || errs.Len() == 0 {
				t.Errorf("exit code %d, says %q", got, errs.String())
			}
		})
	}
}
