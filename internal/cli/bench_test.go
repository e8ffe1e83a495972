package cli_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/cli"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// BenchmarkAudit is the whole command on a file of manifests, five pods a workload: reading, facts, rules and
// report. ns/workload must not grow with the size of the mesh.
func BenchmarkAudit(b *testing.B) {
	for _, pods := range []int{2_000, 20_000, 100_000} {
		bulk := meshtest.BulkOfPods(pods)
		name := filepath.Join(b.TempDir(), "mesh.yaml")
		file, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		if err := bulk.Write(file); err != nil {
			b.Fatal(err)
		}
		if err := file.Close(); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				env := &cli.Env{Args0: "sidestep", Stdout: io.Discard, Stderr: os.Stderr, Getenv: func(string) string { return "" }, Now: time.Now}
				if code := cli.Run(context.Background(), env, []string{"audit", "-f", name}); code != cli.ExitFindings && code != cli.ExitClean {
					b.Fatalf("exit code %d", code)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(bulk.Services), "ns/workload")
		})
	}
}
