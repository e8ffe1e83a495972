package standin

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidestep-mesh/sidestep/test/lab/scenario"
)

// view makes a running pod with an application container and, for a sidecar, a native proxy.
func view(name string, mode string) *podView {
	always := corev1.ContainerRestartPolicyAlways
	v := &podView{
		Pod:      &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name + "-0", UID: "u-" + "x"}},
		workload: name, app: name, version: "v1", zone: "zone-" + name, region: "r",
	}
	v.Spec = corev1.PodSpec{NodeName: "n-" + name, ServiceAccountName: name, Containers: []corev1.Container{{Name: "app"}}}
	v.Status.Phase = corev1.PodRunning
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	switch mode {
	case "sidecar":
		v.sidecar = true
		v.Spec.InitContainers = []corev1.Container{{Name: proxyContainer, RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: requests}}}
	case "ambient":
		v.ambient = true
	case "ztunnel":
		v.role = ztunnelProxy
		v.Spec.NodeName = "n-" + strings.TrimPrefix(name, "ztunnel-")
		v.Spec.Containers[0].Name = proxyContainer
	case "waypoint":
		v.role = waypointProxy
		v.Spec.Containers[0].Name = proxyContainer
	}
	return v
}

// expose lets a mesh of one call run for some seconds and returns all series.
func expose(t *testing.T, clientMode, serverMode string, waypoint bool, m *model, seconds float64) map[string]float64 {
	t.Helper()
	client, server := view("client", clientMode), view("server", serverMode)
	e := edge{Call: scenario.Call{RPS: 100, ServiceMS: 4, Errors: 0.1}, clients: []*podView{client}, servers: []*podView{server}, service: "server"}
	pods := []*podView{client, server, view("ztunnel-client", "ztunnel"), view("ztunnel-server", "ztunnel")}
	if waypoint {
		e.waypoints = []*podView{view("waypoint", "waypoint")}
		pods = append(pods, e.waypoints...)
	}
	for _, p := range pods {
		p.rps = 100
	}
	x := &exposition{
		now: time.Unix(1, 0), elapsed: seconds, model: m, counters: map[string]*counter{}, round: 1,
		mesh: &mesh{pods: pods, edges: []edge{e}, everyPod: true},
	}
	for _, f := range []func(*exposition){exposeEnvoy, exposeZtunnel, exposeApplications, exposeCadvisor, exposeKubeState} {
		f(x)
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(x.text())) {
		name, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "} ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := all[name]; twice {
			t.Errorf("twice: %s", name)
		}
		all[name] = value
	}
	return all
}

// total sums the series that match all patterns.
func total(series map[string]float64, patterns ...string) (sum float64, n int) {
	for name, value := range series {
		hit := true
		for _, p := range patterns {
			hit = hit && regexp.MustCompile(p).MatchString(name)
		}
		if hit {
			sum, n = sum+value, n+1
		}
	}
	return sum, n
}

