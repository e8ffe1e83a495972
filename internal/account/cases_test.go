package account

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// cluster writes the manifests of a test.
type cluster struct {
	b     strings.Builder
	usage []metric.Series
}

func newCluster() *cluster {
	c := &cluster{}
	c.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}")
	return c
}

func (c *cluster) add(format string, args ...any) {
	fmt.Fprintf(&c.b, format+"\n---\n", args...)
}

func (c *cluster) nodes(n int, cpu string) { c.nodesOf(n, cpu, "") }

// nodesOf are nodes with a further label.
func (c *cluster) nodesOf(n int, cpu, label string) {
	for i := range n {
		c.add("apiVersion: v1\nkind: Node\nmetadata: {name: n%d, labels: {"+label+"node.kubernetes.io/instance-type: m6i.2xlarge, topology.kubernetes.io/zone: a, topology.kubernetes.io/region: us-east-1}}\nstatus: {allocatable: {cpu: %s, memory: 500Gi, pods: '500'}}", i, cpu)
	}
}

// deployment is a workload of shop with running pods, spread over the nodes, whose application and sidecar ask for so many millicores and whose sidecars use so many (0: not measured).
func (c *cluster) deployment(name string, pods, nodes, app, proxy int, used float64) {
	template := fmt.Sprintf("metadata: {labels: {app: %s}}, spec: {containers: [{name: app, image: 'app:1', ports: [{containerPort: 8080}], resources: {requests: {cpu: %dm, memory: 64Mi}}}]}", name, app)
	c.add("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, namespace: shop, uid: d-%s}\nspec: {replicas: %d, selector: {matchLabels: {app: %s}}, template: {%s}}", name, name, pods, name, template)
	c.add("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: %s-6c9f7d5b8, namespace: shop, uid: r-%s, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: %s, uid: d-%s, controller: true}]}\nspec: {replicas: %d, selector: {matchLabels: {app: %s}}, template: {%s}}", name, name, name, name, pods, name, template)
	c.add("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop}\nspec: {selector: {app: %s}, clusterIP: 10.0.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}", name, name)
	for i := range pods {
		c.add("apiVersion: v1\nkind: Pod\nmetadata: {name: %s-6c9f7d5b8-%05d, namespace: shop, labels: {app: %s, security.istio.io/tlsMode: istio}, annotations: {sidecar.istio.io/status: '{}'}, creationTimestamp: '2026-08-30T00:00:00Z', "+
			"ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %s-6c9f7d5b8, uid: r-%s, controller: true}]}\n"+
			"spec: {nodeName: n%d, containers: [{name: app, image: 'app:1', resources: {requests: {cpu: %dm, memory: 64Mi}}}, {name: istio-proxy, image: 'proxyv2:1.31.0', resources: {requests: {cpu: %dm, memory: 64Mi}}}]}\nstatus: {phase: Running}",
			name, i, name, name, name, i%nodes, app, proxy)
		if used > 0 {
			c.usage = append(c.usage, metric.Series{Labels: map[string]string{"namespace": "shop", "pod": fmt.Sprintf("%s-6c9f7d5b8-%05d", name, i), "resource": "cpu"},
				Points: []metric.Point{{T: 100, V: used / 1000}, {T: 200, V: used / 1000}}})
		}
	}
}

func (c *cluster) state(t *testing.T) *State {
	t.Helper()
	d := metric.Dump{Failed: "none were given"}
	if len(c.usage) > 0 {
		d = metric.Dump{Results: []metric.Result{{Metric: "proxy_usage", Series: c.usage}}}
	}
	return FromObjects(meshtest.Load(t, c.b.String()), d, nil)
}

func options() Options {
	return Options{At: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), WaypointReplicas: 2, Currency: "USD", Prices: roi.Prices{Flat: &roi.Price{PerHour: 0.384, Currency: "USD"}}}
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.02 }

func gap(gaps []terms.Gap, text string) bool {
	for _, g := range gaps {
		if strings.Contains(g.String(), text) {
			return true
		}
	}
	return false
}

