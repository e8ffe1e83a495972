// Package karpenter judges the node simulator by Karpenter's own scheduler.
package karpenter

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	fakecr "sigs.k8s.io/controller-runtime/pkg/client/fake"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/fake"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/options"
	karpsched "sigs.k8s.io/karpenter/pkg/scheduling"
	"sigs.k8s.io/karpenter/pkg/test"

	"github.com/sidestep-mesh/sidestep/internal/roi"
)

var (
	zones = []string{"zone-a", "zone-b", "zone-c"}
)

// pool is one node group of a generated cluster.
type pool struct {
	name      string
	cpu       string
	memory    string
	maxPods   string
	dedicated bool
}

func (p pool) allocatable() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(p.cpu),
		corev1.ResourceMemory: resource.MustParse(p.memory), corev1.ResourcePods: resource.MustParse(p.maxPods)}
}

func (p pool) taints() []corev1.Taint {
	if !p.dedicated {
		return nil
	}
	return []corev1.Taint{{Key: "dedicated", Value: p.name, Effect: corev1.TaintEffectNoSchedule}}
}

// generated is one cluster, in both vocabularies.
type generated struct {
	pools   []pool
	cluster roi.Cluster
	daemons []*corev1.Pod
}

// generate makes a mesh of about n pods: replicas of workloads with classic or native sidecars, volumes of requests as they are found in
// practice, some with zone or host spread, host anti-affinity, zone selectors, or a dedicated pool. Zone
// self-affinity is left out: Karpenter 1.13 may record no domain for the first such pod and then spread the workload over zones, which the rule forbids.
func generate(seed uint64, n int) generated {
	rng := rand.New(rand.NewPCG(seed, 7))
	g := generated{pools: []pool{{name: "general", cpu: "7910m", memory: "29Gi", maxPods: "58"}}}
	if seed%3 == 0 {
		g.pools = append(g.pools, pool{name: "memory", cpu: "3920m", memory: "28Gi", maxPods: "110", dedicated: true})
	}
	for _, p := range g.pools {
		for i := range 3 {
			g.cluster.Nodes = append(g.cluster.Nodes, &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", p.name, i), Labels: map[string]string{
					"karpenter.sh/nodepool": p.name, corev1.LabelTopologyZone: zones[i],
					corev1.LabelInstanceTypeStable: p.name + ".xlarge", corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux",
					v1.CapacityTypeLabelKey: v1.CapacityTypeOnDemand}},
				Spec:   corev1.NodeSpec{Taints: p.taints()},
				Status: corev1.NodeStatus{Allocatable: p.allocatable()}})
		}
	}
	g.addDaemons()
	for w := 0; len(g.cluster.Pods) < n+len(g.daemons)*len(g.cluster.Nodes); w++ {
		g.addWorkload(rng, w, n)
	}
	return g
}

func (g *generated) addDaemons() {
	for name, r := range map[string]corev1.ResourceList{
		"logs": {corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("100Mi")},
		"cni":  {corev1.ResourceCPU: resource.MustParse("25m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
	} {
		for i, n := range g.cluster.Nodes {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i), Namespace: "kube-system", UID: types.UID(fmt.Sprintf("ds-%s-%d", name, i)),
				OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: name, Controller: ptr.To(true)}}},
				Spec: corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: name, Resources: corev1.ResourceRequirements{Requests: r}}},
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}}
			g.cluster.Pods = append(g.cluster.Pods, roi.Pod{Object: pod, Role: roi.Application, Workload: "kube-system/DaemonSet/" + name})
			if i == 0 {
				template := pod.DeepCopy()
				template.Spec.NodeName = ""
				g.daemons = append(g.daemons, template)
			}
		}
	}
}

