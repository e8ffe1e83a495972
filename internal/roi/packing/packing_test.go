package packing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/roi/roitest"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var testZones = []string{"a", "b", "c"}

// zonal is a volume that can be used in one zone, and the claim that is bound to it.
func zonal(name, key, value string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name}}
	pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}}}}
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: pv.Name}}, pv
}

func claimed(name string) []corev1.Volume {
	return []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
}

// drawCluster makes up to twelve workloads whose pods run on the nodes of three zones, with every kind of required rule.
func drawCluster(t *rapid.T) terms.Cluster {
	var c terms.Cluster
	for i := range 6 {
		n := roitest.Node(fmt.Sprintf("n%d", i), testZones[i%3], "4", "8Gi")
		n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("9")
		c.Nodes = append(c.Nodes, n)
	}
	for w := range rapid.IntRange(1, 12).Draw(t, "workloads") {
		drawWorkload(t, &c, fmt.Sprintf("w%d", w))
	}
	return c
}

func drawWorkload(t *rapid.T, c *terms.Cluster, name string) {
	self := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	other := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "w0"}}
	key := rapid.SampledFrom([]string{corev1.LabelTopologyZone, corev1.LabelHostname}).Draw(t, "key")
	term := func(whom *metav1.LabelSelector) []corev1.PodAffinityTerm {
		return []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: whom}}
	}
	rule := rapid.SampledFrom([]string{"none", "none", "spread", "apart", "together", "away", "near", "selector", "port", "volume"}).Draw(t, "rule")
	size := roitest.Asks(rapid.SampledFrom([]string{"100m", "700m", "1500m"}).Draw(t, "cpu"), rapid.SampledFrom([]string{"128Mi", "1Gi", "3Gi"}).Draw(t, "memory"))
	for i := range rapid.IntRange(1, 6).Draw(t, "replicas") {
		p := roitest.Meshed(name, i, fmt.Sprintf("n%d", i%6), "100m", "128Mi", terms.NoSidecar)
		p.Object.Spec.Containers[0].Resources = size
		spec := &p.Object.Spec
		switch rule {
		case "spread":
			spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: self}}
		case "apart":
			spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(self)}}
		case "together":
			spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(self)}}
		case "away":
			spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(other)}}
		case "near":
			spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(other)}}
		case "selector":
			spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: "b"}
		case "port":
			spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 9000, Protocol: corev1.ProtocolTCP}}
		case "volume":
			claim, pv := zonal(p.Object.Name, corev1.LabelTopologyZone, testZones[i%3])
			c.Claims, c.Volumes = append(c.Claims, claim), append(c.Volumes, pv)
			spec.Volumes = claimed(p.Object.Name)
		}
		c.Pods = append(c.Pods, p)
	}
}

// placed is where a pod ended up.
type placed struct {
	pod        *corev1.Pod
	host, zone string
}

func (p placed) domain(key string) string {
	if key == corev1.LabelHostname {
		return p.host
	}
	return p.zone
}

// TestReplaceNeverPlacesAPodWhereItsRulesForbid checks finished packings by the words of the Kubernetes API, not by the packer's books.
func TestReplaceNeverPlacesAPodWhereItsRulesForbid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCluster(t)
		r := newReplacement(c, terms.Change{})
		seed := rapid.Uint64().Draw(t, "order")
		r.shuffle(seed)
		out := r.pack(seed)
		objects := map[string]*corev1.Pod{}
		for _, p := range c.Pods {
			objects[p.Object.Namespace+"/"+p.Object.Name] = p.Object
		}
		volumeIn := map[string]string{}
		for _, pv := range c.Volumes {
			volumeIn[pv.Name] = pv.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
		}
		var all []placed
		for _, b := range r.p.bins {
			left := r.p.names(b.zones) // any of them must do
			zone := rapid.SampledFrom(left).Draw(t, "zone")
			var pods []*corev1.Pod
			for _, it := range b.members {
				pod := objects[it.name]
				pods, all = append(pods, pod), append(all, placed{pod, b.host, zone})
				if want := pod.Spec.NodeSelector[corev1.LabelTopologyZone]; want != "" && !slices.Equal(left, []string{want}) {
					t.Fatalf("%s selects zone %s and may be in %v", it.name, want, left)
				}
				if want := volumeIn["pv-"+pod.Name]; want != "" && !slices.Equal(left, []string{want}) {
					t.Fatalf("%s has its volume in zone %s and may be in %v", it.name, want, left)
				}
			}
			checkNode(t, b.host, pods)
		}
		if len(all)+len(out.Unplaced) != len(c.Pods) {
			t.Fatalf("%d pods placed and %d unplaced of %d", len(all), len(out.Unplaced), len(c.Pods))
		}
		checkRules(t, all)
	})
}

