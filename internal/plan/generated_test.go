package plan

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1beta1 "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

var (
	meshes = flag.Int("meshes", 15, "how many generated meshes to plan")
	seed   = flag.Uint64("seed", 1, "where the generated meshes start")
)

// generated is a mesh at random: modes, policies of all kinds, several Services and ports, headless ones, Jobs, a gateway, callers
// outside and some that keep their sidecars.
func generated(r *rand.Rand) (lines, objects string) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	if r.IntN(3) == 0 {
		line("strict")
	}
	if r.IntN(5) == 0 {
		line("no-hbone")
	}
	line("namespace app inject")
	line("namespace cli inject")
	line("namespace ext")
	if r.IntN(2) == 0 {
		line("waypoint app/waypoint")
	}
	gateway := r.IntN(4) == 0
	if gateway {
		line("namespace edge")
		line("gateway edge/gw")
	}
	names := []string{"a", "b", "c", "d"}[:2+r.IntN(3)]
	for _, n := range names {
		kind, pin := pick("Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet"), ""
		if r.IntN(8) == 0 {
			pin = " @sidestep.dev/mode=sidecar"
		}
		line("%s app/%s 8080 8081 9100%s", kind, n, pin)
		if r.IntN(6) > 0 {
			line("service app/%s %s%s", n, pick("80:8080", "80:8080 81:8081", "8081:8080 8080:8081", "tcp-80:8080"), pick("", "", "", "", " headless", " loadbalancer"))
		}
		if r.IntN(4) == 0 {
			line("service app/%s-old 8080:8081 for=%s", n, n)
		}
	}
	line("%s cli/x 8080", pick("Deployment", "CronJob", "Job"))
	if r.IntN(3) == 0 {
		line("Deployment ext/e 8080")
	}
	who := func() string {
		return "cluster.local/ns/" + pick("app/sa/a", "app/sa/b", "cli/sa/x", "cli/sa/nobody")
	}
	rule := func() string {
		var parts, source, operation []string
		if r.IntN(2) == 0 {
			source = append(source, pick("principals: ["+who()+"]", "notPrincipals: ["+who()+"]", "namespaces: [cli]", "notNamespaces: [app]", "ipBlocks: [10.66.0.0/16]", "requestPrincipals: ['*']", "notRequestPrincipals: ['*']", "serviceAccounts: [a]"))
		}
		if r.IntN(2) == 0 {
			operation = append(operation, pick("methods: [GET]", "notMethods: [GET]", "paths: [/admin*]", "hosts: [x.example]"))
		}
		if r.IntN(3) == 0 {
			operation = append(operation, pick("ports: ['8080']", "ports: ['8081']", "notPorts: ['8080']", "ports: ['9100']"))
		}
		if len(source) > 0 {
			parts = append(parts, "from: [{source: {"+strings.Join(source, ", ")+"}}]")
		}
		if len(operation) > 0 {
			parts = append(parts, "to: [{operation: {"+strings.Join(operation, ", ")+"}}]")
		}
		if r.IntN(8) == 0 {
			parts = append(parts, "when: [{key: destination.port, values: ['8080']}]")
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	for i := range r.IntN(4) {
		action := pick("ALLOW", "ALLOW", "DENY", "DENY", "CUSTOM provider=ext")
		reach := pick("for=a", "for=b", "for=a", "for=c", "")
		namespace := "app"
		if reach == "" && r.IntN(3) == 0 {
			namespace = "istio-system"
		}
		rules := rule()
		if r.IntN(3) == 0 {
			rules += " | " + rule()
		}
		line("policy %s/p%d %s %s | %s", namespace, i, action, reach, rules)
	}
	if r.IntN(4) == 0 {
		line("jwt app/j for=%s", pick(names...))
	}
	if r.IntN(6) == 0 {
		line("peer app/m %s for=%s", pick("STRICT", "PERMISSIVE", "DISABLE"), pick(names...))
	}
	if gateway {
		objects = fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: in, namespace: app}\nspec: {hosts: [shop.example], gateways: [edge/gw], http: [{route: [{destination: {host: %s.app.svc.cluster.local}}]}]}\n", pick(names...))
	}
	return b.String(), objects
}

// generatedCalls is a call graph at random, with cycles; nil where nothing was observed.
func generatedCalls(r *rand.Rand, t testing.TB) *CallGraph {
	if r.IntN(3) == 0 {
		return nil
	}
	var b strings.Builder
	all := []string{"app/a", "app/b", "app/c", "app/d", "cli/x", "ext/e", "outside"}
	for range 1 + r.IntN(8) {
		fmt.Fprintf(&b, "%s %s", all[r.IntN(len(all))], all[r.IntN(4)])
		if r.IntN(6) == 0 {
			b.WriteString(" 9100")
		}
		b.WriteString("\n")
	}
	return callsOf(t, b.String())
}

