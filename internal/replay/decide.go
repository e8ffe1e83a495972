package replay

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Verdict is what is to be said about one line.
type Verdict struct {
	Line    *Line         `json:"line"`
	Request authz.Request `json:"request"`
	// Answer is the model's on this state.
	Answer authz.Answer `json:"answer"`
	// Agrees says that the model decides as the line does; where the line names a policy, by the same.
	Agrees bool `json:"agrees"`
	// Notes say what was taken for granted, and why model and line may differ.
	Notes []string `json:"notes,omitempty"`
	// Change would admit the call; nil when it is admitted already, or when no policy's edit would do it.
	Change *Change `json:"change,omitempty"`
	// Instead says what else would admit the call, where no edit of a policy is proposed.
	Instead string `json:"instead,omitempty"`
}

// Decide asks the model about a line and finds the smallest change of policy that would admit the call.
func (x *Index) Decide(l *Line, hint Hint) (*Verdict, error) {
	c, err := x.Resolve(l, hint)
	if err != nil {
		return nil, err
	}
	v := &Verdict{Line: l, Request: c.Request, Notes: c.Notes}
	if wp := x.waypointOf(l); wp != nil && hint.From == nil {
		v.behindWaypoint(x, l, wp)
	} else if v.Answer, err = authz.Can(x.world, c.Request); err != nil {
		return nil, err
	}
	v.compare(l)
	if l.Outcome == Failed {
		v.Notes = append(v.Notes, "no policy refused this call: it failed on its way ("+orNone(l.Why, l.Flags)+")")
		return v, nil
	}
	if v.Answer.Decision == authz.Deny {
		v.Change, v.Instead = x.admit(v)
	}
	return v, nil
}

// waypointOf finds the waypoint whose identity a line shows as the caller's.
func (x *Index) waypointOf(l *Line) *authz.Waypoint {
	for i := range x.world.Waypoints {
		if w := &x.world.Waypoints[i]; l.Identity != "" && w.Principal(x.world.Config) == l.Identity {
			return w
		}
	}
	return nil
}

// behindWaypoint asks the one enforcement point that wrote the line: it sees the waypoint and not who called it.
func (v *Verdict) behindWaypoint(x *Index, l *Line, wp *authz.Waypoint) {
	v.Notes = slices.DeleteFunc(v.Notes, func(n string) bool { return strings.Contains(n, l.Identity) })
	v.Notes = append(v.Notes, fmt.Sprintf("the identity is that of waypoint %s/%s, which passed the call on: who made it stands in the waypoint's own log", wp.Namespace, wp.Name))
	v.Request.From = authz.Caller{Principal: l.Identity, Mode: authz.ModeAmbient}
	w := x.byPods[v.Request.To.Workload]
	q := authz.PointQuestion{Point: authz.PointZtunnel, Workload: *w, Port: v.Request.To.Port}
	if w.Mode == authz.ModeSidecar {
		q.Point, q.Tunnel = authz.PointServerSidecar, true
	}
	h := authz.NewPoints(x.world).Ask(&q, &v.Request)
	v.Answer = authz.Answer{Decision: h.Decision, By: h.Point, Hops: []authz.Hop{h}, Route: "waypoint " + wp.Namespace + "/" + wp.Name + " -> " + string(h.Point)}
	for _, r := range h.Reasons {
		if r.Effect == authz.EffectDenied || r.Effect == authz.EffectImplicit || r.Effect == authz.EffectAllowed && h.Decision == authz.Allow || v.Answer.Why == "" {
			v.Answer.Policy, v.Answer.Why = r.Policy, r.Why
		}
	}
}

// convertedPrefixes are policies that istiod makes for ztunnel from PeerAuthentications (ambient/authorization.go).
var convertedPrefixes = []string{"istio_converted_static_strict", "converted_peer_authentication_"}

// Converted reports whether a policy named by ztunnel stands for a PeerAuthentication.
func Converted(policy string) bool {
	_, name, _ := strings.Cut(policy, "/")
	return slices.ContainsFunc(convertedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// compare sets what the line says against what the model says.
func (v *Verdict) compare(l *Line) {
	said := map[Outcome]authz.Decision{Passed: authz.Allow, Refused: authz.Deny}[l.Outcome]
	switch {
	case l.Outcome == Failed:
		v.Agrees = true
	case v.Answer.Decision == authz.DecisionUnknown:
		v.Notes = append(v.Notes, "the model cannot tell: "+v.Answer.Why)
	case said != v.Answer.Decision:
		v.Notes = append(v.Notes, fmt.Sprintf("the line says that the call was %s and the model, on this state, that it is decided %s: policies, modes or pods have changed since, or the line leaves out what a policy asks for%s",
			l.Outcome, v.Answer.Decision, assumedWords(v.Answer.Assumed)))
	case l.Policy != "" && !Converted(l.Policy) && !v.names(l.Policy):
		v.Notes = append(v.Notes, fmt.Sprintf("the line names policy %s and the model %s: the policies have changed since", l.Policy, orNone(v.Answer.Policy)))
	default:
		v.Agrees = true
	}
}

func assumedWords(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// names reports whether the model too has the policy refuse.
func (v *Verdict) names(policy string) bool {
	for i := range v.Answer.Hops {
		for _, r := range v.Answer.Hops[i].Reasons {
			if r.Effect == authz.EffectDenied && r.Policy == policy {
				return true
			}
		}
	}
	return false
}
