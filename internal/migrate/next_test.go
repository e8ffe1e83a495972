package migrate

import (
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/verify"
)

var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// twoMoves is a plan that binds a Service and moves two workloads, and a mesh in which nothing of it has been written.
func twoMoves(t *testing.T) (*Plan, *Progress, *Evidence) {
	t.Helper()
	text, err := meshtest.Text("namespace app inject\nDeployment app/c 8080\nDeployment app/s 8080\nservice app/s 80:8080\n")
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(meshtest.Load(t, text), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := Of(p)
	if err != nil {
		t.Fatal(err)
	}
	e := &Evidence{Prove: func([]plan.Edit) (plan.Reproof, error) { return plan.Reproof{}, nil }}
	e.Mesh = mesh.Build(meshtest.Load(t, text), mesh.Assume{})
	return out, &Progress{Wish: Run, When: now, Steps: map[string]StepProgress{}}, e
}

func text(a Action) string {
	var out []string
	for _, w := range a.Why {
		out = append(out, w.Gate+" "+w.Text)
	}
	return strings.Join(out, "; ")
}

func TestNext(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *Plan, g *Progress, e *Evidence)
		want   Kind
		says   string
	}{
		"both are written at once":      {func(*Plan, *Progress, *Evidence) {}, Apply, ""},
		"paused, nothing is":            {func(_ *Plan, g *Progress, _ *Evidence) { g.Wished(Pause, "ada", now) }, Hold, "paused by ada"},
		"a weaker state is not written": {func(_ *Plan, _ *Progress, e *Evidence) { e.Prove = weaker }, Hold, "would be weaker than the start"},
		"nor is an unproved one":        {func(_ *Plan, _ *Progress, e *Evidence) { e.Prove = nil }, Hold, "could not be compared"},
		"one pod at a time":             {func(_ *Plan, g *Progress, _ *Evidence) { g.MaxPods = 1 }, Apply, "at most 1 pods"},
		"what was written is not seen for a moment": {func(p *Plan, g *Progress, _ *Evidence) {
			all(p, g, StepProgress{State: Written, Since: now})
		}, Wait, "not seen yet"},
		"nor for long": {func(p *Plan, g *Progress, _ *Evidence) {
			all(p, g, StepProgress{State: Written, Since: now, PutBack: now.Add(-time.Minute)})
		}, Hold, "somebody has put it back"},
		"a field of somebody else's": {func(p *Plan, g *Progress, _ *Evidence) {
			all(p, g, StepProgress{Since: now, Conflict: &Conflict{Text: "owned by argocd"}})
		}, Hold, "owned by argocd"},
		"what was undone is not written again": {func(p *Plan, g *Progress, _ *Evidence) {
			all(p, g, StepProgress{State: Undone, Since: now, Why: "errors"})
		}, Hold, "it was undone: errors"},
		"what was about to be written is": {func(p *Plan, g *Progress, _ *Evidence) { all(p, g, StepProgress{State: Writing, Since: now}) }, Apply, ""},
		"all is done":                     {func(p *Plan, g *Progress, _ *Evidence) { all(p, g, StepProgress{State: Passed}) }, Done, ""},
		"a wave that is not asked for":    {func(p *Plan, g *Progress, _ *Evidence) { p.Waves = append([]plan.Wave{{}}, p.Waves...); g.Until = 1 }, Done, "wave 1 was the last"},
		"going back, nothing was written": {func(_ *Plan, g *Progress, _ *Evidence) { g.Wished(Rollback, "", now) }, Done, "as it was before"},
		"going back, something was": {func(p *Plan, g *Progress, _ *Evidence) {
			all(p, g, StepProgress{State: Passed, Before: &Before{}})
			g.Wished(Rollback, "", now)
		}, Undo, ""},
		"going back would be weaker": {func(p *Plan, g *Progress, e *Evidence) {
			all(p, g, StepProgress{State: Passed, Before: &Before{}})
			g.Wished(Rollback, "", now)
			e.Prove = weaker
		}, Hold, "rollback --without-gate Proof"},
		"and a person goes back all the same": {func(p *Plan, g *Progress, e *Evidence) {
			all(p, g, StepProgress{State: Passed, Before: &Before{}})
			g.Wished(Rollback, "", now)
			e.Prove = weaker
			g.LeaveOut([]string{verify.Proof}, "ada", now)
		}, Undo, ""},
		"what comes first was skipped": {func(p *Plan, g *Progress, _ *Evidence) {
			first, then := p.Waves[0].Steps[0].ID, p.Waves[0].Steps[1].ID
			p.After = map[string][]string{then: {first}}
			g.Steps[first] = StepProgress{State: Skipped}
		}, Hold, "has to come first, and is skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			p, g, e := twoMoves(t)
			c.change(p, g, e)
			a := Next(p, g, e, now)
			if a.Kind != c.want || !strings.Contains(text(a), c.says) {
				t.Errorf("%s, want %s that says %q: %s", a.Kind, c.want, c.says, text(a))
			}
			if a.Kind == Wait && a.Until.IsZero() {
				t.Error("it waits without end")
			}
			if (a.Kind == Wait || a.Kind == Hold) && a.Since.IsZero() {
				t.Error("it does not say since when")
			}
		})
	}
}

