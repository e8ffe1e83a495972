package manifest_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// BenchmarkLoad loads a stream of manifests; MB/s is of YAML. cpu-ns/pod is the processor time, which other processes
// do not disturb; it must not grow with the size of the mesh.
func BenchmarkLoad(b *testing.B) {
	for _, pods := range []int{2_000, 20_000, 100_000} {
		var text bytes.Buffer
		if err := meshtest.BulkOfPods(pods).Write(&text); err != nil {
			b.Fatal(err)
		}
		for name, each := range map[string]manifest.Each{"one core": manifest.OneByOne, "all cores": parallel} {
			b.Run(fmt.Sprintf("pods=%d/%s", pods, name), func(b *testing.B) {
				b.SetBytes(int64(text.Len()))
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					s := manifest.LoadWith(manifest.Options{Each: each}, manifest.Stream("bulk.yaml", bytes.NewReader(text.Bytes())))
					if len(s.Problems()) > 0 {
						b.Fatal(s.Problems()[0])
					}
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/float64(pods), "cpu-ns/pod")
			})
		}
	}
}

func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func parallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
