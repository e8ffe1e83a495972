package promql

import (
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// A call that passes a waypoint and a sidecar counts once, CPU of sidecars is not a waypoint's, and KEDA sees the pods of its waypoint alone.
func TestCapacityIsMeasuredOnce(t *testing.T) {
	f := &fixture{}
	f.b.WriteString("load 1m\n")
	to := `destination_service_namespace="shop",destination_service_name="web"`
	f.rate("istio_requests_total", `reporter="waypoint",namespace="shop",pod="waypoint-5d4f8-x2x1z",response_code="200",`+to, 40)
	f.rate("istio_requests_total", `reporter="waypoint",namespace="shop",pod="other-5d4f8-x2x1z",response_code="200",destination_service_namespace="shop",destination_service_name="other"`, 7)
	f.rate("istio_requests_total", `reporter="destination",namespace="shop",pod="web-0",response_code="200",`+to, 38)
	for name, perSecond := range map[string]float64{"istio_request_bytes_sum": 4000, "istio_response_bytes_sum": 40000, "istio_request_bytes_count": 40} {
		f.rate(name, `reporter="waypoint",namespace="shop",pod="waypoint-5d4f8-x2x1z",`+to, perSecond)
	}
	for pod, cores := range map[string]float64{"waypoint-5d4f8-x2x1z": 0.02, "other-5d4f8-x2x1z": 0.0035, "web-0": 3} {
		f.rate("container_cpu_usage_seconds_total", `namespace="shop",container="istio-proxy",image="x",pod="`+pod+`"`, cores)
	}
	s := promqltest.LoadedStorage(t, f.b.String())
	for name, want := range map[string]float64{"service_requests": 40, "service_payload": 1100, "waypoint_cores_per_request": 0.0005} {
		m, _ := metric.LookupCapacity(name)
		found := false
		for _, x := range run(t, s, m, params) {
			if x.Labels["destination_service_name"] == "other" {
				continue
			}
			found = true
			if v, _ := x.Last(); !near(v, want) {
				t.Errorf("%s is %g, want %g", name, v, want)
			}
		}
		if !found {
			t.Errorf("%s has no answer", name)
		}
	}
	got := evaluate(t, s, generate.KEDAQuery("shop", "waypoint"), metric.Evaluation{End: epoch.Add(90 * 60e9)})
	if len(got) != 1 || !near(got[0].Floats[0].F, 40) {
		t.Errorf("KEDA's query gives %v, want 40", got)
	}
}
