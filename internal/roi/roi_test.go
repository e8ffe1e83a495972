package roi

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/roitest"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var start = roitest.Start

// hourly gives each value the end of its hour.
func hourly(values []float64) []latency.Hourly {
	out := make([]latency.Hourly, len(values))
	for i, v := range values {
		out[i] = latency.Hourly{T: start.Add(time.Duration(i+1) * time.Hour).Unix(), V: v}
	}
	return out
}

func input(c terms.Cluster, ch terms.Change, price float64) Input {
	in := Input{At: start, WindowStart: start.Add(-time.Hour), HasObjects: true, Cluster: c, Change: ch, MeshPods: MeshPods(c, nil), Source: "test"}
	if price > 0 {
		in.Prices.Flat = &Price{PerHour: price, Currency: "USD", Source: "test", Date: "2026-09-01"}
	}
	return in
}

func TestRequestsFollowKubernetesArithmetic(t *testing.T) {
	big := func(p terms.Pod) terms.Pod {
		p.Object.Spec.InitContainers = append(p.Object.Spec.InitContainers, corev1.Container{Name: "migrate", Resources: roitest.Asks("1", "64Mi")})
		return p
	}
	for name, c := range map[string]struct {
		pod  terms.Pod
		want terms.Resources
	}{
		"a classic sidecar is one container more": {roitest.Meshed("a", 0, "n", "200m", "200Mi", terms.Classic), terms.Resources{CPUMilli: 100, MemoryBytes: 128 << 20}},
		"a native sidecar counts too":             {roitest.Meshed("a", 0, "n", "200m", "200Mi", terms.Native), terms.Resources{CPUMilli: 100, MemoryBytes: 128 << 20}},
		// 1 core of migrate rules, and a classic sidecar hides beneath it.
		"a greedy init container hides a classic sidecar's CPU": {big(roitest.Meshed("a", 0, "n", "200m", "200Mi", terms.Classic)), terms.Resources{CPUMilli: 0, MemoryBytes: 128 << 20}},
		// The native sidecar runs while migrate does: 1100m against 1000m.
		"a native sidecar adds to init containers after it": {big(roitest.Meshed("a", 0, "n", "200m", "200Mi", terms.Native)), terms.Resources{CPUMilli: 100, MemoryBytes: 128 << 20}},
		"a pod without a sidecar frees nothing":             {roitest.Meshed("a", 0, "n", "200m", "200Mi", terms.NoSidecar), terms.Resources{}},
	} {
		if got := terms.SidecarRequests(c.pod); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestNoChangeReturnsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := roitest.Crowd(rapid.IntRange(1, 8).Draw(t, "nodes"))
		f := Make(input(c, terms.Change{}, rapid.Float64Range(0.01, 10).Draw(t, "price")))
		for _, r := range f.Ladder {
			for _, l := range r.Lines {
				if strings.HasPrefix(l.Name, "not due") {
					continue
				}
				if l.Figure.Value != nil && *l.Figure.Value != 0 {
					t.Errorf("rung %d, %s: %s", r.Number, l.Name, l.Figure)
				}
			}
		}
	})
}

func TestMoneyIsLinearInPrice(t *testing.T) {
	c := roitest.Crowd(9)
	ch := roitest.LeaveAll(c)
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0.01, 5).Draw(t, "price")
		k := rapid.Float64Range(1, 10).Draw(t, "factor")
		one, many := Make(input(c, ch, p)).Money.PerMonth, Make(input(c, ch, p*k)).Money.PerMonth
		if one.Value == nil || *one.Value <= 0 {
			t.Fatalf("nothing to scale: %s", one)
		}
		if d := *many.Value / *one.Value / k; math.Abs(d-1) > 1e-4 {
			t.Errorf("price x %g gives worth x %g", k, *many.Value / *one.Value)
		}
	})
}

