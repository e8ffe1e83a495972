package authz

import (
	"fmt"
	"net/netip"
	"slices"
)

// comparison is one comparison of two worlds.
type comparison struct {
	opts    Options
	bounds  bounds
	worlds  [2]*model
	same    *correspondence
	callers *callers
	classes *classCache
	// splits remembers scenarios that had to be split.
	splits map[string]*splitResult
	// idCache remembers the identity questions of a program.
	idCache map[*program][]*idMatcher
	result  Result
	groups  map[groupKey]int
	// causes are the groups of calls by pod IP, whatever the port.
	causes  map[groupKey]int
	notes   map[string]bool
	omitted map[string]bool
	regions int
}

// groupKey are divergences of one cause at one destination.
type groupKey struct {
	kind        Kind
	pair        callerPair
	dest, after *Workload
	port        uint16
	routes      string
	was, is     string
}

func newComparison(before, after *model, same *correspondence, opts Options) *comparison {
	if opts.PerScenario == 0 {
		opts.PerScenario = 8
	}
	return &comparison{opts: opts, bounds: usualBounds, worlds: [2]*model{before, after}, same: same,
		callers: newCallers(before, after, same, opts),
		classes: &classCache{strings: map[string][]class{}}, idCache: map[*program][]*idMatcher{},
		groups: map[groupKey]int{}, causes: map[groupKey]int{}, notes: map[string]bool{}, omitted: map[string]bool{}, splits: map[string]*splitResult{}}
}

func (d *comparison) run(shard, shards int) Result {
	for _, w := range d.same.appeared {
		if d.serves(w) {
			d.omit("%s is only in the second world: calls to its pods' own addresses are not compared", w.Pods())
		}
	}
	for _, w := range d.same.vanished {
		if d.serves(w) {
			d.omit("%s is only in the first world: calls to it and by it are not compared", w.Pods())
		}
	}
	d.omitOutside()
	n := 0
	for _, c := range d.destinations() {
		if n%shards == shard {
			d.destination(c)
		}
		n++
	}
	r := &d.result
	r.Equivalent = len(r.Divergences) == 0 && len(d.omitted) == 0
	r.Notes, r.Omitted = sortedKeys(d.notes), sortedKeys(d.omitted)
	r.Stats.Regions = d.regions
	return *r
}

// omitOutside lists what differs and is not modelled.
func (d *comparison) omitOutside() {
	before, after := d.worlds[0].w.Outside, d.worlds[1].w.Outside
	for _, facts := range []map[string]string{before, after} {
		for what := range facts {
			if b, a := before[what], after[what]; b != a {
				d.omit("%s differs (%s, then %s), and what it changes is not modelled", what, given(b), given(a))
			}
		}
	}
}

// given shortens the value of a fact for a sentence.
func given(value string) string {
	const most = 60
	switch {
	case value == "":
		return "not given"
	case len(value) > most:
		return value[:most] + "..."
	}
	return value
}

// destinations lists the pods to look at as destinations. Those without counterpart are compared where a Service leads to
// them that led to others.
func (d *comparison) destinations() []counterpart {
	var out []counterpart
	for _, c := range d.same.pairs {
		if d.serves(c.after) {
			out = append(out, c)
		}
	}
	for _, w := range d.same.appeared {
		if d.serves(w) {
			out = append(out, counterpart{nil, w})
		}
	}
	return out
}

// serves reports whether a workload is looked at as a destination.
func (d *comparison) serves(w *Workload) bool {
	if w.Role == RoleWaypoint || w.Role == RoleOther {
		return false
	}
	return d.opts.Destinations == nil || d.opts.Destinations(w.Pods())
}

func (d *comparison) note(format string, args ...any) { d.notes[fmt.Sprintf(format, args...)] = true }

func (d *comparison) omit(format string, args ...any) { d.omitted[fmt.Sprintf(format, args...)] = true }

func (d *comparison) destination(c counterpart) {
	d.result.Stats.Destinations++
	before, after := d.ways(c)
	compared := false
	for _, t := range before {
		if u, ok := sameTarget(t, after); ok {
			compared = d.target(t, u) || compared
		} else if !d.leads(1, t.svc, t.svcPort) {
			d.omit("service %s:%d leads nowhere in the second world: calls by it are not compared", t.svc.name(), t.svcPort)
		}
	}
	for _, u := range after {
		if _, ok := sameTarget(u, before); !ok {
			compared = d.joined(u) || compared
		}
	}
	if !compared {
		d.result.Stats.Skipped++
	}
}

