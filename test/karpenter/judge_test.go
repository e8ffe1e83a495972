package karpenter

import (
	"context"
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
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
)

// nodesOf packs a generated cluster with Karpenter's scheduler, all of it onto new nodes, and counts them.
func nodesOf(g generated, change terms.Change, ambient []*corev1.Pod) (int, error) {
	ctx := options.ToContext(context.Background(), test.Options())
	pools, its := g.nodePools()
	pods := g.pending(change)
	client := fakecr.NewFakeClient()
	clk := clock.RealClock{}
	cluster := state.NewCluster(clk, client, fake.NewCloudProvider())
	topology, err := scheduling.NewTopology(ctx, client, cluster, nil, pools, its, pods)
	if err != nil {
		return 0, fmt.Errorf("karpenter's topology: %w", err)
	}
	daemons := append(append([]*corev1.Pod(nil), g.daemons...), ambient...)
	s := scheduling.NewScheduler(ctx, client, pools, cluster, nil, topology, its, daemons, events.NewRecorder(&record.FakeRecorder{}), clk, g.volumeZones(pods))
	res, err := s.Solve(ctx, pods)
	if err != nil {
		return 0, fmt.Errorf("karpenter's scheduler: %w", err)
	}
	if n := len(res.PodErrors); n > 0 {
		return 0, fmt.Errorf("karpenter left %d pods unplaced", n)
	}
	return len(res.NewNodeClaims), nil
}

// nodePools are the cluster's pools as Karpenter knows them, each with its one instance type.
func (g generated) nodePools() ([]*v1.NodePool, map[string][]*cloudprovider.InstanceType) {
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
	return pools, its
}

// volumeZones are what Karpenter's volume topology finds out by asking the API: where the volumes of each pod are. It removes
// the volumes from the pods, so that the scheduler does not look for their claims.
func (g generated) volumeZones(pods []*corev1.Pod) map[types.UID][]karpsched.Requirements {
	affinity := map[string]corev1.NodeSelectorRequirement{}
	for i, claim := range g.cluster.Claims {
		affinity[claim.Name] = g.cluster.Volumes[i].Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]
	}
	out := map[types.UID][]karpsched.Requirements{}
	for _, p := range pods {
		for _, v := range p.Spec.Volumes {
			out[p.UID] = []karpsched.Requirements{karpsched.NewNodeSelectorRequirements(affinity[v.PersistentVolumeClaim.ClaimName])}
		}
		p.Spec.Volumes = nil
	}
	return out
}

// pending are the pods to place, after the change and without the nodes they are on. They are copies: Karpenter writes to its pods.
func (g generated) pending(change terms.Change) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, p := range g.cluster.Pods {
		if metav1.GetControllerOf(p.Object).Kind == "DaemonSet" {
			continue
		}
		pod := p.Object
		if p.Sidecar != terms.NoSidecar && change.Leaves[p.Workload] {
			pod = terms.WithoutSidecar(pod)
		}
		pod = pod.DeepCopy()
		pod.Spec.NodeName = ""
		pods = append(pods, pod)
	}
	return pods
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
