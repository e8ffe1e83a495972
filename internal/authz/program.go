package authz

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
)

// dialect is how an enforcement point reads a policy.
type dialect uint8

const (
	dialectHTTP dialect = iota
	dialectTCP
	dialectZtunnel
)

// program is everything that one enforcement point enforces. A call passes when no deny
// cube matches and, if hasAllow, some allow cube does. Programs of equal meaning are the
// same pointer within one comparison.
type program struct {
	id          int
	deny, allow []*cube
	hasAllow    bool
	// asksConnection says that some cube asks about the peer's address or SNI.
	asksConnection bool
	// notes explain what is there but does not decide.
	notes []Reason
	// jwt are the accepted tokens; nil when no RequestAuthentication applies.
	jwt []JWTRule
	// jwtBy names the RequestAuthentications.
	jwtBy string
	// unknown says why the point's answer cannot be told, when no deny decides.
	unknown string
	// allowKeys are the policies that make hasAllow true, also those without a rule left.
	allowKeys []string
}

// trivial says that nothing can be denied here.
func (p *program) trivial() bool {
	return len(p.deny) == 0 && !p.hasAllow && len(p.jwt) == 0 && p.unknown == ""
}

// compiledRules caches the cubes of one policy in one dialect.
type compiledRules struct {
	id    *policyID
	rules []ruleCubes
}

// programs builds and interns programs for any number of worlds.
type programs struct {
	// mu guards the programs, and the caches of the models that they are for.
	mu    sync.Mutex
	in    *interner
	byKey map[string]*program
	rules map[string]*compiledRules
	empty *program
}

func newPrograms() *programs {
	ps := &programs{in: newInterner(), byKey: map[string]*program{}, rules: map[string]*compiledRules{}}
	ps.empty = &program{}
	return ps
}

// spec is what a program is made from.
type spec struct {
	dialect dialect
	// inner is a sidecar behind its HBONE termination, where CUSTOM policies see no peer.
	inner    bool
	policies []*AuthorizationPolicy
	jwt      []*RequestAuthentication
	peer     ztunnelPeer
	// allowWaypoints are the identities of istiod's implicit ALLOW policies, by policy key.
	allowWaypoints [][2]string
	unknown        string
}

func (s *spec) empty() bool {
	return len(s.policies) == 0 && len(s.jwt) == 0 && s.peer.key() == "" && len(s.allowWaypoints) == 0 && s.unknown == ""
}

func (ps *programs) get(cfg Config, cfgKey string, s *spec) *program {
	if s.empty() {
		return ps.empty
	}
	var b strings.Builder
	b.WriteByte(byte('0' + s.dialect))
	b.WriteString(cfgKey)
	for _, p := range s.policies {
		b.WriteString(p.digest)
	}
	b.WriteByte('j')
	for _, r := range s.jwt {
		b.WriteString(r.digest)
	}
	b.WriteString(s.peer.key())
	for _, w := range s.allowWaypoints {
		b.WriteString(w[0] + "=" + w[1] + ";")
	}
	b.WriteString(s.unknown)
	if s.peerlessCustom() {
		b.WriteByte('i')
	}
	key := b.String()
	if p, ok := ps.byKey[key]; ok {
		return p
	}
	p := ps.build(cfg, cfgKey, s)
	p.id = len(ps.byKey) + 1
	ps.byKey[key] = p
	return p
}

