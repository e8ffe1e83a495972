package replay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Change is an edit of policies that admits one call.
type Change struct {
	// Edits are the policies, as they are and as they would be.
	Edits []Edit `json:"edits"`
	// Diff compares all calls before and after: what else would be admitted.
	Diff authz.Result `json:"diff"`
}

// Edit is one policy before and after.
type Edit struct {
	Policy        string `json:"policy"`
	Before, After authz.AuthorizationPolicy
}

// mostEdits bounds the policies that one change touches: a call may be refused at a waypoint and behind it.
const mostEdits = 6

// admit looks for the smallest change of AuthorizationPolicies after which the model allows the call; the string says
// what to do where there is none. It edits one policy after the other, as the model names what refuses.
func (x *Index) admit(v *Verdict) (*Change, string) {
	world := *x.world
	world.Policies.Authorization = slices.Clone(world.Policies.Authorization)
	index := func(key string) int {
		return slices.IndexFunc(world.Policies.Authorization, func(p authz.AuthorizationPolicy) bool { return p.Key() == key })
	}
	changed := map[string]bool{}
	answer := v.Answer
	for range mostEdits {
		hop := refusing(&answer)
		if hop == nil {
			return nil, answer.Why + ": no policy refuses this call, so that no edit of one admits it"
		}
		key, rule, instead := x.culprit(&world, hop)
		if instead != "" {
			return nil, instead
		}
		i := index(key)
		done := false
		for _, precise := range []precision{wholeRequest, methodOnly, portOnly} {
			p := edited(world.Policies.Authorization[i], rule, hop, &v.Request, precise)
			if p == nil {
				continue
			}
			old := world.Policies.Authorization[i]
			world.Policies.Authorization[i] = *p
			next, err := x.again(&world, v)
			if err == nil && (next.Decision == authz.Allow || !refusesAgain(&next, hop, key, rule)) {
				answer, done = next, true
				break
			}
			world.Policies.Authorization[i] = old
		}
		if !done {
			return nil, "no edit of policy " + key + " that names this call admits it"
		}
		changed[key] = true
		if answer.Decision == authz.Allow {
			return x.change(&world, changed), ""
		}
	}
	return nil, "more policies refuse this call than one change should touch"
}

// again asks the edited world.
func (x *Index) again(world *authz.World, v *Verdict) (authz.Answer, error) {
	y := *x
	y.world = world
	if wp := y.waypointOf(v.Line); wp != nil && v.Request.From.Principal == v.Line.Identity && v.Request.From.Workload == nil {
		w := Verdict{Request: v.Request}
		w.behindWaypoint(&y, v.Line, wp)
		return w.Answer, nil
	}
	return authz.Can(world, v.Request)
}

// refusesAgain reports whether the edit left the same rule refusing at the same point.
func refusesAgain(a *authz.Answer, hop *authz.Hop, key string, rule int) bool {
	now := refusing(a)
	if now == nil || now.Point != hop.Point || now.Where != hop.Where {
		return now == nil
	}
	for _, r := range now.Reasons {
		if rule < 0 && r.Effect == authz.EffectImplicit || rule >= 0 && r.Effect == authz.EffectDenied && r.Policy == key && r.Rule <= rule+2 && r.Rule >= rule {
			return true
		}
	}
	return false
}

func refusing(a *authz.Answer) *authz.Hop {
	for i := range a.Hops {
		if a.Hops[i].Decision == authz.Deny {
			return &a.Hops[i]
		}
	}
	return nil
}

// culprit names the policy to edit at a point that refuses: the rule of a DENY that matches, or, where no ALLOW rule
// does, the ALLOW policy that is about the fewest workloads (rule -1).
func (x *Index) culprit(w *authz.World, hop *authz.Hop) (key string, rule int, instead string) {
	for _, r := range hop.Reasons {
		if r.Effect != authz.EffectDenied {
			continue
		}
		i := slices.IndexFunc(w.Policies.Authorization, func(p authz.AuthorizationPolicy) bool { return p.Key() == r.Policy })
		switch {
		case i < 0 && strings.Contains(r.Why, "token"):
			return "", 0, "the token was refused: send a valid one, or none"
		case i < 0:
			return "", 0, r.Why + ": enrol the caller, so that it shows an identity; a PERMISSIVE PeerAuthentication would admit everybody who shows none"
		case w.Policies.Authorization[i].Action == authz.ActionCustom:
			return "", 0, "external authorizer " + w.Policies.Authorization[i].Provider + " decides (policy " + r.Policy + "): its own rules have to admit the call"
		case r.Rule < 0:
			return "", 0, r.Why
		}
		return r.Policy, r.Rule, ""
	}
	for _, r := range hop.Reasons {
		if r.Effect != authz.EffectImplicit {
			continue
		}
		best := ""
		for _, k := range strings.Split(strings.SplitN(r.Policy, " and ", 2)[0], ", ") {
			i := slices.IndexFunc(w.Policies.Authorization, func(p authz.AuthorizationPolicy) bool { return p.Key() == k })
			if i >= 0 && (best == "" || narrowness(w, k) > narrowness(w, best)) {
				best = k
			}
		}
		if best == "" {
			return "", 0, "only policies that istiod makes itself allow here (" + r.Policy + "): " + r.Why
		}
		return best, -1, ""
	}
	return "", 0, "the point refuses for a reason that is no policy's"
}