func TestNothingThatIsPrintedIsNaNOrInfinite(t *testing.T) {
	odd := []float64{0, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e308, -1e308, 5e-324}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string) float64 { return rapid.SampledFrom(odd).Draw(t, name) }
		c := roitest.Crowd(rapid.IntRange(0, 3).Draw(t, "nodes"))
		in := input(c, roitest.LeaveAll(c), 0)
		in.Prices.Flat = &Price{PerHour: pick("price"), Currency: "USD"}
		in.EngineeringCost = pick("cost")
		for i := range in.MeshPods {
			in.MeshPods[i].Use = Use{CPU: pick("cpu"), Memory: pick("memory"), HasCPU: true, HasMemory: true}
		}
		in.Zone = ZoneInput{Measured: []ZoneFlow{{"a", "b", "shop", pick("bytes")}}, PerGB: pick("gb"), Currency: "USD"}
		in.ByMode = []latency.ModeEdge{{Mode: terms.ModeSidecar, P99: terms.Known(pick("p99"), "ms", "test")}}
		in.Startup = map[terms.Mode][]float64{terms.ModeSidecar: {pick("startup")}}
		f := Make(in)
		before := ProxyState{Pods: 1, CPUCores: pick("b"), MemoryBytes: pick("bm"), RPS: pick("r"), HasCPU: true, HasMemory: true}
		after := before
		after.CPUCores, after.RPS = pick("a"), pick("ar")
		h := DetectHybridTax(before, after)
		raw, err := json.Marshal([]any{f, h}) // encoding/json refuses NaN and infinities
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, r := range f.Ladder {
			for _, l := range r.Lines {
				for _, bad := range []string{"NaN", "Inf"} {
					if strings.Contains(l.Figure.String(), bad) || strings.Contains(l.Figure.Source, bad) {
						t.Errorf("%s: %s from %s", l.Name, l.Figure, l.Figure.Source)
					}
				}
			}
		}
		for _, s := range f.Steps {
			if strings.Contains(s.How, "NaN") || strings.Contains(s.How, "Inf") {
				t.Errorf("step %s: %s", s.What, s.How)
			}
		}
		_ = raw
	})
}

func TestANegativeReturnIsShownWithItsCause(t *testing.T) {
	var c terms.Cluster // two meshed pods a node, tiny: below break-even
	for i := range 6 {
		name := fmt.Sprintf("node-%d", i)
		c.Nodes = append(c.Nodes, roitest.Node(name, "a", "1", "2Gi"))
		for j := range 2 {
			c.Pods = append(c.Pods, roitest.Meshed(fmt.Sprintf("app-%d", j), i, name, "350m", "256Mi", terms.Classic))
		}
	}
	ch := roitest.LeaveAll(c)
	ch.Waypoints = []terms.WaypointPlan{{Namespace: "shop", Replicas: 3, Each: terms.DefaultWaypoint}}
	f := Make(input(c, ch, 0.2))
	if v := f.Money.PerMonth.Value; v == nil || *v >= 0 {
		t.Fatalf("worth %s, want less than nothing", f.Money.PerMonth)
	}
	text := strings.Join(f.Causes, "\n")
	for _, want := range []string{"2 pods per node leave their sidecar; ambient breaks even at 3 for CPU and 5 for memory", "3 waypoint replicas", "bound by"} {
		if !strings.Contains(text, want) {
			t.Errorf("causes lack %q:\n%s", want, text)
		}
	}
	if f.Groups[0].Advice != "" {
		t.Errorf("12 sidecars for 3 waypoint replicas is no bad balance: %s", f.Groups[0].Advice)
	}
}

func TestBreakEven(t *testing.T) {
	for name, c := range map[string]struct {
		perNode, sidecar terms.Resources
		want             packing.BreakEven
	}{
		"charts since 1.23":      {terms.DefaultZtunnel.Plus(terms.DefaultCNI), terms.DefaultSidecar, packing.BreakEven{CPU: 3, Memory: 5}},
		"charts of 1.22.0":       {terms.Resources{CPUMilli: 500, MemoryBytes: 2048 << 20}.Plus(terms.DefaultCNI), terms.DefaultSidecar, packing.BreakEven{CPU: 6, Memory: 17}},
		"no requests to compare": {terms.DefaultZtunnel, terms.Resources{}, packing.BreakEven{}},
	} {
		if got := packing.BreakEvenPods(c.perNode, c.sidecar); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestDrainHoldsNodesBack(t *testing.T) {
	half := func(change func(*corev1.Pod), budgets ...*policyv1.PodDisruptionBudget) packing.Draining {
		c := terms.Cluster{Autoscaler: true, Nodes: []*corev1.Node{roitest.Node("busy", "a", "4", "16Gi"), roitest.Node("idle", "a", "4", "16Gi")}, Budgets: budgets}
		c.Pods = append(c.Pods, roitest.Meshed("big", 0, "busy", "2500m", "4Gi", terms.NoSidecar), roitest.Meshed("small", 0, "idle", "500m", "1Gi", terms.NoSidecar))
		change(c.Pods[1].Object)
		return packing.Drain(c, terms.Change{})
	}
	nothing := func(*corev1.Pod) {}
	if d := half(nothing); len(d.Removed) != 1 || d.Removed[0] != "idle" {
		t.Fatalf("the idle node should go: %+v", d)
	}
	sel := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "small"}}
	for name, c := range map[string]struct {
		change  func(*corev1.Pod)
		budgets []*policyv1.PodDisruptionBudget
		want    string
	}{
		"a budget allows no disruption": {nothing, []*policyv1.PodDisruptionBudget{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: sel}}}, "PodDisruptionBudget"},
		"a pod must not be evicted": {func(p *corev1.Pod) {
			p.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
		}, nil, "safe-to-evict"},
		"nothing would make the pod again": {func(p *corev1.Pod) { p.OwnerReferences = nil }, nil, "no controller"},
		"a pod keeps data on the node": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}, nil, "local storage"},
		"a pod fits nowhere else": {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "fast"} }, nil, "fits on no other node"},
	} {
		d := half(c.change, c.budgets...)
		if len(d.Removed) != 0 || len(d.Blocked) != 1 || !strings.Contains(d.Blocked[0].Why, c.want) {
			t.Errorf("%s: %+v, want it held because %q", name, d, c.want)
		}
	}
}

