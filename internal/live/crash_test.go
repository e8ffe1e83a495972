package live_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sidestep-mesh/sidestep/internal/livetest"
	"github.com/sidestep-mesh/sidestep/internal/migrate"
)

var (
	runs = flag.Int("runs", 1, "how many disturbed runs TestDisturbedRunsEndTheSame makes of each mesh")
	seed = flag.Uint64("seed", 1, "where they start")
	all  = flag.Bool("all", false, "crash after every write and disturb every mesh of internal/plan, not a sample")
)

// meshOf reads the mesh of a scenario of package plan.
func meshOf(t testing.TB, name string) (lines string, more []string) {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "plan", "testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		switch f.Name {
		case "mesh":
			lines = string(f.Data)
		case "objects.yaml":
			more = append(more, string(f.Data))
		}
	}
	return lines, more
}

// undisturbed is the end of a run in which nothing goes wrong, and how many writes it took, records included.
func undisturbed(t testing.TB, lines string, more []string) (end map[string]string, writes int) {
	b := benchOf(t, lines, more...)
	if len(b.plan.Waves) == 0 {
		return nil, 0
	}
	n := 0
	b.After = func(livetest.Write) { n++ }
	r := b.runner()
	b.begin(r)
	b.want(b.run(r), migrate.Done)
	return b.Objects(), n
}

// The process ends after every single write in turn, its answer lost, and another goes on: the end is that of an undisturbed run, and
// nothing was weaker on the way.
func TestACrashAfterEveryWriteChangesNothing(t *testing.T) {
	end, writes := undisturbed(t, guarded, nil)
	step := 13
	if *all {
		step = 1
	}
	for at := 1; at <= writes; at += step {
		b := benchOf(t, guarded)
		n := 0
		b.After = b.check
		b.Lost = func(livetest.Write) bool { n++; return n == at }
		r := b.runner()
		b.begin(r)
		b.want(b.run(r), migrate.Done)
		sameObjects(t, end, b.Objects())
		if t.Failed() {
			t.Fatalf("crashed after write %d of %d", at, writes)
		}
	}
	t.Logf("%d writes", writes)
}

// check is what must hold after every write.
func (b *bench) check(w livetest.Write) {
	if w.Resource == "configmaps" {
		return
	}
	if err := b.weaker(); err != nil {
		b.t.Errorf("after %s: %v", w, err)
	}
}

// One write in ten fails, one in twenty meets a conflict, one in twenty is carried out and its answer lost, reads lag by up to five
// revisions, and pods come up one at a time or all at once: the end is the same, and nothing was weaker on the way.
func TestDisturbedRunsEndTheSame(t *testing.T) {
	names := []string{"a-chain", "h-default-allow"}
	if *all {
		names = nil
		files, err := filepath.Glob("../plan/testdata/*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), ".txtar"))
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			lines, more := meshOf(t, name)
			end, _ := undisturbed(t, lines, more)
			if end == nil {
				return // nobody moves
			}
			for i := range *runs {
				disturbed(t, rand.New(rand.NewPCG(*seed, uint64(i))), lines, more, end)
				if t.Failed() {
					t.Fatalf("run %d of seed %d", i, *seed)
				}
			}
		})
	}
}

func disturbed(t *testing.T, r *rand.Rand, lines string, more []string, end map[string]string) {
	b := benchOf(t, lines, more...)
	b.After = b.check
	b.Refuse = func(livetest.Write) int {
		switch n := r.IntN(20); {
		case n < 2:
			return 500
		case n < 3:
			return 409
		}
		return 0
	}
	b.Lost = func(livetest.Write) bool { return r.IntN(20) == 0 }
	b.Lag = func() int64 { return int64(max(0, r.IntN(12)-6)) } // whoever lags catches up
	b.patience = 8
	b.pods = func() int { return r.IntN(3) }
	p := b.runner()
	b.begin(p)
	tick := b.run(p)
	if tick.Kind != migrate.Done {
		t.Fatalf("it ended with %s: %v", tick.Kind, tick.Why)
	}
	sameObjects(t, end, b.Objects())
}

