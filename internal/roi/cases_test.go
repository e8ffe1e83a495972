package roi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/roi/roitest"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// machine is a node of a type with room for many pods.
func machine(name, instance, cpu string, labels map[string]string) *corev1.Node {
	n := roitest.Node(name, "a", cpu, "512Gi")
	n.Labels[corev1.LabelInstanceTypeStable] = instance
	n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("500")
	for k, v := range labels {
		n.Labels[k] = v
	}
	return n
}

// pod is one of a workload, with an application and a sidecar of so many cores.
func sized(workload string, i int, node, app, proxy string) terms.Pod {
	p := roitest.Meshed(workload, i, node, app, "64Mi", terms.Classic)
	p.Object.Spec.Containers[1].Resources = roitest.Asks(proxy, "16Mi")
	return p
}

// expectNodes checks the headline and that nothing exceeds what there is.
func expectNodes(t *testing.T, c terms.Cluster, ch terms.Change, price float64, want int) Forecast {
	t.Helper()
	f := Make(input(c, ch, price))
	if f.Nodes == nil || f.Nodes.Expected.Value == nil || *f.Nodes.Expected.Value != float64(want) {
		t.Fatalf("expected %+v, want %d nodes (replace %d -> %d)", f.Nodes.Expected, want, f.Nodes.ReplaceBefore.Nodes, f.Nodes.ReplaceAfter.Nodes)
	}
	if f.Nodes.Removable > f.Nodes.Now || f.Nodes.PackingAlone < 0 || *f.Money.PerMonth.Value > *f.Money.FleetPerMonth.Value {
		t.Errorf("more than there is: %d of %d nodes, slack %d, %s of %s", f.Nodes.Removable, f.Nodes.Now, f.Nodes.PackingAlone, f.Money.PerMonth, f.Money.FleetPerMonth)
	}
	return f
}

// One small node among large ones of the same type label, as RKE2, k3s and kubeadm have them: 8 x 53 + 3 >= 425.
func TestNodesOfSeveralSizesUnderOneTypeLabel(t *testing.T) {
	for _, label := range []string{"rke2", ""} {
		var c terms.Cluster
		n := 0
		for i := range 10 {
			cpu, pods := "64", 47
			if i == 0 {
				cpu, pods = "4", 2
			}
			node := machine(fmt.Sprintf("n%d", i), label, cpu, nil)
			c.Nodes = append(c.Nodes, node)
			for range pods {
				c.Pods = append(c.Pods, sized("web", n, node.Name, "1200m", "150m"))
				n++
			}
		}
		f := expectNodes(t, c, roitest.LeaveAll(c), 2.5, 1)
		if *f.Money.PerMonth.Value != 1825 {
			t.Errorf("type label %q: worth %s, want 1,825", label, f.Money.PerMonth)
		}
	}
}

// What is scarce beside CPU and memory binds nodes as well.
func TestScarceResourcesBindNodes(t *testing.T) {
	for name, resourceName := range map[string]corev1.ResourceName{"one GPU a node": "nvidia.com/gpu", "ephemeral storage for one pod a node": corev1.ResourceEphemeralStorage} {
		t.Run(name, func(t *testing.T) {
			var c terms.Cluster
			for i := range 12 {
				node := machine(fmt.Sprintf("n%d", i), "g5.2xlarge", "8", nil)
				node.Status.Allocatable[resourceName] = resource.MustParse("1")
				p := sized("train", i, node.Name, "3800m", "250m")
				p.Object.Spec.Containers[0].Resources.Requests[resourceName] = resource.MustParse("1")
				c.Nodes, c.Pods = append(c.Nodes, node), append(c.Pods, p)
			}
			expectNodes(t, c, roitest.LeaveAll(c), 1, 0)
		})
	}
}

// A Karpenter pool takes any of its types: fifteen of the nodes hold everything, whatever their types.
func TestAKarpenterPoolIsPackedAsOne(t *testing.T) {
	var c terms.Cluster
	n := 0
	for kind := range 8 {
		for i := range 3 {
			cores := 4 + 4*(kind%3)
			node := machine(fmt.Sprintf("k%d-%d", kind, i), fmt.Sprintf("t%d", kind), fmt.Sprint(cores), map[string]string{"karpenter.sh/nodepool": "default"})
			c.Nodes = append(c.Nodes, node)
			for range cores * 2 {
				c.Pods = append(c.Pods, sized("web", n, node.Name, "250m", "250m"))
				n++
			}
		}
	}
	f := Make(input(c, roitest.LeaveAll(c), 0.2))
	if v := *f.Nodes.Expected.Value; v < 6 || !strings.Contains(f.Nodes.Rule, "Karpenter") || *f.Money.PerMonth.Value <= 0 {
		t.Errorf("%s by %s, worth %s: half of what was requested is gone, and nearly half of the nodes have to follow", f.Nodes.Expected, f.Nodes.Rule, f.Money.PerMonth)
	}
}

