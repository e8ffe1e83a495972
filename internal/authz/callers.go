package authz

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// callerPair is how a caller calls before and after.
type callerPair struct {
	before, after callerKind
}

// caller is one that calls in one pair of ways, by the identity that it has in each state.
type caller struct {
	ids [2]identity
	// bearers are the workloads that bear it; none where only policies name it.
	bearers []counterpart
}

// pods names the first workload that bears the identity: as it is called after the change.
func (c *caller) pods() *Pods {
	if len(c.bearers) == 0 {
		return nil
	}
	return c.bearers[0].pods()
}

// callerList are the callers of one pair, numbered by their places.
type callerList struct {
	pair  callerPair
	list  []caller
	index map[[2]string]int
	// bySide finds them by identity in one of the states.
	bySide [2]map[string][]int32
	// moved says that some caller has another identity afterwards.
	moved   bool
	matches map[question][]int32
}

// question is what a policy of one of the states asks about a caller's identity.
type question struct {
	side int
	m    *idMatcher
}

// callers are all who may call, by pair.
type callers struct {
	pairs []callerPair
	lists map[callerPair]*callerList
}

// outsider is a caller outside the mesh in both worlds.
var outsider = callerPair{callerKind{mode: ModeNone, role: RoleApplication}, callerKind{mode: ModeNone, role: RoleApplication}}

// newCallers gathers every workload of the second world, a caller outside the mesh, and the identities that
// policies name but no workload bears: a workload may take such an identity tomorrow. Those call in the ways
// that their namespace's workloads do, or, when it has none, in the most common way. A workload that is only in
// the second world is taken to call as if it had been there before: what it may do that it could not have done
// is then due to the rest of the change.
func newCallers(before, after *model, same *correspondence, opts Options) *callers {
	c := &callers{lists: map[callerPair]*callerList{}}
	c.add(outsider, [2]identity{}, nil)
	byNamespace := map[string]map[callerPair]bool{}
	count := map[callerPair]int{}
	add := func(cp counterpart) {
		wb, wa := cp.before, cp.after
		if !calls(wa) {
			return
		}
		pair := callerPair{kindOf(wb), kindOf(wa)}
		if !pair.becomesNarrow() {
			pair.before.narrow, pair.after.narrow = false, false // makes no difference
		}
		var ids [2]identity
		if pair.before.mode != ModeNone || pair.after.mode != ModeNone {
			ids = [2]identity{makeIdentity(wb.identityInMesh(before.cfg)), makeIdentity(wa.identityInMesh(after.cfg))}
		}
		c.add(pair, ids, &cp)
		if pair != outsider && wa.Role != RoleGateway {
			count[pair]++
			if byNamespace[wa.Ref.Namespace] == nil {
				byNamespace[wa.Ref.Namespace] = map[callerPair]bool{}
			}
			byNamespace[wa.Ref.Namespace][pair] = true
		}
	}
	for _, cp := range same.pairs {
		add(cp)
	}
	for _, w := range same.appeared {
		add(counterpart{w, w})
	}
	if !opts.OnlyWorkloads {
		c.addNamed(before, after, byNamespace, usualWays(count, opts.EveryWay))
	}
	c.choose(opts.Callers)
	for p := range c.lists {
		c.pairs = append(c.pairs, p)
	}
	sort.Slice(c.pairs, func(i, j int) bool { return c.pairs[i].words() < c.pairs[j].words() })
	return c
}

// calls reports whether a workload makes calls that policies are asked about.
func calls(w *Workload) bool {
	return w.Role != RoleWaypoint && w.Role != RoleOther && w.Role != RoleExternal
}

// usualWays are those in which identities call whose namespaces have no workloads: the most common one, or all.
func usualWays(count map[callerPair]int, every bool) map[callerPair]bool {
	if !every {
		if common := mostCommon(count); common != (callerPair{}) {
			return map[callerPair]bool{common: true}
		}
		return nil // nobody is in the mesh
	}
	out := map[callerPair]bool{}
	for p := range count {
		out[p] = true
	}
	return out
}

func mostCommon(count map[callerPair]int) callerPair {
	var best callerPair
	for p, n := range count {
		if m := count[best]; n > m || (n == m && p.words() < best.words()) {
			best = p
		}
	}
	return best
}

// becomesNarrow says that the caller gets a sidecar that may not know every service.
func (p callerPair) becomesNarrow() bool { return p.after.narrow && !p.before.narrow }

func (p callerPair) words() string { return p.before.words() + " -> " + p.after.words() }

func (k callerKind) words() string {
	s := string(k.role) + " " + string(k.mode)
	if k.plain {
		s += " without HBONE"
	}
	if k.narrow {
		s += " narrow"
	}
	if k.scope != "" {
		s += " in " + k.scope
	}
	return s
}