func (ps *programs) build(cfg Config, cfgKey string, s *spec) *program {
	p := &program{unknown: s.unknown}
	if s.dialect == dialectHTTP {
		p.addJWT(s.jwt)
	}
	if s.dialect == dialectZtunnel {
		p.deny = append(p.deny, s.peer.cubes(ps.in, cfg.root())...)
	}
	for _, w := range s.allowWaypoints {
		p.hasAllow = true
		p.allowKeys = append(p.allowKeys, w[0])
		l := ps.in.literal(literal{attr: attr{kind: attrIdentity}, ids: []*idMatcher{ztunnelPrincipal(w[1])}, field: "principals"})
		p.allow = append(p.allow, &cube{policy: &policyID{key: w[0], action: ActionAllow}, rule: 0, lits: []*literal{l}})
	}
	custom := ps.customProviders(cfg, s)
	for _, pol := range s.policies {
		if s.dialect == dialectZtunnel {
			ps.addToZtunnel(p, cfg, cfgKey, pol)
		} else {
			ps.addToEnvoy(p, cfg, cfgKey, pol, s.dialect, custom)
		}
	}
	connection := func(c *cube) bool { return c.asks(isConnection) }
	p.asksConnection = slices.ContainsFunc(p.deny, connection) || slices.ContainsFunc(p.allow, connection)
	return p
}

func (p *program) addJWT(ras []*RequestAuthentication) {
	var names []string
	for _, ra := range ras {
		if len(ra.Rules) > 0 {
			p.jwt = append(p.jwt, ra.Rules...)
			names = append(names, ra.Key())
		}
	}
	p.jwtBy = strings.Join(names, ", ")
}

func (p *program) note(pol string, rule int, e Effect, format string, args ...any) {
	p.notes = append(p.notes, Reason{Policy: pol, Rule: rule, Effect: e, Why: fmt.Sprintf(format, args...)})
}

// compile gives the cubes of a policy in a dialect, once per configuration.
func (ps *programs) compile(cfg Config, cfgKey string, pol *AuthorizationPolicy, d dialect) *compiledRules {
	key := string(rune('0'+d)) + cfgKey + pol.digest
	if c, ok := ps.rules[key]; ok {
		return c
	}
	c := &compiledRules{id: &policyID{key: pol.Key(), action: pol.Action}}
	for i := range pol.Rules {
		var r ruleCubes
		if d == dialectZtunnel {
			zc := ztunnelCompiler{in: ps.in, policy: pol, id: c.id, deny: pol.Action == ActionDeny}
			r = zc.rule(i)
		} else {
			ec := envoyCompiler{in: ps.in, trustDomains: append([]string{cfg.trustDomain()}, cfg.TrustDomainAliases...),
				tcp: d == dialectTCP, lenient: pol.Action != ActionAllow, policy: pol, id: c.id}
			r = ec.rule(i)
		}
		c.rules = append(c.rules, r)
	}
	ps.rules[key] = c
	return c
}

func (ps *programs) addToZtunnel(p *program, cfg Config, cfgKey string, pol *AuthorizationPolicy) {
	if len(pol.Unmodelled) > 0 {
		p.setUnknown(pol.Key(), "it has fields that are not modelled: "+strings.Join(pol.Unmodelled, ", "))
		return
	}
	if pol.DryRun {
		switch {
		case !cfg.AmbientDryRun:
			p.note(pol.Key(), -1, EffectLogged, "dry-run: istiod does not send it to ztunnel")
			return
		case cfg.minor() >= 29:
			p.note(pol.Key(), -1, EffectLogged, "dry-run: ztunnel only logs it")
			return
		default:
			p.note(pol.Key(), -1, EffectIgnored, "dry-run is enforced by ztunnel before 1.29")
		}
	}
	if pol.Action != ActionAllow && pol.Action != ActionDeny {
		p.note(pol.Key(), -1, EffectIgnored, "ztunnel does not support the %s action: the policy is not enforced", pol.Action)
		return
	}
	if pol.Attach.Selected && len(pol.Attach.Selector) == 0 {
		p.note(pol.Key(), -1, EffectIgnored, "an empty selector attaches to nothing in ambient mode: the policy is not enforced")
		return
	}
	c := ps.compile(cfg, cfgKey, pol, dialectZtunnel)
	p.addRules(c, pol.Action)
}

