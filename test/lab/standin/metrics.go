package standin

// Stands in for: the exporters of a cluster, all of them at one address: Envoy in
// sidecars and waypoints, ztunnel, cAdvisor, kube-state-metrics and node-exporter,
// with the names and labels that the real ones have after the usual relabelling
// (kubernetes-pods, kubelet and kube-prometheus jobs). What is exposed follows from
// each pod's mode at that moment and from the call graphs of the loaded scenarios.
//
// Differs: no request is ever sent. Rates are those of the call graph, the same
// at all hours; proxies' cost and latency come from a model (model.go), not from
// proxies. In a mesh of more than detailLimit pods the traffic of a workload
// is exposed by its first pod alone (sums per workload are the same, the number of series is
// a fifth). Only series that somebody queries are there, not all that the real exporters have.

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// detailLimit is the number of pods up to which every pod exposes its own share of the traffic.
const detailLimit = 300

// Exporter names, as MetricsFault.Missing takes them.
const (
	exporterEnvoy     = "envoy"
	exporterZtunnel   = "ztunnel"
	exporterCadvisor  = "cadvisor"
	exporterKubeState = "kube-state-metrics"
	exporterNode      = "node-exporter"
	exporterApp       = "application"
)

var exporterNames = []string{exporterEnvoy, exporterZtunnel, exporterCadvisor, exporterKubeState, exporterNode, exporterApp}

// MetricsFault changes what the exporters say.
type MetricsFault struct {
	// Model is the latency and load model: "published" (the default) or "bad".
	Model string `json:"model"`
	// Missing lists exporters that are not scraped.
	Missing []string `json:"missing"`
}

func (f MetricsFault) validate() error {
	if _, err := modelNamed(f.Model); err != nil {
		return err
	}
	for _, name := range f.Missing {
		if !slices.Contains(exporterNames, name) {
			return fmt.Errorf("no exporter is called %q; there are %v", name, exporterNames)
		}
	}
	return nil
}

// Exporters is every exporter of a cluster at one address.
type Exporters struct {
	world   *World
	control *Control

	mu       sync.Mutex
	calls    []scenario.Call
	bound    map[string]string // service namespace/name to waypoint namespace/name
	counters map[string]*counter
	last     time.Time
}

// counter is a series that was exposed. A series that is not exposed again, since
// its pod is gone, is forgotten.
type counter struct {
	key   string // name{labels}
	kind  byte
	round int64 // when it was last exposed
	rate  float64
	value float64
	at    int64 // the sample's own time in milliseconds; 0: that of the scrape
}

// Kinds of series: a gauge, a counter, a counter of whole things.
const (
	gaugeSeries = 'G'
	realCounter = 'C'
	wholeCounts = 'N'
)

// NewExporters prepares them.
func NewExporters(world *World, control *Control) *Exporters {
	return &Exporters{world: world, control: control, counters: map[string]*counter{}}
}

