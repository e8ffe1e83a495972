package assertion

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// Result is what became of one assertion.
type Result struct {
	Name     string `json:"name,omitempty"`
	Sentence string `json:"sentence"`
	Holds    bool   `json:"holds"`
	// Problem says why it cannot be examined: it names what is not there, or is about nobody.
	Problem string `json:"problem,omitempty"`
	// Breaches are calls that break it, and More counts those that are not listed.
	Breaches []authz.Breach `json:"breaches,omitempty"`
	More     int            `json:"more,omitempty"`
	// Unclear names what could not be decided.
	Unclear []string `json:"unclear,omitempty"`
	// Examined counts the caller classes, ways, protocols and tokens that were gone through.
	Examined int `json:"examined"`
}

// Check examines every assertion on one state.
func Check(w *authz.World, d *Document) []Result {
	out := make([]Result, 0, len(d.Assertions))
	for i := range d.Assertions {
		out = append(out, d.Assertions[i].examine(w))
	}
	return out
}

func (a *Assertion) examine(w *authz.World) Result {
	res := Result{Name: a.Name, Sentence: a.Sentence()}
	var req authz.Requirement
	a.requests(&req)
	req.Must = len(a.Must) > 0
	from, err := resolveCallers(w, a.callers())
	if err == nil {
		req.Named = from.named
		req.From = from.includes
		if len(a.Only) > 0 {
			req.From = func(f authz.CallerFact) bool { return !from.includes(f) }
		}
		req.To, err = a.places(w)
	}
	if err != nil {
		res.Problem = err.Error()
		return res
	}
	v, err := authz.Verify(w, req)
	if err != nil {
		res.Problem = err.Error()
		return res
	}
	res.Holds, res.Breaches, res.More, res.Unclear, res.Examined = v.Holds(), v.Breaches, v.More, v.Unclear, v.Scenarios
	if v.Scenarios == 0 {
		res.Problem = "it is about no call: nobody that it names can make such a request there"
	}
	return res
}

// caller is one word for callers.
type caller struct {
	anybody, outside bool
	// namespace and account are patterns.
	namespace, account string
	principal          string
	mode               authz.Mode
}

func parseCaller(word string) (caller, error) {
	switch word {
	case "anybody":
		return caller{anybody: true}, nil
	case "outside":
		return caller{outside: true}, nil
	}
	if principal, mode, ok := strings.Cut(word, "@"); ok {
		p := strings.Split(principal, "/")
		if len(p) != 5 || p[1] != "ns" || p[3] != "sa" || mode != string(authz.ModeSidecar) && mode != string(authz.ModeAmbient) {
			return caller{}, fmt.Errorf("caller %q: want TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT@MODE with mode sidecar or ambient", word)
		}
		return caller{principal: principal, mode: authz.Mode(mode)}, nil
	}
	ns, account, ok := strings.Cut(word, "/")
	if !ok || ns == "" || account == "" || strings.Contains(account, "/") {
		return caller{}, fmt.Errorf("caller %q: want NAMESPACE/SERVICEACCOUNT, PRINCIPAL@MODE, outside or anybody", word)
	}
	return caller{namespace: ns, account: account}, badPattern(ns, account)
}

func badPattern(patterns ...string) error {
	for _, p := range patterns {
		if strings.ContainsAny(p, "[]?\\") {
			return fmt.Errorf("%q: * is the only wildcard", p)
		}
	}
	return nil
}

// glob matches a pattern whose only wildcard is *; names hold no slash, so that path.Match serves.
func glob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// callers are those that an assertion names, on one state.
type callers struct {
	anybody, outside bool
	accounts         []caller
	principals       map[string]bool
	named            []authz.Caller
}

func (c *callers) includes(f authz.CallerFact) bool {
	switch {
	case c.anybody:
		return true
	case f.Mode == authz.ModeNone && f.Principal == "":
		return c.outside
	case c.principals[f.Principal]:
		return true
	}
	return slices.ContainsFunc(c.accounts, func(a caller) bool { return glob(a.namespace, f.Namespace) && glob(a.account, f.ServiceAccount) })
}