// addRules adds compiled rules to the deny or the allow side.
func (p *program) addRules(c *compiledRules, action Action) {
	if action == ActionAllow {
		p.hasAllow = true
		p.allowKeys = append(p.allowKeys, c.id.key)
	}
	for i, r := range c.rules {
		switch {
		case r.unknown != "":
			p.setUnknown(c.id.key, r.unknown)
		case r.dropped != "":
			p.note(c.id.key, i, EffectIgnored, "rule is left out: %s", r.dropped)
		}
		if r.unknown != "" || r.dropped != "" {
			continue
		}
		if len(r.lost) > 0 {
			p.note(c.id.key, i, EffectIgnored, "not enforced here: %s", strings.Join(r.lost, ", "))
		}
		for _, cu := range r.cubes {
			switch {
			case cu.never != "":
				p.note(c.id.key, i, EffectIgnored, "%s", cu.never)
			case action == ActionAllow:
				p.allow = append(p.allow, cu)
			default:
				p.deny = append(p.deny, cu)
			}
		}
	}
}

func (p *program) setUnknown(policy, why string) {
	p.note(policy, -1, EffectUnknown, "%s", why)
	if p.unknown == "" {
		p.unknown = policy + ": " + why
	}
}

func (ps *programs) addToEnvoy(p *program, cfg Config, cfgKey string, pol *AuthorizationPolicy, d dialect, custom customPlan) {
	if len(pol.Unmodelled) > 0 {
		p.setUnknown(pol.Key(), "it has fields that are not modelled: "+strings.Join(pol.Unmodelled, ", "))
		return
	}
	switch pol.Action {
	case ActionAudit:
		p.note(pol.Key(), -1, EffectLogged, "AUDIT decides nothing")
	case ActionCustom:
		ps.addCustom(p, cfg, cfgKey, pol, d, custom)
	case ActionAllow, ActionDeny:
		if pol.DryRun {
			p.note(pol.Key(), -1, EffectLogged, "dry-run: Envoy only logs it")
			return
		}
		p.addRules(ps.compile(cfg, cfgKey, pol, d), pol.Action)
	default:
		p.note(pol.Key(), -1, EffectIgnored, "unsupported action %s", pol.Action)
	}
}

// peerlessCustom says that there are CUSTOM policies which do not see who calls: istiod makes the
// ALLOW and DENY filters behind a sidecar's HBONE termination look for the identity in filter state, but
// leaves the CUSTOM ones looking at a TLS connection that is not there
// (listener_inbound.go buildInboundHBONEListeners; stock Envoy).
func (s *spec) peerlessCustom() bool {
	return s.inner && slices.ContainsFunc(s.policies, func(p *AuthorizationPolicy) bool { return p.Action == ActionCustom })
}

// customPlan is how the CUSTOM policies of one enforcement point are carried out.
type customPlan struct {
	// peerless: see spec.peerlessCustom.
	peerless bool
	// denyAll: more than one provider without the feature for it; istiod then denies
	// whatever any of them matches.
	denyAll bool
	missing map[string]bool
	tcp     map[string]bool
}

func (ps *programs) customProviders(cfg Config, s *spec) customPlan {
	plan := customPlan{peerless: s.peerlessCustom(), missing: map[string]bool{}, tcp: map[string]bool{}}
	known := map[string]ExtensionProvider{}
	for _, e := range cfg.ExtensionProviders {
		known[e.Name] = e
	}
	names := map[string]bool{}
	for _, p := range s.policies {
		if p.Action != ActionCustom {
			continue
		}
		names[p.Provider] = true
		e, ok := known[p.Provider]
		plan.missing[p.Provider] = cfg.ExtensionProviders != nil && !ok
		plan.tcp[p.Provider] = e.TCP || cfg.ExtensionProviders == nil
	}
	plan.denyAll = len(names) > 1 && !cfg.MultipleCustomProviders
	return plan
}

