package authz

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// evaluation carries one concrete request along its path.
type evaluation struct {
	req    *Request
	caller identity
	// token is what is still in the request; a filter that does not forward it takes it out.
	token *Token
	// asked collects the attributes that policies on the way ask about.
	asked map[attr]bool
}

// readToken says what a point's JWT filter makes of the token: visible to policies,
// rejected, or not looked at (istiod convertToEnvoyJwtConfig: a missing token passes, a
// token that fails at every rule that reads its place is refused with 401).
func (p *program) readToken(t *Token) (visible *Token, rejected string, forward bool) {
	if t == nil || len(p.jwt) == 0 {
		return nil, "", true
	}
	reads := false
	why := ""
	// A token goes on only if every rule of its issuer forwards it.
	forward = true
	for i := range p.jwt {
		r := &p.jwt[i]
		if !r.reads(t.Place) {
			continue
		}
		reads = true
		switch {
		case r.Issuer != t.Issuer, t.material != "" && t.material != r.Material:
			if why == "" {
				why = "the token's issuer is not accepted"
			}
			continue
		case !t.Valid:
			why = "the token is not valid"
			continue
		case !r.audience(t):
			why = "the token's audience is not accepted"
		default:
			visible = r.normalize(t)
		}
		forward = forward && r.Forward
	}
	switch {
	case visible != nil:
		return visible, "", forward
	case !reads:
		return nil, "", true
	}
	return nil, why, false
}

// spaceDelimited says whether the text of a claim is split at spaces.
func (r *JWTRule) spaceDelimited(claim string) bool {
	return claim == "scope" || claim == "permission" || slices.Contains(r.SpaceDelimited, claim)
}

// normalize splits the claims that are lists separated by spaces, as Envoy's JWT filter
// does before policies see them.
func (r *JWTRule) normalize(t *Token) *Token {
	var out *Token
	for name, c := range t.Claims {
		if !r.spaceDelimited(name) || len(c.Values) != 1 || !strings.Contains(c.Values[0], " ") {
			continue
		}
		if out == nil {
			cp := *t
			cp.Claims = maps.Clone(t.Claims)
			out = &cp
		}
		c.Values = strings.Fields(c.Values[0])
		out.Claims[name] = c
	}
	if out == nil {
		return t
	}
	return out
}

// reads says whether the rule looks for tokens in a place.
func (r *JWTRule) reads(place string) bool {
	if len(r.Places) == 0 {
		return place == "" || place == "param:access_token"
	}
	return slices.Contains(r.Places, place)
}

func (r *JWTRule) audience(t *Token) bool {
	if len(r.Audiences) == 0 {
		return true
	}
	for _, a := range t.Claims["aud"].Values {
		for _, want := range r.Audiences {
			if a == want {
				return true
			}
		}
	}
	return false
}

func (e *evaluation) view(h *hop) *view {
	v := &view{port: h.port, http: h.protocol == ProtocolHTTP, req: e.req, path: pathOnly(normalizePath(e.req.Path))}
	switch h.who {
	case whoCaller:
		v.id = e.caller
	case whoWaypoint:
		v.id = makeIdentity(h.principal)
	}
	v.sourceIP = address(e.req.SourceIP)
	if h.viaWaypoint {
		v.sourceIP = address(e.req.WaypointIP)
	}
	v.sni = e.req.SNI
	if h.inner {
		v.sourceIP = netip.Addr{}
		if h.blindToSNI() {
			v.sni = ""
		}
	}
	// An IPv4-mapped address in X-Forwarded-For stays IPv6: no IPv4 block holds it.
	v.remoteIP, _ = netip.ParseAddr(e.req.RemoteIP)
	v.dest = address(e.req.PodIP)
	if h.vip {
		v.dest = address(e.req.VIP)
	}
	return v
}

// address reads the IP of a connection's end; text that is none gives the invalid address, which no
// range holds. An IPv4-mapped one is IPv4, as Envoy takes those of its sockets.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

func (c *cube) match(v *view) bool {
	for _, l := range c.lits {
		if !l.match(v) {
			return false
		}
	}
	return true
}

// asksAuthorizer says that the cube denies only what an external authorizer refuses.
func (c *cube) asksAuthorizer() bool {
	return len(c.lits) > 0 && c.lits[len(c.lits)-1].attr.kind == attrRefused
}

// at evaluates one enforcement point, with every reason.
func (e *evaluation) at(h *hop) Hop {
	out := Hop{Point: h.point, Where: h.where, Port: h.port, Protocol: h.protocol}
	v := e.view(h)
	out.Principal = v.id.principal
	if h.prog == nil {
		out.Decision = Allow
		return out
	}
	denied := false
	if h.strict && v.id.principal == "" {
		denied = true
		out.Reasons = append(out.Reasons, Reason{Policy: h.strictBy, Rule: -1, Effect: EffectDenied, Why: "mTLS is STRICT and the caller has no identity"})
	}
	if v.http && !e.req.preflight() {
		tok, why, forward := h.prog.readToken(e.token)
		v.token = tok
		if why != "" {
			denied = true
			out.Reasons = append(out.Reasons, Reason{Policy: h.prog.jwtBy, Rule: -1, Effect: EffectDenied, Why: why})
		}
		if !forward {
			e.token = nil
		}
	}
	e.note(h.prog)
	denied = e.rules(h.prog, v, &out) || denied
	out.Reasons = append(out.Reasons, h.prog.notes...)
	switch {
	case denied:
		out.Decision = Deny
	case h.prog.unknown != "":
		out.Decision = DecisionUnknown
		out.Reasons = append(out.Reasons, Reason{Rule: -1, Effect: EffectUnknown, Why: h.prog.unknown})
	default:
		out.Decision = Allow
	}
	return out
}

