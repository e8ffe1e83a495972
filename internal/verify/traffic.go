package verify

import (
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// peer is who calls; empty where the reporter does not know.
type peer struct{ namespace, name string }

func (p peer) String() string {
	if p.name == "" || p.name == "unknown" {
		return "a caller without a name"
	}
	return p.namespace + "/" + p.name
}

// flow is what one reporter counted of one caller's calls to a workload.
type flow struct {
	reporter, principal string
	from                peer
	ok, failed, denied  float64
}

func (f flow) all() float64 { return f.ok + f.failed + f.denied }

// flowsTo gathers what an answer says about the calls to a workload.
func flowsTo(r metric.Result, to mesh.Ref) []flow {
	var out []flow
	for _, s := range r.Series {
		v, ok := s.Last()
		if !ok || s.Labels["destination_workload"] != to.Name || s.Labels["destination_workload_namespace"] != to.Namespace {
			continue
		}
		f := flow{reporter: s.Labels["reporter"], principal: strings.TrimPrefix(s.Labels["source_principal"], "spiffe://"),
			from: peer{s.Labels["source_workload_namespace"], s.Labels["source_workload"]}}
		i := slices.IndexFunc(out, func(x flow) bool { return x.reporter == f.reporter && x.principal == f.principal && x.from == f.from })
		if i < 0 {
			out, i = append(out, f), len(out)
		}
		switch s.Labels["result"] {
		case metric.ResultOK:
			out[i].ok += v
		case metric.ResultFailed:
			out[i].failed += v
		case metric.ResultDenied:
			out[i].denied += v
		}
	}
	return out
}

// answered is why an answer may not be rested on, empty where it may: one that is empty is an answer, of nothing.
func answered(r metric.Result) string {
	if r.Failed != "" || r.Partial {
		return r.Why()
	}
	return ""
}

// both asks for one metric before and now.
func both(e *Evidence, name string, to mesh.Ref) (before, now []flow, why string) {
	b, n := e.Baseline.Result(name), e.Metrics.Result(name)
	if why := answered(b); why != "" {
		return nil, nil, "before: " + why
	}
	if why := answered(n); why != "" {
		return nil, nil, why
	}
	return flowsTo(b, to), flowsTo(n, to), ""
}

// seen is the traffic of one reporter: the one nearest to the pods that counted any, so that no call counts twice.
func seen(flows []flow) (reporter string, out []flow) {
	for _, reporter := range []string{"waypoint", "destination", "source"} {
		for _, f := range flows {
			if f.reporter == reporter {
				out = append(out, f)
			}
		}
		if len(out) > 0 {
			return reporter, out
		}
	}
	return "", nil
}

func total(flows []flow) flow {
	var out flow
	for _, f := range flows {
		out.ok, out.failed, out.denied = out.ok+f.ok, out.failed+f.failed, out.denied+f.denied
	}
	return out
}

// isWaypoint reports whether a caller is a waypoint, which stands for whoever calls through it.
func isWaypoint(e *Evidence, p peer) bool {
	return slices.ContainsFunc(e.Mesh.Waypoints, func(w *mesh.WaypointGateway) bool { return w.Namespace == p.namespace && w.Name == p.name })
}