// Two pools of one type told apart by a label of the owner's own are packed apart.
func TestPoolsThatASelectorTellsApart(t *testing.T) {
	var c terms.Cluster
	n := 0
	for i := range 12 {
		team := []string{"red", "blue"}[i%2]
		node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", map[string]string{"example.com/team": team})
		c.Nodes = append(c.Nodes, node)
		for range 20 {
			p := sized("web-"+team, n, node.Name, "200m", "200m")
			p.Object.Spec.NodeSelector = map[string]string{"example.com/team": team}
			c.Pods = append(c.Pods, p)
			n++
		}
	}
	// 120 pods of 200m a pool on (8 - 0.3) cores: 38 a node, so four nodes of six.
	expectNodes(t, c, roitest.LeaveAll(c), 1, 4)
}

// cluster-autoscaler takes nodes below half of their requests only: where pods spread evenly above that, the headline is nothing, however well they would pack.
func TestTheHeadlineIsThatOfTheRule(t *testing.T) {
	var c terms.Cluster
	n := 0
	for i := range 10 {
		node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", map[string]string{"eks.amazonaws.com/nodegroup": "workers"})
		c.Nodes = append(c.Nodes, node)
		for range 12 {
			c.Pods = append(c.Pods, sized("web", n, node.Name, "450m", "100m"))
			n++
		}
	}
	f := expectNodes(t, c, roitest.LeaveAll(c), 1, 0)
	if !strings.Contains(f.Nodes.Rule, "cluster-autoscaler") || f.Nodes.Removable == 0 || !strings.Contains(strings.Join(f.Causes, " "), "does not get there by itself") {
		t.Errorf("rule %q, packed afresh %d, causes %q", f.Nodes.Rule, f.Nodes.Removable, f.Causes)
	}
}

// Fargate and Windows run no ztunnel: pods there stay, nothing is added there, and such nodes are not counted as machines.
func TestNodesThatAmbientCannotCapture(t *testing.T) {
	var c terms.Cluster
	for i := range 10 {
		node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", nil)
		c.Nodes = append(c.Nodes, node)
		for j := range 20 {
			c.Pods = append(c.Pods, sized("web", i*20+j, node.Name, "300m", "100m"))
		}
	}
	for i := range 4 {
		node := machine(fmt.Sprintf("fargate-%d", i), "", "2", map[string]string{"eks.amazonaws.com/compute-type": "fargate"})
		c.Nodes = append(c.Nodes, node)
		p := sized("serverless", i, node.Name, "1", "100m")
		p.Uncaptured = terms.Uncaptured(node)
		c.Pods = append(c.Pods, p)
	}
	windows := machine("win", "m6i.2xlarge", "8", map[string]string{corev1.LabelOSStable: "windows"})
	c.Nodes = append(c.Nodes, windows)
	// 200 pods of 300m on 7.7 cores: 25 a node, so 8 of the ten.
	f := expectNodes(t, c, roitest.LeaveAll(c), 1, 2)
	if f.Leaving != 200 || f.Staying != 4 || *f.Money.FleetPerMonth.Value != 11*HoursPerMonth {
		t.Errorf("%d leave, %d stay, fleet %s", f.Leaving, f.Staying, f.Money.FleetPerMonth)
	}
	if source := f.Ladder[0].Lines[0].Figure.Source; !strings.Contains(source, "ztunnel on 10 nodes") {
		t.Errorf("ztunnel is counted elsewhere: %s", source)
	}
}

// Pods that wait for room hold nothing, and take what becomes free.
func TestPodsThatWaitTakeWhatIsFreed(t *testing.T) {
	var c terms.Cluster
	for i := range 5 {
		node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", nil)
		c.Nodes = append(c.Nodes, node)
		for j := range 10 {
			c.Pods = append(c.Pods, sized("web", i*10+j, node.Name, "600m", "200m"))
		}
	}
	for i := range 100 {
		p := sized("waits", i, "", "4", "100m")
		p.Object.Status.Phase = corev1.PodPending
		c.Pods = append(c.Pods, p)
	}
	f := expectNodes(t, c, roitest.LeaveAll(c), 1, 0)
	if v := *f.Ladder[0].Lines[0].Figure.Value; v != 50*0.2-5*0.3 {
		t.Errorf("%g cores freed, want 8.5: waiting pods hold none", v)
	}
}

