package authz

// A CORS preflight carries no credentials, so istiod tells Envoy's JWT filter to pass it unread
// (policy_applier.go sets bypass_cors_preflight; jwt_authn/filter.cc isCorsPreflightRequest says what
// one is): a bad token is not refused, and a good one gives no claims.
const (
	preflightMethod    = "OPTIONS"
	preflightOrigin    = "origin"
	preflightAskMethod = "access-control-request-method"
)

// preflight says whether a JWT filter lets the request pass unread.
func (r *Request) preflight() bool {
	if r.Method != preflightMethod {
		return false
	}
	origin, _ := header(r, preflightOrigin)
	method, _ := header(r, preflightAskMethod)
	return origin != "" && method != ""
}

// preflightCube matches preflights.
func preflightCube() []pending {
	something := []*pattern{{kind: patNonEmpty}}
	return []pending{
		{key: variableKey{attr: attr{kind: attrMethod}}, pats: []*pattern{simplePattern(preflightMethod, false)}},
		{key: variableKey{attr: attr{attrHeader, preflightOrigin}}, pats: something},
		{key: variableKey{attr: attr{attrHeader, preflightAskMethod}}, pats: something},
	}
}

// withoutPreflights leaves preflights out of a scenario with a token, by denying them on every side.
// Nothing is lost: a token that nobody reads is as good as none, so that the scenario without a token
// decides them. Where one of the three attributes is asked about by nobody, requests are made without
// it and are no preflights anyway.
func withoutPreflights(sides [3]side, tok *Token) [3]side {
	if tok == nil {
		return sides
	}
	cube := preflightCube()
	for _, l := range cube {
		if !asks(&sides, l.key) {
			return sides
		}
	}
	for i := range sides {
		s := &sides[i]
		if s.verdict == Deny {
			continue
		}
		s.unknown = s.unknown || s.verdict == DecisionUnknown
		s.verdict = ""
		s.deny = append([][]pending{cube}, s.deny...)
	}
	return sides
}

// asks says whether any side leaves a variable open.
func asks(sides *[3]side, k variableKey) bool {
	among := func(cubes [][]pending) bool {
		for _, c := range cubes {
			for _, l := range c {
				if l.key == k {
					return true
				}
			}
		}
		return false
	}
	for i := range sides {
		if sides[i].verdict != "" {
			continue
		}
		if among(sides[i].deny) {
			return true
		}
		for _, list := range sides[i].allows {
			if among(list) {
				return true
			}
		}
	}
	return false
}