// rules runs the deny and the allow side; it reports a denial.
func (e *evaluation) rules(p *program, v *view, out *Hop) bool {
	denied := false
	type ruleKey struct {
		policy string
		rule   int
	}
	seen := map[ruleKey]bool{}
	// A CUSTOM policy that denies on its own (dry-run, or without a provider) does so in front of the
	// filter that asks.
	unasked := slices.ContainsFunc(p.deny, func(c *cube) bool {
		return c.policy.action == ActionCustom && !c.asksAuthorizer() && c.match(v)
	})
	for _, c := range p.deny {
		if unasked && c.asksAuthorizer() {
			continue
		}
		if k := (ruleKey{c.policy.key, c.rule}); !seen[k] && c.match(v) {
			seen[k] = true
			denied = true
			why := "the rule matches: " + c.words()
			if c.asksAuthorizer() {
				why = "the external authorizer refuses it, " + c.words()
			}
			out.Reasons = append(out.Reasons, Reason{Policy: c.policy.key, Rule: c.rule, Effect: EffectDenied, Why: why})
		}
	}
	if !p.hasAllow {
		if !denied {
			out.Reasons = append(out.Reasons, Reason{Rule: -1, Effect: EffectDefault, Why: "no ALLOW policy applies here"})
		}
		return denied
	}
	allowed := false
	for _, c := range p.allow {
		if k := (ruleKey{c.policy.key, c.rule}); !seen[k] && c.match(v) {
			seen[k] = true
			allowed = true
			out.Reasons = append(out.Reasons, Reason{Policy: c.policy.key, Rule: c.rule, Effect: EffectAllowed, Why: "the rule matches: " + c.words()})
		}
	}
	// An ALLOW policy that could not be read might have matched.
	if !allowed && p.unknown == "" {
		out.Reasons = append(out.Reasons, Reason{Policy: p.allowPolicies(), Rule: -1, Effect: EffectImplicit, Why: "an ALLOW policy applies and no rule of any matches"})
		return true
	}
	return denied
}

// allowPolicies names the ALLOW policies here, at most three.
func (p *program) allowPolicies() string {
	var names []string
	seen := map[string]bool{}
	for _, k := range p.allowKeys {
		if !seen[k] {
			seen[k] = true
			names = append(names, k)
		}
	}
	sort.Strings(names)
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

// note records which attributes the program asks about.
func (e *evaluation) note(p *program) {
	if e.asked == nil {
		return
	}
	for _, list := range [2][]*cube{p.deny, p.allow} {
		for _, c := range list {
			for _, l := range c.lits {
				e.asked[l.attr] = true
			}
		}
	}
}

// follow evaluates a whole path.
func (m *model) follow(p *path, req *Request, caller identity, asked map[attr]bool) Answer {
	a := Answer{Route: strings.Join(p.route, " -> ")}
	if p.unknown != "" {
		a.Decision, a.By, a.Why = DecisionUnknown, PointNobody, p.unknown
		return a
	}
	e := evaluation{req: req, caller: caller, token: req.JWT, asked: asked}
	for i := range p.hops {
		a.Hops = append(a.Hops, e.at(&p.hops[i]))
	}
	a.conclude(p.failed)
	return a
}

// conclude draws the decision from the hops: the first that denies; else the first that
// cannot be told; else the last one's permission.
func (a *Answer) conclude(failed string) {
	for _, want := range []Decision{Deny, DecisionUnknown} {
		for i := range a.Hops {
			h := &a.Hops[i]
			if h.Decision != want {
				continue
			}
			a.Decision, a.By = want, h.Point
			a.Policy, a.Why = h.decisive()
			return
		}
		if want == Deny && failed != "" {
			a.Decision, a.By, a.Why = Deny, PointNetwork, failed
			return
		}
	}
	a.Decision, a.By, a.Why = Allow, PointNobody, "no enforcement point on the way"
	for i := range a.Hops {
		h := &a.Hops[i]
		if policy, why := h.decisive(); policy != "" || a.By == PointNobody {
			a.By, a.Policy, a.Why = h.Point, policy, why
		}
	}
}

// decisive gives the reason that decided at a hop.
func (h *Hop) decisive() (policy, why string) {
	rank := map[Decision][]Effect{
		Deny:            {EffectDenied, EffectImplicit},
		DecisionUnknown: {EffectUnknown},
		Allow:           {EffectAllowed, EffectDefault},
	}
	for _, e := range rank[h.Decision] {
		for _, r := range h.Reasons {
			if r.Effect == e {
				return r.Policy, r.Why
			}
		}
	}
	return "", "nothing denies it"
}
