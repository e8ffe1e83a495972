package promql

import (
	"context"
	"math"
	"sort"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

func lookup(t *testing.T, name string) metric.Metric {
	t.Helper()
	m, ok := metric.Lookup(name)
	if !ok {
		t.Fatalf("no metric %q", name)
	}
	return m
}

func TestEveryPodOfTheMatrixGetsItsRole(t *testing.T) {
	s := promqltest.LoadedStorage(t, matrix())
	got := map[string]string{}
	for _, x := range run(t, s, lookup(t, "pod_role"), params) {
		k := x.Metric.Get("namespace") + "/" + x.Metric.Get("pod")
		if old := got[k]; old != "" {
			t.Errorf("%s has two roles: %s and %s", k, old, x.Metric.Get("role"))
		}
		got[k] = x.Metric.Get("role")
	}
	for k, want := range roles {
		if got[k] != want {
			t.Errorf("%s: role %q, want %q", k, got[k], want)
		}
	}
	for k, role := range got {
		if roles[k] == "" {
			t.Errorf("%s: role %q, want none", k, role)
		}
	}
}

// sums adds the values of sidecars, by the roles that the catalogue gives.
func sums(t *testing.T, s storage.Queryable, name string, keep func(labels.Labels) bool) (total float64, pods []string) {
	t.Helper()
	for _, x := range run(t, s, lookup(t, name), params) {
		k := x.Metric.Get("namespace") + "/" + x.Metric.Get("pod")
		v := x.Floats[len(x.Floats)-1].F
		if (roles[k] == metric.RoleSidecarClassic || roles[k] == metric.RoleSidecarNative) && keep(x.Metric) && metric.Finite(v) {
			total += v
			pods = append(pods, k)
		}
	}
	sort.Strings(pods)
	return total, pods
}

func is(resource string) func(labels.Labels) bool {
	return func(l labels.Labels) bool { return l.Get("resource") == resource }
}

func anySeries(labels.Labels) bool { return true }

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(b), 1) }

func TestSidecarRequestsAndUsageAreExact(t *testing.T) {
	s := promqltest.LoadedStorage(t, matrix())
	for _, c := range []struct {
		metric string
		keep   func(labels.Labels) bool
		want   float64
		pods   int
	}{
		// Eight sidecars run: classic-1, native-1, native-old-ksm, twice-scraped, restarted, doubled, no-usage, nan.
		{"proxy_requests", is("cpu"), 8 * 0.1, 8},
		{"proxy_requests", is("memory"), 8 * 128 * mib, 8},
		// Usage is half the requests; no-usage has no series and nan no value.
		{"proxy_cpu", anySeries, 6 * 0.05, 6},
		{"proxy_memory", anySeries, 6 * 64 * mib, 6},
	} {
		got, pods := sums(t, s, c.metric, c.keep)
		// rate() extrapolates at most one scrape interval over a reset.
		if tolerance := c.want * 0.01; math.Abs(got-c.want) > tolerance || len(pods) != c.pods {
			t.Errorf("%s: %g over %d pods %v, want %g over %d", c.metric, got, len(pods), pods, c.want, c.pods)
		}
	}
}

// The widely copied script counts every container called istio-proxy. These are its queries.
func TestThePublishedScriptIsWrongByAFactor(t *testing.T) {
	s := promqltest.LoadedStorage(t, matrix())
	ask := func(q string) float64 {
		query, err := engine(t).NewInstantQuery(context.Background(), s, nil, q, params.End)
		if err != nil {
			t.Fatal(err)
		}
		defer query.Close()
		v, err := query.Exec(context.Background()).Vector()
		if err != nil || len(v) != 1 {
			t.Fatalf("%s: %v %v", q, v, err)
		}
		return v[0].F
	}
	cpu, _ := sums(t, s, "proxy_cpu", anySeries)
	requests, _ := sums(t, s, "proxy_requests", is("cpu"))
	memory, _ := sums(t, s, "proxy_memory", anySeries)
	for _, c := range []struct {
		what, query string
		truth       float64
		least       float64
	}{
		// Without the NaN series, which would make the script's sum NaN and its report empty.
		{"CPU usage", `sum(rate(container_cpu_usage_seconds_total{container="istio-proxy",pod!="nan"}[5m]))`, cpu, 5},
		{"CPU requests", `sum(kube_pod_container_resource_requests{container="istio-proxy",resource="cpu"})`, requests, 4},
		{"memory usage", `sum(container_memory_usage_bytes{container="istio-proxy"})`, memory, 8},
	} {
		got := ask(c.query)
		factor := got / c.truth
		t.Logf("%s: the script says %.4g, truth is %.4g: %.1f times", c.what, got, c.truth, factor)
		if factor < c.least {
			t.Errorf("%s: factor %.2f, want at least %g", c.what, factor, c.least)
		}
	}
	if v := ask(`sum(rate(container_cpu_usage_seconds_total{container="istio-proxy"}[5m]))`); !math.IsNaN(v) {
		t.Errorf("one NaN series should make the script's sum NaN, got %g", v)
	}
}

