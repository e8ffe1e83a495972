package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Difference is a call that two states treat otherwise.
type Difference struct {
	Grade   Grade `json:"grade"`
	Request Call  `json:"request"`
	Before  Side  `json:"before"`
	After   Side  `json:"after"`
	// Parts are all that differs, the heaviest first.
	Parts []PartDiff `json:"parts"`
}

// Call is a request with who makes it and where to.
type Call struct {
	From Ref `json:"from"`
	// Others counts the callers beside From for whom the same holds.
	Others int    `json:"others,omitempty"`
	Host   string `json:"host"`
	Port   uint32 `json:"port"`
	Request
	// Words is the call in one line.
	Words string `json:"words"`
}

// Side is what one state does with a call.
type Side struct {
	By    Point  `json:"by"`
	Where string `json:"where,omitempty"`
	// Does is what becomes of the call, in words; Rule the object and field that say so, empty for a default.
	Does string `json:"does"`
	Rule string `json:"rule,omitempty"`
	// Action is the same as data; nil where no route matches.
	Action *Action `json:"action,omitempty"`
}

// Result is a comparison of two states.
type Result struct {
	Equivalent bool `json:"equivalent"`
	// Omitted says what was not compared; Notes what ends or begins for every call of a moved client alike.
	Omitted     []string     `json:"omitted,omitempty"`
	Notes       []string     `json:"notes,omitempty"`
	Differences []Difference `json:"differences"`
	Stats       Stats        `json:"stats"`
}

// Stats counts what was looked at.
type Stats struct {
	Hosts, Tables, Classes int
}

// differ compares two worlds.
type differ struct {
	before, after *World
	clients       []clientPair
	classes       []*clientClass
	byHost        map[string]int // of after
	out           Result
	omitted       map[string]bool
	retriesEnd    bool
}

// clientPair is a group of workloads that no Service tells apart.
type clientPair struct {
	before, after *Workload
	members       int
}

// clientClass is the clients with the same modes and scopes. A host tells apart only those of some namespaces and with
// some labels; of all others one stands for the rest.
type clientClass struct {
	clients     []int // of differ.clients
	members     int
	byNamespace map[string][]int
	byLabel     map[[2]string][]int
}

// Diff compares every class of calls of every workload that both states have, to every host of the first.
func Diff(before, after *World) Result {
	d := newDiffer(before, after)
	for i := range before.Services {
		d.service(&before.Services[i])
	}
	return d.finish()
}

// DiffShard compares every n-th host, beginning with the i-th, so that hosts can be compared side by side; Merge puts
// the parts together. The index of both worlds has to be there: see World.Prepare.
func DiffShard(before, after *World, i, n int) Result {
	d := newDiffer(before, after)
	for k := i; k < len(before.Services); k += n {
		d.service(&before.Services[k])
	}
	return d.finish()
}

// Prepare builds what comparisons share; after it a World may be read side by side.
func (w *World) Prepare() { w.hosts() }

// Merge puts the parts of a comparison together.
func Merge(parts ...Result) Result {
	out := Result{Differences: []Difference{}}
	for _, p := range parts {
		out.Differences = append(out.Differences, p.Differences...)
		out.Omitted = append(out.Omitted, p.Omitted...)
		out.Notes = append(out.Notes, p.Notes...)
		out.Stats.Hosts += p.Stats.Hosts
		out.Stats.Tables += p.Stats.Tables
		out.Stats.Classes += p.Stats.Classes
	}
	out.settle()
	return out
}

