package plan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

const twoCallers = `
namespace app inject
Deployment app/c 8080
Deployment app/d 8080
Deployment app/s 8080
service app/s 80:8080
`

const fromC, fromD = "{from: [{source: {principals: [cluster.local/ns/app/sa/c]}}]}", "{from: [{source: {principals: [cluster.local/ns/app/sa/d]}}]}"

// policiesOf are the policies of some lines.
func policiesOf(t testing.TB, lines string) []snapshot.Object {
	t.Helper()
	var out []snapshot.Object
	for _, o := range snapshot.All[*securityv1.AuthorizationPolicy](loadText(t, lines)) {
		out = append(out, o)
	}
	return out
}

func TestChangesAreOrdered(t *testing.T) {
	for name, c := range map[string]struct{ before, after, calls, want string }{
		"a policy that is split in two: the second half first": {
			before: "policy app/p ALLOW for=s | " + fromC + " | " + fromD,
			after:  "policy app/p ALLOW for=s | " + fromC + "\npolicy app/q ALLOW for=s | " + fromD,
			want:   "create app/q, replace app/p",
		},
		"two policies that become one: it grows before the other goes": {
			before: "policy app/p ALLOW for=s | " + fromC + "\npolicy app/q ALLOW for=s | " + fromD,
			after:  "policy app/p ALLOW for=s | " + fromC + " | " + fromD + "\npolicy app/q ALLOW for=s @sidestep.dev/remove=true",
			want:   "replace app/p, delete app/q",
		},
		"a DENY that takes over from an ALLOW: it is there before the other goes": {
			before: "policy app/p ALLOW for=s | " + fromC,
			after:  "policy app/p ALLOW for=s @sidestep.dev/remove=true\npolicy app/a DENY for=s | {from: [{source: {notPrincipals: [cluster.local/ns/app/sa/c]}}]}",
			want:   "create app/a, delete app/p",
		},
		"an ALLOW that takes over from a DENY: the new one first, whatever their names": {
			before: "policy app/a DENY for=s | {from: [{source: {notPrincipals: [cluster.local/ns/app/sa/c]}}]}",
			after:  "policy app/a DENY for=s @sidestep.dev/remove=true\npolicy app/p ALLOW for=s | " + fromC,
			want:   "create app/p, delete app/a",
		},
		"what says the same is not written": {
			before: "policy app/p ALLOW for=s | " + fromC,
			after:  "policy app/p ALLOW for=s | " + fromC,
			want:   "",
		},
		"a swap that would refuse a call which both ends let pass": {
			before: "policy app/p ALLOW for=s | " + fromC + "\npolicy app/q ALLOW for=s | " + fromD,
			after:  "policy app/p ALLOW for=s | " + fromD + "\npolicy app/q ALLOW for=s | " + fromC,
			calls:  "app/c app/s\napp/d app/s",
			want:   "no order of these 2 changes keeps every state on the way between the two ends",
		},
		"the same swap, where one of them does not call": {
			before: "policy app/p ALLOW for=s | " + fromC + "\npolicy app/q ALLOW for=s | " + fromD,
			after:  "policy app/p ALLOW for=s | " + fromD + "\npolicy app/q ALLOW for=s | " + fromC,
			calls:  "app/c app/s",
			want:   "replace app/q, replace app/p",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := loadText(t, twoCallers+c.before)
			want := policiesOf(t, c.after)
			var o Options
			if c.calls != "" {
				o.Calls = callsOf(t, c.calls)
			}
			p, err := BuildChange(s, want, o)
			if err != nil {
				if !strings.HasPrefix(err.Error(), c.want) || c.want == "" {
					t.Fatalf("error %v, want the plan %q", err, c.want)
				}
				return
			}
			var got []string
			for _, step := range p.Steps() {
				got = append(got, fmt.Sprintf("%s %s/%s", step.Edit.Verb, step.Subject.Namespace, step.Subject.Name))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("the order is %q, want %q", strings.Join(got, ", "), c.want)
			}
			if err := undone(s, p); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChangesThatCannotBeOrdered(t *testing.T) {
	s := loadText(t, twoCallers)
	pods := loadText(t, twoCallers)
	for o := range pods.Objects() {
		if o.GetName() == "c" {
			if _, err := BuildChange(s, []snapshot.Object{o}, Options{}); err == nil || !strings.Contains(err.Error(), "it makes pods") {
				t.Errorf("a Deployment: error %v, want one that says why it is no part of a change", err)
			}
		}
	}
}

// On the way of every change between generated policies a request that a state lets pass and the start refuses is one that the end lets
// pass, and the other way round: asked of the evaluator, which knows nothing of the order.
func TestChangesOfGeneratedPolicies(t *testing.T) {
	ordered, refused, looked := 0, 0, 0
	for i := range max(*meshes*2, 30) {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		lines, objects := meshtest.Generate(r)
		s := loadText(t, lines, objects...)
		policies := meshtest.GeneratePolicies(r, 2+r.IntN(3))
		want := policiesOf(t, policies)
		if len(want) > 0 && r.IntN(3) == 0 {
			want[0].SetAnnotations(map[string]string{AnnotationRemove: "true"})
		}
		p, err := BuildChange(s, want, Options{Calls: generatedCalls(r, t)})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "no order of these") {
				t.Fatalf("change %d of seed %d: %v", i, *seed, err)
			}
			refused++
			continue
		}
		ordered++
		n, err := between(s, p)
		if looked += n; err != nil {
			t.Errorf("change %d of seed %d: %v\n%s\n%s", i, *seed, err, lines, policies)
		}
		if err := undone(s, p); err != nil {
			t.Errorf("change %d of seed %d: %v", i, *seed, err)
		}
	}
	if ordered == 0 || looked == 0 {
		t.Errorf("%d changes ordered, %d requests asked: the property was not tried", ordered, looked)
	}
	t.Logf("%d changes ordered, %d without an order, %d requests asked of an end", ordered, refused, looked)
}

// between asks the end about what states on the way let pass and the start does not, and the start about what the end does not.
func between(s *snapshot.Snapshot, p *Plan) (asked int, err error) {
	st := newStates(s, mesh.Build(s, mesh.Assume{}), oneByOne)
	var edits []Edit
	worlds := []authz.World{st.world(st.start)}
	for _, step := range p.Steps() {
		edits = append(edits, step.Edit)
		m, err := st.mesh(supposed{edits: edits})
		if err != nil {
			return asked, err
		}
		worlds = append(worlds, st.world(m))
	}
	start, end := &worlds[0], &worlds[len(worlds)-1]
	for i := 1; i < len(worlds)-1; i++ {
		for _, ends := range [][2]*authz.World{{start, end}, {end, start}} {
			for _, d := range authz.Diff(ends[0], &worlds[i], authz.Options{}).Divergences {
				if d.Kind != authz.Weaker {
					continue
				}
				asked++
				a, err := authz.Can(ends[1], d.Request)
				if err != nil {
					return asked, fmt.Errorf("%s: %w", d.Words, err)
				}
				if a.Decision == authz.Deny {
					return asked, fmt.Errorf("after %s both ends refuse what passes: %s", p.Steps()[i-1].ID, d.Words)
				}
			}
		}
	}
	return asked, nil
}