func (c *callers) add(p callerPair, ids [2]identity, by *counterpart) {
	l := c.lists[p]
	if l == nil {
		l = &callerList{pair: p, index: map[[2]string]int{}, matches: map[question][]int32{}}
		c.lists[p] = l
	}
	l.add(ids, by)
}

func (l *callerList) add(ids [2]identity, by *counterpart) {
	key := [2]string{ids[0].principal, ids[1].principal}
	i, ok := l.index[key]
	if !ok {
		i = len(l.list)
		l.index[key] = i
		l.list = append(l.list, caller{ids: ids})
		l.moved = l.moved || key[0] != key[1]
		for side := range ids {
			if l.bySide[side] == nil {
				l.bySide[side] = map[string][]int32{}
			}
			l.bySide[side][key[side]] = append(l.bySide[side][key[side]], int32(i))
		}
	}
	if by != nil {
		l.list[i].bearers = append(l.list[i].bearers, *by)
	}
}

// choose leaves out the callers that are not wanted.
func (c *callers) choose(want func(Caller) bool) {
	if want == nil {
		return
	}
	for p, old := range c.lists {
		delete(c.lists, p)
		for i := range old.list {
			x := &old.list[i]
			if len(x.bearers) == 0 {
				if want(old.caller(x, nil)) {
					c.add(p, x.ids, nil)
				}
				continue
			}
			for _, by := range x.bearers {
				if want(old.caller(x, by.pods())) {
					c.add(p, x.ids, &by)
				}
			}
		}
	}
}

// caller describes one of the list, as borne by a workload.
func (l *callerList) caller(x *caller, by *Pods) Caller {
	c := Caller{Principal: x.ids[0].principal, Workload: by, Mode: l.pair.before.mode}
	if l.pair.after.mode != l.pair.before.mode {
		c.ModeAfter = l.pair.after.mode
	}
	if x.ids[1].principal != x.ids[0].principal {
		c.PrincipalAfter = x.ids[1].principal
	}
	return c
}

// addNamed adds an example of every identity that policies of either world name, and
// one that none names.
func (c *callers) addNamed(before, after *model, byNamespace map[string]map[callerPair]bool, elsewhere map[callerPair]bool) {
	examples := map[string]bool{exampleTD + "/ns/" + exampleName + "/sa/" + exampleName: true}
	for ns := range byNamespace {
		examples[exampleTD+"/ns/"+ns+"/sa/"+exampleName] = true
	}
	waypoints := [2]map[string]bool{{}, {}}
	for side, m := range []*model{before, after} {
		for i := range m.w.Policies.Authorization {
			for _, ex := range m.w.Policies.Authorization[i].identityExamples() {
				examples[ex] = true
			}
		}
		for i := range m.w.Waypoints {
			waypoints[side][m.w.Waypoints[i].Principal(m.cfg)] = true
		}
	}
	for _, ex := range sortedKeys(examples) {
		ids := identities(ex, before.cfg.trustDomain(), after.cfg.trustDomain())
		if waypoints[0][ids[0].principal] || waypoints[1][ids[1].principal] {
			continue // a waypoint makes no calls of its own
		}
		pairs := byNamespace[ids[1].ns]
		if len(pairs) == 0 {
			pairs = elsewhere
		}
		for p := range pairs {
			c.add(p, ids, nil)
		}
	}
}

// identities gives the identity that an example stands for in each state. One of the mesh's own trust domain
// changes with it, as that of every workload does.
func identities(example, before, after string) [2]identity {
	out := [2]string{strings.Replace(example, exampleTD, before, 1), strings.Replace(example, exampleTD, after, 1)}
	if td, rest, ok := strings.Cut(example, "/"); ok && (td == before || td == after) {
		out = [2]string{before + "/" + rest, after + "/" + rest}
	}
	return [2]identity{makeIdentity(out[0]), makeIdentity(out[1])}
}

// identityExamples gives an identity for each value of the source fields.
func (p *AuthorizationPolicy) identityExamples() []string {
	var out []string
	add := func(values []string, f func(string) *idMatcher) {
		for _, v := range values {
			if m := f(v); m.example != "" {
				out = append(out, m.example)
			}
		}
	}
	sa := func(v string) *idMatcher { return ztunnelServiceAccount(p.Namespace, v) }
	for i := range p.Rules {
		for j := range p.Rules[i].From {
			s := &p.Rules[i].From[j]
			add(append(append([]string(nil), s.Principals...), s.NotPrincipals...), envoyPrincipal)
			add(append(append([]string(nil), s.Namespaces...), s.NotNamespaces...), ztunnelNamespace)
			add(append(append([]string(nil), s.ServiceAccounts...), s.NotServiceAccounts...), sa)
			add(append(append([]string(nil), s.TrustDomains...), s.NotTrustDomains...), envoyTrustDomain)
		}
		for _, w := range p.Rules[i].When {
			values := append(append([]string(nil), w.Values...), w.NotValues...)
			switch w.Key {
			case keySourcePrincipal:
				add(values, envoyPrincipal)
			case keySourceNamespace:
				add(values, ztunnelNamespace)
			case keySourceSA:
				add(values, sa)
			case keySourceTD:
				add(values, envoyTrustDomain)
			}
		}
	}
	return out
}