// settle puts everything in a fixed order, and joins what is the same for several callers.
func (r *Result) settle() {
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(a.Grade.rank()-b.Grade.rank(), strings.Compare(a.Request.Host, b.Request.Host), int(a.Request.Port)-int(b.Request.Port),
			strings.Compare(a.Request.From.String(), b.Request.From.String()), strings.Compare(a.Request.Words, b.Request.Words))
	})
	joined := r.Differences[:0]
	seen := map[string]int{}
	for _, x := range r.Differences {
		q := x.Request.Request
		key := fmt.Sprintf("%s|%d|%s|%s|%s|%s|%s", x.Request.Host, x.Request.Port, q.Words(), x.Before.key(), x.After.key(), x.Request.Speech, x.Grade)
		if k, ok := seen[key]; ok {
			joined[k].Request.Others += x.Request.Others + 1
			continue
		}
		seen[key] = len(joined)
		joined = append(joined, x)
	}
	r.Differences = joined
	for _, list := range []*[]string{&r.Omitted, &r.Notes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	r.Equivalent = len(r.Differences) == 0 && len(r.Omitted) == 0
}

func newDiffer(before, after *World) *differ {
	d := &differ{before: before, after: after, byHost: map[string]int{}, omitted: map[string]bool{}}
	d.out.Differences = []Difference{}
	for i := range after.Services {
		for _, h := range after.Services[i].Hosts {
			if _, ok := d.byHost[h]; !ok {
				d.byHost[h] = i
			}
		}
	}
	for _, w := range []*World{before, after} {
		for _, u := range w.Unknown {
			d.omitted[u] = true
		}
	}
	d.pairClients()
	return d
}

// pairClients joins the workloads of both states, and groups those with the same namespace, labels, scope and modes.
func (d *differ) pairClients() {
	index := make(map[Ref]int, len(d.after.Workloads))
	for i := range d.after.Workloads {
		index[d.after.Workloads[i].Ref] = i
	}
	groups := map[string]int{}
	for i := range d.before.Workloads {
		x := &d.before.Workloads[i]
		j, ok := index[x.Ref]
		if !ok || x.Gateway {
			continue
		}
		y := &d.after.Workloads[j]
		for _, side := range []*Workload{x, y} {
			if side.Scope != nil && side.Scope.Listeners && side.Mode == Sidecar && (x.Mode != y.Mode || side.Scope.Ref != otherScope(x, y, side)) {
				d.omitted[fmt.Sprintf("%s has egress listeners of its own, which are not compared", side.Scope.Ref)] = true
			}
		}
		d.retriesEnd = d.retriesEnd || x.Mode == Sidecar && y.Mode != Sidecar
		key := fmt.Sprintf("%s|%s|%s|%s|%s|%s", x.Mode, y.Mode, x.Ref.Namespace, scopeKey(x), scopeKey(y), labelText(x.Labels)+"|"+labelText(y.Labels))
		if k, ok := groups[key]; ok {
			d.clients[k].members++
			continue
		}
		groups[key] = len(d.clients)
		d.clients = append(d.clients, clientPair{x, y, 1})
	}
	d.classify()
}

// classify sorts the groups by what every host asks about.
func (d *differ) classify() {
	classes := map[string]*clientClass{}
	for i := range d.clients {
		c := &d.clients[i]
		key := fmt.Sprintf("%s|%s|%s|%s", c.before.Mode, c.after.Mode, scopeKey(c.before), scopeKey(c.after))
		g := classes[key]
		if g == nil {
			g = &clientClass{byNamespace: map[string][]int{}, byLabel: map[[2]string][]int{}}
			classes[key] = g
			d.classes = append(d.classes, g)
		}
		g.clients = append(g.clients, i)
		g.members += c.members
		g.byNamespace[c.before.Ref.Namespace] = append(g.byNamespace[c.before.Ref.Namespace], i)
		for k, v := range c.before.Labels {
			g.byLabel[[2]string{k, v}] = append(g.byLabel[[2]string{k, v}], i)
		}
		for k, v := range c.after.Labels {
			if c.before.Labels[k] != v {
				g.byLabel[[2]string{k, v}] = append(g.byLabel[[2]string{k, v}], i)
			}
		}
	}
}

