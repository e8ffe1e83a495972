package account

import (
	"fmt"
	"math"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// autoscalers are the HorizontalPodAutoscalers of the input by the workload (namespace/kind/name) that they scale.
func autoscalers(s *snapshot.Snapshot) map[string]*autoscalingv2.HorizontalPodAutoscaler {
	out := map[string]*autoscalingv2.HorizontalPodAutoscaler{}
	for _, h := range snapshot.All[*autoscalingv2.HorizontalPodAutoscaler](s) {
		out[h.Namespace+"/"+h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name] = h
	}
	return out
}

// derivedReplicas is how many pods a workload of manifests has at a time. An autoscaler decides where there is one and keeps at least its minimum; a suspended Job has
// none; a CronJob has its pods for minutes of the day at most, which counts as none: nothing is reserved for it in between.
func derivedReplicas(w *mesh.Workload, hpa *autoscalingv2.HorizontalPodAutoscaler) int {
	switch o := w.Object.(type) {
	case *batchv1.CronJob:
		return 0
	case *batchv1.Job:
		if o.Spec.Suspend != nil && *o.Spec.Suspend {
			return 0
		}
	}
	n := w.Replicas
	if hpa != nil {
		least := int32(1)
		if hpa.Spec.MinReplicas != nil {
			least = *hpa.Spec.MinReplicas
		}
		n = max(n, int(least), int(hpa.Status.CurrentReplicas))
	}
	return n
}

// hpaTolerance is how far from its target an autoscaler does nothing: kube-controller-manager's --horizontal-pod-autoscaler-tolerance.
const hpaTolerance = 0.1

// more is how many pods each leaving workload gets in addition once its sidecars are gone: an autoscaler by CPU or memory utilisation divides what the whole pod uses by what the
// whole pod requests, sidecar included (k8s pkg/controller/podautoscaler/replica_calculator.go; native sidecars too). ContainerResource counts the application alone.
func (s *State) more(change terms.Change) (map[string]int, []terms.Gap) {
	scalers := autoscalers(s.mesh.Snapshot)
	if len(scalers) == 0 {
		return nil, nil
	}
	use := map[string]roi.Use{}
	for _, p := range s.Pods {
		use[p.Key()] = p.Use
	}
	pods := map[string][]terms.Pod{}
	for _, p := range s.Cluster.Pods {
		if change.Takes(p) && !p.Finished() && scalers[p.Workload] != nil {
			pods[p.Workload] = append(pods[p.Workload], p)
		}
	}
	out := map[string]int{}
	var gaps []terms.Gap
	names := make([]string, 0, len(pods))
	for w := range pods {
		names = append(names, w)
	}
	slices.Sort(names)
	for _, w := range names {
		h := scalers[w]
		want, assumed := wanted(h, pods[w], use)
		if assumed && want > len(pods[w]) {
			gaps = append(gaps, terms.Gap{What: "HorizontalPodAutoscaler " + h.Namespace + "/" + h.Name, Why: "its status does not say what it measures",
				Costs: fmt.Sprintf("it is taken to stand at its target, and to want %d pods instead of %d once the sidecar's request is not in the denominator", want, len(pods[w]))})
		}
		if want > len(pods[w]) {
			out[w] = want - len(pods[w])
		}
	}
	return out, gaps
}

// wanted is how many pods the autoscaler wants once the sidecars are gone, and whether its present measurement had to be assumed.
func wanted(h *autoscalingv2.HorizontalPodAutoscaler, pods []terms.Pod, use map[string]roi.Use) (n int, assumed bool) {
	now := len(pods)
	n = now
	for _, m := range h.Spec.Metrics {
		if m.Type != autoscalingv2.ResourceMetricSourceType || m.Resource == nil || m.Resource.Target.AverageUtilization == nil {
			continue
		}
		target := float64(*m.Resource.Target.AverageUtilization) / 100
		whole, rest, side, known := sums(m.Resource.Name, pods, use)
		if whole <= 0 || rest <= 0 || target <= 0 {
			continue
		}
		measured, ok := current(h, m.Resource.Name)
		if !ok {
			measured, assumed = target, true
		}
		after := measured * whole
		if known { // what the sidecars themselves use goes as well
			after = math.Max(after-side, 0)
		}
		after /= rest
		if ratio := after / target; math.Abs(ratio-1) > hpaTolerance {
			n = max(n, int(math.Ceil(ratio*float64(now)-1e-9)))
		}
	}
	if most := int(h.Spec.MaxReplicas); most > 0 {
		n = max(min(n, most), now)
	}
	return n, assumed
}

// current is the utilisation that the autoscaler measured last.
func current(h *autoscalingv2.HorizontalPodAutoscaler, name corev1.ResourceName) (float64, bool) {
	for _, m := range h.Status.CurrentMetrics {
		if m.Resource != nil && m.Resource.Name == name && m.Resource.Current.AverageUtilization != nil {
			return float64(*m.Resource.Current.AverageUtilization) / 100, true
		}
	}
	return 0, false
}

// sums are what the pods request with and without their sidecars, and what the sidecars use where all were measured; cores or bytes.
func sums(name corev1.ResourceName, pods []terms.Pod, use map[string]roi.Use) (whole, rest, side float64, known bool) {
	known = true
	for _, p := range pods {
		a, b, u := terms.Requests(p.Object), terms.RequestsWithoutSidecar(p.Object), use[p.Object.Namespace+"/"+p.Object.Name]
		if name == corev1.ResourceCPU {
			whole, rest, side, known = whole+float64(a.CPUMilli)/1000, rest+float64(b.CPUMilli)/1000, side+u.CPU, known && u.HasCPU
		} else {
			whole, rest, side, known = whole+float64(a.MemoryBytes), rest+float64(b.MemoryBytes), side+u.Memory, known && u.HasMemory
		}
	}
	return whole, rest, side, known
}
