package account

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clusterOf puts the model's facts into the words of package roi.
func clusterOf(m *mesh.Mesh) terms.Cluster {
	c := terms.Cluster{Nodes: snapshot.All[*corev1.Node](m.Snapshot), Budgets: snapshot.All[*policyv1.PodDisruptionBudget](m.Snapshot),
		Claims: snapshot.All[*corev1.PersistentVolumeClaim](m.Snapshot), Volumes: snapshot.All[*corev1.PersistentVolume](m.Snapshot),
		NamespaceLabels: map[string]map[string]string{}}
	for _, ns := range snapshot.All[*corev1.Namespace](m.Snapshot) {
		c.NamespaceLabels[ns.Name] = ns.Labels
	}
	c.Autoscaler = hasClusterAutoscaler(m)
	uncaptured := map[string]string{}
	for _, n := range c.Nodes {
		if why := terms.Uncaptured(n); why != "" {
			uncaptured[n.Name] = why
		}
	}
	scalers := autoscalers(m.Snapshot)
	for _, w := range m.Workloads {
		var pods []*corev1.Pod
		if w.Derived {
			pods = derivedPods(w, derivedReplicas(w, scalers[workloadKey(w)]))
		} else {
			for _, p := range w.Pods {
				pods = append(pods, p.Core())
			}
		}
		for _, p := range pods {
			pod := terms.Pod{Object: p, Role: roles[w.Role], Workload: workloadKey(w), Mode: modeOf(w), Uncaptured: uncaptured[p.Spec.NodeName]}
			if w.Role == mesh.Application {
				pod.Sidecar = terms.SidecarIn(p)
			}
			c.Pods = append(c.Pods, pod)
		}
	}
	return c
}

// hasClusterAutoscaler reports whether the input has a cluster-autoscaler.
func hasClusterAutoscaler(m *mesh.Mesh) bool {
	return slices.ContainsFunc(m.Workloads, func(w *mesh.Workload) bool {
		return strings.Contains(w.Name, "cluster-autoscaler") && w.Kind == "Deployment"
	})
}

// assumedGaps say whose sidecar requests are the chart's for want of better.
func assumedGaps(m *mesh.Mesh) []terms.Gap {
	n := 0
	for _, w := range m.Workloads {
		if w.Derived && w.Proxy.Kind != mesh.NoSidecar && !w.Proxy.RequestsKnown {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []terms.Gap{{What: "sidecar requests", Why: fmt.Sprintf("the input has neither pods nor the injector's values for %d workloads", n),
		Costs: "Istio's chart default is assumed for them: " + terms.DefaultSidecar.String() + " each"}}
}

// captureGaps say which pods keep their sidecar because of where they run.
func captureGaps(c terms.Cluster) []terms.Gap {
	by := map[string]int{}
	for _, p := range c.Pods {
		if p.Uncaptured != "" && p.Sidecar != terms.NoSidecar && !p.Finished() {
			by[p.Uncaptured]++
		}
	}
	var out []terms.Gap
	for _, why := range slices.Sorted(maps.Keys(by)) {
		out = append(out, terms.Gap{What: fmt.Sprintf("%d pods", by[why]), Why: why, Costs: "they are counted as keeping their sidecar"})
	}
	return out
}

// volumeGaps say what of the pods' volumes is not known.
func volumeGaps(s *snapshot.Snapshot) []terms.Gap {
	gaps := []terms.Gap{{What: "local storage", Why: "a snapshot does not keep emptyDir and hostPath volumes",
		Costs: "a node that such pods hold back counts as one that an autoscaler may remove (drain)"}}
	for _, kind := range []string{"PersistentVolumeClaim", "PersistentVolume"} {
		if known := s.Knowledge(snapshot.Kind{Kind: kind}); known.State != snapshot.Known {
			gaps = append(gaps, terms.Gap{What: kind + "s", Why: known.Reason,
				Costs: "pods with a volume claim are kept in the zone where they run; grant list on persistentvolumeclaims and persistentvolumes"})
		}
	}
	return gaps
}

var roles = map[mesh.Role]terms.Role{mesh.Application: terms.Application, mesh.Waypoint: terms.Waypoint, mesh.Gateway: terms.Gateway,
	mesh.Ztunnel: terms.Ztunnel, mesh.CNI: terms.CNI, mesh.Istiod: terms.Istiod}

func workloadKey(w *mesh.Workload) string { return w.Namespace + "/" + w.Kind + "/" + w.Name }

func modeOf(w *mesh.Workload) terms.Mode {
	switch w.Mode {
	case mesh.Sidecar:
		return terms.ModeSidecar
	case mesh.Ambient:
		if w.Waypoint.Bound {
			return terms.ModeWaypoint
		}
		for _, s := range w.Services {
			if s.Waypoint.Bound {
				return terms.ModeWaypoint
			}
		}
		return terms.ModeAmbient
	}
	return terms.ModeNone
}

// derivedPods are the pods that a workload of manifests would have, with the sidecar that injection would add. They have no node: requests
// can be told from them, nodes cannot.
func derivedPods(w *mesh.Workload, replicas int) []*corev1.Pod {
	if w.Template == nil {
		return nil
	}
	spec := w.Template.Spec.DeepCopy()
	present := func(list []corev1.Container) bool {
		return slices.ContainsFunc(list, func(c corev1.Container) bool { return c.Name == "istio-proxy" })
	}
	if w.Proxy.Kind != mesh.NoSidecar && !present(spec.Containers) && !present(spec.InitContainers) {
		cpu, memory := w.Proxy.CPUMilli, w.Proxy.MemoryBytes
		if !w.Proxy.RequestsKnown { // not known is not nothing: the chart's default stands in, and a gap says so
			cpu, memory = terms.DefaultSidecar.CPUMilli, terms.DefaultSidecar.MemoryBytes
		}
		proxy := corev1.Container{Name: "istio-proxy", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(cpu, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(memory, resource.BinarySI)}}}
		if w.Proxy.Kind == mesh.NativeSidecar {
			always := corev1.ContainerRestartPolicyAlways
			proxy.RestartPolicy = &always
			spec.InitContainers = append([]corev1.Container{proxy}, spec.InitContainers...)
		} else {
			spec.Containers = append(spec.Containers, proxy)
		}
	}
	controller := true
	var out []*corev1.Pod
	for i := range replicas {
		out = append(out, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name + "-" + strconv.Itoa(i), Labels: w.Labels,
			OwnerReferences: []metav1.OwnerReference{{Kind: w.Kind, Name: w.Name, Controller: &controller}}}, Spec: *spec})
	}
	return out
}