// checkNode checks what the pods of one node share.
func checkNode(t *rapid.T, host string, pods []*corev1.Pod) {
	var use terms.Resources
	ports := map[int32]bool{}
	for _, pod := range pods {
		use = use.Plus(terms.Requests(pod))
		for _, port := range pod.Spec.Containers[0].Ports {
			if ports[port.HostPort] {
				t.Fatalf("%s: host port %d is taken twice", host, port.HostPort)
			}
			ports[port.HostPort] = true
		}
	}
	if use.CPUMilli > 4000 || use.MemoryBytes > 8<<30 || len(pods) > 9 {
		t.Fatalf("%s holds %d pods that ask for %v", host, len(pods), use)
	}
}

// checkRules checks every rule of every pod against where all others are.
func checkRules(t *rapid.T, all []placed) {
	for _, p := range all {
		for _, s := range p.pod.Spec.TopologySpreadConstraints {
			n := map[string]int{}
			for _, q := range all {
				if q.pod.Labels["app"] == s.LabelSelector.MatchLabels["app"] {
					n[q.domain(s.TopologyKey)]++
				}
			}
			low := 0 // by host a new node, without any, can always be had
			if s.TopologyKey == corev1.LabelTopologyZone {
				low = min(n["a"], n["b"], n["c"])
			}
			if here := n[p.domain(s.TopologyKey)]; here-low > int(s.MaxSkew) {
				t.Fatalf("%s: %d pods where it is and %d in the least: %v", p.pod.Name, here, low, n)
			}
		}
		a := p.pod.Spec.Affinity
		if a != nil && a.PodAntiAffinity != nil {
			term := a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
			if same, _ := matching(all, p, term); same > 0 {
				t.Fatalf("%s repels %d pods in its %s", p.pod.Name, same, term.TopologyKey)
			}
		}
		if a != nil && a.PodAffinity != nil {
			term := a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
			same, elsewhere := matching(all, p, term)
			first := p.pod.Labels["app"] == term.LabelSelector.MatchLabels["app"] && elsewhere == 0
			if same == 0 && !first {
				t.Fatalf("%s is without the pods that it wants in its %s; %d are elsewhere", p.pod.Name, term.TopologyKey, elsewhere)
			}
		}
	}
}

// matching counts the other pods that a term selects, in the pod's domain and elsewhere.
func matching(all []placed, p placed, term corev1.PodAffinityTerm) (same, elsewhere int) {
	for _, q := range all {
		switch {
		case q.pod == p.pod || q.pod.Labels["app"] != term.LabelSelector.MatchLabels["app"]:
		case q.domain(term.TopologyKey) == p.domain(term.TopologyKey):
			same++
		default:
			elsewhere++
		}
	}
	return same, elsewhere
}

