package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// An edge that falls silent is an outage that no error counts: the caller fails before any proxy sees it, or healthy answers come from
// somewhere else. A new edge is traffic that nobody planned for. Either holds; neither undoes, since callers may have changed by
// themselves.
var callsConserved = Gate{
	Name: CallsConserved, Deadline: 30 * time.Minute, Metrics: true,
	Doc: "whoever called the workload before calls it now, and nobody else does, over all that reports",
	Check: func(e *Evidence, s Subject) Result {
		before, now, why := callers(e, s)
		if why != "" {
			return notYet("who calls it is not known: %s", why)
		}
		var wrong []string
		for _, p := range peersOf(before) {
			if before[p] >= fewestCalls && now[p] == 0 {
				wrong = append(wrong, fmt.Sprintf("%s made %.0f calls before and none now", p, before[p]))
			}
		}
		for _, p := range peersOf(now) {
			if now[p] >= fewestCalls && before[p] == 0 {
				wrong = append(wrong, fmt.Sprintf("%s made none before and %.0f now", p, now[p]))
			}
		}
		enough := slices.ContainsFunc(peersOf(before), func(p peer) bool { return before[p] >= fewestCalls })
		switch {
		case len(wrong) > 0:
			return fail(NoSide, "%s", strings.Join(wrong, "; "))
		case !enough:
			return notYet("no caller made as many as %d calls before", fewestCalls)
		}
		return pass("all of %d callers still call it", len(before))
	},
}

// callers counts calls by caller, requests and connections of all reporters: of each caller the reporter that saw most. A waypoint
// stands for those who call through it and counts as none.
func callers(e *Evidence, s Subject) (before, now map[peer]float64, why string) {
	before, now = map[peer]float64{}, map[peer]float64{}
	for _, name := range []string{metric.WorkloadCalls, metric.WorkloadConnections} {
		b, n, why := both(e, name, s.Workload)
		if why != "" {
			return nil, nil, why
		}
		for to, flows := range map[*map[peer]float64][]flow{&before: b, &now: n} {
			for _, f := range flows {
				if !isWaypoint(e, f.from) && f.from.name != "" && f.from.name != "unknown" {
					(*to)[f.from] = max((*to)[f.from], f.all())
				}
			}
		}
	}
	return before, now, ""
}

func peersOf(m map[peer]float64) []peer {
	var out []peer
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b peer) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// What the guard refuses is a call that went past the waypoint; what it does not refuse and comes past it is not enforced.
var enforcementConserved = Gate{
	Name: EnforcementConserved, Deadline: 30 * time.Minute, Metrics: true,
	Doc: "calls to the workload's pods come from its waypoint and whom the guard leaves alone",
	Check: func(e *Evidence, s Subject) Result {
		if len(s.Admitted) == 0 {
			return pass("no waypoint enforces for it")
		}
		r := e.Metrics.Result(metric.WorkloadConnections)
		if why := answered(r); why != "" {
			return notYet("where its connections come from is not known: %s", why)
		}
		through, past := 0.0, 0.0
		var who []string
		for _, f := range flowsTo(r, s.Workload) {
			switch {
			case f.reporter != "destination":
			case slices.Contains(s.Admitted, f.principal):
				through += f.all()
			default:
				past += f.all()
				who = append(who, f.from.String())
			}
		}
		switch {
		case past > 0 && len(s.AdmittedPorts) > 0:
			return notYet("%.0f connections came past the waypoint from %s; whether at an admitted port (%s) is not known, since no metric bears the port", past, strings.Join(who, ", "), strings.Join(s.AdmittedPorts, ", "))
		case past > 0:
			return fail(NoSide, "%.0f of %.0f connections came past the waypoint, from %s", past, past+through, strings.Join(who, ", "))
		case through < fewestCalls:
			return notYet("the waypoint made %.0f connections to it, too few to tell: %d are needed", through, fewestCalls)
		}
		return pass("all of %.0f connections came from the waypoint", through)
	},
}

// A denial that vanishes while its caller goes on calling is a hole.
var denialsConserved = Gate{
	Name: DenialsConserved, Deadline: 30 * time.Minute, Metrics: true,
	Doc: "who was refused before is refused now",
	Check: func(e *Evidence, s Subject) Result {
		denied := func(flows []flow) map[peer]flow {
			out := map[peer]flow{}
			for _, f := range flows {
				x := out[f.from]
				x.ok, x.denied = x.ok+f.ok, x.denied+f.denied
				out[f.from] = x
			}
			return out
		}
		var before, now []flow
		for _, name := range []string{metric.WorkloadCalls, metric.WorkloadConnections} {
			b, n, why := both(e, name, s.Workload)
			if why != "" {
				return notYet("what was refused is not known: %s", why)
			}
			before, now = append(before, b...), append(now, n...)
		}
		was, is := denied(before), denied(now)
		var wrong []string
		conserved := 0
		for p, x := range was {
			switch {
			case x.denied < fewestCalls:
			case is[p].denied == 0 && is[p].ok > 0:
				wrong = append(wrong, fmt.Sprintf("%.0f calls of %s were refused before; now none is, and %.0f pass", x.denied, p, is[p].ok))
			case is[p].denied == 0:
				return notYet("%.0f calls of %s were refused before; it has not called since", x.denied, p)
			default:
				conserved++
			}
		}
		if len(wrong) > 0 {
			slices.Sort(wrong)
			return fail(NoSide, "%s", strings.Join(wrong, "; "))
		}
		return pass("%d callers were refused as often as matters, and still are", conserved)
	},
}
