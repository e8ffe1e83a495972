package authz

import (
	"slices"
	"sort"
)

// Requirement is a sentence about every call of a set: that all of them are allowed, or that none is.
type Requirement struct {
	// Must says that every such call is allowed; otherwise none may be, and what cannot be told counts as allowed.
	Must bool
	// From chooses callers, To the ways to address a port of a workload. Nil chooses all.
	From func(CallerFact) bool
	To   func(Destination) bool
	// Named are further callers, which no workload needs to bear.
	Named []Caller
	// Operation and When limit the requests, read as an Envoy reads a policy's. A port that is declared to carry
	// bytes takes any request as one connection: what asks of HTTP then limits nothing.
	Operation Operation
	When      []Condition
	// Protocol limits the calls to one that the caller speaks.
	Protocol Protocol
	// Token chooses what JWT the requests bear. One that nobody reads, as in a CORS preflight, is none, and may bear any
	// claim: where valid tokens may be refused, a call without one is as good.
	Token TokenChoice
	// Issuer limits tokens to those of one issuer; empty means any.
	Issuer string
	// Max bounds the breaches listed; 0 means 20.
	Max int
}

// TokenChoice is which tokens the requests of a requirement bear.
type TokenChoice string

// Choices of tokens. TokenAny is no token, every valid and every invalid one.
const (
	TokenAny     TokenChoice = "any"
	TokenNone    TokenChoice = "none"
	TokenValid   TokenChoice = "valid"
	TokenInvalid TokenChoice = "invalid"
)

// CallerFact is what a requirement may choose callers by. The zero fact with ModeNone stands for everybody outside
// the mesh, who show no identity.
type CallerFact struct {
	// Namespace and ServiceAccount are those of the identity; empty outside the mesh.
	Namespace, ServiceAccount string
	Principal                 string
	Mode                      Mode
	Role                      Role
	// Workload bears the identity, where one does.
	Workload *Ref
}

// Verification is what became of a requirement.
type Verification struct {
	// Breaches are calls that break it, one for each class of callers and way to address a port.
	Breaches []Breach
	// More counts the breaches that are not listed.
	More int
	// Scenarios is how many (caller class, way, protocol, token) were examined: none means that it is about nobody.
	Scenarios int
	// Unclear names what could not be decided; it counts as broken.
	Unclear []string
}

// Holds says that it was about something and nothing breaks it.
func (v *Verification) Holds() bool {
	return v.Scenarios > 0 && len(v.Breaches) == 0 && len(v.Unclear) == 0
}

// Breach is a call that breaks a requirement.
type Breach struct {
	Request Request `json:"request"`
	Words   string  `json:"words"`
	Answer  Answer  `json:"answer"`
}

// Verify examines a requirement on one world, over every class of request that any policy on the way or the
// requirement itself can tell apart: nothing is sampled. The error says what in the requirement no Envoy could read.
func Verify(w *World, r Requirement) (Verification, error) {
	c := NewProver(w).comparison(w, Options{})
	m := c.worlds[0]
	for _, named := range r.Named {
		k, id, err := m.caller(named)
		if err != nil {
			return Verification{}, err
		}
		c.callers.addPair(callerPair{k, k}, id)
	}
	v := verifier{comparison: c, r: &r}
	if v.r.Max == 0 {
		v.r.Max = 20
	}
	if err := v.compile(); err != nil {
		return Verification{}, err
	}
	for _, wl := range m.sortedWorkloads() {
		if wl.Role == RoleWaypoint || wl.Role == RoleOther {
			continue
		}
		for _, t := range m.targets(wl) {
			if r.To == nil || r.To(t.destination()) {
				v.target(t)
			}
		}
	}
	v.out.Unclear = sortedKeys(v.unclear)
	return v.out, nil
}

// addPair adds a caller after the pairs were listed.
func (c *callers) addPair(p callerPair, id identity) {
	c.add(p, [2]identity{id, id}, nil)
	if !slices.Contains(c.pairs, p) {
		c.pairs = append(c.pairs, p)
		sort.Slice(c.pairs, func(i, j int) bool { return c.pairs[i].words() < c.pairs[j].words() })
	}
}