// TestReplaceSettlesZones: a node that is about to be made has several zones open, and rules by zone must neither wait for ever nor take all of them.
func TestReplaceSettlesZones(t *testing.T) {
	by := func(app string) []corev1.PodAffinityTerm {
		return []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelTopologyZone, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}
	}
	near := func(app string) *corev1.Affinity {
		return &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: by(app)}}
	}
	apart := func(app string) *corev1.Affinity {
		return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: by(app)}}
	}
	for name, c := range map[string]struct {
		affinity map[string]*corev1.Affinity // by workload, three pods each
		nodes    int
	}{
		"pods that repel each other by zone take three":                 {map[string]*corev1.Affinity{"web": apart("web")}, 3},
		"pods near pods without rules find them":                        {map[string]*corev1.Affinity{"web": nil, "cache": near("web")}, 1},
		"pods away from pods without rules take another zone":           {map[string]*corev1.Affinity{"web": nil, "cache": apart("web")}, 2},
		"pods near pods that are themselves near others follow the row": {map[string]*corev1.Affinity{"web": nil, "cache": near("web"), "proxy": near("cache")}, 1},
		"pods near pods whose node others drew to a zone":               {map[string]*corev1.Affinity{"web": nil, "quorum": apart("quorum"), "cache": near("web")}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := terms.Cluster{Nodes: []*corev1.Node{roitest.Node("n0", "a", "8", "32Gi"), roitest.Node("n1", "b", "8", "32Gi"), roitest.Node("n2", "c", "8", "32Gi")}}
			for w, affinity := range c.affinity {
				for i := range 3 {
					cpu := "100m"
					if w == "web" {
						cpu = "200m" // it is placed first
					}
					p := roitest.Meshed(w, i, fmt.Sprintf("n%d", i), cpu, "128Mi", terms.NoSidecar)
					p.Object.Spec.Affinity = affinity
					cluster.Pods = append(cluster.Pods, p)
				}
			}
			if out := Replace(cluster, terms.Change{}); out.Nodes != c.nodes || len(out.Unplaced) != 0 {
				t.Errorf("%d nodes, unplaced %v; want %d and none", out.Nodes, out.Unplaced, c.nodes)
			}
		})
	}
}

func TestReplaceKeepsPodsWithTheirVolumes(t *testing.T) {
	three := func() terms.Cluster { // three zones; all pods fit one node
		c := terms.Cluster{Nodes: []*corev1.Node{roitest.Node("n0", "a", "8", "32Gi"), roitest.Node("n1", "b", "8", "32Gi"), roitest.Node("n2", "c", "8", "32Gi")}}
		for i := range 3 {
			c.Nodes[i].Labels["topology.ebs.csi.aws.com/zone"] = testZones[i]
			c.Pods = append(c.Pods, roitest.Meshed("db", i, fmt.Sprintf("n%d", i), "100m", "128Mi", terms.NoSidecar))
			c.Pods[i].Object.Spec.Volumes = claimed(c.Pods[i].Object.Name)
		}
		return c
	}
	bind := func(c *terms.Cluster, key string, values ...string) {
		for i, v := range values {
			claim, pv := zonal(c.Pods[i].Object.Name, key, v)
			c.Claims, c.Volumes = append(c.Claims, claim), append(c.Volumes, pv)
		}
	}
	for name, test := range map[string]struct {
		make                    func(c *terms.Cluster)
		nodes, unknown, blocked int
	}{
		"volumes in three zones need a node in each":                      {func(c *terms.Cluster) { bind(c, corev1.LabelTopologyZone, "a", "b", "c") }, 3, 0, 3},
		"volumes in one zone need one node, wherever the pods run":        {func(c *terms.Cluster) { bind(c, corev1.LabelTopologyZone, "b", "b", "b") }, 1, 0, 0},
		"a driver's own zone label":                                       {func(c *terms.Cluster) { bind(c, "topology.ebs.csi.aws.com/zone", "a", "a", "c") }, 2, 0, 0},
		"a volume on a node's disk keeps that node":                       {func(c *terms.Cluster) { bind(c, corev1.LabelHostname, "n0", "n1", "n2") }, 3, 0, 3},
		"volumes that were not read keep pods in their zone":              {func(*terms.Cluster) {}, 3, 3, 3},
		"a claim without its volume keeps its pod in the zone":            {func(c *terms.Cluster) { bind(c, corev1.LabelTopologyZone, "a", "a", "a"); c.Volumes = c.Volumes[:2] }, 2, 1, 0},
		"a volume for any zone, such as a file share, restricts nothing":  {func(c *terms.Cluster) { bind(c, "x", "", "", ""); shared(c) }, 1, 0, 0},
		"a claim that waits for its first consumer restricts nothing":     {func(c *terms.Cluster) { bind(c, "x", "", "", ""); unbind(c) }, 1, 0, 0},
		"an ephemeral volume's claim is called after pod and volume":      {func(c *terms.Cluster) { ephemeral(c); bindEphemeral(c, "c") }, 1, 0, 0},
		"an old volume has its zone in a label":                           {func(c *terms.Cluster) { bind(c, "x", "", "", ""); shared(c); label(c, "a", "b", "c") }, 3, 0, 3},
		"an old volume in two zones has both in a label, the rest follow": {func(c *terms.Cluster) { bind(c, "x", "", "", ""); shared(c); label(c, "a__b", "b__c", "b") }, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := three()
			test.make(&c)
			out := Replace(c, terms.Change{})
			if out.Nodes != test.nodes || out.VolumesUnknown != test.unknown {
				t.Errorf("%d nodes and %d pods with unknown volumes, want %d and %d (unplaced %v)", out.Nodes, out.VolumesUnknown, test.nodes, test.unknown, out.Unplaced)
			}
			scaled := c
			scaled.Autoscaler = true
			if d := Drain(scaled, terms.Change{}); test.blocked > 0 && len(d.Removed) != 0 {
				t.Errorf("drain removes %v although each volume is tied to its place", d.Removed)
			}
		})
	}
}