func (g *generated) addWorkload(rng *rand.Rand, w, total int) {
	replicas := 1 + rng.IntN(max(40, total/50))
	name := fmt.Sprintf("app-%04d", w)
	cpu := []string{"10m", "50m", "100m", "250m", "500m", "1", "2"}[rng.IntN(7)]
	mem := []string{"32Mi", "128Mi", "256Mi", "512Mi", "1Gi", "2Gi", "3Gi"}[rng.IntN(7)]
	labels := map[string]string{"app": name}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Resources: requests(cpu, mem)}}}
	sidecar := roi.NoSidecar
	switch rng.IntN(3) {
	case 0:
		sidecar = roi.Classic
		spec.InitContainers = []corev1.Container{{Name: "istio-init", Resources: requests("10m", "10Mi")}}
		spec.Containers = append(spec.Containers, corev1.Container{Name: "istio-proxy", Resources: requests("100m", "128Mi")})
	case 1:
		sidecar = roi.Native
		spec.InitContainers = []corev1.Container{{Name: "istio-init", Resources: requests("10m", "10Mi")},
			{Name: "istio-proxy", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways), Resources: requests("100m", "128Mi")},
			{Name: "migrate", Resources: requests("400m", "64Mi")}}
	}
	sel := &metav1.LabelSelector{MatchLabels: labels}
	// Karpenter's time grows with the number of different rules; the larger clusters have them in one workload of five.
	rules := 10
	if total > 1500 {
		rules = 30
	}
	switch rng.IntN(rules) {
	case 0, 1:
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone,
			WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: sel}}
	case 2:
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 2, TopologyKey: corev1.LabelHostname,
			WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: sel}}
	case 3:
		replicas = min(replicas, 12)
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelHostname, LabelSelector: sel}}}}
	case 5:
		spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: zones[rng.IntN(3)]}
	}
	home := g.pools[0]
	if len(g.pools) > 1 && rng.IntN(4) == 0 {
		home = g.pools[1]
		spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Value: home.name, Effect: corev1.TaintEffectNoSchedule}}
		if spec.NodeSelector == nil {
			spec.NodeSelector = map[string]string{}
		}
		spec.NodeSelector["karpenter.sh/nodepool"] = home.name
	} else {
		if spec.NodeSelector == nil {
			spec.NodeSelector = map[string]string{}
		}
		spec.NodeSelector["karpenter.sh/nodepool"] = home.name
	}
	for i := range replicas {
		s := spec.DeepCopy()
		s.NodeName = fmt.Sprintf("%s-%d", home.name, i%3)
		podName := fmt.Sprintf("%s-%03d", name, i)
		g.cluster.Pods = append(g.cluster.Pods, roi.Pod{Role: roi.Application, Sidecar: sidecar, Workload: "shop/Deployment/" + name,
			Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: podName, Namespace: "shop", UID: types.UID(podName), Labels: labels,
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: name, Controller: ptr.To(true)}}}, Spec: *s}})
	}
}

func requests(cpu, mem string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(mem)}}
}

// solve packs the same pods with Karpenter's scheduler and counts the nodes it would create.
//
// Pods of equal size are ordered by UID, which in a cluster is random; salt makes another such order. Karpenter's answer depends on it.
func solve(t *testing.T, g generated, change roi.Change, ambient []*corev1.Pod, salt uint64) (nodes, failed int) {
	t.Helper()
	ctx := options.ToContext(context.Background(), test.Options())
	its := map[string][]*cloudprovider.InstanceType{}
	var pools []*v1.NodePool
	for _, p := range g.pools {
		np := test.NodePool(v1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: p.name}, Spec: v1.NodePoolSpec{
			Limits: v1.Limits{corev1.ResourceCPU: resource.MustParse("10000000")}}})
		np.Spec.Template.Spec.Taints = p.taints()
		pools = append(pools, np)
		var offerings []*cloudprovider.Offering
		for _, z := range zones {
			offerings = append(offerings, &cloudprovider.Offering{Available: true, Price: 1, Requirements: karpsched.NewLabelRequirements(map[string]string{
				v1.CapacityTypeLabelKey: v1.CapacityTypeOnDemand, corev1.LabelTopologyZone: z})})
		}
		it := fake.NewInstanceType(fake.InstanceTypeOptions{Name: p.name + ".xlarge", OperatingSystems: sets.New("linux"),
			Resources: p.allocatable(), Offerings: offerings})
		it.Overhead = &cloudprovider.InstanceTypeOverhead{}
		its[p.name] = []*cloudprovider.InstanceType{it}
	}
	rng := rand.New(rand.NewPCG(salt, 11))
	var pods []*corev1.Pod
	for _, p := range g.cluster.Pods {
		if metav1.GetControllerOf(p.Object).Kind == "DaemonSet" {
			continue
		}
		pod := p.Object.DeepCopy()
		if p.Sidecar != roi.NoSidecar && change.Leaves[p.Workload] {
			pod = roi.WithoutSidecar(pod).DeepCopy()
		}
		pod.Spec.NodeName = ""
		if salt > 0 {
			pod.UID = types.UID(fmt.Sprintf("%016x-%s", rng.Uint64(), pod.Name))
		}
		pods = append(pods, pod)
	}
	client := fakecr.NewFakeClient()
	provider := fake.NewCloudProvider()
	clk := clock.RealClock{}
	cluster := state.NewCluster(clk, client, provider)
	topology, err := scheduling.NewTopology(ctx, client, cluster, nil, pools, its, pods)
	if err != nil {
		t.Fatalf("karpenter topology: %v", err)
	}
	s := scheduling.NewScheduler(ctx, client, pools, cluster, nil, topology, its, append(append([]*corev1.Pod(nil), g.daemons...), ambient...),
		events.NewRecorder(&record.FakeRecorder{}), clk, nil)
	res, err := s.Solve(ctx, pods)
	if err != nil {
		t.Fatalf("karpenter solve: %v", err)
	}
	return len(res.NewNodeClaims), len(res.PodErrors)
}