// Run keeps the call graph and the waypoint bindings fresh.
func (e *Exporters) Run(ctx context.Context) {
	for {
		calls, err := scenario.Calls(ctx, e.world.Client)
		var bound map[string]string
		if err == nil {
			bound, err = boundServices(ctx, e.world)
		}
		if err == nil {
			e.mu.Lock()
			e.calls, e.bound = calls, bound
			e.mu.Unlock()
		} else if ctx.Err() == nil {
			log.Printf("exporters: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
	}
}

// ServeHTTP answers a scrape in the Prometheus text format.
func (e *Exporters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := e.Expose(time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = w.Write(text)
}

// Expose moves all counters to now and writes every series.
func (e *Exporters) Expose(now time.Time) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	faults := e.control.Faults()
	m, err := modelNamed(faults.Metrics.Model)
	if err != nil {
		return nil, err
	}
	mesh, err := e.world.mesh(e.calls, e.bound)
	if err != nil {
		return nil, err
	}
	elapsed := 0.0
	if !e.last.IsZero() {
		elapsed = now.Sub(e.last).Seconds()
	}
	e.last = now
	x := &exposition{now: now, elapsed: elapsed, model: m, mesh: mesh, counters: e.counters, round: now.UnixNano(), fault: faults.Metrics, clock: faults.Clock}
	x.all()
	text := x.text()
	for key, c := range e.counters {
		if c.round != x.round {
			delete(e.counters, key)
		}
	}
	return text, nil
}

// all lets every exporter that is not missing add its series.
func (x *exposition) all() {
	for _, exporter := range []struct {
		name   string
		expose func(*exposition)
	}{
		{exporterEnvoy, exposeEnvoy}, {exporterZtunnel, exposeZtunnel}, {exporterApp, exposeApplications},
		{exporterCadvisor, exposeCadvisor}, {exporterKubeState, exposeKubeState}, {exporterNode, exposeNodes},
	} {
		if !slices.Contains(x.fault.Missing, exporter.name) {
			exporter.expose(x)
		}
	}
}

// exposition is one scrape in the making.
type exposition struct {
	now      time.Time
	elapsed  float64 // seconds since the last scrape
	model    *model
	mesh     *mesh
	fault    MetricsFault
	clock    ClockFault
	counters map[string]*counter
	round    int64

	order []*counter // what is exposed this time
	key   []byte
}

// labels is a list of name and value in turn.
type labels []string

// gauge exposes a value that is what it is.
func (x *exposition) gauge(name string, l labels, value float64) *counter {
	c := x.series(gaugeSeries, name, l)
	c.rate = value
	return c
}

// grow adds to the speed, a second, at which a counter grows. Several calls may go into one series.
func (x *exposition) grow(name string, l labels, perSecond float64) *counter {
	c := x.series(realCounter, name, l)
	c.rate += perSecond
	return c
}

// count is grow for what comes in whole numbers.
func (x *exposition) count(name string, l labels, perSecond float64) {
	x.series(wholeCounts, name, l).rate += perSecond
}

// histogram adds observations, at a rate a second, whose distribution function is cdf.
func (x *exposition) histogram(name string, l labels, buckets []float64, perSecond, mean float64, cdf func(float64) float64) {
	x.count(name+"_count", l, perSecond)
	x.grow(name+"_sum", l, perSecond*mean)
	bucket := append(slices.Clip(slices.Clone(l)), "le", "")
	for _, le := range buckets {
		bucket[len(bucket)-1] = strconv.FormatFloat(le, 'g', -1, 64)
		x.count(name+"_bucket", bucket, perSecond*cdf(le))
	}
	bucket[len(bucket)-1] = "+Inf"
	x.count(name+"_bucket", bucket, perSecond)
}

func (x *exposition) series(kind byte, name string, l labels) *counter {
	x.key = appendSeries(x.key[:0], name, l)
	c := x.counters[string(x.key)]
	if c == nil {
		c = &counter{key: string(x.key), kind: kind}
		x.counters[c.key] = c
	}
	if c.round != x.round {
		c.round, c.rate, c.at = x.round, 0, 0
		x.order = append(x.order, c)
	}
	return c
}

// text moves every counter on and writes all series in the Prometheus text format.
func (x *exposition) text() []byte {
	var out bytes.Buffer
	for _, c := range x.order {
		value := c.rate
		if c.kind != gaugeSeries {
			c.value += c.rate * x.elapsed
			value = c.value
		}
		if c.kind == wholeCounts {
			value = math.Floor(value + 1e-9)
		}
		writeSample(&out, c.key, value, c.at)
	}
	return out.Bytes()
}

// rates writes how fast each counter grows, and what each gauge is, marked by kind.
func (x *exposition) rates() []byte {
	var out bytes.Buffer
	for _, c := range x.order {
		out.WriteByte(c.kind)
		out.WriteByte(' ')
		writeSample(&out, c.key, c.rate, 0)
	}
	return out.Bytes()
}

func writeSample(out *bytes.Buffer, key string, value float64, at int64) {
	out.WriteString(key)
	out.WriteByte(' ')
	out.Write(strconv.AppendFloat(out.AvailableBuffer(), value, 'g', -1, 64))
	if at != 0 {
		out.WriteByte(' ')
		out.Write(strconv.AppendInt(out.AvailableBuffer(), at, 10))
	}
	out.WriteByte('\n')
}

// appendSeries writes name{label="value",...}. Values here come from Kubernetes names and need no escapes.
func appendSeries(buf []byte, name string, l labels) []byte {
	buf = append(buf, name...)
	sep := byte('{')
	for i := 0; i+1 < len(l); i += 2 {
		buf = append(buf, sep)
		buf = append(buf, l[i]...)
		buf = append(buf, '=', '"')
		buf = append(buf, l[i+1]...)
		buf = append(buf, '"')
		sep = ','
	}
	if sep == ',' {
		buf = append(buf, '}')
	}
	return buf
}