// narrowness ranks policies by how few workloads they are about.
func narrowness(w *authz.World, key string) int {
	i := slices.IndexFunc(w.Policies.Authorization, func(p authz.AuthorizationPolicy) bool { return p.Key() == key })
	p := &w.Policies.Authorization[i]
	root := w.Config.RootNamespace
	if root == "" {
		root = "istio-system"
	}
	switch {
	case len(p.Attach.Targets) > 0:
		return 3
	case len(p.Attach.Selector) > 0:
		return 2
	case p.Namespace != root:
		return 1
	}
	return 0
}

// precision is how closely an edit describes the call.
type precision int

const (
	wholeRequest precision = iota
	methodOnly
	portOnly
)

// edited is a policy that admits the call, nil where it cannot be written so. It names the identity that the point sees: a
// caller that shows none cannot be told from others that show none, and is named by its address where that is known.
func edited(p authz.AuthorizationPolicy, rule int, hop *authz.Hop, r *authz.Request, precise precision) *authz.AuthorizationPolicy {
	http := hop.Protocol == authz.ProtocolHTTP && r.Method != ""
	if !http && precise != portOnly {
		return nil
	}
	from, notFrom := authz.Source{Principals: []string{hop.Principal}}, authz.Source{NotPrincipals: []string{hop.Principal}}
	if hop.Principal == "" {
		if r.SourceIP == "" {
			return nil
		}
		from, notFrom = authz.Source{IPBlocks: []string{r.SourceIP}}, authz.Source{NotIPBlocks: []string{r.SourceIP}}
	}
	path, _, _ := strings.Cut(r.Path, "?")
	op := authz.Operation{Ports: []string{strconv.Itoa(int(hop.Port))}}
	if http && precise <= methodOnly {
		op.Methods = []string{r.Method}
	}
	if http && precise == wholeRequest {
		if path == "" || strings.ContainsAny(path, "*{}") {
			return nil // the API reads these as wildcards
		}
		op.Paths = []string{path}
	}
	p.Rules = slices.Clone(p.Rules)
	if rule < 0 {
		p.Rules = append(p.Rules, authz.Rule{From: []authz.Source{from}, To: []authz.Operation{op}})
		return authz.Rewritten(&p)
	}
	if rule >= len(p.Rules) {
		return nil
	}
	// Not (caller and port and method and path) is one rule for each.
	old := p.Rules[rule]
	rules := []authz.Rule{withSource(old, notFrom)}
	add := func(o authz.Operation) { rules = append(rules, withOperation(old, o)) }
	add(authz.Operation{NotPorts: op.Ports})
	if len(op.Methods) > 0 {
		add(authz.Operation{NotMethods: op.Methods})
	}
	if len(op.Paths) > 0 {
		add(authz.Operation{NotPaths: op.Paths})
	}
	rules = slices.DeleteFunc(rules, func(r authz.Rule) bool { return contradictory(&r) })
	p.Rules = slices.Concat(p.Rules[:rule:rule], rules, p.Rules[rule+1:])
	return authz.Rewritten(&p)
}

// withSource narrows every source of a rule.
func withSource(r authz.Rule, s authz.Source) authz.Rule {
	if len(r.From) == 0 {
		r.From = []authz.Source{s}
		return r
	}
	r.From = slices.Clone(r.From)
	for i := range r.From {
		r.From[i].NotPrincipals = union(r.From[i].NotPrincipals, s.NotPrincipals)
		r.From[i].NotIPBlocks = union(r.From[i].NotIPBlocks, s.NotIPBlocks)
	}
	r.From = slices.DeleteFunc(r.From, func(f authz.Source) bool { return covers(f.NotPrincipals, f.Principals) })
	if len(r.From) == 0 {
		return authz.Rule{Nil: true}
	}
	return r
}

// withOperation narrows every operation of a rule.
func withOperation(r authz.Rule, o authz.Operation) authz.Rule {
	if len(r.To) == 0 {
		r.To = []authz.Operation{o}
		return r
	}
	r.To = slices.Clone(r.To)
	for i := range r.To {
		t := &r.To[i]
		t.NotPorts, t.NotMethods, t.NotPaths = union(t.NotPorts, o.NotPorts), union(t.NotMethods, o.NotMethods), union(t.NotPaths, o.NotPaths)
	}
	r.To = slices.DeleteFunc(r.To, func(t authz.Operation) bool {
		return covers(t.NotPorts, t.Ports) || covers(t.NotMethods, t.Methods) || covers(t.NotPaths, t.Paths)
	})
	if len(r.To) == 0 {
		return authz.Rule{Nil: true}
	}
	return r
}

// contradictory says that narrowing left nothing of a rule.
func contradictory(r *authz.Rule) bool { return r.Nil }

// covers says that everything asked for is excluded too, so that nothing matches.
func covers(not, values []string) bool {
	if len(values) == 0 {
		return false
	}
	return !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(not, v) })
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// change compares the edited world with the one that is.
func (x *Index) change(world *authz.World, changed map[string]bool) *Change {
	c := &Change{Diff: authz.Diff(x.world, world, authz.Options{})}
	for i := range x.world.Policies.Authorization {
		p := &x.world.Policies.Authorization[i]
		if changed[p.Key()] {
			c.Edits = append(c.Edits, Edit{Policy: p.Key(), Before: *p, After: world.Policies.Authorization[i]})
		}
	}
	return c
}

// Others lists what a change admits besides callers like this one at this destination.
func (c *Change) Others() []string {
	var out []string
	for _, g := range c.Diff.Groups() {
		out = append(out, fmt.Sprintf("%s: %s", g.Kind, g.Example.Words))
	}
	return out
}