// cores is what rung 1 says of CPU.
func cores(t *testing.T, f roi.Forecast) float64 {
	t.Helper()
	v := f.Ladder[0].Lines[0].Figure
	if v.Value == nil {
		t.Fatalf("rung 1: %s", v)
	}
	return *v.Value
}

// An autoscaler by utilisation counted the sidecar's request: 60% of 300m is 82.5% of 200m, so 150 pods become 207, and hardly anything is freed. By ContainerResource it counts the application alone.
func TestAutoscalersThatCountTheSidecar(t *testing.T) {
	for name, c := range map[string]struct {
		metric      string
		cores       float64
		nodes       float64
		morePods    int
		used        float64
		unknownWhen string
	}{
		"the pod's utilisation": {"{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}", 150*.3 - 207*.2 - 6*.3, 0, 57, 15, ""},
		"the container's":       {"{type: ContainerResource, containerResource: {name: cpu, container: app, target: {type: Utilization, averageUtilization: 83}}}", 150*.1 - 6*.3, 2, 0, 15, ""},
		"a value, not a share":  {"{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 180m}}}", 150*.1 - 6*.3, 2, 0, 15, ""},
		"the pod's, with sidecars that were not measured (x 1.50)": {"{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}", 150*.3 - 225*.2 - 6*.3, 0, 75, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCluster()
			x.nodes(6, "7910m")
			x.deployment("web", 150, 6, 200, 100, c.used)
			x.add("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: shop}\nspec: {minReplicas: 10, maxReplicas: 1000, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, metrics: [%s]}\n"+
				"status: {currentReplicas: 150, desiredReplicas: 150, currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 60, averageValue: 180m}}}]}", c.metric)
			f := x.state(t).Forecast(options())
			if got := cores(t, f); !near(got, c.cores) || *f.Nodes.Expected.Value != c.nodes {
				t.Errorf("%g cores freed and %s, want %g and %g nodes: %s", got, f.Nodes.Expected, c.cores, c.nodes, f.Ladder[0].Lines[0].Figure.Source)
			}
		})
	}
}

const l7Policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: get, namespace: shop}\nspec: {action: ALLOW, rules: [{to: [{operation: {methods: [GET]}}]}]}"

// Waypoints are as large as what they take over: 200 sidecars that use 60 cores at L7 need some 54, not the chart's 0.2. Where usage is not known the range says so.
func TestWaypointsAreSizedByWhatTheyReplace(t *testing.T) {
	for name, c := range map[string]struct {
		used       float64
		low, cores float64 // freed
	}{
		"measured":     {300, 100 - 60*.625/.7 - 40*.3, 100 - 60*.625/.7 - 40*.3},
		"not measured": {0, 100 - 100*.625/.7 - 40*.3, 100 - 0.2 - 40*.3},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCluster()
			x.nodes(40, "7910m")
			x.deployment("web", 200, 40, 1000, 500, c.used)
			x.add(l7Policy)
			f := x.state(t).Forecast(options())
			fig := f.Ladder[0].Lines[0].Figure
			low := cores(t, f)
			if fig.Low != nil {
				low = *fig.Low
			}
			if math.Abs(*fig.Value-c.cores) > 0.1 || math.Abs(low-c.low) > 0.1 {
				t.Errorf("%s, want %g to %g: %s", fig, c.low, c.cores, fig.Source)
			}
		})
	}
}

