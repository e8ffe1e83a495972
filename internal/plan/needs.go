package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// edge is a set of callers with one fate at one destination: what a need is made of. Callers are kept as a set, since there can
// be as many as workloads.
type edge struct {
	to int
	// toNew and fromNew say whose pods: those after the move or those before.
	toNew, fromNew bool
	bits           callBits
	port           uint16
	headless       bool
	from           bitset
	// outside tells that a caller outside the mesh that is no workload is among them.
	outside bool
	// example is the divergence of one of them.
	example authz.Divergence
}

type edgeKey struct {
	to                       int
	toNew, fromNew, headless bool
	bits                     callBits
	port                     uint16
}

// bitset is a set of places in Mesh.Workloads.
type bitset []uint64

func (s bitset) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s bitset) set(i int)      { s[i>>6] |= 1 << (i & 63) }

// edges gathers the refused calls of a comparison by destination.
func (b *search) edges(r *authz.Result) []*edge {
	byKey := map[edgeKey]*edge{}
	var out []*edge
	for i := range r.Divergences {
		d := &r.Divergences[i]
		if d.Kind != authz.Stricter {
			continue
		}
		to, ok := b.index[refOf(d.Request.To.Workload)]
		if !ok {
			continue // a destination outside the mesh has no pods to move
		}
		for c := range d.Callers.All() {
			from, borne := b.place(c)
			if !borne && c.Principal != "" {
				continue // nobody bears the identity
			}
			key := edgeKey{to: to, toNew: isNew(d.Request.To.Workload), headless: d.Request.To.Addressing == authz.ByHeadless, bits: byService}
			if d.Request.To.Addressing == authz.ByPodIP {
				key.bits, key.port = byPodIP, d.Request.To.Port
			}
			key.fromNew = borne && c.Workload != nil && isNew(*c.Workload)
			e := byKey[key]
			if e == nil {
				e = &edge{to: to, toNew: key.toNew, fromNew: key.fromNew, bits: key.bits, port: key.port, headless: key.headless,
					from: make(bitset, (len(b.start.Workloads)+63)/64), example: *d}
				byKey[key] = e
				out = append(out, e)
			}
			if borne {
				e.from.set(from)
			} else {
				e.outside = true
			}
		}
	}
	return out
}

// order is what has to come before what.
type order struct {
	*search
	// graph has a node for each workload; an edge says that the first has moved before the other starts. Those of soft are
	// respected where that costs nothing: they rest on no evidence, and whoever moves is asked beforehand (see link.soft).
	graph, soft *precedence
	// links are the needs behind the edges into a workload; pinned says what keeps one.
	links  map[int][]link
	pinned map[int][]pin
	// asked are the destinations that a caller, before it moves, must be seen not to call.
	asked map[int][]int
	// needs are those that are kept, dropped those that the evidence speaks against.
	needs, dropped []*Need
}

// link is a need with the places that it says have to move first.
type link struct {
	need  *Need
	first []int
	// soft says that a caller would be refused by a destination that is still to move, and that nobody knows whether it calls.
	// The caller's own sidecar can tell before it moves.
	soft bool
}

// pin is a reason for which a workload cannot move, with the workloads behind it.
type pin struct {
	by   []int
	need *Need
	code string
}

func (b *search) newOrder() *order {
	return &order{search: b, graph: newPrecedence(len(b.start.Workloads)), soft: newPrecedence(len(b.start.Workloads)), links: map[int][]link{}, pinned: map[int][]pin{}, asked: map[int][]int{}}
}

// bucket is what callers of one edge have in common.
type bucket struct {
	evidence Evidence
	kept     bool
	// code says that it pins, and why.
	code string
}

// pair is one caller's part of an edge: who has to have moved before whom.
type pair struct{ from, first, then int }