// target compares every caller and protocol at one target; it reports false when nothing that answers depend on differs.
func (d *comparison) target(t, u target) (compared bool) {
	for _, proto := range bothProtocols(t, u) {
		for _, pair := range d.callers.pairs {
			if pair.before.role == RoleGateway && t.addressing == ByPodIP {
				continue // gateways route to services
			}
			compared = d.scenario(pair, t, u, proto) || compared
		}
	}
	return compared
}

// leads reports whether a port of a Service leads anywhere in a world.
func (d *comparison) leads(side int, s *Service, port uint16) bool {
	return len(d.behind(side, s, port)) > 0
}

// behind lists the targets that a port of a Service leads to in a world.
func (d *comparison) behind(side int, s *Service, port uint16) []target {
	m := d.worlds[side]
	there := m.services[s.ref()]
	if there == nil {
		return nil
	}
	var out []target
	for _, pods := range there.Workloads {
		w := m.workloads[pods]
		if w == nil {
			continue
		}
		for _, t := range m.targets(w) {
			if t.svc == there && t.svcPort == port {
				out = append(out, t)
			}
		}
	}
	return out
}

// joined compares a target that a Service did not lead to before with those that it led to: with the first of them, unless one
// of the others decides all calls alike.
func (d *comparison) joined(u target) bool {
	stood := d.behind(0, u.svc, u.svcPort)
	if len(stood) == 0 {
		d.omit("service %s:%d leads nowhere in the first world: calls by it are not compared", u.svc.name(), u.svcPort)
		return false
	}
	var first *comparison
	for _, t := range stood {
		trial := *d
		trial.result, trial.groups, trial.causes = Result{}, map[groupKey]int{}, map[groupKey]int{}
		if !trial.target(t, u) || len(trial.result.Divergences) == 0 {
			return true
		}
		if first == nil {
			first = &trial
		}
	}
	d.regions = first.regions
	d.result.Divergences = append(d.result.Divergences, first.result.Divergences...)
	d.result.Stats.add(first.result.Stats)
	return true
}

// sameTarget finds the target that is addressed as t is.
func sameTarget(t target, list []target) (target, bool) {
	want := t.destination()
	for _, u := range list {
		got := u.destination()
		got.Workload = want.Workload
		if got == want {
			return u, true
		}
	}
	return target{}, false
}

// bothProtocols lists what callers may speak: what either world's declaration admits.
func bothProtocols(t, u target) []Protocol {
	out := protocols(t.declared)
	for _, p := range protocols(u.declared) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// effective is the protocol that Envoy sees on a port.
func effective(t target, proto Protocol) Protocol {
	if t.declared == ProtocolTCP {
		return ProtocolTCP
	}
	return proto
}

// equalTo says that two paths ask and answer the same whatever the request.
func (p *path) equalTo(q *path) bool {
	if p.failed != q.failed || p.unknown != q.unknown {
		return false
	}
	a, b := p.enforcing(), q.enforcing()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := *a[i], *b[i]
		x.point, y.point = "", ""
		x.where, y.where = Ref{}, Ref{}
		x.strictBy, y.strictBy = "", ""
		x.inner, y.inner = x.inner && x.prog.asksConnection, y.inner && y.prog.asksConnection
		if x != y {
			return false
		}
	}
	return true
}

// enforcing lists the hops that can deny.
func (p *path) enforcing() []*hop {
	var out []*hop
	for i := range p.hops {
		if h := &p.hops[i]; h.prog != nil && (!h.prog.trivial() || h.strict) {
			out = append(out, h)
		}
	}
	return out
}

// scenario compares one pair of caller modes at one target; it reports false when
// nothing that the answer depends on differs.
func (d *comparison) scenario(pair callerPair, t, u target, proto Protocol) bool {
	p := [2]path{
		d.worlds[0].route(pair.before, t, effective(t, proto)),
		d.worlds[1].route(pair.after, u, effective(u, proto)),
	}
	if pair.narrows(t) {
		p[1] = path{unknown: "the caller's sidecar may not know the service, and would then call it in plaintext", route: p[1].route}
	}
	list := d.callers.lists[pair]
	same := p[0].equalTo(&p[1])
	if same && !list.moved {
		return false
	}
	for _, c := range list.partition(d.questions(&p[0], &p[1])) {
		if same && c.rep.ids[0] == c.rep.ids[1] {
			continue
		}
		for _, tok := range tokens(&p[0], &p[1]) {
			d.result.Stats.Scenarios++
			d.solve(pair, c, t, u, proto, &p, tok)
		}
	}
	return true
}

// narrows says that a caller gets a sidecar that may not know the service, and so may lose its identity.
// Which services such a sidecar knows is not modelled; where it stays as it was, nothing changes.
func (p callerPair) narrows(t target) bool {
	return p.becomesNarrow() && t.addressing != ByPodIP
}