type verifier struct {
	*comparison
	r   *Requirement
	out Verification
	// http and bytes are the requests meant, as cubes: those of HTTP, and those of a port that carries bytes.
	http, bytes []*cube
	// asksHTTP says that the requirement is about requests and not about connections.
	asksHTTP bool
	unclear  map[string]bool
}

// compile reads the requirement's own conditions with the compiler of policies, so that a pattern means the same in both.
func (v *verifier) compile() error {
	v.unclear = map[string]bool{}
	rule := Rule{When: v.r.When}
	if !v.r.Operation.empty() {
		rule.To = []Operation{v.r.Operation}
	}
	v.asksHTTP = len(httpFields(&rule)) > 0
	p := &AuthorizationPolicy{Action: ActionAllow, Rules: []Rule{rule}}
	compile := func(tcp bool) ([]*cube, error) {
		e := envoyCompiler{in: newInterner(), policy: p, id: &policyID{}, tcp: tcp, lenient: tcp}
		c := e.rule(0)
		if c.dropped != "" {
			return nil, fieldError{c.dropped}
		}
		if c.unknown != "" {
			return nil, fieldError{c.unknown}
		}
		return c.cubes, nil
	}
	var err error
	if v.http, err = compile(false); err == nil {
		v.bytes, err = compile(true)
	}
	return err
}

func (o *Operation) empty() bool {
	return len(o.Hosts)+len(o.NotHosts)+len(o.Ports)+len(o.NotPorts)+len(o.Methods)+len(o.NotMethods)+len(o.Paths)+len(o.NotPaths) == 0
}

func (v *verifier) target(t target) {
	for _, proto := range protocols(t.declared) {
		if v.r.Protocol != "" && v.r.Protocol != proto && t.declared != ProtocolTCP {
			continue
		}
		if v.asksHTTP && proto == ProtocolTCP && t.declared != ProtocolTCP {
			continue // a request is recognised as HTTP there
		}
		for _, pair := range v.callers.pairs {
			if pair.before.role == RoleGateway && t.addressing == ByPodIP {
				continue // gateways route to services
			}
			p := v.worlds[0].route(pair.before, t, proto)
			for _, class := range v.callers.lists[pair].partition(v.questions(&p, &p)) {
				if class := class.wanted(v.wants); class.size() > 0 {
					v.class(pair, class, t, proto, &p)
				}
			}
		}
	}
}

// wants says whether the requirement is about a caller.
func (v *verifier) wants(p callerPair, c caller) bool {
	if v.r.From == nil {
		return true
	}
	id := c.ids[0]
	f := CallerFact{Namespace: id.ns, ServiceAccount: id.sa, Principal: id.principal, Mode: p.before.mode, Role: p.before.role}
	if pods := c.pods(); pods != nil {
		f.Workload = &pods.Ref
	}
	return v.r.From(f)
}

// class examines one class of callers on one way to a port.
func (v *verifier) class(pair callerPair, class callerClass, t target, proto Protocol, p *path) {
	f := &finding{d: v.comparison, pair: pair, class: class, target: t, after: t, proto: proto, paths: &[2]path{*p, *p}}
	for _, f.token = range v.tokens(p) {
		sides, ok := v.sides(f, p)
		if !ok {
			continue
		}
		v.out.Scenarios++
		found := false
		record := func(prob *problem, assign []int) {
			found = true
			v.breach(f, p, f.request(prob, assign))
		}
		before, after := sides[sideBefore].verdict, sides[sideAfter].verdict
		if before != "" && after != "" {
			if differ(before, after) {
				record(nil, nil)
			}
			continue
		}
		decided := v.decide(withoutPreflights(sides, f.token), v.environment(t, t), f, func(prob *problem, assign []int, _ [3]Decision) more {
			record(prob, assign)
			return nothing
		})
		if !decided && !found {
			v.unclear[t.destination().words()+": its policies are too large to be decided, also rule by rule"] = true
		}
	}
}