// A waypoint that exists takes part of it, also one of another namespace that the workload asks for: no two of the chart's size are planned beside it.
func TestAWaypointThatExistsIsShared(t *testing.T) {
	for name, ns := range map[string]string{"in the namespace": "shop", "in another": "infra"} {
		t.Run(name, func(t *testing.T) {
			x := newCluster()
			x.nodes(4, "7910m")
			x.deployment("web", 20, 4, 1000, 100, 50)
			x.add(l7Policy)
			if ns != "shop" {
				x.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}", ns)
			}
			x.b.WriteString(strings.ReplaceAll("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: waypoint, namespace: NS}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}\n"+
				"status: {conditions: [{type: Programmed, status: 'True'}], addresses: [{type: IPAddress, value: 10.0.0.1}]}\n---\n"+
				"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: waypoint, namespace: NS, uid: dw, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}\nspec: {replicas: 2, selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: waypoint}}, template: {metadata: {labels: {gateway.networking.k8s.io/gateway-name: waypoint}}, spec: {containers: [{name: istio-proxy, image: 'proxyv2:1.31.0'}]}}}\n---\n"+
				"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: waypoint-1, namespace: NS, uid: rw, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: waypoint, uid: dw, controller: true}]}\nspec: {replicas: 2, selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: waypoint}}, template: {metadata: {labels: {gateway.networking.k8s.io/gateway-name: waypoint}}, spec: {containers: [{name: istio-proxy, image: 'proxyv2:1.31.0'}]}}}\n---\n", "NS", ns))
			for i := range 2 {
				x.add("apiVersion: v1\nkind: Pod\nmetadata: {name: waypoint-1-%d, namespace: %s, labels: {gateway.networking.k8s.io/gateway-name: waypoint, gateway.networking.k8s.io/gateway-class-name: istio-waypoint}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: waypoint-1, uid: rw, controller: true}]}\n"+
					"spec: {nodeName: n%d, containers: [{name: istio-proxy, image: 'proxyv2:1.31.0', resources: {requests: {cpu: 500m, memory: 128Mi}}}]}\nstatus: {phase: Running}", i, ns, i)
			}
			if ns != "shop" {
				x.b.WriteString("apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop, labels: {istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: infra}}\nspec: {selector: {app: web}, clusterIP: 10.0.0.8, ports: [{name: http, port: 80, targetPort: 8080}]}\n---\n")
			}
			s := x.state(t)
			change, _, _ := s.change(options())
			// 20 x 50m x 0.625 / 0.7 = 0.9 cores, and the two replicas have one, of which nothing is used.
			if len(change.Waypoints) != 0 {
				t.Errorf("planned beside the one that is there: %+v", change.Waypoints)
			}
		})
	}
}

// What is not known is not 0.
func TestWhatIsNotKnownIsNotZero(t *testing.T) {
	roles := metric.Result{Metric: "pod_role"}
	for i := range 100 {
		roles.Series = append(roles.Series, metric.Series{Labels: map[string]string{"namespace": "shop", "pod": fmt.Sprint("web-", i), "role": metric.RoleSidecarClassic}, Points: []metric.Point{{T: 1, V: 1}}})
	}
	s := FromMetrics(metric.Dump{Results: []metric.Result{roles}}, nil, errors.New("connection refused"))
	f := s.Forecast(options())
	if fig := f.Ladder[0].Lines[0].Figure; fig.Value != nil || strings.Contains(strings.Join(f.Causes, " "), "nothing to gain") {
		t.Errorf("cluster unreachable: rung 1 %s, causes %q", fig, f.Causes)
	}
	for _, a := range f.Accounts {
		if a.CPURequests.Value != nil {
			t.Errorf("no series of requests: %d sidecars request %s", a.Pods, a.CPURequests)
		}
	}
	if b, err := s.Baseline(options()); err != nil {
		t.Error(err)
	} else if r := roi.Compare(b, s.Now(options())); r.Rows[0].Finding != "cannot say" || r.Rows[0].Realised.Value != nil {
		t.Errorf("no series of requests: %+v", r.Rows[0])
	}

	x := newCluster()
	x.deployment("web", 15, 1, 200, 100, 0)
	f = x.state(t).Forecast(options())
	if left := strings.Join(f.Ladder[0].Lines[0].Figure.LeftOut, " "); !strings.Contains(left, "ztunnel (200m CPU") && !strings.Contains(left, "ztunnel (") || !gap(f.Gaps, "nodes") {
		t.Errorf("no nodes: left out %q, gaps %v", left, f.Gaps)
	}

	s = FromObjects(meshtest.Load(t, x.b.String()), metric.Dump{Results: []metric.Result{{Metric: "zone_bytes", Series: []metric.Series{{Labels: map[string]string{"source_zone": "a", "destination_zone": "b", "namespace": "shop"}, Points: []metric.Point{{T: 1, V: 1e6}}}}}}}, nil)
	o := options()
	o.ZonePrice, o.ZonePriceGiven = 0.02, true
	if z := s.Forecast(o).Zones; z.Avoidable.Value != nil {
		t.Errorf("zones of pods are not known: avoidable %s", z.Avoidable)
	}
}

