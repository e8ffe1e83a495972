package route

import "slices"

// Ending is what calls of some clients lose when these give up their sidecars, and whether the Service's waypoint
// would keep it.
type Ending struct {
	Service *Service
	Host    string
	Port    Port
	// Client is one of those it holds for; nil stands for any client that no object singles out.
	Client *Workload
	// Parts are what the sidecar does and ztunnel does not.
	Parts []PartDiff
	// Kept reports for each part whether a waypoint of the Service would do it as well.
	Kept []bool
	// Request shows it.
	Request Request
	// Rule is the route, the zero Origin for none; Match where its condition stands.
	Rule, Match Origin
	// Via is the VirtualService that a delegate's route belongs to.
	Via Ref
	// Unknown says why the answer may be wrong.
	Unknown string
	// Unmatched reports whether no route matches, so that the call is refused.
	Unmatched bool
	// Conditions are the matches that decide: the rule's, or of all rules where none matches.
	Conditions []Condition
}

// Condition is a match with where it was read.
type Condition struct {
	Origin Origin
	Match  Match
}

// Endings lists what the sidecars of a Service's clients do to calls that ztunnel would not: for any client, and
// for those of workloads that some object singles out. Waypoint is where a waypoint of the Service stands, its own
// namespace where it has none.
func (w *World) Endings(s *Service) []Ending {
	var out []Ending
	waypoint := s.Waypoint
	if waypoint == (Ref{}) {
		waypoint = Ref{Kind: "Gateway", Namespace: s.Ref.Namespace, Name: "waypoint"}
	}
	for _, host := range s.Hosts {
		f := w.footprint(s, host)
		if len(f.virtuals) == 0 && !w.anyRule(host) && w.Config.Locality == nil && w.Config.Retries == nil && !w.Config.H2Upgrade {
			continue
		}
		seen := map[string]bool{}
		anyone := &Workload{Ref: Ref{Namespace: "\x00"}, Mode: Sidecar}
		for _, x := range append([]*Workload{anyone}, w.clients(&f)...) {
			key := f.key(x, w, s)
			if seen[key] {
				continue
			}
			seen[key] = true
			who := w.caller(x)
			client := x
			if x == anyone {
				client = nil
			}
			for _, p := range s.Ports {
				for _, speak := range p.speeches() {
					out = append(out, w.endings(s, host, p, speak, who, client, waypoint)...)
				}
			}
		}
	}
	return out
}

func (w *World) anyRule(host string) bool { return len(w.Objects.rulesCovering(host)) > 0 }

func (w *World) endings(s *Service, host string, p Port, speak Speech, who caller, x *Workload, waypoint Ref) []Ending {
	t, plain := w.sidecarTable(s, host, p, speak, who), w.plainTable(s, host, p, AtZtunnel)
	var out []Ending
	complete := searchPairs(t, plain, speak, func(i, _ int, r Request) {
		parts := compareActions(t.action(i), plain.Rules[0].Action, false)
		if len(parts) == 0 {
			return
		}
		e := Ending{Service: s, Host: host, Port: p, Client: x, Parts: parts, Kept: make([]bool, len(parts)), Request: r, Unknown: t.Unknown}
		if i < 0 {
			e.Rule, e.Via, e.Unmatched = t.Owner, t.Owner.Object, true
			for _, r := range t.Rules {
				e.Conditions = append(e.Conditions, Condition{r.MatchOrigin, r.Match})
			}
		} else {
			rule := &t.Rules[i]
			e.Rule, e.Match, e.Via = rule.Origin, rule.MatchOrigin, rule.Via
			if len(rule.Match) > 0 {
				e.Conditions = []Condition{{rule.MatchOrigin, rule.Match}}
			}
		}
		out = append(out, e)
	})
	if len(out) == 0 {
		return nil
	}
	if !complete {
		out[0].Unknown = "not every class of requests could be looked at"
	}
	at := w.waypointTable(waypoint, s, host, p, speak)
	lost := map[int]map[Part]bool{} // by rule of the sidecar
	searchPairs(t, at, speak, func(i, j int, _ Request) {
		for _, d := range compareActions(t.action(i), at.action(j), true) {
			if lost[i] == nil {
				lost[i] = map[Part]bool{}
			}
			lost[i][d.Part] = true
		}
	})
	for k := range out {
		i := -1
		if !out[k].Unmatched {
			i = slices.IndexFunc(t.Rules, func(r Rule) bool { return r.Origin == out[k].Rule && r.MatchOrigin == out[k].Match })
		}
		for n, d := range out[k].Parts {
			out[k].Kept[n] = !lost[i][d.Part] && !lost[i][PartDestination] && !lost[i][PartSubset] && !lost[i][PartSplit]
		}
	}
	return out
}
