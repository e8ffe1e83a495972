package authz

import (
	"sort"
	"strings"
)

// finding turns regions in which two worlds differ into divergences: a concrete request,
// answered by both.
type finding struct {
	d      *comparison
	pair   callerPair
	class  callerClass
	target target
	after  target
	proto  Protocol
	paths  *[2]path
	token  *Token
}

// request makes the concrete request of a region; prob is nil when nothing is open.
func (f *finding) request(prob *problem, assign []int) Request {
	r := Request{From: f.caller(), To: f.destination(), Protocol: f.proto}
	if f.token != nil {
		t := *f.token
		if t.Valid {
			t.Claims = map[string]Claim{}
		}
		r.JWT = &t
	}
	if prob != nil {
		for v := range prob.vars {
			f.set(&r, &prob.vars[v], prob.vars[v].classes[assign[v]])
		}
	}
	if f.proto == ProtocolHTTP {
		if r.Method == "" {
			r.Method = "GET"
		}
		if r.Path == "" {
			r.Path = "/"
		}
	}
	return r
}

// destination names the pods as they are called after the change.
func (f *finding) destination() Destination {
	d := f.target.destination()
	d.Workload = f.after.w.Pods()
	return d
}

func (f *finding) caller() Caller {
	c := f.class.from.caller(&f.class.rep, f.class.rep.pods())
	c.Others = f.class.size() - 1
	return c
}

// set gives an attribute of the request the value of a class.
func (f *finding) set(r *Request, v *variable, c class) {
	if v.isElement {
		if !c.present {
			return
		}
		if v.attr.kind == attrMetadata {
			if r.Metadata == nil {
				r.Metadata = map[string][]string{}
			}
			r.Metadata[v.attr.name] = append(r.Metadata[v.attr.name], v.element)
			return
		}
		addClaim(r.JWT, strings.Split(v.attr.name, claimSep), v.element)
		return
	}
	if !c.present {
		return
	}
	switch v.attr.kind {
	case attrSourceIP:
		if v.place == placeWaypoint {
			r.WaypointIP = c.rep
		} else {
			r.SourceIP = c.rep
		}
	case attrRemoteIP:
		r.RemoteIP = c.rep
	case attrDestIP:
		if v.place == placeVIP {
			r.VIP = c.rep
		} else {
			r.PodIP = c.rep
		}
	case attrSNI:
		r.SNI = c.rep
	case attrMethod:
		r.Method = c.rep
	case attrPath:
		r.Path = c.rep
	case attrHost:
		r.Host = c.rep
	case attrHeader:
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[v.attr.name] = c.rep
	case attrSubject:
		r.JWT.Claims["sub"] = Claim{Values: []string{c.rep}}
	case attrRefused:
		r.Refused = append(r.Refused, v.attr.name)
	}
}

// addClaim adds an element to the list at a claim path.
func addClaim(t *Token, path []string, element string) {
	claims := t.Claims
	for i, n := range path {
		c := claims[n]
		if i == len(path)-1 {
			c.Values = append(c.Values, element)
		} else if c.Object == nil {
			c.Object = map[string]Claim{}
		}
		claims[n] = c
		claims = c.Object
	}
}

// record keeps a region's divergence, joined with those of the same cause.
func (f *finding) record(prob *problem, assign []int, named Decision) {
	r := f.request(prob, assign)
	ra, rb := r, r
	rb.Protocol, ra.Protocol = effective(f.target, f.proto), effective(f.after, f.proto)
	before := f.d.worlds[0].follow(&f.paths[0], &rb, f.class.rep.ids[0], nil)
	after := f.d.worlds[1].follow(&f.paths[1], &ra, f.class.rep.ids[1], nil)
	if !differ(before.Decision, after.Decision) {
		// The search and the evaluators must agree; if they ever do not, nothing is
		// proven, and that is what is said.
		after.Decision, after.Why = DecisionUnknown, "the comparison contradicts itself here; please report it"
	}
	kind := Weaker
	switch {
	case after.Decision == Deny:
		kind = Stricter
	case before.Decision == Deny && after.Decision == Allow && named == Allow:
		kind = Authenticated
	}
	f.keep(kind, r, before, after)
}

// tooLarge records that a scenario could not be decided.
func (f *finding) tooLarge() {
	const why = "too large to compare, also rule by rule"
	r := f.request(nil, nil)
	rb := r
	rb.Protocol = effective(f.target, f.proto)
	before := f.d.worlds[0].follow(&f.paths[0], &rb, f.class.rep.ids[0], nil)
	f.d.note("%s: %s; counted as weaker", f.target.destination().words(), why)
	f.keep(Weaker, r, before, Answer{Decision: DecisionUnknown, By: PointNobody, Why: why})
}

func (f *finding) keep(kind Kind, r Request, before, after Answer) {
	key := groupKey{kind, f.pair, f.target.w, f.after.w, f.target.port, before.Route + "|" + after.Route,
		string(before.Decision) + string(before.By) + before.Policy, string(after.Decision) + string(after.By) + after.Policy}
	if f.d.opts.EachService {
		key.routes += "|" + f.target.destination().Service
	}
	if i, ok := f.d.groups[key]; ok {
		f.d.result.Divergences[i].join(r, before, after, f)
		return
	}
	if f.target.addressing == ByPodIP {
		cause := key
		cause.port = 0
		if i, ok := f.d.causes[cause]; !ok {
			f.d.causes[cause] = len(f.d.result.Divergences)
		} else if f.target.undeclared {
			f.d.result.Divergences[i].join(r, before, after, f) // as at a port that somebody declares
			return
		}
	}
	f.d.groups[key] = len(f.d.result.Divergences)
	dv := Divergence{Kind: kind, Request: r, Before: before, After: after}
	dv.join(r, before, after, f)
	f.d.result.Divergences = append(f.d.result.Divergences, dv)
}

// join counts another caller class with the same divergence.
func (d *Divergence) join(r Request, before, after Answer, f *finding) {
	for i := range d.Callers.classes {
		if c := &d.Callers.classes[i]; c.from == f.class.from && c.rep.ids == f.class.rep.ids {
			return // another region of requests of the same callers
		}
	}
	d.Callers.classes = append(d.Callers.classes, f.class)
	if len(d.Callers.classes) > 1 {
		d.Request.From.Others += f.class.size()
		if d.Request.From.Workload == nil && r.From.Workload != nil {
			// A caller that exists tells more.
			others := d.Request.From.Others
			d.Request, d.Before, d.After = r, before, after
			d.Request.From.Others = others
		}
	}
}

var kindRank = map[Kind]int{Weaker: 0, Stricter: 1, Authenticated: 2}

func sortDivergences(ds []Divergence) {
	for i := range ds {
		ds[i].Words = ds[i].Request.words()
	}
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := &ds[i], &ds[j]
		if a.Kind != b.Kind {
			return kindRank[a.Kind] < kindRank[b.Kind]
		}
		if x, y := a.Request.To.Workload, b.Request.To.Workload; x != y {
			return lessPods(x, y)
		}
		return a.Words < b.Words
	})
}
