package controller

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"k8s.io/client-go/rest"
)

// meters are what the controller measures of itself and of the Migrations.
type meters struct {
	workloads  *prometheus.GaugeVec
	pods       *prometheus.GaugeVec
	gaps       *prometheus.GaugeVec
	breaches   *prometheus.GaugeVec
	held       *prometheus.GaugeVec
	cpu        *prometheus.GaugeVec
	memory     *prometheus.GaugeVec
	objects    prometheus.Gauge
	auditTime  prometheus.Histogram
	changeTime prometheus.Histogram
	seen       map[string]int // by Migration, the number of the last state that was timed
}

func newMeters() *meters {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"migration"}, labels...))
	}
	seconds := []float64{.01, .025, .05, .1, .25, .5, 1, 2, 4, 8, 16, 32}
	return &meters{
		workloads:  gauge("sidestep_migration_workloads", "Application workloads in scope, by what is to become of them: to_move, keep, ambient, none.", "state"),
		pods:       gauge("sidestep_migration_sidecars", "Pods with a sidecar in scope; removable ones are those of workloads that need none.", "kind"),
		gaps:       gauge("sidestep_migration_gaps", "What the modes in effect do not enforce, by rule.", "code"),
		breaches:   gauge("sidestep_migration_broken_assertions", "Assertions that do not hold."),
		held:       gauge("sidestep_migration_held_objects", "Objects that are left alone since somebody else owns what would have to change."),
		cpu:        gauge("sidestep_roi_sidecar_request_cores", "CPU that sidecars in scope request; removable is that of workloads that need none.", "kind"),
		memory:     gauge("sidestep_roi_sidecar_request_bytes", "Memory that sidecars in scope request; removable is that of workloads that need none.", "kind"),
		objects:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "sidestep_objects", Help: "API objects in the snapshot."}),
		auditTime:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sidestep_audit_seconds", Help: "How long making facts and an audit of them took.", Buckets: seconds}),
		changeTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sidestep_change_to_status_seconds", Help: "From the arrival of a change to the status and the events that tell it.", Buckets: seconds}),
		seen:       map[string]int{},
	}
}

func (m *meters) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.workloads, m.pods, m.gaps, m.breaches, m.held, m.cpu, m.memory, m.objects, m.auditTime, m.changeTime, requests} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// audited records one audit.
func (m *meters) audited(took time.Duration, objects int) {
	m.auditTime.Observe(took.Seconds())
	m.objects.Set(float64(objects))
}

// looked records what a look at a Migration gave.
func (m *meters) looked(mig *v1alpha1.Migration, s v1alpha1.MigrationStatus, at *state, now time.Time) {
	name := mig.Name
	for state, n := range map[string]int32{"to_move": s.Workloads.ToMove, "keep": s.Workloads.Keep, "ambient": s.Workloads.Ambient, "none": s.Workloads.None} {
		m.workloads.WithLabelValues(name, state).Set(float64(n))
	}
	m.pods.WithLabelValues(name, "all").Set(float64(s.Workloads.Sidecars))
	m.pods.WithLabelValues(name, "removable").Set(float64(s.Workloads.Removable))
	m.gaps.DeletePartialMatch(prometheus.Labels{"migration": name})
	for _, code := range duty.Watched() {
		m.gaps.WithLabelValues(name, code).Set(0)
	}
	for _, g := range s.Unsafe {
		m.gaps.WithLabelValues(name, g.Code).Inc()
	}
	m.breaches.WithLabelValues(name).Set(float64(len(s.Breaches)))
	m.held.WithLabelValues(name).Set(float64(len(s.Held)))
	m.resources(mig, at)
	if had := m.seen[name]; had > 0 && had < at.number { // the first look is at everything
		m.changeTime.Observe(now.Sub(at.since).Seconds())
	}
	m.seen[name] = at.number
}

// resources sums what sidecars in scope request.
func (m *meters) resources(mig *v1alpha1.Migration, at *state) {
	scope, err := duty.ScopeOf(&mig.Spec.Scope, at.mesh)
	if err != nil {
		return
	}
	var in []audit.WorkloadResult
	for _, r := range at.audit.Workloads {
		if scope[r.Workload.Namespace] {
			in = append(in, r)
		}
	}
	sum := audit.Summarize(in)
	m.cpu.WithLabelValues(mig.Name, "all").Set(float64(sum.HeldCPUMilli) / 1000)
	m.cpu.WithLabelValues(mig.Name, "removable").Set(float64(sum.RemovableCPUMilli) / 1000)
	m.memory.WithLabelValues(mig.Name, "all").Set(float64(sum.HeldMemoryBytes))
	m.memory.WithLabelValues(mig.Name, "removable").Set(float64(sum.RemovableMemoryBytes))
}

// forget drops the series of a Migration that is gone.
func (m *meters) forget(name string) {
	for _, v := range []*prometheus.GaugeVec{m.workloads, m.pods, m.gaps, m.breaches, m.held, m.cpu, m.memory} {
		v.DeletePartialMatch(prometheus.Labels{"migration": name})
	}
	delete(m.seen, name)
}

// requests counts what the controller asks of the API server, so that a steady state can be seen to be one.
var requests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "sidestep_api_requests_total", Help: "Requests to the API server, by verb and resource.",
}, []string{"verb", "resource"})

// countRequests returns a configuration whose clients count their requests.
func countRequests(cfg *rest.Config) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			verb, resource := asked(r)
			requests.WithLabelValues(verb, resource).Inc()
			return next.RoundTrip(r)
		})
	})
	return out
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// asked is the verb, as RBAC names it, and the resource of a request.
func asked(r *http.Request) (verb, resource string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) >= 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "discover", ""
	}
	if len(parts) >= 3 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) == 0 {
		return "discover", ""
	}
	resource = parts[0]
	named := len(parts) > 1
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	switch r.Method {
	case http.MethodGet:
		switch {
		case r.URL.Query().Get("watch") != "":
			return "watch", resource
		case named:
			return "get", resource
		}
		return "list", resource
	case http.MethodPost:
		return "create", resource
	case http.MethodPut:
		return "update", resource
	case http.MethodPatch:
		return "patch", resource
	case http.MethodDelete:
		return "delete", resource
	}
	return strings.ToLower(r.Method), resource
}
