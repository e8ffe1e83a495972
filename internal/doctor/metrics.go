package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// above makes a finding of every series of a metric whose newest value is more than a bound.
func (v *View) above(name string, bound float64, of func(s metric.Series, value float64) Finding) []Finding {
	return v.those(name, func(value float64) bool { return value > bound }, of)
}

// those makes a finding of every series whose newest value is bad, the worst first.
func (v *View) those(name string, bad func(float64) bool, of func(s metric.Series, value float64) Finding) []Finding {
	type seen struct {
		f     Finding
		value float64
	}
	var list []seen
	for _, s := range v.Series(name) {
		if value, ok := s.Last(); ok && bad(value) {
			f := of(s, value)
			if f.Message == "" {
				continue
			}
			if f.Measured == "" {
				m, _ := metric.LookupHealth(name)
				f.Measured = fmt.Sprintf("%s = %s %s", name, short(value), m.Unit)
			}
			list = append(list, seen{f, value})
		}
	}
	slices.SortStableFunc(list, func(a, b seen) int {
		if c := cmp.Compare(b.value, a.value); c != 0 {
			return c
		}
		return cmp.Compare(a.f.Message, b.f.Message)
	})
	out := make([]Finding, 0, len(list))
	for _, s := range list {
		out = append(out, s.f)
	}
	return out
}

func short(v float64) string { return fmt.Sprintf("%.4g", v) }

// podRef names a pod of a series.
func podRef(s metric.Series) mesh.Ref {
	return mesh.Ref{Kind: "Pod", Namespace: s.Labels["namespace"], Name: s.Labels["pod"]}
}

// duration writes seconds for people.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= time.Second:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

// waypointsInUse are the waypoints that a Service or a workload is bound to, with how many.
func (v *View) waypointsInUse() map[mesh.Ref]int {
	out := map[mesh.Ref]int{}
	for _, s := range v.Mesh.Services {
		if s.Waypoint.Bound {
			out[s.Waypoint.Gateway]++
		}
	}
	for _, w := range v.Mesh.Workloads {
		if w.Role == mesh.Application && w.Waypoint.Bound {
			out[w.Waypoint.Gateway]++
		}
	}
	return out
}

// waypointWorkload is what runs a waypoint's pods; nil when nothing of the input does.
func (v *View) waypointWorkload(gateway mesh.Ref) *mesh.Workload {
	for _, w := range v.Mesh.Workloads {
		if w.Role == mesh.Waypoint && w.Namespace == gateway.Namespace && cmp.Or(w.Labels[mesh.LabelGatewayName], w.Labels[mesh.LabelGatewayNameOld]) == gateway.Name {
			return w
		}
	}
	return nil
}

// sortedGateways orders gateways, so that results do not depend on a map.
func sortedGateways(m map[mesh.Ref]int) []mesh.Ref {
	out := make([]mesh.Ref, 0, len(m))
	for r := range m {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b mesh.Ref) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}