// changeOf is what the audit's verdicts amount to: workloads that need no sidecar leave it.
func changeOf(m *mesh.Mesh, r *audit.Result) (terms.Change, []roi.Keep) {
	c := terms.Change{Leaves: map[string]bool{}, L7: map[string]bool{}}
	c.Ztunnel, c.CNI = daemons(m)
	var keeps []roi.Keep
	for _, w := range r.Workloads {
		if w.Workload.Proxy.Kind == mesh.NoSidecar {
			continue
		}
		key := workloadKey(w.Workload)
		switch w.Verdict {
		case audit.VerdictAmbient:
			c.Leaves[key] = true
		case audit.VerdictWaypoint:
			c.Leaves[key], c.L7[key] = true, true
		case audit.VerdictSidecar:
			keeps = append(keeps, roi.Keep{Workload: key, Features: keepers(w)})
		}
	}
	return c, keeps
}

// keepers names the rules that ask for the sidecar; a single one with its message.
func keepers(w audit.WorkloadResult) []string {
	messages := map[string]string{}
	for _, f := range w.Findings {
		if f.Requires == audit.VerdictSidecar {
			if messages[f.Code] == "" {
				messages[f.Code] = f.Message
			}
		}
	}
	codes := make([]string, 0, len(messages))
	for code := range messages {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	if len(codes) == 1 {
		return []string{codes[0] + ": " + oneLine(messages[codes[0]])}
	}
	if len(codes) == 0 && w.Override == audit.VerdictSidecar {
		return []string{"the owner asked for it"}
	}
	return codes
}

// zonesOf counts running pods by namespace and zone.
func zonesOf(c terms.Cluster) map[string]map[string]int {
	zone := map[string]string{}
	for _, n := range c.Nodes {
		zone[n.Name] = n.Labels[corev1.LabelTopologyZone]
	}
	out := map[string]map[string]int{}
	for _, p := range c.Pods {
		z := zone[p.Object.Spec.NodeName]
		if z == "" || p.Finished() || p.Role != terms.Application {
			continue
		}
		if out[p.Object.Namespace] == nil {
			out[p.Object.Namespace] = map[string]int{}
		}
		out[p.Object.Namespace][z]++
	}
	return out
}

// closeNamespaces are those all of whose services already prefer close endpoints.
func closeNamespaces(m *mesh.Mesh) map[string]bool {
	out := map[string]bool{}
	seen := map[string]bool{}
	for _, s := range m.Services {
		o, ok := s.Object.(*corev1.Service)
		if !ok {
			continue
		}
		prefers := o.Spec.TrafficDistribution != nil && strings.HasPrefix(*o.Spec.TrafficDistribution, "Prefer")
		if !seen[s.Namespace] {
			seen[s.Namespace], out[s.Namespace] = true, prefers
		}
		out[s.Namespace] = out[s.Namespace] && prefers
	}
	return out
}

// namespaceModes is each namespace's mode where all its mesh workloads have the same. since is the creation of the oldest pod of the workload whose oldest is the youngest: by then all of them
// had the mode, since a change of mode to or from sidecars restarts pods.
func namespaceModes(c terms.Cluster) (modes map[string]terms.Mode, since map[string]time.Time) {
	modes, since = map[string]terms.Mode{}, map[string]time.Time{}
	oldest := map[string]time.Time{} // by workload
	for _, p := range c.Pods {
		if p.Role != terms.Application || p.Finished() || p.Mode == terms.ModeNone {
			continue
		}
		ns := p.Object.Namespace
		if old, ok := modes[ns]; ok && old != p.Mode {
			modes[ns] = terms.ModeMixed
		} else if !ok {
			modes[ns] = p.Mode
		}
		if strings.Contains(p.Workload, "/Job/") || strings.Contains(p.Workload, "/CronJob/") {
			continue // made anew all the time
		}
		if t, ok := oldest[p.Workload]; !ok || p.Object.CreationTimestamp.Time.Before(t) {
			oldest[p.Workload] = p.Object.CreationTimestamp.Time
		}
	}
	for w, t := range oldest {
		if ns, _, _ := strings.Cut(w, "/"); t.After(since[ns]) {
			since[ns] = t
		}
	}
	return modes, since
}