// A DaemonSet in the mesh frees its sidecars on every node.
func TestADaemonSetsSidecarIsFreedOnEveryNode(t *testing.T) {
	var c terms.Cluster
	for i := range 6 {
		node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", nil)
		agent := sized("agent", i, node.Name, "500m", "1300m")
		agent.Object.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", Controller: roitest.Yes()}}
		c.Nodes, c.Pods = append(c.Nodes, node), append(c.Pods, agent)
		for j := range 6 {
			p := roitest.Meshed("plain", i*6+j, node.Name, "1", "64Mi", terms.NoSidecar)
			c.Pods = append(c.Pods, p)
		}
	}
	// 36 pods of a core: 6 a node before (8 - 1.8), 7 after (8 - 0.5 - 0.3): six nodes of them, which is one fewer only from 36 / 7 = 5.14 down.
	f := expectNodes(t, c, roitest.LeaveAll(c), 1, 0)
	if v := *f.Ladder[0].Lines[0].Figure.Value; v != 6*1.3-6*0.3 {
		t.Errorf("%g cores freed", v)
	}
	c.Pods = c.Pods[:len(c.Pods)-1] // 35 pods: five nodes of seven
	expectNodes(t, c, roitest.LeaveAll(c), 1, 1)
}

// The control plane's nodes stay; a native init container's host port keeps pods apart.
func TestFixedNodesAndHostPorts(t *testing.T) {
	var c terms.Cluster
	for i := range 3 {
		c.Nodes = append(c.Nodes, machine(fmt.Sprintf("cp%d", i), "m6i.2xlarge", "8", map[string]string{"node-role.kubernetes.io/control-plane": ""}))
	}
	f := expectNodes(t, c, terms.Change{}, 1, 0)
	if f.Nodes.PackingAlone != 0 {
		t.Errorf("%d nodes of the control plane are called slack", f.Nodes.PackingAlone)
	}
	always := corev1.ContainerRestartPolicyAlways
	c = terms.Cluster{}
	for i := range 9 {
		node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", nil)
		p := sized("edge", i, node.Name, "100m", "100m")
		p.Object.Spec.InitContainers = append(p.Object.Spec.InitContainers, corev1.Container{Name: "tap", RestartPolicy: &always, Ports: []corev1.ContainerPort{{HostPort: 9000, Protocol: corev1.ProtocolTCP}}})
		c.Nodes, c.Pods = append(c.Nodes, node), append(c.Pods, p)
	}
	expectNodes(t, c, roitest.LeaveAll(c), 1, 0)
}

// Prices are those of the node's region, its own row, and its kind of offer, or none.
func TestAPriceIsTheNodesOrNone(t *testing.T) {
	byInstance, byNode, err := ReadCSV(strings.NewReader("InstanceID,Region,InstanceType,MarketPriceHourly\n,eu-central-1,m6i.2xlarge,0.46\n,sa-east-1,m6i.2xlarge,0.612\ni-0abc,,m6i.2xlarge,0.20\n"), "p.csv", "USD")
	if err != nil {
		t.Fatal(err)
	}
	with := func(f func(*corev1.Node)) *corev1.Node {
		n := machine("n", "m6i.2xlarge", "8", map[string]string{corev1.LabelTopologyRegion: "eu-central-1"})
		if f != nil {
			f(n)
		}
		return n
	}
	spot := func(n *corev1.Node) { n.Labels["karpenter.sh/capacity-type"] = "spot" }
	for name, c := range map[string]struct {
		prices Prices
		node   *corev1.Node
		want   float64
		err    string
	}{
		"the table is of one region": {Prices{Table: StaticTable()}, with(nil), 0, "no price for instance type"},
		"the region may stand in the provider id": {Prices{Table: StaticTable()}, with(func(n *corev1.Node) {
			delete(n.Labels, corev1.LabelTopologyRegion)
			n.Spec.ProviderID = "aws:///eu-central-1a/i-1"
		}), 0, "eu-central-1"},
		"the row of the region":                       {Prices{ByInstance: byInstance}, with(nil), 0.46, ""},
		"no row of the region":                        {Prices{ByInstance: byInstance, Table: StaticTable()}, with(func(n *corev1.Node) { n.Labels[corev1.LabelTopologyRegion] = "us-west-2" }), 0, "sa-east-1"},
		"the row of the machine, by its provider id":  {Prices{ByInstance: byInstance, ByNode: byNode}, with(func(n *corev1.Node) { n.Spec.ProviderID = "aws:///eu-central-1a/i-0abc" }), 0.20, ""},
		"a spot node is not worth the on-demand row":  {Prices{ByInstance: byInstance}, with(spot), 0, "spot"},
		"but a share of it where the user states one": {Prices{ByInstance: byInstance, SpotFactor: 0.5}, with(spot), 0.23, ""},
	} {
		got, err := c.prices.Of(c.node)
		if c.err == "" && (err != nil || got.PerHour != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %v", name, got.PerHour, err)
		}
	}
}