// In every prefix of every plan, with every workload as old and new pods, nobody lacks a proxy, nothing is weaker than the start
// and no call that counts is refused; undoing restores the start. A plan that was made with wrong calls opens nothing either.
func TestPlansOfGeneratedMeshes(t *testing.T) {
	moves, prepared, stays, needs := 0, 0, 0, 0
	for i := range *meshes {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		lines, objects := generated(r)
		var more []string
		if objects != "" {
			more = append(more, objects)
		}
		s := loadText(t, lines, more...)
		o := Options{Calls: generatedCalls(r, t)}
		p, err := Build(s, o)
		if err != nil {
			t.Fatalf("mesh %d of seed %d: %v\n%s", i, *seed, err, lines)
		}
		if err := safe(s, p, o); err != nil {
			t.Errorf("mesh %d of seed %d: %v\n%s%s\n%s", i, *seed, err, lines, objects, short(p))
		}
		if err := undone(s, p); err != nil {
			t.Errorf("mesh %d of seed %d: %v\n%s", i, *seed, err, lines)
		}
		for _, step := range p.Steps() {
			if step.Kind == KindMove {
				moves++
			} else {
				prepared++
			}
		}
		stays, needs = stays+len(p.Stays), needs+len(p.Needs)
	}
	t.Logf("%d meshes: %d moves, %d other steps, %d workloads stay, %d needs", *meshes, moves, prepared, stays, needs)
}

// What a planner could get wrong is caught by the same check, every time: this is what the property above is worth.
func TestPlantedMistakesAreCaught(t *testing.T) {
	const guarded = `
namespace app inject
waypoint app/waypoint
Deployment app/c 8080
Deployment app/s 8080 8081
service app/s 80:8080 81:8081
service app/s-old 8080:8081 for=s
policy app/callers ALLOW | {from: [{source: {namespaces: [app]}}]}
policy app/s-p DENY for=s | {to: [{operation: {paths: [/admin*]}}]}
policy app/s-q DENY for=s | {to: [{operation: {methods: [DELETE], ports: ['8081']}}]}
`
	for name, plant := range map[string]func(p *Plan) bool{
		"ports are copied verbatim": func(p *Plan) bool {
			return editPolicies(p, KindCopy, func(o *securityv1.AuthorizationPolicy) bool {
				if len(policyPorts(o.Spec.Rules)) == 0 {
					return false
				}
				o.Spec.Rules[0].To[0].Operation.Ports = []string{"8081"}
				return true
			})
		},
		"the guard allows the waypoint instead of denying the others": func(p *Plan) bool {
			return editPolicies(p, KindGuard, func(o *securityv1.AuthorizationPolicy) bool {
				source := o.Spec.Rules[0].From[0].Source
				source.Principals, source.NotPrincipals = source.NotPrincipals, nil
				o.Spec.Action = securityv1beta1.AuthorizationPolicy_ALLOW
				return true
			})
		},
		"the guard comes after the pods": func(p *Plan) bool {
			var late []Step
			for i := range p.Waves {
				w := &p.Waves[i]
				w.Steps = slices.DeleteFunc(w.Steps, func(s Step) bool {
					if s.Kind == KindGuard {
						late = append(late, s)
					}
					return s.Kind == KindGuard
				})
			}
			for i := range p.Waves {
				if w := &p.Waves[i]; strings.HasPrefix(w.Name, "move") && i == len(p.Waves)-2 {
					w.Steps = append(w.Steps, late...)
				}
			}
			return len(late) > 0
		},
		"a second Service has no copy": func(p *Plan) bool {
			done := false
			for i := range p.Waves {
				w := &p.Waves[i]
				w.Steps = slices.DeleteFunc(w.Steps, func(s Step) bool {
					o, ok := s.Edit.Put.(*securityv1.AuthorizationPolicy)
					gone := ok && s.Kind == KindCopy && len(o.Spec.TargetRefs) == 1 && o.Spec.TargetRefs[0].Name == "s-old"
					done = done || gone
					return gone
				})
			}
			return done
		},
		"the old policies go before the last old pod": func(p *Plan) bool {
			last := len(p.Waves) - 1
			if p.Waves[last].Name != "retire" {
				return false
			}
			p.Waves = slices.Insert(p.Waves[:last], 2, p.Waves[last])
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := loadText(t, guarded)
			o := Options{Calls: callsOf(t, "app/c app/s")}
			p := built(t, s, o)
			if err := safe(s, p, o); err != nil {
				t.Fatalf("without the mistake: %v", err)
			}
			if !plant(p) {
				t.Fatalf("the mistake could not be planted in\n%s", short(p))
			}
			if err := safe(s, p, o); err == nil {
				t.Error("it was not caught")
			}
		})
	}
}

func built(t *testing.T, s *snapshot.Snapshot, o Options) *Plan {
	t.Helper()
	p, err := Build(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// editPolicies changes copies of the policies that steps of a kind write, and reports whether one was changed.
func editPolicies(p *Plan, kind StepKind, edit func(*securityv1.AuthorizationPolicy) bool) bool {
	done := false
	for i := range p.Waves {
		for j := range p.Waves[i].Steps {
			s := &p.Waves[i].Steps[j]
			o, ok := s.Edit.Put.(*securityv1.AuthorizationPolicy)
			if !ok || s.Kind != kind {
				continue
			}
			c := o.DeepCopy()
			if edit(c) {
				s.Edit.Put, done = c, true
			}
		}
	}
	return done
}

// The same input gives the same plan, to the byte, whatever order maps come in.
func TestPlansAreDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 5 {
		lines, objects := generated(r)
		var more []string
		if objects != "" {
			more = append(more, objects)
		}
		calls := generatedCalls(r, t)
		first := built(t, loadText(t, lines, more...), Options{Calls: calls})
		for range 3 {
			if again := built(t, loadText(t, lines, more...), Options{Calls: calls}); short(again) != short(first) || again.Fingerprint != first.Fingerprint {
				t.Fatalf("one mesh, two plans:\n%s\n%s\n%s", lines, short(first), short(again))
			}
		}
	}
}
