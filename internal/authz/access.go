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
func AllPaths(w *World, from Ref, d Destination) ([]Access, error) {
	m := newModel(w, newPrograms())
	k, id, err := m.caller(Caller{Workload: &from})
	if err != nil {
		return nil, err
	}
	k.narrow = false // as in every pair of one world with itself
	return access(w, d, func(p callerPair, c caller) bool { return p.before == k && c.id.principal == id.principal })
}

func access(w *World, d Destination, want func(callerPair, caller) bool) ([]Access, error) {
	c := newComparison(w, w, Options{})
	m := c.worlds[0]
	if d.Workload.Name == "" || d.Service != "" {
		t, err := m.find(d)
		if err != nil {
			return nil, err
		}
		d.Workload = t.w.Ref
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
				classes := c.callers.partition(pair, c.matchers(&p))
				for i, class := range classes {
					if wanted, n := c.wanted(pair, classes, i, want); n > 0 {
						class.rep, class.others = wanted, n-1
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

// wanted gives one of the wanted callers in the i-th class of a pair, and counts them; one with a workload
// says more.
func (d *comparison) wanted(pair callerPair, classes []callerClass, i int, want func(callerPair, caller) bool) (rep caller, n int) {
	in := map[int32]int{}
	for n, c := range classes {
		for _, m := range c.members {
			in[m] = n + 1
		}
	}
	for m, c := range d.callers.list[pair] {
		of := in[int32(m)] // 0 for the class of the rest
		if of != i+1 && (of != 0 || classes[i].members != nil) || !want(pair, c) {
			continue
		}
		if n == 0 || rep.workload == nil && c.workload != nil {
			rep = c
		}
		n++
	}
	return rep, n
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
			ans := d.worlds[0].follow(p, &r, class.rep.id, nil)
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
	a.Route = d.worlds[0].follow(p, &Request{Protocol: proto}, class.rep.id, nil).Route
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
	actual := fold(p, f.class.rep.id, f.token)
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