// add turns the refused calls of a state into needs, as far as somebody is known to make them.
func (o *order) add(edges []*edge) {
	for _, e := range edges {
		buckets := map[bucket][]pair{}
		var keys []bucket
		see := func(from int) {
			first, then, code := o.ends(e, from)
			if then < 0 {
				return // nobody who moves is concerned
			}
			k := bucket{evidence: o.who.of(from, e.to, e.bits, e.port)}
			if k.kept = o.who.kept(k.evidence, from, e.to, e.bits); k.kept {
				k.code = code
			}
			if buckets[k] == nil {
				keys = append(keys, k)
			}
			buckets[k] = append(buckets[k], pair{from, first, then})
		}
		for from := range o.start.Workloads {
			if e.from.has(from) {
				see(from)
			}
		}
		if e.outside {
			see(outside)
		}
		for _, k := range keys {
			o.settleBucket(e, k, buckets[k])
		}
	}
}

// settleBucket makes one need of the callers that have everything in common.
func (o *order) settleBucket(e *edge, k bucket, pairs []pair) {
	n := &Need{Reason: reasonOf(e), Evidence: k.evidence, Request: e.example.Request, Words: e.example.Words, Before: e.example.Before, After: e.example.After}
	o.describe(n, pairs[0].from)
	firsts, thens := map[int]bool{}, map[int]bool{}
	for _, p := range pairs {
		firsts[p.first], thens[p.then] = true, true
	}
	n.First, n.Then = o.event(MoveEnd, firsts), o.event(MoveStart, thens)
	if !k.kept {
		o.dropped = append(o.dropped, n)
		return
	}
	soft := k.evidence == Possible && e.fromNew && !e.toNew
	if soft && k.code != "" {
		o.dropped = append(o.dropped, n)
		for _, p := range pairs {
			o.asked[p.then] = append(o.asked[p.then], p.first)
		}
		return
	}
	o.needs = append(o.needs, n)
	byThen := map[int][]int{}
	for _, p := range pairs {
		byThen[p.then] = append(byThen[p.then], p.first)
	}
	for then, first := range byThen {
		slices.Sort(first)
		if soft {
			o.links[then] = append(o.links[then], link{n, first, true})
			for _, f := range first {
				o.soft.add(f, then)
			}
			continue
		}
		if o.accepts(then, k.code) {
			continue
		}
		if k.code != "" {
			o.pinned[then] = append(o.pinned[then], pin{by: first, need: n, code: k.code})
			continue
		}
		o.links[then] = append(o.links[then], link{n, first, false})
		for _, f := range first {
			o.graph.add(f, then)
		}
	}
}

// ends says which of the two ends of a refused call has to have moved first, and which then may: a caller with a sidecar before the
// pods that only a waypoint may call; a destination with a sidecar before ambient callers. Code is set where the first cannot move.
// A call that is refused in the end, whoever goes first, holds its destination, or its caller where the destination does not move.
func (o *order) ends(e *edge, from int) (first, then int, code string) {
	switch {
	case e.fromNew && !o.moves(e.to):
		return e.to, from, CodePinned
	case e.fromNew && e.toNew:
		return from, e.to, CodeRefused
	case e.fromNew:
		return e.to, from, ""
	}
	if then = e.to; !o.moves(then) {
		then = o.coupled(e.to)
	}
	switch {
	case o.moves(from):
		return from, then, ""
	case from == outside || o.start.Workloads[from].Mode == mesh.None:
		return from, then, CodeOutside
	}
	return from, then, CodePinned
}

// coupled is one of the movers behind a headless Service of a destination that itself stays: the first of them without a sidecar
// takes mutual TLS from all (BestEffortInferServiceMTLSMode).
func (o *order) coupled(to int) int {
	for _, s := range o.start.Workloads[to].Services {
		if !s.Headless {
			continue
		}
		for _, w := range s.Workloads {
			if i := o.index[w.Ref]; o.moves(i) {
				return i
			}
		}
	}
	return -1
}

