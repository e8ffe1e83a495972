package policytest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// load reads policies; one that is there already is replaced.
func (s *story) load(text string) error {
	for _, doc := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		problems, err := AddPolicy(&s.world.Policies, []byte(doc))
		if err != nil {
			return err
		}
		s.problems = append(s.problems, problems...)
	}
	return nil
}

// AddPolicy reads one policy object in YAML or JSON and adds it, replacing one of the
// same kind and name. The slices of p are not changed in place.
func AddPolicy(p *authz.Policies, doc []byte) ([]authz.Problem, error) {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &meta); err != nil {
		return nil, err
	}
	switch meta.Kind {
	case "AuthorizationPolicy":
		var obj securityv1.AuthorizationPolicy
		if err := yaml.Unmarshal(doc, &obj); err != nil {
			return nil, err
		}
		c, problems := authz.CompileAuthorizationPolicy(&obj)
		p.Authorization = append(without(p.Authorization, func(x *authz.AuthorizationPolicy) bool { return x.Key() == c.Key() }), c)
		return problems, nil
	case "RequestAuthentication":
		var obj securityv1.RequestAuthentication
		if err := yaml.Unmarshal(doc, &obj); err != nil {
			return nil, err
		}
		c, problems := authz.CompileRequestAuthentication(&obj)
		p.Authentication = append(without(p.Authentication, func(x *authz.RequestAuthentication) bool { return x.Key() == c.Key() }), c)
		return problems, nil
	case "PeerAuthentication":
		var obj securityv1.PeerAuthentication
		if err := yaml.Unmarshal(doc, &obj); err != nil {
			return nil, err
		}
		c, problems := authz.CompilePeerAuthentication(&obj)
		p.Peer = append(without(p.Peer, func(x *authz.PeerAuthentication) bool { return x.Key() == c.Key() }), c)
		return problems, nil
	}
	return nil, fmt.Errorf("kind %q is no policy", meta.Kind)
}

func without[T any](list []T, drop func(*T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return drop(&x) })
}

// drop KIND NS/NAME
func (s *story) drop(words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("want: drop KIND NS/NAME")
	}
	p := &s.world.Policies
	before := len(p.Authorization) + len(p.Authentication) + len(p.Peer)
	switch words[0] {
	case "AuthorizationPolicy":
		p.Authorization = without(p.Authorization, func(x *authz.AuthorizationPolicy) bool { return x.Key() == words[1] })
	case "RequestAuthentication":
		p.Authentication = without(p.Authentication, func(x *authz.RequestAuthentication) bool { return x.Key() == words[1] })
	case "PeerAuthentication":
		p.Peer = without(p.Peer, func(x *authz.PeerAuthentication) bool { return x.Key() == words[1] })
	}
	if len(p.Authorization)+len(p.Authentication)+len(p.Peer) == before {
		return fmt.Errorf("no such policy")
	}
	return nil
}

// request FROM TO [METHOD PATH] [key=value ...]
//
// FROM is NS/WORKLOAD, "outside", or PRINCIPAL@MODE. TO is NS/SERVICE:PORT, or
// pod:NS/WORKLOAD:PORT.
func (s *story) request(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("want: request FROM TO [METHOD PATH] [options]")
	}
	var r authz.Request
	if err := parseFrom(&r.From, words[0]); err != nil {
		return err
	}
	if err := parseTo(&r.To, words[1]); err != nil {
		return err
	}
	rest := words[2:]
	if len(rest) > 0 && rest[0] == "TCP" {
		r.Protocol = authz.ProtocolTCP
		rest = rest[1:]
	} else if len(rest) >= 2 && !strings.Contains(rest[0], "=") {
		r.Method, r.Path = rest[0], rest[1]
		rest = rest[2:]
	}
	for _, w := range rest {
		if err := parseOption(&r, w); err != nil {
			return err
		}
	}
	a, err := authz.Can(&s.world, r)
	if err != nil {
		return err
	}
	s.answer, s.result = &a, nil
	return nil
}

func parseFrom(c *authz.Caller, from string) error {
	if from == "outside" {
		c.Mode = authz.ModeNone
		return nil
	}
	if p, mode, ok := strings.Cut(from, "@"); ok {
		c.Principal, c.Mode = p, authz.Mode(mode)
		return nil
	}
	ns, name, err := ref(from)
	if err != nil {
		return err
	}
	c.Workload = pods(ns, name)
	return nil
}

// pods reads NAME or NAME#SET, the way a set of a workload's pods is written.
func pods(ns, name string) *authz.Pods {
	name, set, _ := strings.Cut(name, "#")
	return &authz.Pods{Ref: authz.Ref{Kind: workloadKind, Namespace: ns, Name: name}, Set: set}
}

func parseTo(d *authz.Destination, to string) error {
	to, pod := strings.CutPrefix(to, "pod:")
	addr, portText, ok := strings.Cut(to, ":")
	if !ok {
		return fmt.Errorf("%q has no port", to)
	}
	ns, name, err := ref(addr)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return err
	}
	if pod {
		d.Workload = *pods(ns, name)
		d.Addressing, d.Port = authz.ByPodIP, uint16(port)
		return nil
	}
	d.Service, d.ServicePort = ns+"/"+name, uint16(port)
	return nil
}