// tokens lists the tokens that are meant. One that no proxy on the way reads is as good as none.
func (v *verifier) tokens(p *path) []*Token {
	all := tokens(p)
	var out []*Token
	for _, t := range all {
		if t != nil && v.r.Issuer != "" && t.Valid && t.Issuer != v.r.Issuer {
			continue
		}
		kind := TokenNone
		if t != nil && t.Valid {
			kind = TokenValid
		} else if t != nil {
			kind = TokenInvalid
		}
		unread := kind == TokenNone && v.r.Token == TokenValid && !v.r.Must
		if v.r.Token == "" || v.r.Token == TokenAny || v.r.Token == kind || unread {
			out = append(out, t)
		}
	}
	if len(out) == 0 && len(all) == 1 {
		return all // nobody reads tokens here
	}
	return out
}

// sides are the requests meant and what is decided about them; ok is false when none of them can be made.
func (v *verifier) sides(f *finding, p *path) (sides [3]side, ok bool) {
	meant, always := v.meant(f)
	if len(meant) == 0 {
		return sides, false
	}
	actual := fold(p, f.class.rep.ids[0], f.token)
	if actual.verdict != Deny && !always {
		actual.unknown = actual.unknown || actual.verdict == DecisionUnknown
		actual.verdict = ""
		actual.allows = append(actual.allows, meant)
	}
	wanted := side{verdict: Deny}
	if v.r.Must {
		wanted = side{verdict: Allow}
		if !always {
			wanted = side{allows: [][][]pending{meant}}
		}
		// Whether an external authorizer agrees is its own affair: only calls that it lets pass are meant.
		actual.deny = slices.DeleteFunc(slices.Clone(actual.deny), func(c []pending) bool { return slices.ContainsFunc(c, refusal) })
		if actual.verdict == "" && len(actual.deny) == 0 && len(actual.allows) == 0 {
			actual.verdict = actual.passed()
		}
	}
	return [3]side{wanted, actual, {verdict: Deny}}, true
}

func refusal(l pending) bool { return l.key.attr.kind == attrRefused && !l.negate }

// meant specialises the requirement's own cubes; always says that one of them asks nothing.
func (v *verifier) meant(f *finding) (cubes [][]pending, always bool) {
	list, h := v.http, hop{point: PointNobody, port: f.target.port, protocol: f.proto}
	if f.proto == ProtocolTCP {
		list = v.bytes
	}
	if f.target.svc != nil && f.target.addressing == ByService {
		h.vip = true
	}
	view := view{id: f.class.rep.ids[0], port: f.target.port, http: f.proto == ProtocolHTTP}
	if f.token != nil && f.token.Valid {
		view.token = f.token
	}
	for _, c := range list {
		if view.token == nil && v.r.Token != TokenNone {
			c = c.tokenless()
		}
		if lits, ok := c.specialise(&view, &h); ok {
			cubes = append(cubes, lits)
			always = always || len(lits) == 0
		}
	}
	return cubes, always
}

// tokenless is a cube without what it asks of a token.
func (c *cube) tokenless() *cube {
	d := *c
	d.lits = slices.DeleteFunc(slices.Clone(c.lits), func(l *literal) bool { return isToken(l.attr.kind) })
	return &d
}

func (v *verifier) breach(f *finding, p *path, r Request) {
	asked := r
	asked.Protocol = effective(f.target, f.proto)
	a := v.worlds[0].follow(p, &asked, f.class.rep.ids[0], nil)
	kept := Deny
	if v.r.Must {
		kept = Allow
	}
	if a.Decision == kept {
		// The search and the evaluators must agree; if they ever do not, nothing is proven, and that is what is said.
		v.unclear[r.words()+": the solver contradicts itself here; please report it"] = true
		return
	}
	if len(v.out.Breaches) == v.r.Max {
		v.out.More++
		return
	}
	v.out.Breaches = append(v.out.Breaches, Breach{Request: r, Words: r.words(), Answer: a})
}