// resolveCallers finds whom the words mean. A workload's name stands for its account where no account is called so, as
// in `authz can`. Who is outside the mesh shows no identity, so that it cannot be told from others there.
func resolveCallers(w *authz.World, words Words) (*callers, error) {
	c := &callers{principals: map[string]bool{}}
	for _, word := range words {
		one, err := parseCaller(word)
		switch {
		case err != nil:
			return nil, err
		case one.principal != "":
			c.named = append(c.named, authz.Caller{Principal: one.principal, Mode: one.mode})
			c.principals[one.principal] = true
		case one.anybody, one.outside:
			c.anybody = c.anybody || one.anybody
			c.outside = c.outside || one.outside
		default:
			if err := c.account(w, one, word); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *callers) account(w *authz.World, one caller, word string) error {
	found := false
	take := func(account func(*authz.Workload) string) {
		for i := range w.Workloads {
			wl := &w.Workloads[i]
			if wl.Role != authz.RoleApplication && wl.Role != authz.RoleGateway || !glob(one.namespace, wl.Ref.Namespace) || !glob(one.account, account(wl)) {
				continue
			}
			found = true
			if wl.Mode == authz.ModeNone || wl.HostNetwork {
				c.outside = true
				continue
			}
			c.accounts = append(c.accounts, caller{namespace: wl.Ref.Namespace, account: accountOf(wl)})
		}
	}
	take(accountOf)
	if !found {
		take(func(wl *authz.Workload) string { return wl.Ref.Name })
	}
	if !found {
		return fmt.Errorf("caller %s: no workload has this account or name here; an identity that none has is written PRINCIPAL@MODE", word)
	}
	if strings.Contains(one.namespace+one.account, "*") {
		c.accounts = append(c.accounts, one) // identities that policies name and no workload bears
	}
	return nil
}

func accountOf(w *authz.Workload) string {
	if w.ServiceAccount == "" {
		return "default"
	}
	return w.ServiceAccount
}

// place is one word for destinations.
type place struct {
	namespace, name string
	port            uint16
}

func parsePlace(word string) (place, error) {
	p := place{}
	address := word
	if i := strings.LastIndexByte(word, ':'); i >= 0 {
		n, err := strconv.ParseUint(word[i+1:], 10, 16)
		if err != nil || n == 0 {
			return p, fmt.Errorf("to %q: %s is no port", word, word[i+1:])
		}
		p.port, address = uint16(n), word[:i]
	}
	ns, name, ok := strings.Cut(address, "/")
	if !ok || ns == "" || name == "" || strings.Contains(name, "/") {
		return p, fmt.Errorf("to %q: want NAMESPACE/NAME or NAMESPACE/NAME:PORT", word)
	}
	p.namespace, p.name = ns, name
	return p, badPattern(ns, name)
}

// way is a port of a workload that an assertion means; port 0 means all.
type way struct {
	workload authz.Pods
	// service limits it to calls by that Service, at its port.
	service string
	port    uint16
	// podPort limits it to the pods' own port.
	podPort uint16
}

// places gives the ways that the assertion means. Without a limit to one way, what it says of a Service it says of the
// workloads behind it: a policy that can be walked round holds nobody back.
func (a *Assertion) places(w *authz.World) (func(authz.Destination) bool, error) {
	by := a.By
	if by == "" {
		by = "any"
		if len(a.Must) > 0 {
			by = "service"
		}
	}
	var ways []way
	for _, word := range a.To {
		p, err := parsePlace(word)
		if err != nil {
			return nil, err
		}
		found, err := waysTo(w, p, by)
		if err != nil {
			return nil, fmt.Errorf("to %s: %w", word, err)
		}
		ways = append(ways, found...)
	}
	return func(d authz.Destination) bool {
		if by == "pod" && d.Addressing != authz.ByPodIP {
			return false
		}
		return slices.ContainsFunc(ways, func(x way) bool { return x.means(d) })
	}, nil
}

func (x way) means(d authz.Destination) bool {
	switch {
	case x.workload != d.Workload:
		return false
	case x.service != "":
		return d.Service == x.service && (x.port == 0 || d.ServicePort == x.port || d.Addressing == authz.ByHeadless && d.Port == x.podPort)
	}
	return x.podPort == 0 || d.Port == x.podPort
}

func waysTo(w *authz.World, p place, by string) ([]way, error) {
	var out []way
	var ports []string
	for i := range w.Services {
		s := &w.Services[i]
		if !glob(p.namespace, s.Namespace) || !glob(p.name, s.Name) {
			continue
		}
		for _, port := range s.Ports {
			ports = append(ports, strconv.Itoa(int(port.Port)))
			if p.port != 0 && port.Port != p.port {
				continue
			}
			for _, pods := range s.Workloads {
				x := way{workload: pods, podPort: port.Target()}
				if by == "service" {
					x.service, x.port = s.Namespace+"/"+s.Name, port.Port
				} else if p.port == 0 {
					x.podPort = 0
				}
				out = append(out, x)
			}
		}
	}
	wild := strings.Contains(p.name, "*")
	switch {
	case len(out) > 0 && !wild:
		return out, nil
	case len(ports) > 0 && !wild:
		// A workload of the same name is not meant: its port would be another.
		return nil, fmt.Errorf("the Service has no port %d, or selects no workload%s", p.port, authz.Known("; its ports", ports))
	}
	for i := range w.Workloads {
		wl := &w.Workloads[i]
		if (wl.Role == authz.RoleApplication || wl.Role == authz.RoleGateway) && glob(p.namespace, wl.Ref.Namespace) && glob(p.name, wl.Ref.Name) && by != "service" {
			out = append(out, way{workload: wl.Pods(), podPort: p.port})
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case by == "service":
		return nil, fmt.Errorf("no Service that selects a workload is called so here; for a workload without one say by: pod")
	}
	return nil, fmt.Errorf("no Service or workload is called so here")
}