func TestReplaceRespectsRequiredRules(t *testing.T) {
	cluster := func(edit func(*corev1.Pod), n int) terms.Cluster {
		c := terms.Cluster{}
		for i := range 3 {
			c.Nodes = append(c.Nodes, roitest.Node(fmt.Sprintf("n%d", i), string(rune('a'+i)), "4", "16Gi"))
		}
		for i := range n {
			p := roitest.Meshed("app", i, fmt.Sprintf("n%d", i%3), "100m", "100Mi", terms.NoSidecar)
			edit(p.Object)
			c.Pods = append(c.Pods, p)
		}
		return c
	}
	sel := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app"}}
	term := func(key string) []corev1.PodAffinityTerm {
		return []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: sel}}
	}
	for name, c := range map[string]struct {
		edit func(*corev1.Pod)
		pods int
		want int
	}{
		"without rules all fit on one": {func(*corev1.Pod) {}, 6, 1},
		"host anti-affinity takes one node each": {func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(corev1.LabelHostname)}}
		}, 5, 5},
		"zone spread takes a node a zone": {func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: sel}}
		}, 6, 3},
		"soft spread holds nothing": {func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: sel}}
		}, 6, 1},
		"host spread of two takes half as many": {func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 2, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: sel}}
		}, 6, 3},
		"zone self-affinity keeps together": {func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(corev1.LabelTopologyZone)}}
		}, 6, 1},
		"max pods binds tiny pods": {func(p *corev1.Pod) { p.Spec.Containers[0].Resources = roitest.Asks("1m", "1Mi") }, 120, 3},
		"a zonal volume stays in its zone": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.Name}}}}
		}, 6, 3},
		"a host port is there once a node": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolTCP}}
		}, 4, 4},
	} {
		got := packing.Replace(cluster(c.edit, c.pods), terms.Change{})
		if got.Nodes != c.want || len(got.Unplaced) > 0 {
			t.Errorf("%s: %d nodes (unplaced %v), want %d", name, got.Nodes, got.Unplaced, c.want)
		}
	}
	if got := packing.Replace(cluster(func(p *corev1.Pod) { p.Spec.Containers[0].Resources = roitest.Asks("8", "1Gi") }, 2), terms.Change{}); len(got.Unplaced) != 2 || got.Nodes != 2 {
		t.Errorf("pods too large for a node keep theirs: %+v", got)
	}
}

func TestCommittedNodesSaveNothingUntilTheCommitmentEnds(t *testing.T) {
	c := roitest.Crowd(12)
	in := input(c, roitest.LeaveAll(c), 1)
	free := *Make(in).Money.PerMonth.Value
	in.Prices.Commitment = Commitment{Nodes: 12, Until: start.AddDate(0, 3, 0)}
	f := Make(in)
	if v := *f.Money.PerMonth.Value; v != 0 || !strings.Contains(f.Money.Committed, "save nothing until 2026-11-03") {
		t.Errorf("worth %g under a full commitment: %s", v, f.Money.Committed)
	}
	in.At = start.AddDate(0, 4, 0)
	if v := *Make(in).Money.PerMonth.Value; v != free || free <= 0 {
		t.Errorf("worth %g after the commitment, want %g", v, free)
	}
}