// A tool that puts our labels back gets one write, then a hold with the patch to commit, and for an hour not one write more. Once its
// owner has committed the patch, the migration goes on.
func TestARivalIsNotFought(t *testing.T) {
	b := benchOf(t, guarded)
	rival := true
	b.After = func(w livetest.Write) {
		if rival && w.Resource == "deployments" && w.Manager == "sidestep" {
			if err := b.Edit("apps", "deployments", w.Namespace, w.Name, "argocd", withoutMove); err != nil {
				t.Error(err)
			}
		}
	}
	r := b.runner()
	b.begin(r)
	tick := b.run(r)
	b.want(tick, migrate.Hold)
	if len(tick.Why) == 0 || !strings.Contains(tick.Why[0].Patch, "dataplane-mode") {
		t.Errorf("it does not say what to commit: %v", tick.Why)
	}
	written := map[string]int{}
	for _, w := range b.Writes() {
		if written[w.String()]++; written[w.String()] > 1 {
			t.Errorf("%s was written twice", w)
		}
	}
	for range 12 {
		b.now = b.now.Add(5 * time.Minute)
		if tick, err := r.Tick(t.Context()); err != nil || tick.Kind != migrate.Hold {
			t.Fatalf("after a while: %v %v", tick, err)
		}
	}
	if again := b.Writes(); len(again) > 0 {
		t.Errorf("an hour of holding wrote %v", again)
	}
	rival = false
	for _, name := range []string{"c", "s"} { // the owner commits both
		if err := b.Edit("apps", "deployments", "app", name, "argocd", withMove); err != nil {
			t.Fatal(err)
		}
	}
	b.want(b.run(r), migrate.Done)
}

func templateLabels(o map[string]any) map[string]any {
	for _, p := range []string{"spec", "template", "metadata", "labels"} {
		o = o[p].(map[string]any)
	}
	return o
}

func withoutMove(o map[string]any) {
	l := templateLabels(o)
	delete(l, "istio.io/dataplane-mode")
	delete(l, "sidecar.istio.io/inject")
}

func withMove(o map[string]any) {
	l := templateLabels(o)
	l["istio.io/dataplane-mode"], l["sidecar.istio.io/inject"] = "ambient", "false"
}

// A label that somebody else owns with another value is not taken: nothing is written, and the patch is named.
func TestAFieldOfSomebodyElseHolds(t *testing.T) {
	b := benchOf(t, strings.Replace(guarded, "Deployment app/c 8080", "Deployment app/c 8080 sidecar.istio.io/inject=true", 1))
	r := b.runner()
	b.begin(r)
	tick := b.run(r)
	b.want(tick, migrate.Hold)
	text := fmt.Sprint(tick.Why)
	for _, want := range []string{"is owned by", "kubectl", "sidecar.istio.io/inject"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q: %s", want, text)
		}
	}
	if got := b.Get("apps", "deployments", "app", "c"); templateLabels(got.Object)["sidecar.istio.io/inject"] != "true" {
		t.Error("the label was taken")
	}
	if err := b.Edit("apps", "deployments", "app", "c", "kubectl", withMove); err != nil {
		t.Fatal(err)
	}
	b.want(b.run(r), migrate.Done)
}

// What somebody adds between two steps is part of both sides of the proof: a policy of theirs neither stops the migration nor is
// touched by it, and is there after it was taken back.
func TestTheMeshMayChangeMeanwhile(t *testing.T) {
	b := benchOf(t, guarded)
	r := b.runner()
	b.begin(r)
	for range 3 {
		if _, err := r.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Step(0)
	}
	raw, err := os.ReadFile("testdata/late-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b.put(string(raw))
	b.want(b.run(r), migrate.Hold) // the new policy has no copy at the waypoint: the old plan would open what it closes
}