// One pool of eight types of a size, three nodes each, full: any type holds any pod, so 480 pods of which 38 fit a node need 13 of the 24. Packed type by type, each would lose one.
func TestAPoolOfEqualTypesLosesWhatItNoLongerNeeds(t *testing.T) {
	var c terms.Cluster
	n := 0
	for i := range 24 {
		node := machine(fmt.Sprintf("k%02d", i), fmt.Sprintf("t%d", i%8), "8", map[string]string{"karpenter.sh/nodepool": "default"})
		c.Nodes = append(c.Nodes, node)
		for range 20 {
			c.Pods = append(c.Pods, sized("web", n, node.Name, "200m", "200m"))
			n++
		}
	}
	f := expectNodes(t, c, roitest.LeaveAll(c), 0.2, 11)
	if got := *f.Money.PerMonth.Value; got < 11*0.2*HoursPerMonth-1e-6 || got > 11*0.2*HoursPerMonth+1e-6 {
		t.Errorf("worth %s, want %g", f.Money.PerMonth, 11*0.2*HoursPerMonth)
	}
}

// Karpenter has no 50% rule: nodes that are 60% full go as well when their pods fit elsewhere.
func TestKarpenterHasNoThreshold(t *testing.T) {
	for label, want := range map[string]int{"karpenter.sh/nodepool": 2, "eks.amazonaws.com/nodegroup": 0} {
		var c terms.Cluster
		for i := range 6 {
			node := machine(fmt.Sprintf("n%d", i), "m6i.2xlarge", "8", map[string]string{label: "default"})
			c.Nodes = append(c.Nodes, node)
			for j := range 8 {
				c.Pods = append(c.Pods, sized(fmt.Sprintf("web-%d", j), i*8+j, node.Name, "580m", "300m"))
			}
		}
		// 48 pods, 8 a node before (7.04 of 8 cores), 13 after: four nodes, each of the six at 62% until then.
		expectNodes(t, c, roitest.LeaveAll(c), 1, want)
	}
}

// Nodes that are no machines: a virtual node takes no ztunnel, so its pods stay; Autopilot's do, and their bill is that of requests.
func TestNodesThatAreNoMachines(t *testing.T) {
	for name, c := range map[string]struct {
		node           *corev1.Node
		leave, ztunnel int
	}{
		"Azure Container Instances": {machine("virtual-node-aci-linux", "", "8", map[string]string{"type": "virtual-kubelet"}), 0, 0},
		"GKE Autopilot":             {machine("gk3-pool-1", "e2-standard-8", "8", nil), 20, 1},
	} {
		var x terms.Cluster
		x.Nodes = append(x.Nodes, c.node)
		for i := range 20 {
			p := sized("web", i, c.node.Name, "200m", "100m")
			p.Uncaptured = terms.Uncaptured(c.node)
			x.Pods = append(x.Pods, p)
		}
		f := Make(input(x, roitest.LeaveAll(x), 1))
		if f.Leaving != c.leave || f.Money.PerMonth.Value != nil || f.Money.FleetPerMonth.Value != nil || f.Nodes.Expected.Value != nil {
			t.Errorf("%s: %d leave, %s, worth %s of %s", name, f.Leaving, f.Nodes.Expected, f.Money.PerMonth, f.Money.FleetPerMonth)
		}
		if source := f.Ladder[0].Lines[0].Figure.Source; !strings.Contains(source, fmt.Sprintf("ztunnel on %d nodes", c.ztunnel)) {
			t.Errorf("%s: %s", name, source)
		}
	}
}
