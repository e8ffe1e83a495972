package promql

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/sidestep-mesh/sidestep/internal/live"
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
		k := x.Labels["namespace"] + "/" + x.Labels["pod"]
		if old := got[k]; old != "" {
			t.Errorf("%s has two roles: %s and %s", k, old, x.Labels["role"])
		}
		got[k] = x.Labels["role"]
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
func sums(t *testing.T, s storage.Queryable, name, resource string) (total float64, pods []string) {
	t.Helper()
	for _, x := range run(t, s, lookup(t, name), params) {
		k := x.Labels["namespace"] + "/" + x.Labels["pod"]
		v, ok := x.Mean()
		if (roles[k] == metric.RoleSidecarClassic || roles[k] == metric.RoleSidecarNative) && x.Labels["resource"] == resource && ok && metric.Finite(v) {
			total += v
			pods = append(pods, k)
		}
	}
	sort.Strings(pods)
	return total, pods
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(b), 1) }

func TestSidecarRequestsAndUsageAreExact(t *testing.T) {
	s := promqltest.LoadedStorage(t, matrix())
	for _, c := range []struct {
		metric, resource string
		want             float64
		pods             int
	}{
		// Eight sidecars run: classic-1, native-1, native-old-ksm, twice-scraped, restarted, doubled, no-usage, nan.
		{"proxy_requests", "cpu", 8 * 0.1, 8},
		{"proxy_requests", "memory", 8 * 128 * mib, 8},
		// Usage is half the requests; no-usage has no series and nan no value.
		{"proxy_usage", "cpu", 6 * 0.05, 6},
		{"proxy_usage", "memory", 6 * 64 * mib, 6},
	} {
		got, pods := sums(t, s, c.metric, c.resource)
		// rate() extrapolates at most one scrape interval over a reset.
		if tolerance := c.want * 0.01; math.Abs(got-c.want) > tolerance || len(pods) != c.pods {
			t.Errorf("%s of %s: %g over %d pods %v, want %g over %d", c.metric, c.resource, got, len(pods), pods, c.want, c.pods)
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
	cpu, _ := sums(t, s, "proxy_usage", "cpu")
	requests, _ := sums(t, s, "proxy_requests", "cpu")
	memory, _ := sums(t, s, "proxy_usage", "memory")
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
		role[x.Labels["pod"]] = x.Labels["role"]
	}
	for _, x := range run(t, s, lookup(t, "proxy_requests"), params) {
		if r := role[x.Labels["pod"]]; x.Labels["resource"] == "cpu" && (r == metric.RoleSidecarClassic || r == metric.RoleSidecarNative) {
			truth += x.Points[0].V
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
	match  map[string]string
	value  float64
}{
	"presence":         {6, map[string]string{"source": "OpenCost"}, 3},
	"node_count":       {1, nil, 3},
	"node_price":       {3, map[string]string{"node": "node-0"}, 0.192},
	"pod_role":         {19, map[string]string{"pod": "ztunnel2"}, 1},
	"proxy_requests":   {38, map[string]string{"pod": "native-1", "resource": "cpu"}, 0.1},
	"proxy_usage":      {34, map[string]string{"pod": "doubled", "resource": "memory"}, 64 * mib},
	"pod_startup":      {19, map[string]string{"pod": "plain"}, 7},
	"edge_latency":     {4, map[string]string{"namespace": "shop", "quantile": "0.99"}, 23.5},
	"edge_instruments": {1, map[string]string{"source_workload": "ingress-gateway", "source_workload_namespace": "edge"}, 1},
	"sidecar_pods":     {1, map[string]string{"namespace": "shop"}, 8},
	"edge_requests":    {4, map[string]string{"namespace": "shop", "result": "failed"}, 1},
	"edge_workloads":   {14, map[string]string{"namespace": "shop", "result": "failed"}, 1},
	"proxied_requests": {2, map[string]string{"reporter": "destination"}, 30},
	"istiod_pushes":    {1, nil, 2},
	"zone_bytes":       {2, map[string]string{"destination_zone": "b"}, 400},
	"mesh_bytes":       {1, map[string]string{"source_workload_namespace": "shop"}, 4500},
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
			var hit *metric.Series
			for i, s := range got {
				if v, ok := s.Last(); ok && metric.Finite(v) {
					finite++
				}
				matches := true
				for name, value := range want.match {
					matches = matches && s.Labels[name] == value
				}
				if matches && hit == nil {
					hit = &got[i]
				}
				for name := range s.Labels {
					if !slices.Contains(m.Labels, name) {
						t.Errorf("series bears label %s, which the metric does not declare", name)
					}
				}
			}
			if finite != want.series || hit == nil {
				t.Fatalf("%d series with a value, want %d; the one looked for is there: %v\n%v", finite, want.series, hit != nil, got)
			}
			if v, _ := hit.Last(); math.Abs(v-want.value) > 0.01*want.value {
				t.Errorf("%v = %g, want %g", hit.Labels, v, want.value)
			}
		})
	}
}