// ambientDaemons are the DaemonSets of ambient as Karpenter is told of them.
func ambientDaemons() []*corev1.Pod {
	var out []*corev1.Pod
	for _, d := range []struct{ name, cpu, mem string }{{"ztunnel", "200m", "512Mi"}, {"istio-cni-node", "100m", "100Mi"}} {
		out = append(out, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: d.name, Namespace: "istio-system", UID: types.UID(d.name)},
			Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers: []corev1.Container{{Name: d.name, Resources: requests(d.cpu, d.mem)}}}})
	}
	return out
}

// karpenterRange solves in several orders of equal pods and gives the fewest and the most nodes. Karpenter breaks ties by UID and picks
// zones for self-affine pods by map order, so its own answers differ by a few nodes from run to run.
func karpenterRange(t *testing.T, g generated, change roi.Change, ambient []*corev1.Pod, pods int) (low, high int) {
	t.Helper()
	orders := uint64(4)
	if pods > 1500 {
		orders = 2
	}
	for salt := range orders {
		n, failed := solve(t, g, change, ambient, salt)
		if failed != 0 {
			t.Fatalf("%d pods unplaced by karpenter", failed)
		}
		if salt == 0 || n < low {
			low = n
		}
		high = max(high, n)
	}
	return low, high
}

// clusters is how many of the twenty are compared. The ordinary run takes those up to 2,500 pods: the rest take Karpenter, which
// is asked several times for each, most of an hour ("make karpenter" compares all).
var clusters = flag.Int("clusters", 12, "number of generated clusters to compare, the smallest first")

// Sizes of the twenty clusters, by seed.
var sizes = []int{60, 120, 250, 400, 400, 800, 800, 1200, 1500, 2000, 2000, 2500, 3000, 3000, 4000, 5000, 5000, 7000, 9000, 10000}

func TestSimulatorIsWithinOneNodeOfKarpenter(t *testing.T) {
	for i, n := range sizes[:min(*clusters, len(sizes))] {
		seed := uint64(i + 1)
		t.Run(fmt.Sprintf("seed %d with %d pods", seed, n), func(t *testing.T) {
			g := generate(seed, n)
			leave := roi.Change{Leaves: map[string]bool{}, Ztunnel: roi.DefaultZtunnel, CNI: roi.DefaultCNI}
			for j, p := range g.cluster.Pods {
				if p.Sidecar != roi.NoSidecar && j%5 != 0 {
					leave.Leaves[p.Workload] = true
				}
			}
			for _, c := range []struct {
				name    string
				change  roi.Change
				ambient []*corev1.Pod
			}{{"as it is", roi.Change{}, nil}, {"after the change", leave, ambientDaemons()}} {
				ours := roi.Replace(g.cluster, c.change)
				if len(ours.Unplaced) != 0 {
					t.Fatalf("%s: %d pods unplaced", c.name, len(ours.Unplaced))
				}
				low, high := karpenterRange(t, g, c.change, c.ambient, n)
				t.Logf("%s: ours %d, karpenter %d to %d, binding %s", c.name, ours.Nodes, low, high, ours.Binding)
				if ours.Nodes < low-1 || ours.Nodes > high+1 {
					t.Errorf("%s: simulator says %d nodes, karpenter %d to %d", c.name, ours.Nodes, low, high)
				}
			}
		})
	}
}

// BenchmarkTenThousandPods is the largest of the clusters; the budget is five seconds.
func BenchmarkTenThousandPods(b *testing.B) {
	g := generate(20, 10000)
	b.ReportAllocs()
	for b.Loop() {
		roi.Replace(g.cluster, roi.Change{})
	}
}
