package authz

import (
	"fmt"
	"math/rand"
	"slices"
	"sort"
	"testing"

	securityapi "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// shopWorld has a caller and a server with sidecars, behind a Service, and an ALLOW policy for that caller.
func shopWorld() World {
	p := &securityv1.AuthorizationPolicy{}
	p.Namespace, p.Name = "shop", "callers"
	p.Spec.Rules = []*securityapi.Rule{{From: []*securityapi.Rule_From{{Source: &securityapi.Source{Principals: []string{"cluster.local/ns/web/sa/front"}}}}}}
	compiled, _ := CompileAuthorizationPolicy(p)
	front := Workload{Ref: Ref{Kind: "Deployment", Namespace: "web", Name: "front"}, ServiceAccount: "front", Mode: ModeSidecar, HBONE: true, Role: RoleApplication}
	cart := Workload{Ref: Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}, Labels: map[string]string{"app": "cart"}, ServiceAccount: "cart", Mode: ModeSidecar, HBONE: true, Role: RoleApplication}
	return World{Policies: Policies{Authorization: []AuthorizationPolicy{compiled}}, Workloads: []Workload{front, cart},
		Services: []Service{{Namespace: "shop", Name: "cart", Workloads: []Pods{cart.Pods()}, Ports: []ServicePort{{Port: 80, TargetPort: 8080, Protocol: ProtocolHTTP}}}}}
}

// restarting is the state in the middle of a restart of one workload, with a change to its new pods.
func (w World) restarting(name string, change func(*Workload)) World {
	w.Workloads, w.Services = slices.Clone(w.Workloads), slices.Clone(w.Services)
	i := slices.IndexFunc(w.Workloads, func(x Workload) bool { return x.Ref.Name == name })
	was := w.Workloads[i].Pods()
	made := w.Workloads[i]
	w.Workloads[i].Set, made.Set = "old", "new"
	change(&made)
	w.Workloads = append(w.Workloads, made)
	for n := range w.Services {
		if at := slices.Index(w.Services[n].Workloads, was); at >= 0 {
			w.Services[n].Workloads = []Pods{w.Workloads[i].Pods(), made.Pods()}
		}
	}
	return w
}