// singledOut lists the clients of a class that footprints may tell apart, in order, and one that stands for all others,
// -1 without any.
func (g *clientClass) singledOut(footprints ...*footprint) (list []int, other int) {
	seen := map[int]bool{}
	add := func(clients []int) {
		for _, i := range clients {
			if !seen[i] {
				seen[i] = true
				list = append(list, i)
			}
		}
	}
	for _, f := range footprints {
		for ns := range f.namespaces {
			add(g.byNamespace[ns])
		}
		for _, sel := range f.selectors {
			for k, v := range sel { // those with one of the labels are more than those with all
				add(g.byLabel[[2]string{k, v}])
				break
			}
		}
	}
	slices.Sort(list)
	for _, i := range g.clients {
		if !seen[i] {
			return list, i
		}
	}
	return list, -1
}

func otherScope(x, y, side *Workload) Ref {
	o := x
	if side == x {
		o = y
	}
	if o.Scope == nil {
		return Ref{}
	}
	return o.Scope.Ref
}

func scopeKey(x *Workload) string {
	if x.Scope == nil {
		return ""
	}
	return fmt.Sprintf("%s %v %v", x.Scope.Ref, x.Scope.Hosts, x.Scope.RegistryOnly != nil && *x.Scope.RegistryOnly)
}

func (d *differ) finish() Result {
	for o := range d.omitted {
		d.out.Omitted = append(d.out.Omitted, o)
	}
	if d.retriesEnd {
		d.out.Notes = append(d.out.Notes, "With a sidecar go Istio's default retries (2, of calls that cannot have reached the application) and balancing by request; "+
			"ztunnel balances by connection. That holds for every call of a moved workload that no waypoint serves, and is not listed as a difference.")
	}
	d.out.settle()
	return d.out
}

// service compares all calls to one Service of the first state.
func (d *differ) service(s *Service) {
	for _, host := range s.Hosts {
		d.out.Stats.Hosts++
		d.host(s, host)
	}
}

// group is a class of clients of one host.
type group struct {
	clientPair
	others int
}

func (d *differ) host(s *Service, host string) {
	var t *Service
	if i, ok := d.byHost[host]; ok {
		t = &d.after.Services[i]
	}
	fb := d.before.footprint(s, host)
	fa := fb
	if t != nil && d.before.Objects != d.after.Objects {
		fa = d.after.footprint(t, host)
	}
	groups := map[string]*group{}
	var order []*group
	unchanged := t != nil && d.before.Objects == d.after.Objects && s.Waypoint == t.Waypoint
	join := func(c *clientPair, members int) {
		key := string(c.before.Mode) + ">" + string(c.after.Mode) + ">" + fb.key(c.before, d.before, s)
		if t != nil {
			key += ">" + fa.key(c.after, d.after, t)
		}
		if g := groups[key]; g != nil {
			g.others += members
			return
		}
		g := &group{*c, members - 1}
		groups[key] = g
		order = append(order, g)
	}
	for _, class := range d.classes {
		c := &d.clients[class.clients[0]]
		if unchanged && c.before.Mode == c.after.Mode && scopeKey(c.before) == scopeKey(c.after) && s.served() == t.served() {
			continue
		}
		list, other := class.singledOut(&fb, &fa)
		rest := class.members
		for _, i := range list {
			rest -= d.clients[i].members
		}
		if other >= 0 {
			join(&d.clients[other], rest)
		}
		for _, i := range list {
			join(&d.clients[i], d.clients[i].members)
		}
	}
	for _, g := range order {
		for _, p := range s.Ports {
			for _, speak := range p.speeches() {
				d.compare(g, s, t, host, p, speak)
			}
		}
	}
}

