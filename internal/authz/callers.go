package authz

import (
	"sort"
	"strings"
)

// callerPair is how a caller calls before and after.
type callerPair struct {
	before, after callerKind
}

// caller is an identity that calls in one pair of modes, with the workload that bears it.
type caller struct {
	id       identity
	workload *Ref
	// workloads counts those with the same identity and modes.
	workloads int
}

// callers are all who may call, by pair.
type callers struct {
	pairs []callerPair
	list  map[callerPair][]caller
	// byPrincipal finds callers by identity, within a pair.
	byPrincipal map[callerPair]map[string]int
	// ids number the pairs.
	ids     map[callerPair]int
	matches map[matchKey][]int32
}

type matchKey struct {
	pair int
	m    *idMatcher
}

// outsider is a caller outside the mesh in both worlds.
var outsider = callerPair{callerKind{mode: ModeNone, role: RoleApplication}, callerKind{mode: ModeNone, role: RoleApplication}}

// newCallers gathers every workload that exists in both worlds, a caller outside the
// mesh, and the identities that policies name but no workload bears: a workload may take
// such an identity tomorrow. Those call in the ways that their namespace's workloads do,
// or, when it has none, in the most common way.
func newCallers(before, after *model, opts Options) *callers {
	c := &callers{list: map[callerPair][]caller{}, byPrincipal: map[callerPair]map[string]int{}, ids: map[callerPair]int{}, matches: map[matchKey][]int32{}}
	c.add(outsider, identity{}, nil)
	byNamespace := map[string]map[callerPair]bool{}
	count := map[callerPair]int{}
	for _, wa := range after.sortedWorkloads() {
		wb := before.workloads[wa.Ref]
		if wb == nil || wa.Role == RoleWaypoint || wa.Role == RoleOther || wa.Role == RoleExternal {
			continue
		}
		pair := callerPair{kindOf(wb), kindOf(wa)}
		if !pair.becomesNarrow() {
			pair.before.narrow, pair.after.narrow = false, false // makes no difference
		}
		id := identity{}
		if pair.before.mode != ModeNone || pair.after.mode != ModeNone {
			id = makeIdentity(wa.identityInMesh(after.cfg))
		}
		c.add(pair, id, &wa.Ref)
		if pair != outsider && wa.Role != RoleGateway {
			count[pair]++
			if byNamespace[wa.Ref.Namespace] == nil {
				byNamespace[wa.Ref.Namespace] = map[callerPair]bool{}
			}
			byNamespace[wa.Ref.Namespace][pair] = true
		}
	}
	if !opts.OnlyWorkloads {
		c.addNamed(before, after, byNamespace, mostCommon(count))
	}
	for p := range c.list {
		c.pairs = append(c.pairs, p)
	}
	sort.Slice(c.pairs, func(i, j int) bool { return c.pairs[i].words() < c.pairs[j].words() })
	return c
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
	if k.hbone {
		s += " hbone"
	}
	if k.narrow {
		s += " narrow"
	}
	if k.scope != "" {
		s += " in " + k.scope
	}
	return s
}

func (c *callers) add(p callerPair, id identity, w *Ref) {
	if c.byPrincipal[p] == nil {
		c.byPrincipal[p] = map[string]int{}
		c.ids[p] = len(c.ids)
	}
	if i, ok := c.byPrincipal[p][id.principal]; ok {
		c.list[p][i].workloads++
		if c.list[p][i].workload == nil {
			c.list[p][i].workload = w
		}
		return
	}
	c.byPrincipal[p][id.principal] = len(c.list[p])
	n := 0
	if w != nil {
		n = 1
	}
	c.list[p] = append(c.list[p], caller{id: id, workload: w, workloads: n})
}

// addNamed adds an example of every identity that policies of either world name, and
// one that none names.
func (c *callers) addNamed(before, after *model, byNamespace map[string]map[callerPair]bool, common callerPair) {
	examples := map[string]bool{exampleTD + "/ns/" + exampleName + "/sa/" + exampleName: true}
	for ns := range byNamespace {
		examples[exampleTD+"/ns/"+ns+"/sa/"+exampleName] = true
	}
	for _, m := range []*model{before, after} {
		for i := range m.w.Policies.Authorization {
			p := &m.w.Policies.Authorization[i]
			for _, ex := range p.identityExamples() {
				examples[ex] = true
			}
		}
	}
	waypoints := map[string]bool{}
	for _, m := range []*model{before, after} {
		for i := range m.w.Waypoints {
			waypoints[m.w.Waypoints[i].Principal(m.cfg)] = true
		}
	}
	for _, ex := range sortedKeys(examples) {
		id := makeIdentity(strings.Replace(ex, exampleTD, after.cfg.trustDomain(), 1))
		if waypoints[id.principal] {
			continue // a waypoint makes no calls of its own
		}
		pairs := byNamespace[id.ns]
		if len(pairs) == 0 {
			if common == (callerPair{}) {
				continue // nobody is in the mesh
			}
			pairs = map[callerPair]bool{common: true}
		}
		for p := range pairs {
			c.add(p, id, nil)
		}
	}
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

// matching lists the callers of a pair, and of its number, that a matcher matches.
func (c *callers) matching(p callerPair, pair int, m *idMatcher) []int32 {
	key := matchKey{pair, m}
	if l, ok := c.matches[key]; ok {
		return l
	}
	var out []int32
	if m.exact != "" {
		if i, ok := c.byPrincipal[p][m.exact]; ok {
			out = append(out, int32(i))
		}
	} else {
		for i := range c.list[p] {
			if m.match(c.list[p][i].id) {
				out = append(out, int32(i))
			}
		}
	}
	c.matches[key] = out
	return out
}

// callerClass are callers that no policy at hand tells apart.
type callerClass struct {
	rep    caller
	others int
	// members are their places in the list of the pair; nil stands for all that are in no
	// other class.
	members []int32
}

// partition groups the callers of a pair by which matchers match them. Matchers that
// match most callers are followed through the few that they do not match.
func (c *callers) partition(p callerPair, matchers []*idMatcher) []callerClass {
	list, pair := c.list[p], c.ids[p]
	sig := map[int32][]int16{}
	for n, m := range matchers {
		hits := c.matching(p, pair, m)
		if len(hits)*2 <= len(list) {
			for _, i := range hits {
				sig[i] = append(sig[i], int16(n))
			}
			continue
		}
		in := make(map[int32]bool, len(hits))
		for _, i := range hits {
			in[i] = true
		}
		for i := range list {
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
	sort.Slice(touched, func(i, j int) bool { return touched[i] < touched[j] })
	for _, i := range touched {
		var b strings.Builder
		for _, n := range sig[i] {
			b.WriteByte(byte(n))
			b.WriteByte(byte(n >> 8))
		}
		if g, ok := groups[b.String()]; ok {
			out[g].join(list[i])
			out[g].members = append(out[g].members, i)
			continue
		}
		groups[b.String()] = len(out)
		out = append(out, callerClass{rep: list[i], members: []int32{i}})
	}
	if rest := len(list) - len(touched); rest > 0 {
		for i := range list {
			if _, ok := sig[int32(i)]; !ok {
				out = append(out, callerClass{rep: list[i], others: rest - 1})
				break
			}
		}
	}
	return out
}

// join adds a caller to a class; one with a workload represents it better.
func (c *callerClass) join(o caller) {
	c.others++
	if c.rep.workload == nil && o.workload != nil {
		c.rep = o
	}
}
