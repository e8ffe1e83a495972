package replay

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Shadow is what another state would have decided about recorded calls.
type Shadow struct {
	// Lines read, and of these Decided: calls that both states were asked about. The rest is counted by reason in Skipped.
	Lines   int            `json:"lines"`
	Decided int            `json:"decided"`
	Skipped map[string]int `json:"skipped,omitempty"`
	// Same counts calls that both states decide alike, Flips lists the others, those with most calls first.
	Same  int    `json:"same"`
	Flips []Flip `json:"flips"`
	// Stale counts calls that the first state decides otherwise than the log says: it is not the state that was logged.
	Stale int `json:"stale,omitempty"`
}

// Flip is recorded calls of one sort that another state decides otherwise.
type Flip struct {
	Kind authz.Kind `json:"kind"`
	// Calls is how many lines there are of it.
	Calls  int           `json:"calls"`
	First  *Line         `json:"first"`
	Call   authz.Request `json:"request"`
	Before authz.Answer  `json:"before"`
	After  authz.Answer  `json:"after"`
	Notes  []string      `json:"notes,omitempty"`
}

// Shadower replays lines on two states.
type Shadower struct {
	before        *Index
	first, second *authz.Asker
	out           Shadow
	known         map[string]*outcome
	flips         []*outcome
}

type outcome struct {
	flip     Flip
	differs  bool
	skip     string
	decision authz.Decision
}

// NewShadower prepares both states; pods are the first's.
func NewShadower(before, after *authz.World, pods map[string]authz.Ref) *Shadower {
	return &Shadower{before: NewIndex(before, pods), first: authz.NewAsker(before), second: authz.NewAsker(after), known: map[string]*outcome{},
		out: Shadow{Skipped: map[string]int{}}}
}

// Line replays one line of a log. A line of a client's ztunnel is skipped: its server's tells the same call.
func (s *Shadower) Line(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	s.out.Lines++
	l, err := Parse(text)
	switch {
	case err != nil:
		s.out.Skipped["no line of an access log"]++
		return
	case l.Direction == "outbound":
		s.out.Skipped["the client's side of a connection, which its server logs too"]++
		return
	case l.Outcome == Failed:
		s.out.Skipped["failed on its way, whatever policies say"]++
		return
	}
	o := s.decide(l)
	if o.skip != "" {
		s.out.Skipped[o.skip]++
		return
	}
	s.out.Decided++
	if said := map[Outcome]authz.Decision{Passed: authz.Allow, Refused: authz.Deny}[l.Outcome]; said != o.decision {
		s.out.Stale++
	}
	if !o.differs {
		s.out.Same++
		return
	}
	if o.flip.Calls == 0 {
		o.flip.First = l
		s.flips = append(s.flips, o)
	}
	o.flip.Calls++
}

// decide asks both states, once for calls that nothing tells apart.
func (s *Shadower) decide(l *Line) *outcome {
	path, _, _ := strings.Cut(l.Path, "?")
	key := strings.Join([]string{host(l.Remote), l.Local, l.Identity, l.SourceNamespace, l.SourcePod, l.DestinationNamespace, l.DestinationPod, l.Service,
		l.Cluster, l.SNI, l.Authority, l.Method, path, l.ForwardedFor}, "\x00")
	if o := s.known[key]; o != nil {
		return o
	}
	o := &outcome{}
	s.known[key] = o
	c, err := s.before.Resolve(l, Hint{})
	if err != nil {
		o.skip = "its destination is nothing in the first state"
		return o
	}
	if s.before.waypointOf(l) != nil {
		o.skip = "what a waypoint passed on, which the waypoint logs too"
		return o
	}
	before, err := s.first.Can(c.Request)
	if err != nil {
		o.skip = "the first state has no such call"
		return o
	}
	after, err := s.second.Can(c.Request)
	if err != nil {
		after = authz.Answer{Decision: authz.DecisionUnknown, By: authz.PointNobody, Why: "the second state has no such call: " + err.Error()}
	}
	o.decision = before.Decision
	if before.Decision == after.Decision && after.Decision != authz.DecisionUnknown {
		return o
	}
	o.differs = true
	o.flip = Flip{Kind: authz.Weaker, Call: c.Request, Before: before, After: after, Notes: c.Notes}
	if after.Decision == authz.Deny {
		o.flip.Kind = authz.Stricter
	}
	return o
}

func host(hostPort string) string {
	i := strings.LastIndexByte(hostPort, ':')
	return hostPort[:max(i, 0)]
}

// Result sums up. Calls that differ in nothing but address or query are one flip.
func (s *Shadower) Result() Shadow {
	joined := map[string]int{}
	for _, o := range s.flips {
		r := o.flip.Call
		path, _, _ := strings.Cut(r.Path, "?")
		key := strings.Join([]string{string(o.flip.Kind), r.From.Principal, string(r.From.Mode), refKey(r.From.Workload), r.To.Workload.String(), r.To.Service,
			string(r.To.Addressing), r.Method, path, o.flip.Before.Policy, o.flip.After.Policy}, "\x00")
		if i, ok := joined[key]; ok {
			s.out.Flips[i].Calls += o.flip.Calls
			continue
		}
		joined[key] = len(s.out.Flips)
		s.out.Flips = append(s.out.Flips, o.flip)
	}
	s.flips = nil
	slices.SortStableFunc(s.out.Flips, func(a, b Flip) int { return cmp.Compare(b.Calls, a.Calls) })
	return s.out
}

func refKey(r *authz.Pods) string {
	if r == nil {
		return ""
	}
	return r.String()
}