// The quantiles that are computed from buckets on our side are those that the server would compute.
func TestQuantilesAreThoseOfTheEngine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var script strings.Builder
	script.WriteString("load 1m\n")
	bounds := []string{"0", "0.5", "1", "5", "10", "25", "50", "+Inf"}
	for n := range 40 {
		count := 0.0
		for i, le := range bounds {
			if step := rng.IntN(4); step > 0 && (n%5 != 0 || i%2 == 0) { // some buckets stay empty, some histograms all but so
				count += float64(rng.IntN(200) * step)
			}
			if n == 0 {
				count = 0 // nothing was ever observed
			}
			if n == 1 && le == "+Inf" {
				continue // a broken histogram
			}
			fmt.Fprintf(&script, "  istio_request_duration_milliseconds_bucket{reporter=\"source\",source_workload=\"ingress-gateway\",destination_service_namespace=\"ns-%02d\",le=\"%s\"} 0+%gx120\n", n, le, count)
		}
	}
	s := promqltest.LoadedStorage(t, script.String())
	m := lookup(t, "edge_latency")
	params := params
	params.EdgeMatcher = `reporter="source",source_workload="ingress-gateway"`
	got := map[string]float64{}
	for _, x := range run(t, s, m, params) {
		for _, p := range x.Points {
			got[fmt.Sprint(x.Labels["namespace"], x.Labels["quantile"], p.T)] = p.V
		}
	}
	compared := 0
	for _, q := range []string{metric.P50, metric.P99} {
		for _, e := range m.Evaluations(params) {
			for _, x := range evaluate(t, s, "histogram_quantile("+q+", "+m.Query(params.Defaults())+")", e) {
				for _, f := range x.Floats {
					have, ok := got[fmt.Sprint(x.Metric.Get("namespace"), q, f.T/1000)]
					if ok != metric.Finite(f.F) || ok && !near(have, f.F) {
						t.Errorf("%s P%s at %d: %g (there: %v), the engine says %g", x.Metric.Get("namespace"), q, f.T, have, ok, f.F)
					}
					compared++
				}
			}
		}
	}
	if compared < 2*38 {
		t.Errorf("only %d quantiles were compared", compared)
	}
}

// Errors are counted by gRPC status where the HTTP status is fine, and no request twice.
func TestAGRPCOutageIsErrors(t *testing.T) {
	s := promqltest.LoadedStorage(t, matrix())
	got := map[string]float64{}
	for _, x := range run(t, s, lookup(t, "edge_requests"), params) {
		got[x.Labels["namespace"]+" "+x.Labels["result"]], _ = x.Last()
	}
	for key, want := range map[string]float64{"calm all": 5, "calm failed": 2, "shop all": 10, "shop failed": 1} {
		if !near(got[key], want) {
			t.Errorf("%s: %g requests/s, want %g", key, got[key], want)
		}
	}
}

// One server for two clusters, scraped by a pair of Prometheus whose copies nobody removes, with cAdvisor as containerd without CRI labels has it: each cluster gets its own, once.
func TestTwoClustersAPairOfReplicasAndNoImageLabel(t *testing.T) {
	f := &fixture{}
	f.b.WriteString("load 1m\n")
	for i, cluster := range []string{"prod", "stage"} {
		for _, replica := range []string{"a", "b"} {
			id := fmt.Sprintf(`cluster="%s",prometheus_replica="%s",`, cluster, replica)
			for n := range 4 {
				pod := fmt.Sprintf(`%snamespace="shop",pod="web-%d"`, id, n)
				f.gauge("kube_pod_status_phase", pod+`,phase="Running"`, 1)
				f.gauge("kube_pod_container_info", pod+`,container="app"`, 1)
				f.gauge("kube_pod_container_info", pod+`,container="istio-proxy"`, 1)
				f.rate("container_cpu_usage_seconds_total", pod+`,container="istio-proxy",id="/kubepods/x"`, 0.05)
				f.gauge("container_memory_working_set_bytes", pod+`,container="istio-proxy",id="/kubepods/x"`, 64*mib)
			}
			f.gauge("kube_pod_status_phase", id+`namespace="edge",pod="gw",phase="Running"`, 1)
			f.gauge("kube_pod_container_info", id+`namespace="edge",pod="gw",container="istio-proxy"`, 1)
			gw := id + `namespace="edge",pod="gw",reporter="source",source_workload="gw",source_workload_namespace="edge",destination_service_namespace="shop",response_code="200"`
			f.rate("istio_requests_total", gw, 10+float64(i))
			for _, z := range []string{"a", "b"} {
				f.rate("istio_tcp_sent_bytes_total", id+`app="ztunnel",reporter="source",source_zone="a",destination_zone="`+z+`",destination_workload_namespace="shop"`, 100)
				f.rate("istio_tcp_received_bytes_total", id+`app="ztunnel",reporter="source",source_zone="a",destination_zone="`+z+`",destination_workload_namespace="shop"`, 300)
			}
		}
	}
	srv := serve(t, promqltest.LoadedStorage(t, f.b.String()), "3.11.3")
	p, err := live.NewProm(live.PromConfig{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	asked := params
	if asked.Cluster, err = metric.ClusterMatcher("cluster=prod"); err != nil {
		t.Fatal(err)
	}
	d := p.Collect(context.Background(), asked, metric.All())
	sum := func(name string, labels map[string]string) (sum float64, n int) {
		for _, s := range d.Result(name).Series {
			fits := true
			for k, v := range labels {
				fits = fits && s.Labels[k] == v
			}
			if v, ok := s.Last(); ok && fits {
				sum, n = sum+v, n+1
			}
		}
		return sum, n
	}
	for _, c := range []struct {
		metric string
		labels map[string]string
		want   float64
	}{
		{"pod_role", map[string]string{"role": metric.RoleSidecarClassic}, 4},
		{"proxy_usage", map[string]string{"resource": "cpu"}, 0.2},
		{"zone_bytes", map[string]string{"destination_zone": "b"}, 400},
		{"edge_requests", map[string]string{"result": metric.AllRequests}, 10},
	} {
		if got, n := sum(c.metric, c.labels); !near(got, c.want) {
			t.Errorf("%s: %g in %d series, want %g (%s)", c.metric, got, n, c.want, d.Result(c.metric).Why())
		}
	}
	there := false
	for _, s := range d.Result("presence").Series {
		there = there || s.Labels["source"] == string(metric.CAdvisor)
	}
	if !there {
		t.Error("cAdvisor without an image label passes for not scraped")
	}
}
