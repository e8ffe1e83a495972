package live_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/live"
	"github.com/sidestep-mesh/sidestep/internal/livetest"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/verify"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// bench is a mesh on a small API server with a plan for it.
type bench struct {
	*livetest.Server
	t     testing.TB
	start *snapshot.Snapshot
	plan  *migrate.Plan
	now   time.Time
	calls *plan.CallGraph
	// pods says how many pods of each workload are made anew between two ticks, 1 where it is nil.
	pods func() int
	// patience is how often a hold is looked at again: one that rests on an old view of the mesh ends by itself.
	patience int
}

// put makes an object as somebody else would.
func (b *bench) put(manifest string) {
	b.t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		b.t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Put(o, "kubectl"); err != nil {
		b.t.Fatal(err)
	}
}

// benchOf loads a mesh (see meshtest.Text), lets its pods start and makes a plan.
func benchOf(t testing.TB, lines string, more ...string) *bench {
	t.Helper()
	text, err := meshtest.Text(lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range more {
		text += "\n---\n" + m
	}
	b := &bench{Server: livetest.New(t, text), t: t, now: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)}
	b.Settle()
	b.start = b.Snapshot()
	b.replan()
	return b
}

func (b *bench) replan() {
	b.t.Helper()
	p, err := plan.Build(b.start, plan.Options{Calls: b.calls})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.plan, err = migrate.Of(p); err != nil {
		b.t.Fatal(err)
	}
}

// runner is a new process.
func (b *bench) runner() *live.Runner {
	b.t.Helper()
	w, err := live.NewWriter(b.Cluster())
	if err != nil {
		b.t.Fatal(err)
	}
	return &live.Runner{Writer: w, Now: func() time.Time { return b.now },
		Collect: func(ctx context.Context) (*snapshot.Snapshot, error) {
			return live.Collect(ctx, b.Cluster(), live.Options{Parallel: 1})
		}}
}

// begin records the plan, leaving out what no test of this package has evidence for.
func (b *bench) begin(r *live.Runner) {
	b.t.Helper()
	g := migrate.Progress{Wish: migrate.Run, When: b.now}
	for _, gate := range verify.All() {
		if gate.Metrics {
			g.LeftOut = append(g.LeftOut, migrate.LeftOut{Gate: gate.Name})
		}
	}
	for range 50 {
		_, err := r.Writer.Begin(b.t.Context(), "istio-system", b.plan, g)
		if err == nil {
			return
		}
		if rec, other := r.Writer.ReadRecord(b.t.Context()); other == nil && rec.Plan.ID == b.plan.ID {
			return
		}
	}
	b.t.Fatal("the migration could not be recorded")
}

// run ticks until there is nothing left to do, a new process each time that one fails, and gives the last tick.
func (b *bench) run(r *live.Runner) *live.Tick {
	b.t.Helper()
	var last *live.Tick
	var failed error
	holds := 0
	for range 100 {
		tick, err := r.Tick(b.t.Context())
		switch {
		case errors.Is(err, live.ErrNoMigration) && last != nil:
			last.Over = true
			return last // what was lost was the answer to the last write
		case err != nil:
			r, failed = b.runner(), err
			b.now = b.now.Add(time.Second)
			continue
		}
		last = tick
		if tick.Kind == migrate.Hold || tick.Kind == migrate.Halt {
			if holds++; holds > b.patience {
				return tick
			}
		} else {
			holds = 0
		}
		if tick.Kind == migrate.Done {
			return tick
		}
		pods := 1
		if b.pods != nil {
			pods = b.pods()
		}
		b.Step(pods)
		b.now = b.now.Add(10 * time.Second)
	}
	b.t.Fatalf("it does not end: %s %v; the last failure was %v", last.Kind, last.Why, failed)
	return nil
}

func (b *bench) want(tick *live.Tick, kind migrate.Kind) {
	b.t.Helper()
	if tick.Kind != kind {
		b.t.Fatalf("it ended with %s, want %s: %v", tick.Kind, kind, tick.Why)
	}
}

// weaker compares the mesh as it stands with the start, by the prover alone: neither the plan nor the record has a say.
func (b *bench) weaker() error {
	before := mesh.AuthzWorld(mesh.Build(b.start, mesh.Assume{}))
	m := mesh.Build(b.Snapshot(), mesh.Assume{})
	after := mesh.AuthzWorld(m)
	ambient := map[authz.Pods]bool{}
	for i := range after.Workloads {
		ambient[after.Workloads[i].Pods()] = after.Workloads[i].Mode == authz.ModeAmbient
	}
	for _, d := range authz.Diff(&before, &after, authz.Options{PerScenario: 1}).Divergences {
		borne := ambient[d.Request.To.Workload]
		for c := range d.Callers.All() {
			borne = borne || c.Workload != nil || c.Principal == ""
		}
		if d.Kind == authz.Weaker && borne {
			return fmt.Errorf("weaker: %s (%s, was %s)", d.Words, d.After.Why, d.Before.Why)
		}
	}
	for _, w := range m.Workloads {
		for _, set := range w.Sets {
			if was := mesh.Build(b.start, mesh.Assume{}).Workload(w.Kind, w.Namespace, w.Name); was != nil && was.Mode != mesh.None && set.Mode == mesh.None {
				return fmt.Errorf("pods of %s have no proxy", w.Ref)
			}
		}
	}
	return nil
}

const guarded = `
namespace app inject
Deployment app/c 8080
Deployment app/s 8080
service app/s 80:8080
policy app/callers ALLOW | {from: [{source: {namespaces: [app]}}]}
policy app/s-p DENY for=s | {to: [{operation: {paths: [/admin*]}}]}
`

// A plan is carried out to its end, every write leaves nothing weaker, and taking it back gives the very objects that were there.
func TestAPlanIsCarriedOutAndTakenBack(t *testing.T) {
	b := benchOf(t, guarded)
	before := b.Objects()
	b.After = b.check
	r := b.runner()
	b.begin(r)
	tick := b.run(r)
	b.want(tick, migrate.Done)
	for _, w := range mesh.Build(b.Snapshot(), mesh.Assume{}).Workloads {
		if w.Role == mesh.Application && w.Mode != mesh.Ambient {
			t.Errorf("%s is in mode %s", w.Ref, w.Mode)
		}
	}
	rec, err := r.Writer.ReadRecord(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec.Wish = migrate.Rollback
	if err := r.Writer.SaveHead(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	tick = b.run(r)
	b.want(tick, migrate.Done)
	if !tick.Over {
		t.Error("the record is still there")
	}
	sameObjects(t, before, b.Objects())
}

func sameObjects(t testing.TB, want, got map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is\n%s\nand was\n%s", name, got[name], text)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("%s is left: %s", name, got[name])
		}
	}
}

func epochOf(seconds int) time.Time {
	return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}
