package authz

// pending is a literal whose truth depends on a variable.
type pending struct {
	key    variableKey
	pats   []*pattern
	negate bool
}

// side is one world's part of a scenario, folded with everything that is fixed.
type side struct {
	// verdict is set when nothing is left open.
	verdict Decision
	unknown bool
	deny    [][]pending
	// allows has one entry per point with ALLOW policies; one cube of each must match.
	allows [][][]pending
	// words are claims that JWT rules on the way split at spaces.
	words []string
	// asked are variables that get a value although no cube here asks about them.
	asked []variableKey
}

// fold specialises one world's path to a caller and a token.
func fold(p *path, id identity, tok *Token) side {
	if p.unknown != "" {
		return side{verdict: DecisionUnknown}
	}
	var s side
	if p.failed != "" {
		return side{verdict: Deny}
	}
	left := tok
	for i := range p.hops {
		h := &p.hops[i]
		if h.prog == nil {
			continue
		}
		v := view{port: h.port, http: h.protocol == ProtocolHTTP}
		switch h.who {
		case whoCaller:
			v.id = id
		case whoWaypoint:
			v.id = makeIdentity(h.principal)
		}
		if h.strict && v.id.principal == "" {
			return side{verdict: Deny}
		}
		if v.http {
			var forward bool
			var rejected bool
			v.token, rejected, forward = s.token(h.prog, left)
			if rejected {
				return side{verdict: Deny}
			}
			if !forward {
				left = nil
			}
		}
		s.unknown = s.unknown || h.prog.unknown != ""
		for _, c := range h.prog.deny {
			if lits, ok := c.specialise(&v, h); ok {
				s.deny = append(s.deny, lits)
				if len(lits) == 0 {
					return side{verdict: Deny}
				}
			}
		}
		if h.prog.hasAllow && h.prog.unknown == "" && !s.addAllow(h, &v) {
			return side{verdict: Deny}
		}
	}
	if len(s.deny) == 0 && len(s.allows) == 0 {
		s.verdict = s.passed()
	}
	return s
}

func (s *side) passed() Decision {
	if s.unknown {
		return DecisionUnknown
	}
	return Allow
}

// addAllow adds a point's ALLOW cubes; it reports false when none can match.
func (s *side) addAllow(h *hop, v *view) bool {
	var list [][]pending
	for _, c := range h.prog.allow {
		lits, ok := c.specialise(v, h)
		if !ok {
			continue
		}
		if len(lits) == 0 {
			return true // always matches: nothing left to ask
		}
		list = append(list, lits)
	}
	if len(list) == 0 {
		return false
	}
	s.allows = append(s.allows, list)
	return true
}

// token is readToken with the audience left open: it becomes a DENY cube.
func (s *side) token(p *program, t *Token) (visible *Token, rejected, forward bool) {
	if t == nil || len(p.jwt) == 0 {
		return nil, false, true
	}
	reads := false
	var audiences []*pattern
	free := false
	forward = true
	for i := range p.jwt {
		r := &p.jwt[i]
		if !r.reads(t.Place) {
			continue
		}
		reads = true
		if r.Issuer != t.Issuer || (t.material != "" && t.material != r.Material) || !t.Valid {
			continue
		}
		visible, forward = t, forward && r.Forward
		s.words = append(s.words, r.SpaceDelimited...)
		free = free || len(r.Audiences) == 0
		for _, a := range r.Audiences {
			audiences = append(audiences, &pattern{kind: patExact, text: a})
		}
	}
	switch {
	case visible != nil:
		if !free {
			s.deny = append(s.deny, []pending{{key: variableKey{attr: attr{attrClaim, "aud"}}, pats: audiences, negate: true}})
		}
		return visible, false, forward
	case reads:
		return nil, true, false
	}
	return nil, false, true
}

// specialise decides the literals that are fixed; ok is false when one of them fails.
func (c *cube) specialise(v *view, h *hop) (rest []pending, ok bool) {
	for _, l := range c.lits {
		truth, open, p := l.specialise(v, h)
		switch {
		case open:
			rest = append(rest, p)
		case !truth:
			return nil, false
		}
	}
	return rest, true
}

func (l *literal) specialise(v *view, h *hop) (truth, open bool, p pending) {
	p = pending{key: variableKey{attr: l.attr}, pats: l.pats, negate: l.negate}
	switch l.attr.kind {
	case attrIdentity, attrPort:
		return l.match(v), false, p
	case attrSourceIP:
		if h.inner {
			return l.negate, false, p
		}
		if h.viaWaypoint {
			p.key.place = placeWaypoint
		}
	case attrDestIP:
		if h.vip {
			p.key.place = placeVIP
		}
	case attrSNI:
		if h.blindToSNI() {
			return l.match(v), false, p // v.sni is empty
		}
	case attrMethod, attrPath, attrHost, attrHeader:
		if !v.http {
			return l.negate, false, p
		}
	case attrRequestPrincipal:
		if v.token == nil {
			return l.negate, false, p
		}
		// The issuer is fixed, so that the subject alone is open.
		p.key.attr = attr{kind: attrSubject}
		p.pats = nil
		for _, s := range l.subs {
			if s.iss.matches(v.token.Issuer, v.token.Issuer != "") {
				p.pats = append(p.pats, s.sub)
			}
		}
		if len(p.pats) == 0 {
			return l.negate, false, p
		}
	case attrClaim:
		switch {
		case v.token == nil:
			return l.negate, false, p
		case l.attr.name == "iss":
			return l.anyClaim([]string{v.token.Issuer}) != l.negate, false, p
		case l.attr.name == "sub":
			p.key.attr = attr{kind: attrSubject}
		}
	case attrRefused:
		p.pats = nil
	}
	return false, true, p
}