// compare compares one port for one class of clients.
func (d *differ) compare(g *group, s, t *Service, host string, p Port, speak Speech) {
	a := d.before.Table(g.before, s, host, p, speak)
	b := gone
	if t != nil {
		if q, ok := t.port(p.Number); ok {
			b = d.after.Table(g.after, t, host, q, speak)
		}
	}
	d.out.Stats.Tables += 2
	for _, u := range []string{a.Unknown, b.Unknown} {
		if u != "" {
			d.omitted[u] = true
		}
	}
	proxies := a.routes() && b.routes()
	if a.fingerprint(proxies) == b.fingerprint(proxies) {
		return
	}
	complete := searchPairs(a, b, speak, func(i, j int, r Request) {
		d.out.Stats.Classes++
		x, y := a.action(i), b.action(j)
		parts := compareActions(x, y, proxies)
		if len(parts) == 0 {
			return
		}
		d.out.Differences = append(d.out.Differences, difference(g, host, p, r, a, b, i, j, parts))
	})
	if !complete {
		d.omitted[fmt.Sprintf("calls to %s:%d: not every class of requests could be looked at", host, p.Number)] = true
	}
}

// gone is the table of a host or port that is not there any more.
var gone = &Table{Point: AtNobody, Rules: []Rule{{Action: &Action{Kind: Refuse, Text: "the state has no such host or port"}}}}

// routes reports whether a proxy of requests is on the way.
func (t *Table) routes() bool { return t.Point == AtSidecar || t.Point == AtWaypoint }

func (t *Table) action(i int) *Action {
	if i < 0 {
		return notFound
	}
	return t.Rules[i].Action
}

func difference(g *group, host string, p Port, r Request, a, b *Table, i, j int, parts []PartDiff) Difference {
	slices.SortStableFunc(parts, func(x, y PartDiff) int { return x.Grade.rank() - y.Grade.rank() })
	call := Call{From: g.before.Ref, Others: g.others, Host: host, Port: p.Number, Request: r}
	call.Words = fmt.Sprintf("%s of %s/%s to %s:%d", r.Words(), g.before.Ref.Namespace, g.before.Ref.Name, host, p.Number)
	return Difference{Grade: parts[0].Grade, Request: call, Before: a.side(i), After: b.side(j), Parts: parts}
}

func (s Side) key() string { return fmt.Sprintf("%s %s %s %s", s.By, s.Where, s.Does, s.Rule) }

func (t *Table) side(i int) Side {
	s := Side{By: t.Point, Where: t.Where, Action: t.action(i), Does: t.action(i).Words()}
	if i >= 0 {
		s.Rule = t.Rules[i].Origin.String()
	}
	return s
}

// Words is the treatment for people.
func (a *Action) Words() string {
	var parts []string
	switch a.Kind {
	case Forward:
		var total uint32
		for _, d := range a.Destinations {
			total += d.Weight
		}
		var to []string
		for _, d := range a.Destinations {
			name := d.Target.words()
			if len(a.Destinations) > 1 {
				name = fmt.Sprintf("%d%% %s", d.Weight*100/max(total, 1), name)
			}
			to = append(to, name)
		}
		parts = append(parts, "to "+strings.Join(to, ", "))
	case Redirect:
		parts = append(parts, fmt.Sprintf("redirected (%d) to %s", a.Status, a.Text))
	case Respond:
		parts = append(parts, fmt.Sprintf("answered with %d", a.Status))
	case Refuse:
		if a.Status != 0 {
			parts = append(parts, fmt.Sprintf("refused with %d: %s", a.Status, a.Text))
		} else {
			parts = append(parts, "refused: "+a.Text)
		}
	}
	for _, t := range []struct{ name, text string }{
		{"rewrite", joined(a.Rewrite, a.Authority)}, {"headers", strings.Join(a.Headers, "; ")}, {"timeout", durationText(a)},
		{"retries", a.Retries.words(false)}, {"mirror", strings.Join(a.Mirrors, "; ")}, {"fault", a.Fault}, {"CORS", a.CORS},
	} {
		if t.text != "" {
			parts = append(parts, t.name+" "+t.text)
		}
	}
	for k, part := range policyParts {
		if text := a.policyText(k); text != "" {
			parts = append(parts, string(part)+" "+text)
		}
	}
	return strings.Join(parts, "; ")
}

func (t Target) words() string {
	if t.Missing {
		return t.Name() + " (which does not exist)"
	}
	return t.Name()
}