func TestTheSmallFixtureOfTheFacts(t *testing.T) {
	f := &fixture{}
	f.b.WriteString("load 1m\n")
	big := container{name: "istio-proxy", cpu: 2, mem: 1024 * mib}
	for _, p := range []pod{
		{ns: "a", name: "classic", containers: []container{app(), proxy()}},
		{ns: "a", name: "native", containers: []container{app(), native()}},
		{ns: "a", name: "waypoint", labels: waypointLabel, containers: []container{proxy()}},
		{ns: "a", name: "gateway", labels: `label_istio="ingressgateway"`, containers: []container{big}},
		{ns: "a", name: "ztunnel", daemonSet: "ztunnel", containers: []container{{name: "istio-proxy", cpu: 0.2, mem: 512 * mib}}},
		{ns: "a", name: "job", phase: "Succeeded", containers: []container{app(), proxy()}},
	} {
		f.pod(p)
	}
	s := promqltest.LoadedStorage(t, f.b.String())
	truth := 0.0
	role := map[string]string{}
	for _, x := range run(t, s, lookup(t, "pod_role"), params) {
		role[x.Metric.Get("pod")] = x.Metric.Get("role")
	}
	for _, x := range run(t, s, lookup(t, "proxy_requests"), params) {
		if r := role[x.Metric.Get("pod")]; x.Metric.Get("resource") == "cpu" && (r == metric.RoleSidecarClassic || r == metric.RoleSidecarNative) {
			truth += x.Floats[0].F
		}
	}
	if !near(truth, 0.2) {
		t.Errorf("two sidecars of 100m request %g cores", truth)
	}
	q, err := engine(t).NewInstantQuery(context.Background(), s, nil, `sum(kube_pod_container_resource_requests{container="istio-proxy",resource="cpu"})`, params.End)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil || len(v) != 1 || !near(v[0].F, 2.5) {
		t.Errorf("the script's request query says %v (%v), want 2.5: 12.5 times the truth", v, err)
	}
}

// expected is one figure per metric that shows it works, and the number of series.
var expected = map[string]struct {
	series int
	match  labels.Labels
	value  float64
}{
	"presence":         {6, labels.FromStrings("source", "OpenCost"), 3},
	"node_count":       {1, labels.EmptyLabels(), 3},
	"node_allocatable": {3, labels.FromStrings("resource", "cpu"), 11.7},
	"node_price":       {3, labels.FromStrings("node", "node-0"), 0.192},
	"pod_role":         {19, labels.FromStrings("pod", "ztunnel2"), 1},
	"proxy_requests":   {38, labels.FromStrings("pod", "native-1", "resource", "cpu"), 0.1},
	"proxy_cpu":        {17, labels.FromStrings("pod", "doubled"), 0.05},
	"proxy_memory":     {17, labels.FromStrings("pod", "doubled"), 64 * mib},
	"pod_startup":      {19, labels.FromStrings("pod", "plain"), 7},
	"edge_p50":         {2, labels.FromStrings("namespace", "shop"), 5},
	"edge_p99":         {2, labels.FromStrings("namespace", "shop"), 23.5},
	"edge_requests":    {2, labels.FromStrings("namespace", "shop"), 10},
	"edge_errors":      {2, labels.FromStrings("namespace", "shop"), 0.1},
	"proxied_requests": {2, labels.FromStrings("reporter", "destination"), 30},
	"istiod_pushes":    {1, labels.EmptyLabels(), 2},
	"zone_bytes":       {2, labels.FromStrings("destination_zone", "b"), 400},
	"mesh_bytes":       {1, labels.FromStrings("source_workload_namespace", "shop"), 4500},
}

func TestEveryQueryOfTheCatalogueAnswersOnTheMatrixAndIsSilentWithoutData(t *testing.T) {
	full := promqltest.LoadedStorage(t, matrix())
	empty := promqltest.LoadedStorage(t, "load 1m\n  unrelated 1x120\n")
	for _, m := range metric.All() {
		t.Run(m.Name, func(t *testing.T) {
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(m.Query(params.Defaults())); err != nil {
				t.Fatalf("%v\n%s", err, m.Query(params.Defaults()))
			}
			if got := run(t, empty, m, params); len(got) != 0 {
				t.Errorf("without data it answers %v", got)
			}
			want, ok := expected[m.Name]
			if !ok {
				t.Fatal("no expectation for this metric")
			}
			got := run(t, full, m, params)
			finite := 0
			var hit *promql.Series
			for i, s := range got {
				if metric.Finite(s.Floats[len(s.Floats)-1].F) {
					finite++
				}
				matches := true
				want.match.Range(func(l labels.Label) { matches = matches && s.Metric.Get(l.Name) == l.Value })
				if matches && hit == nil {
					hit = &got[i]
				}
				s.Metric.Range(func(l labels.Label) {
					declared := false
					for _, d := range m.Labels {
						declared = declared || d == l.Name
					}
					if !declared {
						t.Errorf("series bears label %s, which the metric does not declare", l.Name)
					}
				})
			}
			if finite != want.series || hit == nil {
				t.Fatalf("%d series with a value, want %d; the one looked for is there: %v\n%v", finite, want.series, hit != nil, got)
			}
			if v := hit.Floats[len(hit.Floats)-1].F; math.Abs(v-want.value) > 0.01*want.value {
				t.Errorf("%v = %g, want %g", hit.Metric, v, want.value)
			}
		})
	}
}