// Manifests without pods: a CronJob reserves nothing most of the time, a suspended one and a suspended Job never, and an autoscaler keeps at least its minimum.
func TestReplicasOfManifests(t *testing.T) {
	job := "template: {metadata: {labels: {app: NAME}}, spec: {restartPolicy: Never, containers: [{name: app, image: 'app:1', resources: {requests: {cpu: 100m}}}]}}"
	named := func(n string) string { return strings.ReplaceAll(job, "NAME", n) }
	x := newCluster()
	x.add("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly, namespace: shop}\nspec: {schedule: '0 0 * * *', jobTemplate: {spec: {%s}}}", named("nightly"))
	x.add("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: paused, namespace: shop}\nspec: {suspend: true, schedule: '0 0 * * *', jobTemplate: {spec: {%s}}}", named("paused"))
	x.add("apiVersion: batch/v1\nkind: Job\nmetadata: {name: held, namespace: shop}\nspec: {suspend: true, %s}", named("held"))
	x.add("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: shop}\nspec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: 'app:1'}]}}}")
	x.add("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: api, namespace: shop}\nspec: {minReplicas: 20, maxReplicas: 30, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}")
	got := map[string]int{}
	for _, p := range x.state(t).Cluster.Pods {
		got[workloadName(p.Workload)]++
	}
	if len(got) != 1 || got["api"] != 20 {
		t.Errorf("pods by workload: %v, want 20 of api alone", got)
	}
}

// One waypoint's worth of traffic in one workload weighs by its CPU, not as one of a hundred workloads: 0.5 x 0.7 + 60 x 0.075 = 4.85.
func TestThePriorWeighsByUse(t *testing.T) {
	x := newCluster()
	x.nodes(20, "7910m")
	x.deployment("heavy", 10, 20, 100, 100, 6000)
	x.deployment("light", 10, 20, 100, 100, 50)
	x.add(strings.Replace(l7Policy, "spec: {", "spec: {selector: {matchLabels: {app: heavy}}, ", 1))
	f := x.state(t).Forecast(options())
	for _, l := range f.Ladder[1].Lines {
		if strings.HasPrefix(l.Name, "net CPU") {
			if l.Figure.Value == nil || !near(*l.Figure.Value, 4.85) {
				t.Errorf("net by the prior %s, want 4.85 cores", l.Figure)
			}
			return
		}
	}
	t.Error("no net CPU by the prior")
}

// ztunnel of 1.22's chart asks for 500m and 2 GiB, later ones for 200m and 512 MiB.
func TestZtunnelIsThatOfTheRunningMinor(t *testing.T) {
	for version, want := range map[string]terms.Resources{"1.22.0": {CPUMilli: 500, MemoryBytes: 2 << 30}, "1.31.0": terms.DefaultZtunnel} {
		x := newCluster()
		x.add("apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}")
		x.add("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: istiod, namespace: istio-system, labels: {app: istiod, istio: pilot}}\nspec: {selector: {matchLabels: {app: istiod}}, template: {metadata: {labels: {app: istiod, istio: pilot}}, spec: {containers: [{name: discovery, image: 'docker.io/istio/pilot:%s'}]}}}", version)
		z, _ := daemons(mesh.Build(meshtest.Load(t, x.b.String()), mesh.Assume{}))
		if z != want {
			t.Errorf("%s: %s, want %s", version, z, want)
		}
	}
}