// describe puts the caller at hand into the request, whose example may be another one of its class.
func (o *order) describe(n *Need, from int) {
	if from == outside {
		return
	}
	w := o.start.Workloads[from]
	n.Request.From.Others = 0
	n.Words = wordsFrom(n.Words, w.Ref)
	if c := n.Request.From.Workload; c != nil && refOf(*c) == w.Ref {
		return
	}
	n.Request.From.Workload = &authz.Pods{Ref: authz.Ref{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}}
	n.Request.From.Principal = w.Principal
	if w.Mode == mesh.None {
		n.Request.From.Principal = ""
	}
}

// wordsFrom puts another caller into a request's words.
func wordsFrom(words string, caller mesh.Ref) string {
	i := strings.LastIndex(words, " from ")
	if i < 0 {
		return words
	}
	j := strings.Index(words[i:], " to ")
	if j < 0 {
		return words
	}
	return words[:i] + " from " + caller.Namespace + "/" + caller.Name + words[i+j:]
}

// event names a moment of workloads, the first of them by itself.
func (o *order) event(kind EventKind, places map[int]bool) Event {
	var list []int
	for i := range places {
		list = append(list, i)
	}
	slices.Sort(list)
	e := Event{Kind: kind}
	for n, i := range list {
		r := mesh.Ref{Kind: "Caller", Name: "outside the mesh"}
		if i >= 0 {
			r = o.start.Workloads[i].Ref
		}
		if n == 0 {
			e.Subject = r
		} else {
			e.Others = append(e.Others, r)
		}
	}
	return e
}

var evidenceRank = map[Evidence]int{Always: 4, Observed: 3, Declared: 2, Possible: 1, Refuted: 0}

// reasonOf explains a refused call.
func reasonOf(e *edge) Reason {
	d := &e.example
	switch {
	case d.After.By == authz.PointNetwork:
		return ReasonRefused
	case e.headless, plaintext(&d.After):
		return ReasonPlaintext
	case e.fromNew && !e.toNew:
		return ReasonAddress
	case e.toNew && !passedWaypoint(&d.After):
		return ReasonBypass
	}
	return ReasonRefused
}

// plaintext reports whether the last point saw no identity.
func plaintext(a *authz.Answer) bool {
	return len(a.Hops) > 0 && a.Hops[len(a.Hops)-1].Principal == ""
}

// resolve decides who cannot move: whoever waits for somebody who cannot, and whoever waits for himself. What is left has an order.
func (o *order) resolve() {
	for _, key := range sortedPairs(o.before) {
		n := o.securityNeed(key)
		switch {
		case !o.moves(key[1]):
			continue
		case o.moves(key[0]):
			o.links[key[1]] = append(o.links[key[1]], link{n, []int{key[0]}, false})
			o.graph.add(key[0], key[1])
		default:
			o.pinned[key[1]] = append(o.pinned[key[1]], pin{[]int{key[0]}, n, CodeWeaker})
		}
		o.needs = append(o.needs, n)
	}
	o.graph.tidy()
	stuck := o.stuck()
	var staying []int
	for i, s := range stuck {
		if s && o.moves(i) {
			staying = append(staying, i)
		}
	}
	for _, i := range staying {
		o.stay(i)
	}
	o.soften()
}

// soften adds those soft edges to the order that it can have: between workloads that move, and in no cycle. Of the others the
// caller is asked.
func (o *order) soften() {
	o.soft.tidy()
	both := newPrecedence(len(o.movers))
	for a := range both.after {
		both.after[a] = append(slices.Clone(o.graph.after[a]), o.soft.after[a]...)
	}
	both.tidy()
	component := make([]int, len(o.movers))
	for n, set := range both.cycles() {
		for _, i := range set {
			component[i] = n + 1
		}
	}
	for a := range o.soft.after {
		for _, then := range o.soft.after[a] {
			if !o.moves(int(then)) {
				continue
			}
			if o.moves(a) && (component[a] == 0 || component[a] != component[then]) {
				o.graph.add(a, int(then))
				continue
			}
			o.asked[int(then)] = append(o.asked[int(then)], a)
		}
	}
	o.graph.tidy()
}

