package account

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// edgeByMode sums what the edge saw by the mode of the workload that was called, where the series name it, else by its
// namespace's mode; a namespace in several modes is then a group of its own, called mixed.
func (s *State) edgeByMode() []latency.ModeEdge {
	r := s.Dump.Result("edge_workloads")
	if !r.Usable() {
		return nil
	}
	modes := workloadModes(s.Cluster)
	namespaces := map[terms.Mode]map[string]bool{}
	group := func(namespace, workload string) string {
		mode, ok := modes[namespace+"/"+workload]
		if !ok {
			mode = s.modes[namespace]
		}
		if mode == "" || namespace == "" || namespace == "unknown" {
			return "" // outside the mesh, or not in the input
		}
		if namespaces[mode] == nil {
			namespaces[mode] = map[string]bool{}
		}
		namespaces[mode][namespace] = true
		return string(mode)
	}
	summaries := metric.SummariseEdge(r, group)
	var out []latency.ModeEdge
	for _, mode := range slices.Sorted(maps.Keys(namespaces)) {
		e := summaries[string(mode)]
		source := fmt.Sprintf("edge, last day, %.4g requests/s", e.Requests)
		m := latency.ModeEdge{Mode: mode, Namespaces: slices.Sorted(maps.Keys(namespaces[mode])), P50: terms.Missing("ms", "no requests"),
			P99: terms.Missing("ms", "no requests"), Errors: terms.Missing("ratio", "no requests")}
		if e.HasLatency {
			m.P50, m.P99 = terms.Known(e.P50, "ms", source), terms.Known(e.P99, "ms", source)
		}
		if e.HasErrorRatio {
			m.Errors = terms.Known(e.Errors, "ratio", source)
		}
		out = append(out, m)
	}
	return out
}

// workloadModes maps namespace/name to a mode where workloads of that name agree on one.
func workloadModes(c terms.Cluster) map[string]terms.Mode {
	out := map[string]terms.Mode{}
	for _, p := range c.Pods {
		if p.Role != terms.Application || p.Finished() {
			continue
		}
		key := p.Object.Namespace + "/" + workloadName(p.Workload)
		if old, ok := out[key]; ok && old != p.Mode {
			out[key] = terms.ModeMixed
		} else {
			out[key] = p.Mode
		}
	}
	return out
}

// workloadName is the last part of namespace/kind/name.
func workloadName(key string) string {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '/' {
			return key[i+1:]
		}
	}
	return key
}

// startups are seconds from created to ready, by mode: from the pods themselves, else from kube-state-metrics.
func (s *State) startups() map[terms.Mode][]float64 {
	out := map[terms.Mode][]float64{}
	modes := map[string]terms.Mode{}
	for _, p := range s.Cluster.Pods {
		if p.Role != terms.Application || p.Finished() || p.Mode == "" {
			continue
		}
		modes[p.Object.Namespace+"/"+p.Object.Name] = p.Mode
		for _, cond := range p.Object.Status.Conditions {
			if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
				if d := cond.LastTransitionTime.Sub(p.Object.CreationTimestamp.Time); d > 0 && !p.Object.CreationTimestamp.IsZero() {
					out[p.Mode] = append(out[p.Mode], d.Seconds())
				}
			}
		}
	}
	r := s.Dump.Result("pod_startup")
	if len(out) > 0 || !r.Usable() {
		return out
	}
	if s.mesh == nil { // without objects only sidecars can be told
		for _, p := range s.Pods {
			if p.Role == terms.Application {
				modes[p.Key()] = terms.ModeSidecar
			}
		}
	}
	for _, x := range r.Series {
		mode, known := modes[x.Labels["namespace"]+"/"+x.Labels["pod"]]
		if v, ok := x.Last(); ok && known && v > 0 {
			out[mode] = append(out[mode], v)
		}
	}
	return out
}
