package generate

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

const waypointMesh = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
status:
  addresses: [{type: IPAddress, value: 10.0.0.99}]
  conditions: [{type: Programmed, status: "True", reason: Programmed, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: front}}
spec: {clusterIP: 10.0.0.10, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: silent, namespace: shop, labels: {istio.io/use-waypoint: front}}
spec: {clusterIP: 10.0.0.11, selector: {app: silent}, ports: [{name: http, port: 80}]}
`

// recorded is a dump in which one service has a load, in requests per second, every five minutes.
func recorded(load func(hour float64) float64, hours int, more ...metric.Result) metric.Dump {
	s := metric.Series{Labels: map[string]string{"destination_service_namespace": "shop", "destination_service_name": "web"}}
	for i := range hours * 12 {
		s.Points = append(s.Points, metric.Point{T: int64(i) * 300, V: load(float64(i) / 12)})
	}
	return metric.Dump{Start: time.Unix(0, 0), End: time.Unix(int64(hours)*3600, 0), Results: append(more, metric.Result{Metric: "service_requests", Series: []metric.Series{s}})}
}

func capacityOf(t *testing.T, d metric.Dump) Capacity {
	t.Helper()
	m := meshOf(t, waypointMesh)
	list, err := Capacities(m, audit.Run(m, audit.Options{}), d)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0]
}

func byDay(hour float64) float64 { return 2000 - 1800*math.Cos(2*math.Pi*hour/24) }

func TestAWaypointIsSizedFromItsLoad(t *testing.T) {
	c := capacityOf(t, recorded(byDay, 48))
	if c.Gateway.Name != "front" || !c.Exists || len(c.Services) != 1 || len(c.Unmeasured) != 1 || math.Abs(c.Peak-3800) > 5 || c.Quiet > 400 {
		t.Errorf("%+v", c)
	}
	if c.Outcome.saturated != 0 || c.Scaling.least < 2 || float64(c.Scaling.most)*waypointLimit < 1.5*c.Peak*c.CorePerRequest {
		t.Errorf("offered %+v, which would have been %+v", c.Scaling, c.Outcome)
	}
	if c.Outcome.downs > c.Default.downs {
		t.Errorf("offered scales down %d times, defaults %d", c.Outcome.downs, c.Default.downs)
	}
	if text := CapacityText([]Capacity{c}); !strings.Contains(text, "prior") || !strings.Contains(text, "shop/silent") {
		t.Errorf("the prior or what is left out is not said:\n%s", text)
	}
}

func TestMeasuredCostBeatsThePriorAndPayloadRaisesIt(t *testing.T) {
	prior := capacityOf(t, recorded(byDay, 24))
	own := capacityOf(t, recorded(byDay, 24, metric.Result{Metric: "waypoint_cores_per_request", Series: []metric.Series{{Labels: map[string]string{"namespace": "shop"}, Points: []metric.Point{{T: 1, V: 0.0001}}}}}))
	large := capacityOf(t, recorded(byDay, 24, metric.Result{Metric: "service_payload", Series: []metric.Series{{Labels: map[string]string{"destination_service_namespace": "shop", "destination_service_name": "web"}, Points: []metric.Point{{T: 1, V: 1e6}}}}}))
	if !own.Measured || own.CorePerRequest != 0.0001 || prior.CorePerRequest != priorCoresPerRequest || large.CorePerRequest < 4*prior.CorePerRequest {
		t.Errorf("own %g, prior %g, large %g", own.CorePerRequest, prior.CorePerRequest, large.CorePerRequest)
	}
}

func TestWithoutLoadNothingIsClaimed(t *testing.T) {
	m := meshOf(t, waypointMesh)
	if _, err := Capacities(m, audit.Run(m, audit.Options{}), metric.Dump{Failed: "no server"}); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Error(err)
	}
	c := capacityOf(t, recorded(func(float64) float64 { return 0 }, 24))
	if text := CapacityText([]Capacity{c}); !strings.Contains(text, "not measured") || strings.Contains(text, "NaN") {
		t.Error(text)
	}
}

// A load that never changes never scales once it has settled, whatever it is; and there are never more pods than allowed or fewer than asked for.
func TestASteadyLoadSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cores := rapid.Float64Range(0, 20).Draw(t, "cores")
		s := scaling{least: rapid.IntRange(1, 5).Draw(t, "least"), most: rapid.IntRange(5, 60).Draw(t, "most"), target: rapid.Float64Range(0.3, 0.95).Draw(t, "target"), window: 300}
		load := make([]float64, 40)
		for i := range load {
			load[i] = cores
		}
		hour := simulate(load[:13], 300, 0.5, 2, s)
		more := simulate(load, 300, 0.5, 2, s)
		if hour.ups != more.ups || hour.downs != more.downs || more.peakPods > s.most || more.peakPods < s.least {
			t.Errorf("%+v: after an hour %+v, after three %+v", s, hour, more)
		}
		if cores > float64(s.most)*2 && more.saturated == 0 || cores <= 2*float64(s.least) && more.saturated > 0 {
			t.Errorf("%+v with %g cores: short of CPU for %d s", s, cores, more.saturated)
		}
	})
}

func TestALongerWindowScalesDownLess(t *testing.T) {
	saw := make([]float64, 200)
	for i := range saw {
		saw[i] = 1 + 3*float64(i/2%2)
	}
	short := simulate(saw, 300, 0.5, 2, scaling{least: 2, most: 20, target: 0.7, window: 60})
	long := simulate(saw, 300, 0.5, 2, scaling{least: 2, most: 20, target: 0.7, window: 1800})
	if short.downs < 10 || long.downs > 0 {
		t.Errorf("%d downs with a minute's window, %d with half an hour's", short.downs, long.downs)
	}
}

// What is written are objects of Kubernetes: each part is read strictly.
func TestCapacityFilesAreObjects(t *testing.T) {
	c := capacityOf(t, recorded(byDay, 24))
	hpa := CapacityFile(c, "")
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(hpa.Text), &cm); err != nil {
		t.Fatal(err)
	}
	for key, into := range map[string]any{"deployment": &struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}{}, "podDisruptionBudget": &policyv1.PodDisruptionBudget{}, "horizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{}} {
		if err := yaml.UnmarshalStrict([]byte(cm.Data[key]), into); err != nil {
			t.Errorf("%s: %v\n%s", key, err, cm.Data[key])
		}
		if h, ok := into.(*autoscalingv2.HorizontalPodAutoscaler); ok && (h.Spec.MaxReplicas < 3 || h.Spec.Behavior == nil || *h.Spec.Behavior.ScaleDown.StabilizationWindowSeconds < 600) {
			t.Errorf("%+v", h.Spec)
		}
	}
	keda := strings.Split(CapacityFile(c, "http://prometheus:9090").Text, "---\n")
	if strings.Contains(keda[0], "horizontalPodAutoscaler") {
		t.Error("two autoscalers for one waypoint")
	}
	var scaled map[string]any
	if err := yaml.Unmarshal([]byte(keda[1]), &scaled); err != nil || !strings.Contains(fmt.Sprint(scaled), KEDAQuery("shop", "front")) {
		t.Errorf("%v\n%s", err, keda[1])
	}
}