func parseOption(r *authz.Request, w string) error {
	k, v, _ := strings.Cut(w, "=")
	switch k {
	case "host":
		r.Host = v
	case "sni":
		r.SNI = v
	case "source-ip":
		r.SourceIP = v
	case "remote-ip":
		r.RemoteIP = v
	case "refused":
		r.Refused = strings.Split(v, ",")
	case "header":
		name, value, _ := strings.Cut(v, ":")
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[name] = value
	case "jwt":
		tok, err := ParseToken([]byte(v))
		if err != nil {
			return err
		}
		r.JWT = tok
	case "badjwt":
		r.JWT = &authz.Token{Issuer: v}
	default:
		return fmt.Errorf("unknown option %q", k)
	}
	return nil
}

// ParseToken reads claims in JSON as a valid token. Numbers and booleans are no strings,
// so that no policy can match them.
func ParseToken(claims []byte) (*authz.Token, error) {
	var raw map[string]any
	if err := json.Unmarshal(claims, &raw); err != nil {
		return nil, err
	}
	t := &authz.Token{Valid: true, Claims: map[string]authz.Claim{}}
	if iss, ok := raw["iss"].(string); ok {
		t.Issuer = iss
	}
	for k, v := range raw {
		t.Claims[k] = claim(v)
	}
	return t, nil
}

func claim(v any) authz.Claim {
	switch v := v.(type) {
	case string:
		return authz.Claim{Values: []string{v}}
	case []any:
		var c authz.Claim
		for _, e := range v {
			if s, ok := e.(string); ok {
				c.Values = append(c.Values, s)
			}
		}
		return c
	case map[string]any:
		c := authz.Claim{Object: map[string]authz.Claim{}}
		for k, e := range v {
			c.Object[k] = claim(e)
		}
		return c
	}
	return authz.Claim{}
}

// diff BEFORE AFTER; AFTER may be "now".
func (s *story) diff(words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("want: diff BEFORE AFTER")
	}
	get := func(name string) (authz.World, error) {
		if name == "now" {
			return s.world, nil
		}
		w, ok := s.worlds[name]
		if !ok {
			return w, fmt.Errorf("no world %q", name)
		}
		return w, nil
	}
	before, err := get(words[0])
	if err != nil {
		return err
	}
	after, err := get(words[1])
	if err != nil {
		return err
	}
	r := authz.Diff(&before, &after, authz.Options{})
	s.answer, s.result = nil, &r
	return nil
}

// expect what the last request or diff must have given.
func (s *story) expect(words []string) error {
	s.expectations++
	if len(words) == 0 {
		return fmt.Errorf("expect what?")
	}
	if words[0] == "problem" {
		for _, p := range s.problems {
			text := p.Object.String() + " " + p.Field + " " + p.Message
			if containsAll(text, words[1:]) {
				return nil
			}
		}
		return fmt.Errorf("problems are %v", s.problems)
	}
	switch {
	case s.answer != nil:
		return s.expectAnswer(words)
	case s.result != nil:
		return s.expectResult(words)
	}
	return fmt.Errorf("nothing was asked yet")
}

func (s *story) expectAnswer(words []string) error {
	a := s.answer
	got := fmt.Sprintf("%s by=%s policy=%s (%s; %s)", a.Decision, a.By, a.Policy, a.Why, a.Route)
	if string(a.Decision) != words[0] {
		return fmt.Errorf("got %s", got)
	}
	o, err := options(words[1:], "by", "policy", "why", "route")
	if err != nil {
		return err
	}
	for k, v := range o {
		have := map[string]string{"by": string(a.By), "policy": a.Policy, "why": a.Why, "route": a.Route}[k]
		if (k == "by" || k == "policy") && have != v || !strings.Contains(have, v) {
			return fmt.Errorf("got %s", got)
		}
	}
	return nil
}

// expectResult knows: equivalent; no weaker; no stricter; weaker WORDS...; stricter
// WORDS...; and count N.
func (s *story) expectResult(words []string) error {
	list := func() string {
		out := ""
		for _, d := range s.result.Divergences {
			out += fmt.Sprintf("\n  %s", Describe(d))
		}
		return out
	}
	switch words[0] {
	case "equivalent":
		if !s.result.Equivalent {
			return fmt.Errorf("they differ:%s", list())
		}
		return nil
	case "no":
		for _, d := range s.result.Divergences {
			if len(words) > 1 && string(d.Kind) == words[1] && containsAll(Describe(d), words[2:]) {
				return fmt.Errorf("there is %s", Describe(d))
			}
		}
		return nil
	case "weaker", "stricter", "authenticated":
		for _, d := range s.result.Divergences {
			if string(d.Kind) == words[0] && containsAll(Describe(d), words[1:]) {
				return nil
			}
		}
		return fmt.Errorf("there is none such:%s", list())
	case "count":
		if len(words) != 2 || strconv.Itoa(len(s.result.Divergences)) != words[1] {
			return fmt.Errorf("there are %d:%s", len(s.result.Divergences), list())
		}
		return nil
	}
	return fmt.Errorf("do not know %q after diff", words[0])
}

// Describe says a divergence in one line.
func Describe(d authz.Divergence) string {
	say := func(a authz.Answer) string {
		s := fmt.Sprintf("%s by %s", a.Decision, a.By)
		if a.Policy != "" {
			s += " " + a.Policy
		}
		return s + " (" + a.Why + "; " + a.Route + ")"
	}
	return fmt.Sprintf("%s: %s: before %s, after %s", d.Kind, d.Words, say(d.Before), say(d.After))
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
