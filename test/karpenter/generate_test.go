package karpenter

import (
	"fmt"
	"math/rand/v2"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
)

var zones = []string{"zone-a", "zone-b", "zone-c"}

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
	cluster terms.Cluster
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
			g.cluster.Pods = append(g.cluster.Pods, terms.Pod{Object: pod, Role: terms.Application, Workload: "kube-system/DaemonSet/" + name})
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
	sidecar := terms.NoSidecar
	switch rng.IntN(3) {
	case 0:
		sidecar = terms.Classic
		spec.InitContainers = []corev1.Container{{Name: "istio-init", Resources: requests("10m", "10Mi")}}
		spec.Containers = append(spec.Containers, corev1.Container{Name: "istio-proxy", Resources: requests("100m", "128Mi")})
	case 1:
		sidecar = terms.Native
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
	}
	for i := range replicas {
		s := spec.DeepCopy()
		s.NodeName = fmt.Sprintf("%s-%d", home.name, i%3)
		podName := fmt.Sprintf("%s-%03d", name, i)
		g.cluster.Pods = append(g.cluster.Pods, terms.Pod{Role: terms.Application, Sidecar: sidecar, Workload: "shop/Deployment/" + name,
			Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: podName, Namespace: "shop", UID: types.UID(podName), Labels: labels,
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: name, Controller: ptr.To(true)}}}, Spec: *s}})
	}
}

func requests(cpu, mem string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(mem)}}
}

// reordered gives every pod another UID, which is Karpenter's order of pods of equal size.
func (g generated) reordered(order uint64) generated {
	rng := rand.New(rand.NewPCG(order, 11))
	g.cluster.Pods = append([]terms.Pod(nil), g.cluster.Pods...)
	for i := range g.cluster.Pods {
		p := *g.cluster.Pods[i].Object
		p.UID = types.UID(fmt.Sprintf("%016x-%s", rng.Uint64(), p.Name))
		g.cluster.Pods[i].Object = &p
	}
	return g
}

// withVolumes gives every pod of each workload that has no rule by zone a volume in one of the zones, in turn, as a StatefulSet's pods have them.
func (g generated) withVolumes() generated {
	pods := g.cluster.Pods
	g.cluster.Pods = nil
	for i, p := range pods {
		if spec := p.Object.Spec; len(spec.TopologySpreadConstraints) == 0 && spec.NodeSelector[corev1.LabelTopologyZone] == "" && p.Object.Namespace == "shop" {
			p.Object = p.Object.DeepCopy()
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-" + p.Object.Name}}
			claim.Spec.VolumeName = "pv-" + p.Object.Name
			p.Object.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name}}}}
			pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.VolumeName}}
			pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zones[i%3]}}}}}}}
			g.cluster.Claims, g.cluster.Volumes = append(g.cluster.Claims, claim), append(g.cluster.Volumes, pv)
		}
		g.cluster.Pods = append(g.cluster.Pods, p)
	}
	return g
}
