package plan

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// AnnotationRemove marks an object of a change that is to be removed.
const AnnotationRemove = "sidestep.dev/remove"

// BuildChange orders the writes that lead from a snapshot to what other objects say, so that on the way no call passes that both ends
// refuse, and none that counts is refused that both ends let pass. Objects that the snapshot lacks are created, others replaced; one
// with AnnotationRemove is removed. Of the options Calls and Each count.
//
// The order is looked for one write at a time, with steps back. A state is accepted when for every caller and every way to every
// destination it is no weaker than the start or no weaker than the end; so a state that is weaker than each of them for other requests
// of one caller is refused although both may let them pass. That errs on the safe side.
func BuildChange(s *snapshot.Snapshot, want []snapshot.Object, o Options) (*Plan, error) {
	if o.Each == nil {
		o.Each = oneByOne
	}
	edits, err := editsTo(s, want)
	if err != nil {
		return nil, err
	}
	start := mesh.Build(s, mesh.Assume{})
	st := newStates(s, start, o.Each)
	c := &changeOrder{states: st, who: newCallers(start, o.Calls), edits: edits, dead: map[string]bool{}, refused: map[string]*clash{}}
	c.place = map[mesh.Ref]int{}
	for i, w := range start.Workloads {
		c.place[w.Ref] = i
	}
	reads := basis(start)
	p := &Plan{Goal: GoalChange, Reads: reads, Fingerprint: fingerprint(reads)}
	if len(edits) == 0 {
		return p, nil
	}
	if err := c.lookAtEnd(p); err != nil {
		return nil, err
	}
	path, err := c.find(nil)
	if err != nil {
		return nil, err
	}
	if path == nil {
		return nil, c.noOrder()
	}
	if err := c.explain(path); err != nil {
		return nil, err
	}
	c.write(p, path)
	p.Proof = st.proof
	p.Limits = append(p.Limits, "the proof is about who may call whom: where routes lead and what they do on the way is not part of it; see sidestep route diff")
	if !c.who.observed {
		p.Limits = append(p.Limits, "no calls were observed"+why(o.NoCalls)+": every caller by Service that policies admit counts as one that calls; give --calls or --prometheus")
	}
	return p, nil
}

// GoalChange is the goal of a plan that carries out edits that a person made.
const GoalChange = "change"

func oneByOne(n int, do func(int)) {
	for i := range n {
		do(i)
	}
}

