package authz

import (
	"fmt"
	"math/rand"
	"testing"
)

// requirement makes a random requirement about one workload.
func (g gen) requirement(w *World) (Requirement, Pods) {
	to := w.Workloads[g.c.Intn(len(w.Workloads))].Pods()
	r := Requirement{Must: g.chance(50), Max: 1 << 20, To: func(d Destination) bool { return d.Workload == to }}
	o := &r.Operation
	for _, f := range []struct {
		list *[]string
		from []string
	}{{&o.Methods, vocabMethods}, {&o.NotMethods, vocabMethods}, {&o.Paths, vocabPaths}, {&o.NotPaths, vocabPaths}, {&o.Hosts, vocabHosts}} {
		if g.chance(25) {
			*f.list = some(g, 2, f.from)
		}
	}
	if g.chance(25) {
		key := pick(g, "request.headers[x-v]", "source.ip", "request.auth.claims[role]", "connection.sni")
		r.When = append(r.When, Condition{Key: key, Values: g.values(key)})
	}
	r.Token = pick(g, TokenAny, TokenAny, TokenNone, TokenValid)
	return r, to
}

// readable reports whether a token is one that a proxy on the way accepts, where any looks for tokens.
func readable(p *path, t *Token) bool {
	readers := false
	for i := range p.hops {
		if prog := p.hops[i].prog; prog != nil && len(prog.jwt) > 0 && p.hops[i].protocol == ProtocolHTTP {
			readers = true
			if visible, _, _ := prog.readToken(t); visible != nil {
				return true
			}
		}
	}
	return !readers
}

// means reports whether a request is one that the requirement is about.
func (v *verifier) means(r *Request, t target, id identity) bool {
	token := r.JWT
	if r.preflight() {
		token = nil // nobody reads that of a preflight
	}
	if v.r.Token == TokenNone && token != nil || v.r.Token == TokenValid && (token == nil || !token.Valid) {
		return false
	}
	list, h := v.http, hop{who: whoCaller, port: t.port, protocol: r.Protocol}
	if r.Protocol == ProtocolTCP {
		list = v.bytes
	}
	h.vip = t.svc != nil && t.addressing == ByService
	e := evaluation{req: r, caller: id}
	view := e.view(&h)
	if token != nil && token.Valid {
		view.token = token
	}
	for _, c := range list {
		if c.match(view) {
			return true
		}
	}
	return false
}

// checkVerify holds Verify to both of its promises on one world: every breach breaks the requirement when it is asked
// anew, and where it lists none for the callers of one sort, one way and one protocol, no random request breaks it.
func checkVerify(w World, g gen, samples int) (breaches int, err error) {
	req, to := g.requirement(&w)
	out, err := Verify(&w, req)
	if err != nil {
		return 0, nil // a random pattern that no Envoy reads
	}
	if len(out.Unclear) > 0 {
		return 0, fmt.Errorf("unclear: %v", out.Unclear)
	}
	v := verifier{comparison: NewProver(&w).comparison(&w, Options{}), r: &req}
	if err := v.compile(); err != nil {
		return 0, err
	}
	m := v.worlds[0]
	type place struct {
		mode  Mode
		role  bool
		to    Destination
		proto Protocol
	}
	broken := map[place]bool{}
	for _, b := range out.Breaches {
		if req.Must && b.Answer.Decision == Allow || !req.Must && b.Answer.Decision == Deny {
			return 0, fmt.Errorf("no breach: %s is decided %s", b.Words, b.Answer.Decision)
		}
		broken[place{mode: b.Request.From.Mode, to: b.Request.To, proto: b.Request.Protocol}] = true
	}
	for _, t := range m.targets(m.workloads[to]) {
		for _, proto := range protocols(t.declared) {
			if v.asksHTTP && proto == ProtocolTCP && t.declared != ProtocolTCP {
				continue
			}
			for _, pair := range v.callers.pairs {
				if pair.before.role == RoleGateway && t.addressing == ByPodIP || broken[place{mode: pair.before.mode, to: t.destination(), proto: proto}] {
					continue
				}
				list := v.callers.lists[pair].list
				for range samples {
					c := list[g.c.Intn(len(list))]
					r := Request{Protocol: proto}
					g.attributes(&r)
					g.direct(&r, &w)
					if known := knownAddresses(placePod, t, t); len(known) > 0 {
						r.PodIP = known[0].String()
					}
					if req.Must {
						r.Refused = nil
					}
					p := m.route(pair.before, t, effective(t, proto))
					if !v.means(&r, t, c.ids[0]) || req.Must && req.Token == TokenValid && !readable(&p, r.JWT) {
						continue
					}
					if d := ask(m, pair.before, t, c.ids[0], r); req.Must && d != Allow || !req.Must && d != Deny {
						r.To = t.destination()
						return 0, fmt.Errorf("must %v holds by Verify, but %q by %s is decided %s: %s; %+v %+v", req.Must, c.ids[0].principal, pair.words(), d, r.words(), req.Operation, req.When)
					}
				}
			}
		}
	}
	return len(out.Breaches), nil
}

func TestVerifyIsRight(t *testing.T) {
	worlds, broken := 500, 0
	for seed := range worlds {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		n, err := checkVerify(g.world(), g, 30)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if n > 0 {
			broken++
		}
	}
	if broken < worlds/20 || broken > worlds*19/20 {
		t.Errorf("%d of %d requirements are broken: the generator tests one side only", broken, worlds)
	}
	t.Logf("%d of %d requirements broken", broken, worlds)
}

func FuzzVerify(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, seed int64) {
		g := gen{rand.New(rand.NewSource(seed))}
		if _, err := checkVerify(g.world(), g, 30); err != nil {
			t.Fatal(err)
		}
	})
}