func weaker([]plan.Edit) (plan.Reproof, error) { return plan.Reproof{Weaker: []string{"GET /"}}, nil }

func all(p *Plan, g *Progress, x StepProgress) {
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			g.Steps[s.ID] = x
		}
	}
}

// A wait ends in a hold, and what holds goes on by itself once its gate passes.
func TestAWaitEndsInAHold(t *testing.T) {
	p, g, e := twoMoves(t)
	moved := e.Mesh.Snapshot
	var err error
	for _, s := range p.Waves[0].Steps {
		g.Steps[s.ID] = StepProgress{State: Written, Since: now, Before: &Before{}}
		if moved, err = plan.After(moved, []plan.Edit{s.Edit}); err != nil {
			t.Fatal(err)
		}
	}
	e.Mesh = mesh.Build(moved, mesh.Assume{})
	a := Next(p, g, e, now)
	if a.Kind != Wait || !a.Until.After(now) {
		t.Fatalf("%s until %v: %s", a.Kind, a.Until, text(a))
	}
	if late := Next(p, g, e, now.Add(24*time.Hour)); late.Kind != Hold || !strings.Contains(text(late), "has been waited for since") {
		t.Errorf("a day later: %s: %s", late.Kind, text(late))
	}
	for _, gate := range verify.All() {
		g.LeaveOut([]string{gate.Name}, "ada", now)
	}
	if a := Next(p, g, e, now); len(a.Marks) != 2 || a.Marks[0].Progress.State != Passed {
		t.Errorf("with every gate left out: %+v", a)
	}
	g.Soak = time.Minute
	if a := Next(p, g, e, now); len(a.Marks) != 2 || a.Marks[0].Progress.Steady != now || a.Kind != Wait || a.Until != now.Add(time.Minute) {
		t.Errorf("it does not soak: %+v", a)
	}
}

// By which side is healthy: only what speaks against new pods goes back, and not where nothing is gained by it.
func TestOutcome(t *testing.T) {
	move := plan.Step{Restarts: true, UndoKind: plan.UndoByRestart}
	bind := plan.Step{UndoKind: plan.UndoAtOnce}
	for name, c := range map[string]struct {
		step    plan.Step
		sides   verify.Sides
		against verify.Side
		want    Kind
	}{
		"the new pods are bad, the old are there": {move, verify.Sides{Old: 2, OldReady: 2, New: 1}, verify.New, Undo},
		"the new pods are bad, the old are gone":  {move, verify.Sides{New: 2, NewReady: 2}, verify.New, Undo},
		"neither is healthy":                      {move, verify.Sides{Old: 2, New: 2}, verify.New, Hold},
		"an edge is silent, both are healthy":     {move, verify.Sides{Old: 2, OldReady: 2, New: 2, NewReady: 2}, verify.NoSide, Hold},
		"the new side is the only healthy one":    {move, verify.Sides{New: 2, NewReady: 2}, verify.Old, Halt},
		"a write that is undone at once":          {bind, verify.Sides{}, verify.New, Undo},
		"nothing brings it back":                  {plan.Step{UndoKind: plan.UndoNone}, verify.Sides{}, verify.New, Hold},
	} {
		if got := outcome(c.step, c.sides, c.against); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A skipped step that is written counts as passed and is taken back with the rest; resuming tries again what was undone.
func TestWishes(t *testing.T) {
	p, g, _ := twoMoves(t)
	first, then := p.Waves[0].Steps[0], p.Waves[0].Steps[1]
	g.Steps[first.ID] = StepProgress{State: Written, Before: &Before{}}
	if _, err := g.Skip(p, first.Subject.Namespace+"/"+first.Subject.Name, "idle", "ada", now); err != nil || g.State(first.ID) != Passed || !strings.Contains(g.Steps[first.ID].Why, "skipped by ada: idle") {
		t.Errorf("%v %+v", err, g.Steps[first.ID])
	}
	if _, err := g.Skip(p, then.ID, "later", "", now); err != nil || g.State(then.ID) != Skipped {
		t.Errorf("%v %+v", err, g.Steps[then.ID])
	}
	if _, err := g.Skip(p, "app/nobody", "x", "", now); err == nil {
		t.Error("a step that is not there was skipped")
	}
	g.Steps[then.ID] = StepProgress{State: Undone, Why: "errors"}
	g.Resume(p, "ada", now)
	if g.State(then.ID) != Ahead || g.Wish != Run {
		t.Errorf("%+v", g.Steps[then.ID])
	}
	if back, err := Back(p, g); err != nil || len(back) != 1 {
		t.Errorf("%v %v", back, err)
	}
}
