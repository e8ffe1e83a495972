package promql

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

const (
	meshPods = 10_000
	days     = 14
)

// BenchmarkTenThousandPodsForFourteenDays runs the program itself against Prometheus' storage, engine and HTTP API: 10,000 pods, 14 days of one
// sample a minute. Series that only instant queries read (kube-state-metrics) are there for the last ten minutes, since an instant query
// looks back five; everything that is read over time is there for all of it. Making the data takes minutes.
func BenchmarkTenThousandPodsForFourteenDays(b *testing.B) {
	dir := b.TempDir()
	binary := filepath.Join(dir, "sidestep")
	build := exec.Command("go", "build", "-o", binary, "./cmd/sidestep")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	end := time.Now().Truncate(time.Minute).Add(time.Minute)
	began := time.Now()
	samples := fill(b, filepath.Join(dir, "data"), end)
	b.Logf("%d million samples made in %s", samples/1_000_000, time.Since(began).Round(time.Second))
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = (30 * 24 * time.Hour).Milliseconds()
	db, err := tsdb.Open(filepath.Join(dir, "data"), promslog.NewNopLogger(), nil, opts, nil)
	if err != nil {
		b.Fatal(err)
	}
	db.DisableCompactions() // fourteen blocks of a day, as they are
	b.Cleanup(func() { db.Close() })
	upstream := serve(b, db, "3.11.3")
	var queries atomic.Int64
	target, _ := url.Parse(upstream.URL)
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/query") {
			queries.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(front.Close)
	for b.Loop() {
		queries.Store(0)
		dump := filepath.Join(dir, "dump.json")
		cmd := exec.Command(binary, "roi", "collect", "--prometheus", front.URL, "--window", fmt.Sprintf("%dd", days), "--out", dump)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "none"))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		start := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatalf("%v\n%s", err, stderr.String())
		}
		took := time.Since(start)
		rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
		b.ReportMetric(took.Seconds(), "s/collect")
		b.ReportMetric(float64(rss), "MB-peak")
		b.ReportMetric(float64(queries.Load()), "queries")
		if n := queries.Load(); n > metric.MaxQueries {
			b.Errorf("%d queries", n)
		}
		check(b, dump)
	}
}

func check(b *testing.B, dump string) {
	b.Helper()
	f, err := os.Open(dump)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	d, err := metric.Decode(f)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"pod_role", "proxy_requests", "proxy_cpu", "proxy_memory", "edge_p99", "edge_requests", "node_count", "mesh_bytes", "pod_startup"} {
		r := d.Result(name)
		if !r.Usable() {
			b.Errorf("%s: %s", name, r.Why())
		}
		if name == "proxy_cpu" && len(r.Series) != meshPods {
			b.Errorf("usage of %d pods, want %d", len(r.Series), meshPods)
		}
	}
}

// fill writes one block a day and returns the number of samples.
func fill(b *testing.B, dir string, end time.Time) int {
	b.Helper()
	total := 0
	rng := rand.New(rand.NewPCG(1, 1))
	for day := range days {
		from := end.Add(time.Duration(day-days) * 24 * time.Hour)
		w, err := tsdb.NewBlockWriter(promslog.NewNopLogger(), dir, 3*24*3600*1000) // a block takes samples back to half of this
		if err != nil {
			b.Fatal(err)
		}
		f := &filler{b: b, w: w, from: from, to: from.Add(24 * time.Hour), rng: rng}
		f.overTime(day == days-1)
		if day == days-1 {
			f.from = end.Add(-10 * time.Minute)
			f.kubernetes()
		}
		f.flush()
		total += f.n
	}
	return total
}

type filler struct {
	b        *testing.B
	w        *tsdb.BlockWriter
	from, to time.Time
	rng      *rand.Rand
	n        int
}

// series appends one series; v gives the value of each minute since the epoch.
func (f *filler) series(l labels.Labels, v func(minute int64) float64) {
	app := f.w.Appender(context.Background())
	var ref storage.SeriesRef
	for t := f.from; t.Before(f.to); t = t.Add(time.Minute) {
		var err error
		if ref, err = app.Append(ref, l, t.UnixMilli(), v(t.Unix()/60)); err != nil {
			f.b.Fatal(err)
		}
		f.n++
	}
	if err := app.Commit(); err != nil {
		f.b.Fatal(err)
	}
}

func (f *filler) flush() {
	if _, err := f.w.Flush(context.Background()); err != nil {
		f.b.Fatal(err)
	}
	f.w.Close()
}

