package cli_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/cli"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// BenchmarkAudit is the whole command as it ships, collector and all, on a file of manifests: reading, facts, rules and
// report. The curve is cpu-ns/workload from 2,000 to 100,000 pods, which other processes disturb less than
// ns/workload; neither must grow. Pods that nothing owns are a workload each.
func BenchmarkAudit(b *testing.B) {
	defer cli.TuneCollector(os.Getenv)()
	for _, bare := range []bool{false, true} {
		for _, pods := range []int{2_000, 20_000, 100_000} {
			bulk := meshtest.BulkOfPods(pods)
			bulk.Bare = bare
			name, workloads := fmt.Sprintf("pods=%d", pods), bulk.Services
			if bare {
				name, workloads = name+"/bare", pods
			}
			b.Run(name, func(b *testing.B) { benchmarkAudit(b, bulk, workloads) })
		}
	}
}

func benchmarkAudit(b *testing.B, bulk meshtest.Bulk, workloads int) {
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
	b.ReportAllocs()
	var cpu int64
	for b.Loop() {
		b.StopTimer()
		runtime.GC() // every run begins with an empty heap, as a program does
		before := processorTime(b)
		b.StartTimer()
		env := &cli.Env{Args0: "sidestep", Stdout: io.Discard, Stderr: os.Stderr, Getenv: func(string) string { return "" }, Now: time.Now}
		if code := cli.Run(context.Background(), env, []string{"audit", "-f", name}); code != cli.ExitFindings && code != cli.ExitClean {
			b.Fatalf("exit code %d", code)
		}
		cpu += processorTime(b) - before
	}
	runs := float64(b.N * workloads)
	b.ReportMetric(float64(cpu)/runs, "cpu-ns/workload")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/runs, "ns/workload")
}

// processorTime is what this process has used in nanoseconds, on all cores and in the kernel.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