// addCustom models a CUSTOM policy as a DENY of what it matches and the provider
// refuses (pilot/pkg/security/authz/builder/builder.go buildHTTP, buildTCP).
func (ps *programs) addCustom(p *program, cfg Config, cfgKey string, pol *AuthorizationPolicy, d dialect, plan customPlan) {
	bad := plan.denyAll || plan.missing[pol.Provider]
	if d == dialectTCP && !bad && !plan.tcp[pol.Provider] {
		p.note(pol.Key(), -1, EffectIgnored, "provider %s speaks HTTP only: not asked on a TCP filter chain", pol.Provider)
		return
	}
	c := ps.compile(cfg, cfgKey, pol, d)
	if plan.peerless {
		if c.asks(isIdentity) {
			p.note(pol.Key(), -1, EffectIgnored, "behind HBONE a CUSTOM policy does not see who calls: what it asks of the caller's identity never matches")
			c = c.without(isIdentity, nil)
		}
	}
	if bad {
		why := "its provider " + pol.Provider + " does not exist"
		if plan.denyAll {
			why = "more than one provider applies to this workload"
		}
		p.note(pol.Key(), -1, EffectDenied, "%s: istiod denies what it matches", why)
		if pol.DryRun {
			return // only enforced rules are turned into denials
		}
		p.addRules(c, ActionDeny)
		return
	}
	if pol.DryRun && cfg.minor() < 31 {
		p.setUnknown(pol.Key(), "what a dry-run CUSTOM policy does before 1.31 is not modelled")
		return
	}
	if pol.DryRun {
		// istiod 1.31 puts its rules where Envoy enforces them as a DENY, although it means
		// to only log them; seen with a stock Envoy.
		p.note(pol.Key(), -1, EffectDenied, "dry-run on a CUSTOM policy: Envoy denies what it matches")
		p.addRules(beforeAuthentication(c, nil), ActionDeny)
		return
	}
	refused := ps.in.literal(literal{attr: attr{attrRefused, pol.Provider}, field: "provider " + pol.Provider})
	p.addRules(beforeAuthentication(c, refused), ActionCustom)
}

// beforeAuthentication gives the rules of a CUSTOM policy as they are enforced: in front
// of the JWT filter, where no claim is known yet, and with a further literal.
func beforeAuthentication(c *compiledRules, and *literal) *compiledRules {
	return c.without(isToken, and)
}

func isToken(k attrKind) bool      { return k == attrClaim || k == attrRequestPrincipal }
func isIdentity(k attrKind) bool   { return k == attrIdentity }
func isConnection(k attrKind) bool { return k == attrSourceIP || k == attrSNI }

func (c *cube) asks(kind func(attrKind) bool) bool {
	return slices.ContainsFunc(c.lits, func(l *literal) bool { return kind(l.attr.kind) })
}

func (c *compiledRules) asks(kind func(attrKind) bool) bool {
	return slices.ContainsFunc(c.rules, func(r ruleCubes) bool {
		return slices.ContainsFunc(r.cubes, func(cu *cube) bool { return cu.asks(kind) })
	})
}

// without decides the literals about attributes that are not there, and adds a literal, if any, to what
// is left of each cube.
func (c *compiledRules) without(gone func(attrKind) bool, and *literal) *compiledRules {
	out := &compiledRules{id: c.id}
	for _, r := range c.rules {
		g := r
		g.cubes = nil
		for _, cu := range r.cubes {
			lits, ok := cu.lits[:0:0], true
			for _, l := range cu.lits {
				if !gone(l.attr.kind) {
					lits = append(lits, l)
				} else if !l.negate {
					ok = false
				}
			}
			if !ok {
				continue
			}
			if and != nil {
				lits = append(lits, and)
			}
			g.cubes = append(g.cubes, &cube{policy: cu.policy, rule: cu.rule, lits: lits})
		}
		out.rules = append(out.rules, g)
	}
	return out
}

// key identifies the parts of a Config that compiled programs depend on.
func (c Config) key() string {
	aliases := append([]string(nil), c.TrustDomainAliases...)
	var provs []string
	for _, e := range c.ExtensionProviders {
		provs = append(provs, fmt.Sprintf("%q%v", e.Name, e.TCP))
	}
	sort.Strings(provs)
	return fmt.Sprintf("|%q %q %q %d %v %v %q %v|", c.root(), c.trustDomain(), aliases, c.minor(), c.AmbientDryRun,
		c.MultipleCustomProviders, provs, c.ExtensionProviders == nil)
}
