package route

import (
	"fmt"
	"slices"
	"strings"
)

// Query asks what becomes of one call.
type Query struct {
	// From is the calling workload.
	From Ref
	// To is NS/SERVICE, NS/SERVICEENTRY or a host.
	To   string
	Port uint32
	Request
}

// Answer is the route of one call in a state.
type Answer struct {
	From Ref    `json:"from"`
	Mode Mode   `json:"mode"`
	Host string `json:"host"`
	Port uint32 `json:"port"`
	Side
	// Match is the condition of the rule.
	Match string `json:"match"`
	// Path is what the destination sees where the path is rewritten; Location where a redirect leads.
	Path     string `json:"path,omitempty"`
	Location string `json:"location,omitempty"`
	// Fields are the objects and fields that had a say, by part.
	Fields map[Part]string `json:"fields,omitempty"`
	// Assumed says what the answer rests on that is not known.
	Assumed []string `json:"assumed,omitempty"`
}

// Can says what becomes of one call. It fails where the caller, the host or the port does not exist.
func Can(w *World, q Query) (Answer, error) {
	i := slices.IndexFunc(w.Workloads, func(x Workload) bool { return x.Ref == q.From })
	if i < 0 {
		return Answer{}, fmt.Errorf("no workload is called %s/%s", q.From.Namespace, q.From.Name)
	}
	x := &w.Workloads[i]
	s, host := w.find(q.To, x.Ref.Namespace)
	if s == nil {
		return w.unknownHost(x, q), nil
	}
	p, ok := s.port(q.Port)
	if !ok {
		var ports []string
		for _, p := range s.Ports {
			ports = append(ports, fmt.Sprint(p.Number))
		}
		return Answer{}, fmt.Errorf("%s has no port %d; it has %s", host, q.Port, strings.Join(ports, ", "))
	}
	speeches := p.speeches()
	if len(speeches) == 0 {
		return Answer{}, fmt.Errorf("port %d of %s is UDP, which no proxy sees", q.Port, host)
	}
	r := q.Request
	if r.Speech == "" || !slices.Contains(speeches, r.Speech) {
		r.Speech = speeches[0]
	}
	if r.Authority == "" {
		r.Authority = host
	}
	r.Path, r.Method = orDefault(r.Path, "/"), orDefault(r.Method, "GET")
	t := w.Table(x, s, host, p, r.Speech)
	n := t.Route(&r)
	a := Answer{From: x.Ref, Mode: x.Mode, Host: host, Port: p.Number, Side: t.side(n), Match: "every request"}
	if n >= 0 {
		a.Match = t.Rules[n].Match.String()
	}
	if t.Unknown != "" {
		a.Assumed = append(a.Assumed, t.Unknown)
	}
	a.Assumed = append(a.Assumed, w.Unknown...)
	action := t.action(n)
	a.Fields = action.sources()
	if seen := action.SeenPath(r.Path); seen != r.Path {
		a.Path = seen
	}
	a.Location = action.Location(&r, r.Path)
	return a, nil
}

// find returns the Service of NS/NAME or a host, as a namespace names it.
func (w *World) find(to, viewer string) (*Service, string) {
	if ns, name, ok := strings.Cut(to, "/"); ok {
		for i := range w.Services {
			if s := &w.Services[i]; s.Ref.Namespace == ns && s.Ref.Name == name {
				return s, s.Hosts[0]
			}
		}
		return nil, ""
	}
	for _, host := range []string{strings.ToLower(to), w.Config.fullName(to, viewer), to + ".svc." + w.Config.ClusterDomain, to + "." + w.Config.ClusterDomain} {
		if list := w.hosts().byHost[host]; len(list) > 0 {
			return &w.Services[list[0]], host
		}
	}
	for _, i := range w.hosts().wild {
		for _, h := range w.Services[i].Hosts {
			if hostMatches(h, to) {
				return &w.Services[i], h
			}
		}
	}
	return nil, ""
}

// unknownHost is a call to a host that nobody has: passed on, unless the caller's sidecar refuses it.
func (w *World) unknownHost(x *Workload, q Query) Answer {
	a := Answer{From: x.Ref, Mode: x.Mode, Host: q.To, Port: q.Port, Match: "every request"}
	action := &Action{Kind: Forward, Destinations: []Destination{{Target: Target{Host: q.To, Port: q.Port, Key: "the address that it was called by"}, Weight: 1}}}
	switch x.Mode {
	case Sidecar:
		a.By = AtSidecar
		only := w.Config.RegistryOnly
		if x.Scope != nil && x.Scope.RegistryOnly != nil {
			only = *x.Scope.RegistryOnly
		}
		switch {
		case only:
			action = &Action{Kind: Refuse, Status: 502, Text: "no Service or ServiceEntry has the host, and REGISTRY_ONLY refuses it"}
		case x.Scope != nil && x.Scope.EgressProxy != "":
			action.Destinations[0].Target.Host = x.Scope.EgressProxy
			a.Rule = Origin{x.Scope.Ref, "spec.outboundTrafficPolicy.egressProxy"}.String()
		}
	case Ambient:
		a.By = AtZtunnel
	default:
		a.By = AtNobody
	}
	a.Action, a.Does = action, action.Words()
	return a
}

// sources lists where each part of a treatment was read.
func (a *Action) sources() map[Part]string {
	out := map[Part]string{}
	for part := range gradeOf {
		if o := a.origin(part); o != (Origin{}) && a.says(part) {
			out[part] = o.String()
		}
	}
	return out
}

// says reports whether a treatment has something other than the default for a part.
func (a *Action) says(p Part) bool {
	switch p {
	case PartTimeout:
		return a.Timeout != 0
	case PartRetries:
		return a.Retries.words(false) != ""
	case PartSubset:
		return slices.ContainsFunc(a.Destinations, func(d Destination) bool { return d.Target.Subset != "" })
	case PartMirror:
		return len(a.Mirrors) > 0
	}
	return true
}
