package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrNoStep says that a step cannot be skipped.
var ErrNoStep = errors.New("skip")

// Wished records what a person wants.
func (g *Progress) Wished(w Wish, who string, now time.Time) { g.Wish, g.Who, g.When = w, who, now }

// Resume lets a migration go on: fields that somebody else owned are tried again, and so is what was undone. It returns the steps that it
// changed.
func (g *Progress) Resume(p *Plan, who string, now time.Time) []string {
	var out []string
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			x, ok := g.Steps[s.ID]
			switch {
			case !ok:
				continue
			case x.State == Undone:
				x = StepProgress{Since: now}
			case x.State == Undoing && g.Wish != Rollback && x.Conflict != nil:
				x.Conflict = nil
			case x.Conflict != nil:
				x.Conflict, x.Since = nil, now
			case x.State == Written || x.State == Reverted:
				x.Since = now // what is waited for gets its time anew
			default:
				continue
			}
			g.Steps[s.ID] = x
			out = append(out, s.ID)
		}
	}
	g.Wished(Run, who, now)
	return out
}

// Skip goes on without a step, named by its ID or by NAMESPACE/NAME of its object; one that is written counts as passed, and is undone
// with the rest. It returns the steps that it changed, or an error where none is of the name.
func (g *Progress) Skip(p *Plan, name, why, who string, now time.Time) ([]string, error) {
	var out, known []string
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			x := g.Steps[s.ID]
			if final(x.State) {
				continue
			}
			known = append(known, s.ID)
			if s.ID != name && s.Subject.Namespace+"/"+s.Subject.Name != name {
				continue
			}
			word := "skipped"
			if who != "" {
				word += " by " + who
			}
			switch {
			case x.State == Written:
				x.State = Passed
			case x.State.Taken():
				return nil, fmt.Errorf("%w %s: it is %s; wait until that is over", ErrNoStep, s.ID, x.State)
			default:
				x = StepProgress{State: Skipped}
			}
			x.Since, x.Conflict, x.Why = now, nil, word+": "+why
			if g.Steps == nil {
				g.Steps = map[string]StepProgress{}
			}
			g.Steps[s.ID] = x
			out = append(out, s.ID)
		}
	}
	if len(out) == 0 {
		if len(known) > 8 {
			known = append(known[:8:8], "...")
		}
		return nil, fmt.Errorf("%w %s: no step that is left is called so, nor any whose object is; there are %s", ErrNoStep, name, strings.Join(known, ", "))
	}
	return out, nil
}

// LeaveOut goes on without gates.
func (g *Progress) LeaveOut(gates []string, who string, now time.Time) {
	for _, name := range gates {
		if !slices.ContainsFunc(g.LeftOut, func(l LeftOut) bool { return l.Gate == name }) {
			g.LeftOut = append(g.LeftOut, LeftOut{Gate: name, Who: who, When: now})
		}
	}
}

// RetryUndo lets steps be taken back that somebody else's fields held. It returns those that it changed.
func (g *Progress) RetryUndo(now time.Time) []string {
	var out []string
	for id, x := range g.Steps {
		if x.Conflict != nil {
			x.Conflict, x.Since = nil, now
			g.Steps[id] = x
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