// editsTo are the writes that make a snapshot say what other objects do, in an order that is tried first: what is new before what
// is replaced before what goes.
func editsTo(s *snapshot.Snapshot, want []snapshot.Object) ([]Edit, error) {
	var out []Edit
	var errs []error
	for _, o := range want {
		info, ok := snapshot.InfoOf(o)
		if !ok {
			errs = append(errs, fmt.Errorf("%s/%s: not a kind that is known here", o.GetNamespace(), o.GetName()))
			continue
		}
		r := mesh.Ref{Group: info.Group, Kind: info.Kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
		if templateOf(o) != nil || r.Kind == "Pod" {
			errs = append(errs, fmt.Errorf("%s: it makes pods, and a change orders writes that restart nothing: leave it out", r))
			continue
		}
		if _, err := kindOfRef(r); err != nil {
			errs = append(errs, err)
			continue
		}
		old := find(s, r)
		switch remove := o.GetAnnotations()[AnnotationRemove] == "true"; {
		case remove && old == nil:
		case remove:
			out = append(out, Edit{Verb: Delete, Object: r})
		case old == nil:
			out = append(out, Edit{Verb: Create, Object: r, Put: o})
		case !saysTheSame(info, old, o):
			next := o.DeepCopyObject().(snapshot.Object)
			next.SetCreationTimestamp(old.GetCreationTimestamp()) // of two providers or routes the older one wins
			out = append(out, Edit{Verb: Replace, Object: r, Put: next, Gone: gone(old, next)})
		}
	}
	rank := map[Verb]int{Create: 0, Replace: 1, Delete: 2}
	slices.SortFunc(out, func(a, b Edit) int { return cmp.Or(rank[a.Verb]-rank[b.Verb], a.Object.Compare(b.Object)) })
	return out, errors.Join(errs...)
}

// saysTheSame reports whether two forms of an object differ in nothing but what the server writes.
func saysTheSame(info snapshot.KindInfo, a, b snapshot.Object) bool {
	x, errX := whole(info, a)
	y, errY := whole(info, b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// changeOrder looks for an order of edits.
type changeOrder struct {
	*states
	end   *authz.Prover
	place map[mesh.Ref]int // of workloads
	who   *callers
	edits []Edit
	// dead are the sets of edits from which no way leads on; refused are the sets that were looked at and not accepted.
	dead    map[string]bool
	refused map[string]*clash
	tried   int
}

// clash is a call for which a state is outside both ends.
type clash struct {
	authz.Divergence
	reason Reason
}

// mostTried bounds the search: with a hundred edits that go in any order a hundred states are looked at.
const mostTried = 5000

// find returns an order of the edits that are left, nil where there is none.
func (c *changeOrder) find(done []int) ([]int, error) {
	if len(done) == len(c.edits) {
		return done, nil
	}
	for i := range c.edits {
		if slices.Contains(done, i) {
			continue
		}
		next := append(slices.Clone(done), i)
		key := setKey(next)
		if c.dead[key] || c.refused[key] != nil {
			continue
		}
		if len(next) < len(c.edits) {
			if c.tried++; c.tried > mostTried {
				return nil, fmt.Errorf("no order of %d changes was found in %d states: give fewer at a time", len(c.edits), mostTried)
			}
			clash, err := c.look(next)
			if err != nil {
				return nil, err
			}
			if clash != nil {
				c.refused[key] = clash
				continue
			}
		}
		path, err := c.find(next)
		if path != nil || err != nil {
			return path, err
		}
	}
	c.dead[setKey(done)] = true
	return nil, nil
}

// setKey names a set of edits.
func setKey(set []int) string {
	sorted := slices.Sorted(slices.Values(set))
	text, _ := json.Marshal(sorted) // numbers cannot fail
	return string(text)
}

// supposedAfter is the state after some edits; waypoints that they make count as running.
func (c *changeOrder) supposedAfter(done []int) supposed {
	q := supposed{}
	for _, i := range done {
		e := c.edits[i]
		q.edits = append(q.edits, e)
		if _, ok := e.Put.(*gatewayv1.Gateway); ok && e.Verb == Create {
			q.ready = append(q.ready, e.Object)
		}
	}
	return q
}

// lookAtEnd notes what the change itself lets pass and refuses.
func (c *changeOrder) lookAtEnd(p *Plan) error {
	all := make([]int, len(c.edits))
	for i := range all {
		all[i] = i
	}
	m, err := c.mesh(c.supposedAfter(all))
	if err != nil {
		return err
	}
	world := c.world(m)
	c.end = authz.NewProver(&world)
	r := c.compareWorld(&world, everyPort)
	for _, kind := range []authz.Kind{authz.Weaker, authz.Stricter} {
		var first *authz.Divergence
		n := 0
		for i := range r.Divergences {
			if d := &r.Divergences[i]; d.Kind == kind {
				if n++; first == nil {
					first = d
				}
			}
		}
		if first != nil {
			verb := map[authz.Kind]string{authz.Weaker: "lets pass", authz.Stricter: "refuses"}[kind]
			p.Notes = append(p.Notes, fmt.Sprintf("the change itself %s %s of calls that are decided otherwise today, the first: %s: %s", verb, count(n, "kind"), first.Words, first.After.Why))
		}
	}
	for _, what := range r.Omitted {
		p.Limits = append(p.Limits, "not compared: "+what)
	}
	return nil
}

// way is one caller's way to one destination.
type way struct {
	kind   authz.Kind
	to     authz.Destination
	caller string
}

// look compares a state with both ends. It returns a call for which it is weaker than each, or refuses what each lets pass.
func (c *changeOrder) look(done []int) (*clash, error) {
	m, err := c.mesh(c.supposedAfter(done))
	if err != nil {
		return nil, err
	}
	world := c.world(m)
	fromStart := c.compareWorld(&world, everyPort)
	if fromStart.Equivalent {
		return nil, nil
	}
	fromEnd := c.compareWith(c.end, &world, everyPort)
	outside := map[way]bool{}
	for i := range fromEnd.Divergences {
		for w := range c.waysOf(&fromEnd.Divergences[i]) {
			outside[w] = true
		}
	}
	for i := range fromStart.Divergences {
		d := &fromStart.Divergences[i]
		for w := range c.waysOf(d) {
			if outside[w] {
				reason := ReasonWeaker
				if d.Kind == authz.Stricter {
					reason = ReasonRefused
				}
				return &clash{*d, reason}, nil
			}
		}
	}
	return nil, nil
}

// waysOf lists the ways that a divergence is about; of those that are refused only the ones that somebody is known to take. Which
// identities without workloads and which ports of pods are told apart depends on the two states compared: they count as one.
func (c *changeOrder) waysOf(d *authz.Divergence) map[way]bool {
	out := map[way]bool{}
	to, known := c.place[refOf(d.Request.To.Workload)]
	bits, port := byService, uint16(0)
	if d.Request.To.Addressing == authz.ByPodIP {
		bits, port = byPodIP, d.Request.To.Port
	}
	target := d.Request.To
	if target.Addressing == authz.ByPodIP {
		target.Port, target.AnyOther = 0, false
	}
	for caller := range d.Callers.All() {
		name, from := "nobody's identity", outside
		switch {
		case caller.Principal == "":
			name = "outside"
		case caller.Workload != nil:
			name = caller.Workload.String()
			if at, ok := c.place[refOf(*caller.Workload)]; ok {
				from = at
			}
		}
		if d.Kind == authz.Stricter {
			if from == outside && caller.Principal != "" || known && !c.who.kept(c.who.of(from, to, bits, port), from, to, bits) {
				continue
			}
		}
		out[way{d.Kind, target, name}] = true
	}
	return out
}

// explain looks at what each write would do before the one that precedes it, so that the plan can say why it does not.
func (c *changeOrder) explain(path []int) error {
	for n := 1; n < len(path); n++ {
		early := append(slices.Clone(path[:n-1]), path[n])
		if key := setKey(early); c.refused[key] == nil && len(early) < len(path) {
			x, err := c.look(early)
			if err != nil {
				return err
			}
			if x != nil {
				c.refused[key] = x
			}
		}
	}
	return nil
}

// noOrder says for the first writes why none of them can be taken.
func (c *changeOrder) noOrder() error {
	var b strings.Builder
	fmt.Fprintf(&b, "no order of these %d changes keeps every state on the way between the two ends", len(c.edits))
	for i, e := range c.edits {
		for size := 1; size < len(c.edits); size++ {
			if x := c.refusedWith(i, size); x != nil {
				fmt.Fprintf(&b, "\n  with %s %s before the rest: %s: %s", e.Verb, e.Object, x.Words, x.After.Why)
				break
			}
		}
	}
	b.WriteString("\nWrite what belongs together into one object, or add a policy to the change that holds meanwhile, and remove it with a second change.")
	return errors.New(b.String())
}

// refusedWith is a state of that many edits, one of them given, that was not accepted.
func (c *changeOrder) refusedWith(edit, size int) *clash {
	var keys []string
	for key := range c.refused {
		var set []int
		if json.Unmarshal([]byte(key), &set) == nil && len(set) == size && slices.Contains(set, edit) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return c.refused[keys[0]]
}

// write makes the waves, one for each write, and says what would have broken otherwise.
func (c *changeOrder) write(p *Plan, path []int) {
	w := &stepWriter{search: &search{states: c.states}, standing: map[mesh.Ref]snapshot.Object{}}
	for n, i := range path {
		e := c.edits[i]
		var gates []Gate
		if e.Verb != Delete && (e.Object.Kind == kindPolicy || e.Object.Kind == kindRequestAuthn) {
			gates = []Gate{{Check: GateAccepted, Object: e.Object, Expect: "its status is as for others of its kind, and every proxy that it reaches has it"}}
		}
		p.Waves = append(p.Waves, Wave{Name: fmt.Sprintf("change-%d", n+1), Purpose: "between the two ends for every call",
			Steps: []Step{w.step(KindChange, e, "as the change says", gates...)}})
		for before := n - 1; before >= 0; before-- {
			x := c.refused[setKey(append(slices.Clone(path[:before]), i))]
			if x == nil {
				continue
			}
			p.Needs = append(p.Needs, Need{First: Event{Kind: Written, Subject: c.edits[path[before]].Object}, Then: Event{Kind: Written, Subject: e.Object},
				Reason: x.reason, Evidence: Always, Request: x.Request, Words: x.Words, Before: x.Before, After: x.After})
			break
		}
	}
}
