package authz

import (
	"sort"
)

// Extent says how much of what a caller may ask is allowed.
type Extent string

// Extents.
const (
	All     Extent = "all"
	Some    Extent = "some"
	None    Extent = "none"
	Unclear Extent = "unknown"
)

// Access is what a class of callers may do at one way to address one port.
type Access struct {
	From     Caller      `json:"from"`
	To       Destination `json:"to"`
	Protocol Protocol    `json:"protocol"`
	Extent   Extent      `json:"extent"`
	Route    string      `json:"route"`
	// Allowed and Denied are examples, with their answers, as far as there are such.
	Allowed *Example `json:"allowed,omitempty"`
	Denied  *Example `json:"denied,omitempty"`
}

// Example is a request with its answer.
type Example struct {
	Request Request `json:"request"`
	Words   string  `json:"words"`
	Answer  Answer  `json:"answer"`
}

// AllCallers lists who may do what at a workload: one entry per class of callers that
// its policies tell apart, per way to address it. A Port in d limits it to that port, a
// Service to calls by it.
func AllCallers(w *World, d Destination) ([]Access, error) {
	return access(w, d, func(callerPair, caller) bool { return true })
}

// AllPaths lists every way in which one workload may call another, with what each allows.
func AllPaths(w *World, from Pods, d Destination) ([]Access, error) {
	m := newModel(w, newPrograms())
	k, id, err := m.caller(Caller{Workload: &from})
	if err != nil {
		return nil, err
	}
	k.narrow = false // as in every pair of one world with itself
	return access(w, d, func(p callerPair, c caller) bool { return p.before == k && c.ids[0].principal == id.principal })
}

func access(w *World, d Destination, want func(callerPair, caller) bool) ([]Access, error) {
	c := NewProver(w).comparison(w, Options{})
	m := c.worlds[0]
	if d.Workload.Name == "" || d.Service != "" {
		t, err := m.find(d)
		if err != nil {
			return nil, err
		}
		d.Workload = t.w.Pods()
	}
	wl := m.workloads[d.Workload]
	if wl == nil {
		_, err := m.find(d)
		return nil, err
	}
	var out []Access
	for _, t := range m.targets(wl) {
		dest := t.destination()
		if (d.Port != 0 && dest.Port != d.Port) || (d.Service != "" && dest.Service != d.Service) {
			continue
		}
		for _, proto := range protocols(t.declared) {
			for _, pair := range c.callers.pairs {
				if pair.before.role == RoleGateway && t.addressing == ByPodIP {
					continue
				}
				p := m.route(pair.before, t, proto)
				for _, class := range c.callers.lists[pair].partition(c.questions(&p, &p)) {
					if class := class.wanted(want); class.size() > 0 {
						out = append(out, c.extent(pair, class, t, proto, &p))
					}
				}
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		if a.To != b.To {
			return a.To.words() < b.To.words()
		}
		return a.From.words() < b.From.words()
	})
	return out, nil
}

// wanted is the part of a class that is wanted, represented by one with a workload, which says more.
func (c *callerClass) wanted(want func(callerPair, caller) bool) callerClass {
	out := callerClass{from: c.from}
	for i := range c.places() {
		x := c.from.list[i]
		switch {
		case !want(c.from.pair, x):
		case len(out.members) == 0:
			out.rep, out.members = x, []int32{i}
		default:
			out.join(i)
		}
	}
	return out
}

// extent finds whether a scenario has requests that pass and requests that do not.
func (d *comparison) extent(pair callerPair, class callerClass, t target, proto Protocol, p *path) Access {
	a := Access{To: t.destination(), Protocol: proto}
	f := &finding{d: d, pair: pair, class: class, target: t, after: t, proto: proto, paths: &[2]path{*p, *p}}
	unknown := false
	for _, f.token = range tokens(p) {
		for _, against := range []Decision{Allow, Deny} {
			r, found, large := d.example(f, p, against)
			unknown = unknown || large
			if !found {
				continue
			}
			ans := d.worlds[0].follow(p, &r, class.rep.ids[0], nil)
			e := &Example{Request: r, Words: r.words(), Answer: ans}
			switch {
			case ans.Decision == Allow && a.Allowed == nil:
				a.Allowed = e
			case ans.Decision == Deny && a.Denied == nil:
				a.Denied = e
			case ans.Decision == DecisionUnknown:
				unknown = true
			}
		}
	}
	a.From = f.caller()
	a.Route = d.worlds[0].follow(p, &Request{Protocol: proto}, class.rep.ids[0], nil).Route
	switch {
	case unknown:
		a.Extent = Unclear
	case a.Allowed != nil && a.Denied != nil:
		a.Extent = Some
	case a.Allowed != nil:
		a.Extent = All
	default:
		a.Extent = None
	}
	return a
}

// example finds a request that is not answered as given.
func (d *comparison) example(f *finding, p *path, against Decision) (r Request, found, large bool) {
	actual := fold(p, f.class.rep.ids[0], f.token)
	if actual.verdict != "" {
		return f.request(nil, nil), actual.verdict != against, false
	}
	fixed := side{verdict: against}
	decided := d.decide(withoutPreflights([3]side{fixed, actual, {verdict: Deny}}, f.token), d.environment(f.target, f.target), f, func(prob *problem, assign []int, _ [3]Decision) more {
		r, found = f.request(prob, assign), true
		return nothing
	})
	return r, found, !decided && !found
}