func TestWhatIsExposedFollowsTheModes(t *testing.T) {
	const seconds = 10 // of 100 requests a second
	for name, c := range map[string]struct {
		client, server string
		waypoint       bool
		patterns       []string
		sum            float64
	}{
		"both sidecars count every request":                         {"sidecar", "sidecar", false, []string{"^istio_requests_total"}, 2000},
		"a client's sidecar says source":                            {"sidecar", "none", false, []string{"^istio_requests_total", `reporter="source"`, `app="client"`}, 1000},
		"a sidecar does not know whether its call is encrypted":     {"sidecar", "sidecar", false, []string{"^istio_requests_total", `reporter="source"`, `policy="unknown"`}, 1000},
		"a server's sidecar says destination":                       {"none", "sidecar", false, []string{"^istio_requests_total", `reporter="destination"`, `policy="none"`}, 1000},
		"errors are apart":                                          {"sidecar", "none", false, []string{"^istio_requests_total", `response_code="503"`}, 100},
		"every request is in the largest bucket":                    {"sidecar", "none", false, []string{"^istio_request_duration_milliseconds_bucket", `le="\+Inf"`}, 1000},
		"nothing takes less than half a millisecond less one":       {"sidecar", "none", false, []string{"^istio_request_duration_milliseconds_bucket", `le="0.5"`}, 0},
		"with ztunnel alone no HTTP series is left":                 {"ambient", "ambient", false, []string{"^istio_requests_total|^istio_request_duration"}, 0},
		"the client's ztunnel counts connections":                   {"ambient", "ambient", false, []string{"^istio_tcp_connections_opened_total", `reporter="source"`, `app="ztunnel-client"`}, 50},
		"the server's ztunnel counts them too":                      {"ambient", "ambient", false, []string{"^istio_tcp_connections_opened_total", `reporter="destination"`, `app="ztunnel-server"`}, 50},
		"ztunnel knows zones":                                       {"ambient", "ambient", false, []string{"^istio_tcp_connections_opened_total", `source_zone="zone-client"`, `destination_zone="zone-server"`}, 100},
		"a waypoint reports as waypoint":                            {"ambient", "ambient", true, []string{"^istio_requests_total"}, 1000},
		"the waypoint sees the client":                              {"ambient", "ambient", true, []string{"^istio_requests_total", `reporter="waypoint"`, `source_workload="client"`, `destination_workload="server"`}, 1000},
		"a server's sidecar behind a waypoint sees the waypoint":    {"ambient", "sidecar", true, []string{"^istio_requests_total", `reporter="destination"`, `source_workload="waypoint"`}, 1000},
		"the callers' own histogram is there in every mode":         {"ambient", "ambient", false, []string{"^http_client_request_duration_seconds_count"}, 1000},
		"a native sidecar's requests stand under init containers":   {"sidecar", "none", false, []string{"^kube_pod_init_container_resource_requests", `container="istio-proxy"`, `resource="cpu"`}, 0.1},
		"the restart policy tells a native sidecar":                 {"sidecar", "none", false, []string{"^kube_pod_init_container_info", `restart_policy="Always"`}, 1},
		"sidecar, ztunnel and waypoint share the container's name":  {"sidecar", "none", true, []string{"^container_memory_working_set_bytes", `container="istio-proxy"`}, published.sidecar.bytes(100) + published.waypoint.bytes(100) + 2*published.ztunnel.bytes(100)},
		"usage follows the published cost of a proxy at that speed": {"sidecar", "none", false, []string{"^container_cpu_usage_seconds_total", `container="istio-proxy"`, `pod="client-0"`}, seconds * published.sidecar.cpu(100)},
	} {
		t.Run(name, func(t *testing.T) {
			series := expose(t, c.client, c.server, c.waypoint, published, seconds)
			if sum, n := total(series, c.patterns...); sum < c.sum*0.999 || sum > c.sum*1.001 {
				t.Errorf("sum of %d series is %v, want %v", n, sum, c.sum)
			}
		})
	}
}

func TestABadWaypointIsSlowAndAnswersErrors(t *testing.T) {
	below := func(m *model) float64 { // share of requests under 50 ms at the client
		series := expose(t, "ambient", "ambient", true, m, 100)
		fast, _ := total(series, "^http_client_request_duration_seconds_bucket", `le="0.025"`)
		all, _ := total(series, "^http_client_request_duration_seconds_count")
		return fast / all
	}
	if good, poor := below(published), below(bad); good < 0.95 || poor > 0.05 {
		t.Errorf("under 25 ms: %.2f with the published model, %.2f with the bad one", good, poor)
	}
	errorsOf := func(m *model) float64 {
		sum, _ := total(expose(t, "ambient", "ambient", true, m, 100), "^istio_requests_total", `response_code="503"`)
		return sum
	}
	if good, poor := errorsOf(published), errorsOf(bad); poor <= good {
		t.Errorf("503s: %v with the published model, %v with the bad one", good, poor)
	}
}

func TestCountersGrowAndTwoCallsCanShareOne(t *testing.T) {
	counters := map[string]*counter{}
	for round, want := range []string{"a_total{pod=\"p\"} 9\nb{pod=\"p\"} 7\n", "a_total{pod=\"p\"} 18\nb{pod=\"p\"} 7\n"} {
		x := &exposition{elapsed: 3, counters: counters, round: int64(round + 1)}
		x.grow("a_total", labels{"pod", "p"}, 2)
		x.grow("a_total", labels{"pod", "p"}, 1)
		x.gauge("b", labels{"pod", "p"}, 7)
		if got := string(x.text()); got != want {
			t.Errorf("have %q, want %q", got, want)
		}
	}
}

// A model that is switched while the lab runs must not make any counter fall.
func TestSwitchingTheModelLetsNoCounterFall(t *testing.T) {
	cdf := func(median float64) func(float64) float64 { f, _ := latency(median, 0); return f }
	counters := map[string]*counter{}
	before := map[string]float64{}
	for round, median := range []float64{5, 500, 5} {
		x := &exposition{elapsed: 10, counters: counters, round: int64(round + 1)}
		x.histogram("h", nil, istioBuckets, 100, median, cdf(median))
		x.text()
		for key, c := range counters {
			if c.value < before[key] {
				t.Errorf("%s fell from %v to %v", key, before[key], c.value)
			}
			before[key] = c.value
		}
	}
}