// matching lists the callers of a pair that a policy's question is true of.
func (l *callerList) matching(q question) []int32 {
	if list, ok := l.matches[q]; ok {
		return list
	}
	var out []int32
	if q.m.exact != "" {
		out = l.bySide[q.side][q.m.exact]
	} else {
		for i := range l.list {
			if q.m.match(l.list[i].ids[q.side]) {
				out = append(out, int32(i))
			}
		}
	}
	l.matches[q] = out
	return out
}

// callerClass are callers that no policy at hand tells apart.
type callerClass struct {
	rep  caller
	from *callerList
	// members are their places in the list; where rest is set they are all others.
	members []int32
	rest    bool
}

// size counts the identities of a class.
func (c *callerClass) size() int {
	if c.rest {
		return len(c.from.list) - len(c.members)
	}
	return len(c.members)
}

// places lists the places of a class in its list.
func (c *callerClass) places() iter.Seq[int32] {
	if !c.rest {
		return slices.Values(c.members)
	}
	return func(yield func(int32) bool) {
		except := c.members
		for i := range c.from.list {
			if len(except) > 0 && except[0] == int32(i) {
				except = except[1:]
				continue
			}
			if !yield(int32(i)) {
				return
			}
		}
	}
}

// partition groups the callers of a pair by what policies' questions are true of them. Questions that are
// true of most callers are followed through the few that they are not true of.
func (l *callerList) partition(questions []question) []callerClass {
	if !l.moved {
		questions = onOneSide(questions)
	}
	sig := map[int32][]int16{}
	for n, q := range questions {
		hits := l.matching(q)
		if len(hits)*2 <= len(l.list) {
			for _, i := range hits {
				sig[i] = append(sig[i], int16(n))
			}
			continue
		}
		in := make(map[int32]bool, len(hits))
		for _, i := range hits {
			in[i] = true
		}
		for i := range l.list {
			if !in[int32(i)] {
				sig[int32(i)] = append(sig[int32(i)], int16(n))
			}
		}
	}
	groups := map[string]int{}
	var out []callerClass
	touched := make([]int32, 0, len(sig))
	for i := range sig {
		touched = append(touched, i)
	}
	slices.Sort(touched)
	for _, i := range touched {
		var b strings.Builder
		for _, n := range sig[i] {
			b.WriteByte(byte(n))
			b.WriteByte(byte(n >> 8))
		}
		if g, ok := groups[b.String()]; ok {
			out[g].join(i)
			continue
		}
		groups[b.String()] = len(out)
		out = append(out, callerClass{rep: l.list[i], from: l, members: []int32{i}})
	}
	if len(l.list) > len(touched) {
		rest := callerClass{from: l, members: touched, rest: true}
		for i := range rest.places() {
			rest.rep = l.list[i]
			break
		}
		out = append(out, rest)
	}
	return out
}

// onOneSide leaves out what is asked twice where every caller is the same in both states.
func onOneSide(questions []question) []question {
	out := make([]question, 0, len(questions))
	for _, q := range questions {
		q.side = 0
		if !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	return out
}

// join adds a caller to a class; one with a workload represents it better.
func (c *callerClass) join(i int32) {
	c.members = append(c.members, i)
	if o := c.from.list[i]; len(c.rep.bearers) == 0 && len(o.bearers) > 0 {
		c.rep = o
	}
}

// CallerSet are all callers that a divergence is about.
type CallerSet struct{ classes []callerClass }

// All lists them: every workload, then, without a workload, every identity that only policies name, and the
// caller outside the mesh.
func (s CallerSet) All() iter.Seq[Caller] {
	return func(yield func(Caller) bool) {
		for i := range s.classes {
			c := &s.classes[i]
			for place := range c.places() {
				x := &c.from.list[place]
				if len(x.bearers) == 0 && !yield(c.from.caller(x, nil)) {
					return
				}
				for _, by := range x.bearers {
					if !yield(c.from.caller(x, by.pods())) {
						return
					}
				}
			}
		}
	}
}