func TestPricesAreTakenInOrderAndNeverGuessed(t *testing.T) {
	csv := "EndTimestamp,InstanceID,Region,AssetClass,InstanceIDField,InstanceType,MarketPriceHourly,Version\n" +
		"2026-08-01 00:00:00 UTC,,us-east-1,node,,m6i.xlarge,0.15,v1\n2026-08-01 00:00:00 UTC,vol-1,us-east-1,pv,,gp3,0.1,v1\n"
	byInstance, _, err := ReadCSV(strings.NewReader(csv), "prices.csv", "EUR")
	if err != nil || len(byInstance) != 1 || byInstance["m6i.xlarge"][0].Date != "2026-08-01" {
		t.Fatalf("CSV: %v %v", byInstance, err)
	}
	p := Prices{ByInstance: byInstance, ByNode: map[string]Price{"n1": {PerHour: 0.2, Source: "OpenCost"}}, Table: StaticTable()}
	for name, c := range map[string]struct {
		node, instance string
		spot           bool
		want           float64
		err            string
	}{
		"the node's own series first":   {"n1", "m6i.xlarge", false, 0.2, ""},
		"then the CSV":                  {"n2", "m6i.xlarge", false, 0.15, ""},
		"then the table":                {"n2", "c6i.xlarge", false, 0.17, ""},
		"a spot node has no list price": {"n2", "c6i.xlarge", true, 0, "spot"},
		"an unknown type has none":      {"n2", "x1.gigantic", false, 0, "no price"},
	} {
		n := roitest.Node(c.node, "", "4", "16Gi")
		n.Labels[corev1.LabelInstanceTypeStable], n.Labels[corev1.LabelTopologyRegion] = c.instance, "us-east-1"
		if c.spot {
			n.Labels["karpenter.sh/capacity-type"] = "spot"
		}
		got, err := p.Of(n)
		if c.err == "" && (err != nil || got.PerHour != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, bad := range map[string]string{
		"a price that is no number": "InstanceType,MarketPriceHourly\nm,NaN\n", "a negative price": "InstanceType,MarketPriceHourly\nm,-1\n", "no price column": "a,b\n1,2\n", "nothing": "",
	} {
		if _, _, err := ReadCSV(strings.NewReader(bad), "p.csv", "USD"); err == nil || !strings.Contains(err.Error(), "p.csv") {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
	}
}

func TestBaselineCannotBeEdited(t *testing.T) {
	c := roitest.Crowd(3)
	b, err := Baseline{At: start, Nodes: 3, Promised: Make(input(c, roitest.LeaveAll(c), 1)), Queries: map[string]string{"a": "b"}}.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(b)
	if _, err := ReadBaseline(raw, "b.json"); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	if _, err := ReadBaseline([]byte(strings.Replace(string(raw), `"nodes":3`, `"nodes":9`, 1)), "b.json"); err == nil || !strings.Contains(err.Error(), "hash") {
		t.Errorf("an edited baseline gives %v", err)
	}
}

func TestABaselineKeepsEveryNamespace(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	b := Baseline{}
	for i := range 120 {
		b.Edge = append(b.Edge, latency.EdgeSeries{Namespace: fmt.Sprintf("ns-%03d", i), P50: hourly(roitest.Hours(rng, 336, 10, 1, 0, 999, 0)), P99: hourly(roitest.Hours(rng, 336, 10, 1, 0, 999, 0)), RPS: hourly(roitest.Flat(336, float64(i)))})
	}
	b, err := b.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Edge) != 120 || b.Edge[0].Namespace != "ns-119" {
		t.Errorf("%d series kept, %s first", len(b.Edge), b.Edge[0].Namespace)
	}
}

func TestPromisedAgainstRealised(t *testing.T) {
	c := roitest.Crowd(12)
	b := Baseline{At: start, Nodes: 12, NodePrice: 0.2, Currency: "USD", Promised: Make(input(c, roitest.LeaveAll(c), 0.2)), Accounts: Accounts(MeshPods(c, nil), "test")}
	promised := b.Promised.Nodes.Removable
	if promised < 2 {
		t.Fatalf("the fixture promises %d nodes", promised)
	}
	for name, c := range map[string]struct {
		nodes int
		want  string
		drift bool
	}{
		"what was promised came":  {12 - promised, "as promised", false},
		"nothing came":            {12, "less than promised", true},
		"the cluster shrank more": {12 - promised - 4, "more than promised", false},
	} {
		r := Compare(b, Now{At: start.AddDate(0, 1, 0), Nodes: c.nodes, HasNodes: true})
		row := r.Rows[2]
		if row.Finding != c.want {
			t.Errorf("%s: %s (promised %s, realised %s)", name, row.Finding, row.Promised, row.Realised)
		}
		gone := r.Ladder[3].Lines[0].Figure
		if *gone.Value != float64(12-c.nodes) {
			t.Errorf("%s: %s gone", name, gone)
		}
	}
}

func TestHybridTax(t *testing.T) {
	before := ProxyState{Pods: 100, CPUCores: 0.02, MemoryBytes: 70 << 20, RPS: 10, HasCPU: true, HasMemory: true}
	for name, c := range map[string]struct {
		change func(*ProxyState)
		want   string
	}{
		"all as before":                      {func(*ProxyState) {}, "none"},
		"idle sidecars grew to 450 MB":       {func(s *ProxyState) { s.MemoryBytes = 450 << 20 }, "tax"},
		"ten times the CPU at equal traffic": {func(s *ProxyState) { s.CPUCores = 0.2 }, "tax"},
		"more traffic, CPU in step":          {func(s *ProxyState) { s.CPUCores, s.RPS = 0.06, 30 }, "none"},
		"usage is missing":                   {func(s *ProxyState) { s.HasCPU, s.HasMemory = false, false }, "insufficient data"},
		"no sidecar is left":                 {func(s *ProxyState) { s.Pods = 0 }, "none"},
	} {
		after := before
		c.change(&after)
		if got := DetectHybridTax(before, after); got.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Verdict, got.Why, c.want)
		}
	}
}