// A budget from Git has no status: how many pods may go follows from its spec.
func TestABudgetWithoutStatusIsWorkedOut(t *testing.T) {
	for spec, want := range map[string]bool{"maxUnavailable: 1": false, "minAvailable: 1": false, "maxUnavailable: 0": true, "minAvailable: 100%": true} {
		x := newCluster()
		x.nodesOf(4, "7910m", "eks.amazonaws.com/nodegroup: workers, ")
		x.deployment("web", 8, 4, 100, 900, 0)
		x.add("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web, namespace: shop}\nspec: {selector: {matchLabels: {app: web}}, %s}", spec)
		f := x.state(t).Forecast(options())
		held := 0
		for _, b := range f.Nodes.DrainAfter.Blocked {
			if strings.Contains(b.Why, "PodDisruptionBudget") {
				held++
			}
		}
		if (held > 0) != want || want != (len(f.Nodes.DrainAfter.Removed) == 0) {
			t.Errorf("%s: %d nodes held, %d removed, %v", spec, held, len(f.Nodes.DrainAfter.Removed), f.Nodes.DrainAfter.Blocked)
		}
	}
}

// Between zones AWS charges both ways, GCP what leaves, Azure nothing; where no cloud is named there is no price.
func TestThePriceBetweenZonesIsTheClouds(t *testing.T) {
	for id, want := range map[string]float64{"aws:///us-east-1a/i-1": 1, "gce://p/us-central1-a/n": 0.5, "azure:///subscriptions/s": 0, "": -1} {
		x := newCluster()
		x.add("apiVersion: v1\nkind: Node\nmetadata: {name: n0, labels: {topology.kubernetes.io/zone: a}}\nspec: {providerID: '%s'}\nstatus: {allocatable: {cpu: '8', memory: 8Gi, pods: '110'}}", id)
		x.deployment("web", 1, 1, 100, 100, 0)
		s := x.state(t)
		// 0.02 x 19.03 B/s x 730 h x 3600 s is a millionth of a dollar; the bytes are such that AWS's price makes 1 USD a month.
		s.Dump = metric.Dump{Results: []metric.Result{{Metric: "zone_bytes", Series: []metric.Series{{Labels: map[string]string{"source_zone": "a", "destination_zone": "b", "namespace": "shop"}, Points: []metric.Point{{T: 1, V: 1e9 / 0.02 / 730 / 3600}}}}}}}
		p := s.Forecast(options()).Zones.Price
		if (p.Value == nil) != (want < 0) || p.Value != nil && !near(*p.Value, want) {
			t.Errorf("%q: %s, want %g", id, p, want)
		}
		if p.Value != nil && strings.Contains(p.Source, "--zone-price") {
			t.Errorf("%q: %s was not given", id, p.Source)
		}
	}
}

// What is released every day has pods of a few hours: their workload's earlier pods are in the window too, at the other times of the day.
func TestUsageOfYoungPodsIsTheirWorkloads(t *testing.T) {
	x := newCluster()
	x.nodes(2, "7910m")
	x.deployment("web", 12, 2, 100, 100, 0)
	at := func(pod string, t int64, v float64) {
		x.usage = append(x.usage, metric.Series{Labels: map[string]string{"namespace": "shop", "pod": pod, "resource": "cpu"}, Points: []metric.Point{{T: t, V: v}}})
	}
	for i := range 12 {
		at(fmt.Sprintf("web-6c9f7d5b8-%05d", i), 600, 0.1) // at night
		for k, v := range []float64{0.5, 0.9, 1.2, 1.3, 0.8} {
			at(fmt.Sprintf("web-7d%dd9f6b4c-x%04d", k, i), int64(100*(k+1)), v)
		}
		at(fmt.Sprintf("web-admin-6c9f7d5b8-%05d", i), 100, 50) // another workload
	}
	f := x.state(t).Forecast(options())
	if fig := f.Ladder[1].Lines[0].Figure; fig.Value == nil || !near(*fig.Value, 12*0.8) {
		t.Errorf("usage %s, want 9.6 cores: the mean over the day", fig)
	}
	// Without the earlier pods, what one hour says is not called a mean.
	x.usage = x.usage[:1]
	if s := x.state(t); !gap(s.Gaps, "1 of 1 pods were seen at one of the instants only") {
		t.Errorf("one instant passes for a mean: %v", s.Gaps)
	}
}