func sortedPairs[V any](m map[[2]int]V) [][2]int {
	out := make([][2]int, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return out
}

// stuck marks everybody who cannot move, and says why.
func (o *order) stuck() []bool {
	var roots []int
	for i := range o.pinned {
		roots = append(roots, i)
	}
	for _, set := range o.cyclesLeft() {
		for _, i := range set {
			code := cycleCode(set)
			if len(o.waitsIn(i, set)) == 0 {
				code = CodeWeaker // to give up its calls would not do
			}
			o.pinned[i] = append(o.pinned[i], pin{by: set, code: code, need: o.linkFrom(i, set)})
		}
		roots = append(roots, set...)
	}
	slices.Sort(roots)
	stuck := o.graph.reach(roots)
	for i := range stuck {
		if !stuck[i] || len(o.pinned[i]) > 0 {
			continue
		}
		for _, l := range o.links[i] { // it only waits for one who is stuck
			if l.soft {
				continue
			}
			var by []int
			for _, f := range l.first {
				if stuck[f] {
					by = append(by, f)
				}
			}
			if len(by) > 0 {
				o.pinned[i] = append(o.pinned[i], pin{by, l.need, CodePinned})
			}
		}
	}
	return stuck
}

func cycleCode(set []int) string {
	if len(set) == 1 {
		return CodePeers
	}
	return CodeCycle
}

// cyclesLeft are the cycles that remain when members whose calls a person gives up wait for no other member. What security itself
// needs nobody gives up.
func (o *order) cyclesLeft() [][]int {
	for {
		cycles, cut := o.graph.cycles(), false
		for _, set := range cycles {
			for _, i := range set {
				waits := o.waitsIn(i, set)
				if len(waits) == 0 || !o.accepts(i, cycleCode(set)) {
					continue
				}
				for _, other := range waits {
					cut = o.graph.remove(other, i) || cut
				}
			}
		}
		if !cut {
			return cycles
		}
	}
}

// waitsIn are those of a set for which a member waits only lest calls are refused.
func (o *order) waitsIn(i int, set []int) []int {
	var out []int
	for _, other := range set {
		if _, always := o.before[[2]int{other, i}]; !always && o.graph.has(other, i) {
			out = append(out, other)
		}
	}
	return out
}

// linkFrom is the need of a workload on one of a set.
func (o *order) linkFrom(at int, set []int) *Need {
	for _, l := range o.links[at] {
		if !l.soft && slices.ContainsFunc(l.first, func(f int) bool { return slices.Contains(set, f) }) {
			return l.need
		}
	}
	return nil
}

func (o *order) securityNeed(key [2]int) *Need {
	f := o.before[key]
	return &Need{First: o.event(MoveEnd, map[int]bool{key[0]: true}), Then: o.event(MoveStart, map[int]bool{key[1]: true}), Reason: ReasonWeaker,
		Evidence: Always, Request: f.Request, Words: f.Words, Before: f.Before, After: f.After}
}

// stay records why a workload keeps its sidecar.
func (o *order) stay(i int) {
	v := o.movers[i]
	for _, p := range o.pinned[i] {
		v.stay(Because{Code: p.code, Text: o.pinText(i, p)})
		for _, by := range p.by {
			if by >= 0 && by != i && !slices.Contains(v.blockers, o.start.Workloads[by].Ref) {
				v.blockers = append(v.blockers, o.start.Workloads[by].Ref)
			}
		}
	}
}

// askedOf are the destinations that the workload at a place must be seen not to call before it moves.
func (o *order) askedOf(at int) []mesh.Ref {
	list := slices.Clone(o.asked[at])
	slices.Sort(list)
	var out []mesh.Ref
	for _, i := range slices.Compact(list) {
		out = append(out, o.start.Workloads[i].Ref)
	}
	return out
}
