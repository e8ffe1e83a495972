package plan

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1beta1 "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

var (
	meshes = flag.Int("meshes", 15, "how many generated meshes to plan")
	seed   = flag.Uint64("seed", 1, "where the generated meshes start")
	single = flag.Int("mesh", -1, "the number of the only generated mesh to plan")
)

// In every prefix of every plan, with every workload as old and new pods, nobody lacks a proxy, nothing is weaker than the start
// and no call that counts is refused; undoing restores the start. A plan that was made with wrong calls opens nothing either. Steps
// of one wave are taken in any order.
func TestPlansOfGeneratedMeshes(t *testing.T) {
	shards := min(runtime.GOMAXPROCS(0), *meshes)
	tallies := make([]tally, shards)
	t.Run("meshes", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < *meshes; i += shards {
					if *single < 0 || *single == i {
						planGenerated(t, i, &tallies[shard])
					}
				}
			})
		}
	})
	var sum tally
	for _, x := range tallies {
		sum.moves, sum.prepared, sum.stays, sum.needs, sum.accepted = sum.moves+x.moves, sum.prepared+x.prepared, sum.stays+x.stays, sum.needs+x.needs, sum.accepted+x.accepted
	}
	t.Logf("%d meshes: %d moves, %d other steps, %d workloads stay, %d needs, %d plans with a divergence that was accepted", *meshes, sum.moves, sum.prepared, sum.stays, sum.needs, sum.accepted)
}

// tally counts what the plans of generated meshes hold, so that a generator that reaches nothing is seen.
type tally struct{ moves, prepared, stays, needs, accepted int }

func (c *tally) add(p *Plan) {
	for _, step := range p.Steps() {
		if step.Kind == KindMove {
			c.moves++
		} else {
			c.prepared++
		}
	}
	c.stays, c.needs = c.stays+len(p.Stays), c.needs+len(p.Needs)
	if len(p.Accepted) > 0 {
		c.accepted++
	}
}

// planGenerated plans one generated mesh, twice where a divergence can be accepted.
func planGenerated(t *testing.T, i int, c *tally) {
	r := rand.New(rand.NewPCG(*seed, uint64(i)))
	lines, objects := meshtest.Generate(r)
	s := loadText(t, lines, objects...)
	o := optionsOf(r, t)
	prove := func() *Plan {
		p, err := Build(s, o)
		if err != nil {
			t.Errorf("mesh %d of seed %d: %v\n%s", i, *seed, err, lines)
			return nil
		}
		for _, err := range []error{safe(s, shuffled(r, p), o), undone(s, p)} {
			if err != nil {
				t.Errorf("mesh %d of seed %d: %v\n%s%s\n%+v\n%s", i, *seed, err, lines, strings.Join(objects, "---\n"), o, short(p))
			}
		}
		c.add(p)
		return p
	}
	p := prove()
	if p == nil || r.IntN(4) > 0 {
		return
	}
	if o.Accept = takenFrom(r, p); len(o.Accept) > 0 {
		prove()
	}
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
		lines, objects := meshtest.Generate(r)
		calls := generatedCalls(r, t)
		first := built(t, loadText(t, lines, objects...), Options{Calls: calls})
		for range 3 {
			if again := built(t, loadText(t, lines, objects...), Options{Calls: calls}); short(again) != short(first) || again.Fingerprint != first.Fingerprint {
				t.Fatalf("one mesh, two plans:\n%s\n%s\n%s", lines, short(first), short(again))
			}
		}
	}
}
