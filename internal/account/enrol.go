package account

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	corev1 "k8s.io/api/core/v1"
)

// Enrolments are times that a user states at which namespaces, or the waves of the plan, changed mode, and namespaces that were released in the window.
type Enrolments struct {
	Namespaces, Waves map[string]time.Time
	Released          []string
}

// readings is what a comparison has to know of each workload that serves: its mode, and which application runs in it. Jobs serve nobody.
func (s *State) readings() map[string]roi.Reading {
	out := map[string]roi.Reading{}
	applications := map[string]map[string]bool{}
	for _, p := range s.Cluster.Pods {
		if p.Role != terms.Application || p.Finished() || strings.Contains(p.Workload, "/Job/") || strings.Contains(p.Workload, "/CronJob/") {
			continue
		}
		r, known := out[p.Workload]
		mode := p.Mode
		if p.Sidecar != terms.NoSidecar {
			mode = terms.ModeSidecar
		}
		if known && r.Mode != mode {
			mode = terms.ModeMixed
		}
		out[p.Workload] = roi.Reading{Mode: mode}
		if applications[p.Workload] == nil {
			applications[p.Workload] = map[string]bool{}
		}
		applications[p.Workload][application(p.Object)] = true
	}
	for w, r := range out {
		sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(maps.Keys(applications[w])), "\n")))
		r.Application = hex.EncodeToString(sum[:6])
		out[w] = r
	}
	return out
}

// application is what a pod's own containers run and ask for: another image, or another size, is another speed.
func application(p *corev1.Pod) string {
	var parts []string
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if c.Name == "istio-proxy" || c.Name == "istio-init" || c.Name == "istio-validation" {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s %s %s %s", c.Name, c.Image, c.Resources.Requests.Cpu(), c.Resources.Limits.Cpu(), c.Resources.Limits.Memory()))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// Enrolled writes into each edge series when its namespace changed mode and what else changed in it since the baseline. The time is that which the user states; else it lies between the
// baseline, which saw sidecars, and the first hour without any (sidecar_pods), or, where that was not measured, the age of the oldest pod that runs without one: a release or a scale-up later makes
// newer pods, and moves nothing.
func (s *State) Enrolled(b roi.Baseline, edge []latency.EdgeSeries, given Enrolments) {
	stated := s.statedTimes(b, given)
	changed, released := s.changes(b)
	before := map[string]terms.Mode{}
	for _, e := range b.Edge {
		before[e.Namespace] = e.Mode
	}
	without := s.withoutSidecars()
	for i := range edge {
		e := &edge[i]
		ns := e.Namespace
		e.VersionChanged = e.VersionChanged || released[ns] || slices.Contains(given.Released, ns)
		e.Changed = changed[ns]
		if e.Changed == "" && before[ns] != "" && before[ns] != s.modes[ns] {
			e.Changed = fmt.Sprintf("its mode changed from %s to %s", before[ns], s.modes[ns])
		}
		switch t, ok := stated[ns]; {
		case ok:
			e.EnrolledFrom, e.EnrolledAt = t[0], t[1]
		case before[ns] == terms.ModeSidecar && (s.modes[ns] == terms.ModeAmbient || s.modes[ns] == terms.ModeWaypoint):
			e.EnrolledFrom, e.EnrolledAt = b.At, s.since[ns]
			if t, ok := without[ns]; ok && (t.Before(e.EnrolledAt) || e.EnrolledAt.IsZero()) {
				e.EnrolledAt = t
			}
			if e.EnrolledAt.Before(b.At) {
				e.EnrolledAt = b.At
			}
		}
	}
}

// statedTimes are the first and the last time that the user gives for each namespace.
func (s *State) statedTimes(b roi.Baseline, given Enrolments) map[string][2]time.Time {
	out := map[string][2]time.Time{}
	add := func(ns string, t time.Time) {
		x, ok := out[ns]
		if !ok {
			x = [2]time.Time{t, t}
		}
		if t.Before(x[0]) {
			x[0] = t
		}
		if t.After(x[1]) {
			x[1] = t
		}
		out[ns] = x
	}
	if s.plan != nil {
		for _, p := range b.Proxied {
			if t, ok := given.Waves[s.plan.waveOf(p.Workload)]; ok {
				ns, _, _ := strings.Cut(p.Workload, "/")
				add(ns, t)
			}
		}
	}
	for ns, t := range given.Namespaces {
		out[ns] = [2]time.Time{t, t}
	}
	return out
}

// changes says, by namespace, whose workloads changed mode since the baseline and where an application was released.
func (s *State) changes(b roi.Baseline) (changed map[string]string, released map[string]bool) {
	changed, released = map[string]string{}, map[string]bool{}
	count := map[string]int{}
	now := s.readings()
	for w, was := range b.Workloads {
		is, there := now[w]
		ns, _, _ := strings.Cut(w, "/")
		if !there {
			continue
		}
		if is.Mode != was.Mode {
			count[ns]++
		}
		released[ns] = released[ns] || is.Application != was.Application
	}
	for ns, n := range count {
		changed[ns] = fmt.Sprintf("%d of its workloads changed mode", n)
	}
	return changed, released
}

// withoutSidecars is, by namespace, the first hour of the window from which on none of its pods had a sidecar. Hours in which nothing was measured say nothing.
func (s *State) withoutSidecars() map[string]time.Time {
	nodes, pods := s.Dump.Result("node_count"), s.Dump.Result("sidecar_pods")
	if !nodes.Usable() || pods.Failed != "" || pods.Partial {
		return nil
	}
	last := map[string]int64{}
	for _, x := range pods.Series {
		for _, p := range x.Points {
			if p.V > 0 {
				last[x.Labels["namespace"]] = max(last[x.Labels["namespace"]], p.T)
			}
		}
	}
	m, _ := metric.Lookup("sidecar_pods")
	begin := s.Dump.End.Add(-m.Span)
	if begin.Before(s.Dump.Start) {
		begin = s.Dump.Start
	}
	out := map[string]time.Time{}
	for ns := range s.modes {
		for _, p := range nodes.Series[0].Points {
			if p.T > last[ns] && !time.Unix(p.T, 0).Before(begin) {
				out[ns] = time.Unix(p.T, 0).UTC()
				break
			}
		}
	}
	return out
}