// lines gives divergences as "kind caller -> destination", without repetition.
func lines(r Result) []string {
	var out []string
	for _, d := range r.Divergences {
		from := "outside"
		if d.Request.From.Workload != nil {
			from = d.Request.From.Workload.String()
		}
		out = append(out, fmt.Sprintf("%s: %s (%s) -> %s by %s", d.Kind, from, d.Request.From.Mode, d.Request.To.Workload, d.Request.To.Addressing))
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func TestHalfRestartedWorkloadsAreFourPairs(t *testing.T) {
	start := shopWorld()
	onlyReal := Options{OnlyWorkloads: true}
	ambient := func(w *Workload) { w.Mode = ModeAmbient }
	for sentence, c := range map[string]struct {
		after World
		want  []string
	}{
		"a server whose new pods are ambient": {start.restarting("cart", ambient), []string{
			// The old pods still take mTLS; the new ones take HBONE of a sidecar that has it. By pod IP, plaintext either way.
		}},
		"new pods of the server without sidecar": {start.restarting("cart", func(w *Workload) { w.Mode = ModeNone }), []string{
			"authenticated: Deployment web/front (sidecar) -> Deployment shop/cart (new) by pod IP",
			"weaker: Deployment shop/cart (new) (sidecar) -> Deployment shop/cart (new) by pod IP",
			"weaker: Deployment shop/cart (new) (sidecar) -> Deployment shop/cart (new) by service",
			"weaker: Deployment shop/cart (old) (sidecar) -> Deployment shop/cart (new) by pod IP",
			"weaker: Deployment shop/cart (old) (sidecar) -> Deployment shop/cart (new) by service",
			"weaker: outside (none) -> Deployment shop/cart (new) by pod IP",
			"weaker: outside (none) -> Deployment shop/cart (new) by service",
		}},
		"new pods of the caller and of the server ambient, the old server without HBONE": {
			func() World {
				w := start.restarting("cart", ambient).restarting("front", ambient)
				for i := range w.Workloads {
					if w.Workloads[i].Set == "old" {
						w.Workloads[i].HBONE = false
					}
				}
				return w
			}(), []string{
				// A new caller cannot reach old pods with its identity. Old callers reach new pods with theirs: they send HBONE.
				"authenticated: Deployment web/front (new) (sidecar) -> Deployment shop/cart (new) by pod IP",
				"stricter: Deployment web/front (new) (sidecar) -> Deployment shop/cart (old) by service",
			}},
		"new pods of the server ambient, the caller told not to send HBONE": {
			func() World {
				w := start.restarting("cart", ambient).restarting("front", func(w *Workload) { w.NoHBONESend = true })
				return w
			}(), []string{"stricter: Deployment web/front (new) (sidecar) -> Deployment shop/cart (new) by service"}},
	} {
		if got := lines(Diff(&start, &c.after, onlyReal)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", sentence, got, c.want)
		}
	}
}

func TestPodsUnderAnotherName(t *testing.T) {
	before := shopWorld()
	after := shopWorld()
	after.Workloads[1].Ref.Name, after.Workloads[1].Mode = "basket", ModeNone
	after.Services[0].Workloads = []Pods{after.Workloads[1].Pods()}
	r := NewProver(&before).Compare(&after, Options{OnlyWorkloads: true, From: map[Pods]Pods{after.Workloads[1].Pods(): before.Workloads[1].Pods()}})
	if len(r.Divergences) == 0 || r.Divergences[0].Kind != Weaker || r.Divergences[0].Request.To.Workload.Name != "basket" {
		t.Errorf("the renamed workload lost its protection: %q", lines(r))
	}
}

// TestCallersOfADivergence: the callers are there in full, whoever represents them, and a filter chooses among them.
func TestCallersOfADivergence(t *testing.T) {
	before := shopWorld()
	for i := range 5 {
		w := before.Workloads[0]
		w.Ref.Name, w.ServiceAccount = fmt.Sprintf("other%d", i), fmt.Sprintf("other%d", i/2)
		before.Workloads = append(before.Workloads, w)
	}
	after := before
	after.Policies = Policies{}
	p := NewProver(&before)
	count := func(o Options) (callers int) {
		for _, d := range p.Compare(&after, o).Divergences {
			if d.Request.To.Addressing == ByService && d.Request.From.Mode == ModeSidecar {
				for c := range d.Callers.All() {
					if c.Workload != nil && c.Workload.Namespace == "web" {
						callers++
					}
				}
			}
		}
		return callers
	}
	if n := count(Options{}); n != 5 {
		t.Errorf("%d callers may call now, want 5", n)
	}
	one := func(c Caller) bool { return c.Workload != nil && c.Workload.Name == "other3" }
	if n := count(Options{Callers: one}); n != 1 {
		t.Errorf("%d callers of the one that was asked for", n)
	}
	nowhere := func(Pods) bool { return false }
	if r := p.Compare(&after, Options{Destinations: nowhere}); len(r.Divergences) != 0 || r.Stats.Destinations != 0 {
		t.Errorf("no destination was asked for: %+v", r.Stats)
	}
}

// TestPartsAgree: a comparison in parts, and one by a prover that was asked before, find what one of its own does.
func TestPartsAgree(t *testing.T) {
	for seed := range 40 {
		g := gen{rand.New(rand.NewSource(int64(seed)))}
		before := g.world()
		p := NewProver(&before)
		for range 3 {
			after := g.change(before)
			want := lines(Diff(&before, &after, Options{}))
			var parts []Result
			for _, run := range p.Parts(&after, Options{}, 3) {
				parts = append(parts, run())
			}
			if got := lines(Merge(Options{}, parts...)); !slices.Equal(got, want) {
				t.Fatalf("seed %d:\ngot  %q\nwant %q", seed, got, want)
			}
		}
	}
}