// questions lists what the programs on both paths ask about the caller's own identity.
func (d *comparison) questions(paths ...*path) []question {
	var out []question
	for side, p := range paths {
		for i := range p.hops {
			h := &p.hops[i]
			if h.who == whoWaypoint || h.prog == nil {
				continue // what nobody's identity is asked about matters to the named path
			}
			for _, m := range d.identityQuestions(h.prog) {
				if q := (question{side, m}); !slices.Contains(out, q) {
					out = append(out, q)
				}
			}
		}
	}
	return out
}

func (d *comparison) identityQuestions(p *program) []*idMatcher {
	if l, ok := d.idCache[p]; ok {
		return l
	}
	seen := map[*idMatcher]bool{}
	var out []*idMatcher
	for _, list := range [2][]*cube{p.deny, p.allow} {
		for _, c := range list {
			for _, l := range c.lits {
				for _, m := range l.ids {
					if !seen[m] {
						seen[m] = true
						out = append(out, m)
					}
				}
			}
		}
	}
	d.idCache[p] = out
	return out
}

// tokens lists the classes of tokens that the JWT filters on the way tell apart: none,
// one per rule that accepts it, and one per place that no rule there accepts.
func tokens(paths ...*path) []*Token {
	out := []*Token{nil}
	seen := map[[3]string]bool{}
	places := map[string]bool{}
	for _, p := range paths {
		for i := range p.hops {
			h := &p.hops[i]
			if h.prog == nil || h.protocol != ProtocolHTTP {
				continue
			}
			for i := range h.prog.jwt {
				r := &h.prog.jwt[i]
				list := r.Places
				if len(list) == 0 {
					list = []string{""}
				}
				for _, place := range list {
					places[place] = true
					if k := [3]string{r.Issuer, r.Material, place}; !seen[k] {
						seen[k] = true
						out = append(out, &Token{Valid: true, Issuer: r.Issuer, Place: place, material: r.Material})
					}
				}
			}
		}
	}
	for _, p := range sortedKeys(places) {
		out = append(out, &Token{Place: p})
	}
	return out
}

// solve searches one scenario and records what it finds.
func (d *comparison) solve(pair callerPair, c callerClass, t, u target, proto Protocol, p *[2]path, tok *Token) {
	sides := foldAll(pair, c.rep.ids, p, tok)
	found := &finding{d: d, pair: pair, class: c, target: t, after: u, proto: proto, paths: p, token: tok}
	if sides[sideBefore].verdict != "" && sides[sideAfter].verdict != "" && sides[sideNamed].verdict != "" {
		d.regions++
		if differ(sides[sideBefore].verdict, sides[sideAfter].verdict) {
			found.record(nil, nil, sides[sideNamed].verdict)
		}
		return
	}
	kept := map[[3]Decision]int{}
	record := func(prob *problem, assign []int, verdicts [3]Decision) more {
		if kept[verdicts]++; kept[verdicts] > d.opts.PerScenario {
			return otherSorts
		}
		found.record(prob, assign, verdicts[sideNamed])
		return goOn
	}
	if !d.decide(withoutPreflights(sides, tok), d.environment(t, u), found, record) {
		found.tooLarge()
	}
}

// foldAll folds both worlds' paths, and the first world's as it would be with the caller's identity seen.
func foldAll(pair callerPair, ids [2]identity, p *[2]path, tok *Token) [3]side {
	sides := [3]side{fold(&p[0], ids[0], tok), fold(&p[1], ids[1], tok), {verdict: Deny}}
	if named, gains := p[0].named(pair, ids[0]); gains {
		sides[sideNamed] = fold(&named, ids[0], tok)
	}
	return sides
}

// environment gives the values that both worlds know of a target.
func (d *comparison) environment(t, u target) *environment {
	return &environment{preferred: func(k attrKind) []string { return preferred(k, t) },
		known: func(pl place) []netip.Addr { return knownAddresses(pl, t, u) }, classes: d.classes}
}

// preferred are values that read well, tried before made-up ones.
func preferred(k attrKind, t target) []string {
	switch k {
	case attrMethod:
		return []string{"GET", "POST", "DELETE", "PUT"}
	case attrPath:
		return []string{"/"}
	case attrHost:
		if t.svc != nil {
			return []string{t.svc.Name}
		}
		return []string{"host.example"}
	case attrSubject:
		return []string{"someone"}
	}
	return nil
}

// knownAddresses gives the addresses a destination has, nil when they are not known in
// both worlds alike.
func knownAddresses(pl place, t, u target) []netip.Addr {
	a, b := t.w.IPs, u.w.IPs
	if pl == placeVIP {
		if t.svc == nil || u.svc == nil {
			return nil
		}
		a, b = t.svc.VIPs, u.svc.VIPs
	}
	if slices.Equal(a, b) {
		return a
	}
	return nil
}