func TestZones(t *testing.T) {
	pods := map[string]map[string]int{"shop": {"a": 1, "b": 1}, "bank": {"a": 1, "b": 1}}
	z := Zones(ZoneInput{Pods: pods, PerGB: 0.02, Currency: "USD", Flows: []NamespaceFlow{{"shop", "bank", 1e6}}})
	gb := 1e6 * secondsPerMonth / 1e9 / 2 // half crosses
	if v := *z.Estimated.Value; math.Abs(v-gb) > 0.01*gb {
		t.Errorf("estimated %g GB, want %g", v, gb)
	}
	if v := *z.Price.Value; math.Abs(v-gb*0.02) > 0.01*gb {
		t.Errorf("price %g, want %g", v, gb*0.02)
	}
	if *z.Avoidable.Value != *z.Price.Value {
		t.Errorf("both zones have endpoints: all of %s is avoidable, not %s", z.Price, z.Avoidable)
	}
	m := Zones(ZoneInput{Pods: pods, PerGB: 0.02, Measured: []ZoneFlow{{"a", "a", "bank", 5e6}, {"a", "b", "bank", 1e6}, {"c", "b", "bank", 1e6}}})
	if v := *m.Measured.Value; math.Abs(v-4*gb) > 0.04*gb {
		t.Errorf("measured %g, want %g: traffic inside a zone does not cross", v, 4*gb)
	}
	if r := *m.Avoidable.Value / *m.Price.Value; math.Abs(r-0.5) > 0.01 {
		t.Errorf("zone c has no endpoint: half is avoidable, not %g", r)
	}
	none := Zones(ZoneInput{})
	if none.Price.Value != nil || none.Measured.Value != nil {
		t.Errorf("no traffic known, yet %s and %s", none.Measured, none.Price)
	}
}

func TestASumSaysWhatIsUnknownInIt(t *testing.T) {
	measured := Account{Role: terms.Application, Sidecar: terms.Classic, Pods: 100, CPUUsage: terms.Known(5, "cores", "cAdvisor")}
	unmeasured := func(pods int) Account {
		return Account{Role: terms.Application, Sidecar: terms.Native, Pods: pods, CPUUsage: terms.Missing("cores", "no usage was measured for these pods")}
	}
	usage := func(a Account) terms.Figure { return a.CPUUsage }
	few := totalOf([]Account{measured, unmeasured(5)}, true, usage, "cores")
	if few.Value == nil || *few.Value != 5 || len(few.LeftOut) != 1 || few.LeftOut[0] != "5 pods (native application): no usage was measured for these pods" {
		t.Errorf("5 of 105 pods without usage: %+v", few)
	}
	many := totalOf([]Account{measured, unmeasured(6)}, true, usage, "cores")
	if many.Value != nil || !strings.Contains(many.Missing, "6 pods (native application)") {
		t.Errorf("6 of 106 pods without usage: %+v", many)
	}
	if all := totalOf([]Account{unmeasured(1)}, true, usage, "cores"); all.Value != nil {
		t.Errorf("no pod with usage: %+v", all)
	}
}