func shared(c *terms.Cluster) {
	for _, pv := range c.Volumes {
		pv.Spec.NodeAffinity = nil
	}
}

func unbind(c *terms.Cluster) {
	for _, pvc := range c.Claims {
		pvc.Spec.VolumeName = ""
	}
}

func label(c *terms.Cluster, zones ...string) {
	for i, pv := range c.Volumes {
		pv.Labels = map[string]string{corev1.LabelFailureDomainBetaZone: zones[i]}
	}
}

func ephemeral(c *terms.Cluster) {
	for _, p := range c.Pods {
		p.Object.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
	}
}

func bindEphemeral(c *terms.Cluster, zone string) {
	for _, p := range c.Pods {
		claim, pv := zonal(p.Object.Name+"-scratch", corev1.LabelTopologyZone, zone)
		c.Claims, c.Volumes = append(c.Claims, claim), append(c.Volumes, pv)
	}
}

// TestFreedRequestsRarelyNeedMoreNodes states how far packing is from monotone. No packing by size is: a pod that shrinks is sorted elsewhere
// and meets other neighbours. In 3,000 clusters of this kind 1.6% needed a node more after sidecars had gone and 0.2% two. The sample is fixed,
// so that the test gives the same answer each time.
func TestFreedRequestsRarelyNeedMoreNodes(t *testing.T) {
	const sample = 300
	more := 0
	for seed := range uint64(sample) {
		c, change := shrinking(rand.New(rand.NewPCG(seed, 1)))
		before, after := Replace(c, terms.Change{}), Replace(c, change)
		if after.Nodes > before.Nodes {
			more++
		}
		if after.Nodes > before.Nodes+2 {
			t.Errorf("seed %d: %d nodes before %d workloads give up their sidecar, %d after", seed, before.Nodes, len(change.Leaves), after.Nodes)
		}
	}
	if more > sample/20 {
		t.Errorf("in %d of %d clusters freed requests need more nodes", more, sample)
	}
}

// shrinking is a cluster without rules and a change that only takes sidecars away.
func shrinking(rng *rand.Rand) (terms.Cluster, terms.Change) {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	var c terms.Cluster
	for i := range 3 {
		c.Nodes = append(c.Nodes, roitest.Node(fmt.Sprintf("n%d", i), testZones[i], "4", "16Gi"))
	}
	change := terms.Change{Leaves: map[string]bool{}}
	for w := range 1 + rng.IntN(15) {
		cpu, mem := pick("50m", "250m", "500m", "900m", "1300m", "2"), pick("128Mi", "512Mi", "1Gi", "3Gi")
		kind := []terms.Sidecar{terms.NoSidecar, terms.Classic, terms.Native}[rng.IntN(3)]
		leaves := rng.IntN(2) == 0
		for i := range 1 + rng.IntN(15) {
			p := roitest.Meshed(fmt.Sprintf("w%d", w), i, fmt.Sprintf("n%d", i%3), cpu, mem, kind)
			if kind != terms.NoSidecar && leaves {
				change.Leaves[p.Workload] = true
			}
			c.Pods = append(c.Pods, p)
		}
	}
	return c, change
}