func (f *filler) overTime(last bool) {
	for i := range meshPods {
		id := []string{"namespace", fmt.Sprintf("ns-%02d", i%40), "pod", fmt.Sprintf("app-%05d", i), "container", "istio-proxy", "image", "x", "id", "/k"}
		f.series(labels.FromStrings(append(id, labels.MetricName, "container_cpu_usage_seconds_total")...), func(m int64) float64 { return float64(m)*3 + float64((m*7+int64(i))%64)/64 })
		f.series(labels.FromStrings(append(id, labels.MetricName, "container_memory_working_set_bytes")...), func(m int64) float64 { return float64(60<<20 + (m*13+int64(i))%256*4096) })
		if last {
			id := []string{"namespace", fmt.Sprintf("ns-%02d", i%40), "pod", fmt.Sprintf("app-%05d", i), "source_workload_namespace", fmt.Sprintf("ns-%02d", i%40), "destination_service_namespace", fmt.Sprintf("ns-%02d", (i+1)%40)}
			for _, name := range []string{"istio_request_bytes_sum", "istio_response_bytes_sum"} {
				f.series(labels.FromStrings(append(id, labels.MetricName, name, "reporter", "source")...), func(m int64) float64 { return float64(m * 60_000) })
			}
			f.series(labels.FromStrings(append(id, labels.MetricName, "istio_requests_total", "reporter", "destination", "response_code", "200")...), func(m int64) float64 { return float64(m * 60) })
		}
	}
	for n := range 300 {
		f.series(labels.FromStrings(labels.MetricName, "kube_node_info", "node", fmt.Sprintf("node-%03d", n)), func(int64) float64 { return 1 })
	}
	for ns := range 40 {
		id := []string{"reporter", "source", "source_workload", "ingress-gateway", "destination_service_namespace", fmt.Sprintf("ns-%02d", ns)}
		for i, le := range []string{"1", "5", "10", "25", "50", "100", "250", "500", "1000", "+Inf"} {
			f.series(labels.FromStrings(append(id, labels.MetricName, "istio_request_duration_milliseconds_bucket", "le", le)...), func(m int64) float64 { return float64(m * int64(i+1) * 100) })
		}
		for _, code := range []string{"200", "404", "503"} {
			f.series(labels.FromStrings(append(id, labels.MetricName, "istio_requests_total", "response_code", code)...), func(m int64) float64 { return float64(m * 300) })
		}
	}
	f.series(labels.FromStrings(labels.MetricName, "pilot_xds_pushes", "type", "cds"), func(m int64) float64 { return float64(m * 10) })
}

// kubernetes is what kube-state-metrics says of pods.
func (f *filler) kubernetes() {
	one := func(int64) float64 { return 1 }
	for i := range meshPods {
		id := []string{"namespace", fmt.Sprintf("ns-%02d", i%40), "pod", fmt.Sprintf("app-%05d", i)}
		with := func(name string, more ...string) labels.Labels {
			return labels.FromStrings(append(append(append([]string(nil), id...), labels.MetricName, name), more...)...)
		}
		f.series(with("kube_pod_container_info", "container", "app"), one)
		family := "kube_pod_container_resource_requests"
		if i%2 == 0 {
			f.series(with("kube_pod_container_info", "container", "istio-proxy"), one)
		} else {
			f.series(with("kube_pod_init_container_info", "container", "istio-proxy", "restart_policy", "Always"), one)
			family = "kube_pod_init_container_resource_requests"
		}
		f.series(with(family, "container", "istio-proxy", "resource", "cpu"), func(int64) float64 { return 0.1 })
		f.series(with(family, "container", "istio-proxy", "resource", "memory"), func(int64) float64 { return 128 << 20 })
		f.series(with("kube_pod_container_resource_requests", "container", "app", "resource", "cpu"), func(int64) float64 { return 0.5 })
		for _, phase := range []string{"Pending", "Running", "Succeeded", "Failed", "Unknown"} {
			v := 0.0
			if phase == "Running" {
				v = 1
			}
			f.series(with("kube_pod_status_phase", "phase", phase), func(int64) float64 { return v })
		}
		f.series(with("kube_pod_owner", "owner_kind", "ReplicaSet", "owner_name", "x"), one)
		f.series(with("kube_pod_created"), func(int64) float64 { return 1000 })
		f.series(with("kube_pod_status_ready_time"), func(int64) float64 { return 1008 })
	}
}
