package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/verify"
)

// Next says what to do now. It looks at the first wave that has a step left; the steps of a wave that prepares are written in their
// order, each once the one before is written, those of a wave of moves side by side. A wave is over when all gates of all its steps have
// passed, or a person skipped the step.
func Next(p *Plan, g *Progress, e *Evidence, now time.Time) Action {
	m := &machine{plan: p, progress: g, evidence: e, now: now}
	switch g.Wish {
	case Pause:
		return m.paused()
	case Rollback:
		return m.rollback()
	}
	for i := range p.Waves {
		if slices.ContainsFunc(p.Waves[i].Steps, func(s plan.Step) bool { return !final(g.State(s.ID)) }) {
			if g.Until > 0 && i >= g.Until {
				return Action{Kind: Done, Wave: i, Why: []Reason{{Text: fmt.Sprintf("wave %d was the last that was asked for", g.Until)}}}
			}
			return m.wave(i)
		}
	}
	return Action{Kind: Done, Wave: len(p.Waves)}
}

// final reports whether a step needs nothing more.
func final(s State) bool { return s == Passed || s == Skipped }

// machine is one call of Next.
type machine struct {
	plan     *Plan
	progress *Progress
	evidence *Evidence
	now      time.Time

	marks []Mark
	// waits are inconclusive within their time; holds need a person.
	waits, holds []Reason
	since, until time.Time
	undo         []string
	halts        []Reason
}

func (m *machine) paused() Action {
	who := cmp.Or(m.progress.Who, "somebody")
	return Action{Kind: Hold, Wave: m.current(), Since: m.progress.When, Why: []Reason{{Text: "paused by " + who + ": go on with sidestep resume"}}}
}

// current is the number of the first wave with a step left.
func (m *machine) current() int {
	for i := range m.plan.Waves {
		if slices.ContainsFunc(m.plan.Waves[i].Steps, func(s plan.Step) bool { return !final(m.progress.State(s.ID)) }) {
			return i
		}
	}
	return len(m.plan.Waves)
}

// wave looks at every step of a wave and puts what they want together: what went wrong comes first.
func (m *machine) wave(i int) Action {
	w := &m.plan.Waves[i]
	var write []plan.Step
	moves := !slices.ContainsFunc(w.Steps, func(s plan.Step) bool { return s.Kind != plan.KindMove })
	blocked := false
	for _, s := range w.Steps {
		switch m.progress.State(s.ID) {
		case Passed, Skipped:
		case Written:
			m.after(s)
		default:
			if blocked && !moves {
				continue // in their order
			}
			if m.ready(s) {
				write = append(write, s)
			} else {
				blocked = true
			}
		}
	}
	out := Action{Wave: i, Marks: m.marks}
	switch {
	case len(m.halts) > 0:
		out.Kind, out.Why = Halt, m.halts
	case len(m.undo) > 0:
		out.Kind, out.Steps, out.Why = Undo, m.undo, m.holds
	default:
		write = m.within(write)
		if len(write) > 0 {
			return m.apply(out, write)
		}
		m.settle(&out)
	}
	return out
}

// settle is an action that writes nothing.
func (m *machine) settle(out *Action) {
	out.Since, out.Until = m.since, m.until
	switch {
	case len(m.holds) > 0:
		out.Kind, out.Why, out.Until = Hold, append(m.holds, m.waits...), time.Time{}
	case len(m.waits) > 0:
		out.Kind, out.Why = Wait, m.waits
	default: // the marks finish the wave
		out.Kind, out.Until = Wait, m.now
		out.Why = []Reason{{Text: "all gates of the wave have passed"}}
	}
}

// apply proposes writes that are proved to leave nothing weaker.
func (m *machine) apply(out Action, write []plan.Step) Action {
	var edits []plan.Edit
	for _, s := range write {
		edits = append(edits, s.Edit)
	}
	if why := m.prove(edits); why != nil {
		m.holds = append(m.holds, *why)
		m.begin(m.now)
		m.settle(&out)
		return out
	}
	out.Kind, out.Why = Apply, append(m.holds, m.waits...)
	for _, s := range write {
		out.Steps = append(out.Steps, s.ID)
	}
	return out
}

// prove gives the reason why edits may not be written, nil where they may.
func (m *machine) prove(edits []plan.Edit) *Reason {
	if m.evidence.Prove == nil {
		return &Reason{Gate: verify.Proof, Text: "the mesh could not be compared with its start"}
	}
	r, err := m.evidence.Prove(edits)
	switch {
	case err != nil:
		return &Reason{Gate: verify.Proof, Text: "the mesh could not be compared with its start: " + err.Error()}
	case len(r.Weaker) > 0:
		text := r.Weaker[0]
		if more := len(r.Weaker) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
		return &Reason{Gate: verify.Proof, Text: "it would be weaker than the start: " + text + "; make a new plan with sidestep plan, and give it to sidestep apply"}
	}
	return nil
}

// ready reports whether a step may be written now; otherwise it notes why not.
func (m *machine) ready(s plan.Step) bool {
	p := m.progress.Steps[s.ID]
	if s.Edit.InEffect(m.object(s.Edit)) && p.State != Undoing && p.State != Reverted {
		return true // written, and not recorded; or somebody else did it
	}
	switch p.State {
	case Undoing, Reverted:
		m.undoing(s)
		return false
	case Undone:
		m.hold(p.Since, Reason{Step: s.ID, Object: s.Subject, Text: "it was undone: " + p.Why + "; go on with sidestep resume, or without it with sidestep skip"})
		return false
	}
	if p.Conflict != nil {
		m.hold(p.Since, Reason{Step: s.ID, Object: s.Subject, Text: p.Conflict.Text, Patch: p.Conflict.Patch})
		return false
	}
	if p.State == Writing {
		return true
	}
	for _, id := range m.plan.After[s.ID] {
		if st := m.progress.State(id); st != Passed {
			m.hold(m.sinceOf(s, p), Reason{Step: s.ID, Object: s.Subject, Text: "step " + id + " has to come first, and is " + string(cmp.Or(st, "not taken"))})
			return false
		}
	}
	ok := true
	for _, gate := range s.Gates {
		if gate.Before && !m.progress.leaves(gate.Check) {
			ok = m.judge(s, p, gate.Check, m.subject(s, gate)) && ok
		}
	}
	return ok
}

// within keeps the restarts of a wave inside the budget of pods.
func (m *machine) within(write []plan.Step) []plan.Step {
	if m.progress.MaxPods <= 0 {
		return write
	}
	pods := 0
	for _, w := range m.plan.Waves {
		for _, s := range w.Steps {
			if st := m.progress.State(s.ID); s.Restarts && (st == Writing || st == Written) {
				pods += m.replicas(s)
			}
		}
	}
	var out []plan.Step
	for _, s := range write {
		n := m.replicas(s)
		switch {
		case !s.Restarts || m.progress.State(s.ID) == Writing || pods == 0 || pods+n <= m.progress.MaxPods:
			out = append(out, s)
			if s.Restarts && m.progress.State(s.ID) != Writing {
				pods += n
			}
		default:
			m.wait(m.progress.Steps[s.ID].Since, time.Time{}, Reason{Step: s.ID, Object: s.Subject,
				Text: fmt.Sprintf("at most %d pods may be made anew at once, and %d are", m.progress.MaxPods, pods)})
		}
	}
	return out
}

func (m *machine) replicas(s plan.Step) int {
	if m.evidence.Mesh == nil {
		return 1
	}
	if w := m.evidence.Mesh.Workload(s.Subject.Kind, s.Subject.Namespace, s.Subject.Name); w != nil {
		return max(w.Replicas, 1)
	}
	return 1
}

// cacheLag is how old what is seen of the mesh may be: before that, a write that is not seen is no sign that somebody undid it.
const cacheLag = 30 * time.Second

// after asks the gates of a step that is written.
func (m *machine) after(s plan.Step) {
	p := m.progress.Steps[s.ID]
	if !s.Edit.InEffect(m.object(s.Edit)) {
		m.putBack(s, p)
		return
	}
	if !p.PutBack.IsZero() { // it stands again: what is waited for gets its time anew
		p.PutBack, p.Since, p.Steady = time.Time{}, m.now, time.Time{}
		m.mark(s.ID, p)
		m.wait(m.now, m.now, Reason{Step: s.ID, Gate: verify.InEffect, Object: s.Subject, Text: "it stands as it was written again"})
		return
	}
	steady := true
	for _, gate := range s.Gates {
		if !gate.Before && !m.progress.leaves(gate.Check) {
			steady = m.judge(s, p, gate.Check, m.subject(s, gate)) && steady
		}
	}
	if s.Kind == plan.KindMove {
		for _, name := range verify.ForMoves() {
			if !m.progress.leaves(name) {
				steady = m.judge(s, p, name, m.subject(s, plan.Gate{Object: s.Subject})) && steady
			}
		}
	}
	switch {
	case !steady && !p.Steady.IsZero():
		p.Steady = time.Time{}
		m.mark(s.ID, p)
	case !steady:
	case s.Kind == plan.KindMove && m.progress.Soak > 0 && p.Steady.IsZero():
		p.Steady = m.now
		m.mark(s.ID, p)
		m.wait(m.now, m.now.Add(m.progress.Soak), m.soaking(s))
	case s.Kind == plan.KindMove && m.now.Before(p.Steady.Add(m.progress.Soak)):
		m.wait(p.Steady, p.Steady.Add(m.progress.Soak), m.soaking(s))
	default:
		p.State, p.Since = Passed, m.now
		m.mark(s.ID, p)
	}
}

// putBack waits as long as what is seen may be old, and then holds: what somebody has put back is not written again.
func (m *machine) putBack(s plan.Step, p StepProgress) {
	if p.PutBack.IsZero() {
		p.PutBack, p.Steady = m.now, time.Time{}
		m.mark(s.ID, p)
	}
	if until := p.PutBack.Add(cacheLag); m.now.Before(until) {
		m.wait(p.PutBack, until, Reason{Step: s.ID, Gate: verify.InEffect, Object: s.Subject, Text: "what was written is not seen yet, or not any more"})
		return
	}
	m.hold(p.PutBack, Reason{Step: s.ID, Gate: verify.InEffect, Object: s.Subject, Patch: Patch(s.Edit),
		Text: "somebody has put it back: Sidestep does not write it again. Once the patch is committed where the object is kept, the migration goes on"})
}

func (m *machine) soaking(s plan.Step) Reason {
	return Reason{Step: s.ID, Gate: verify.Soak, Object: s.Subject, Text: fmt.Sprintf("all its gates pass; they have to for %v", m.progress.Soak)}
}

// judge asks one gate and reports whether it passed.
func (m *machine) judge(s plan.Step, p StepProgress, name string, subject verify.Subject) bool {
	r := verify.Check(name, &m.evidence.Evidence, subject)
	why := Reason{Step: s.ID, Gate: name, Object: subject.Object, Text: strings.Join(r.Why, "; ")}
	since := m.sinceOf(s, p)
	switch r.Verdict {
	case verify.Pass:
		return true
	case verify.Fail:
		m.failed(s, why, r.Against)
		return false
	}
	g, _ := verify.Lookup(name)
	until := since.Add(max(g.Deadline, m.least(g)))
	if m.now.Before(until) {
		m.wait(since, until, why)
	} else {
		why.Text += fmt.Sprintf("; it has been waited for since %s", since.UTC().Format(time.RFC3339))
		m.hold(since, why)
	}
	return false
}

// least is how long a gate that needs metrics is waited for: they have to cover the soak time first.
func (m *machine) least(g verify.Gate) time.Duration {
	if g.Metrics {
		return 3 * m.progress.Soak
	}
	return 0
}

// sinceOf is since when a step has been in its state.
func (m *machine) sinceOf(s plan.Step, p StepProgress) time.Time {
	if p.Since.IsZero() {
		return m.waveBegan(s)
	}
	return p.Since
}

// waveBegan is since when a step that is not taken has been waited for: when the last step of the waves before was finished.
func (m *machine) waveBegan(s plan.Step) time.Time {
	_, wave, _ := m.plan.Step(s.ID)
	last := m.progress.When
	for i := range wave {
		for _, x := range m.plan.Waves[i].Steps {
			if t := m.progress.Steps[x.ID].Since; t.After(last) {
				last = t
			}
		}
	}
	if last.IsZero() {
		return m.now
	}
	return last
}

func (m *machine) wait(since, until time.Time, why Reason) {
	m.waits = append(m.waits, why)
	m.begin(since)
	if m.until.IsZero() || !until.IsZero() && until.Before(m.until) {
		m.until = until
	}
}

func (m *machine) hold(since time.Time, why Reason) {
	m.holds = append(m.holds, why)
	m.begin(since)
}

func (m *machine) begin(since time.Time) {
	if !since.IsZero() && (m.since.IsZero() || since.Before(m.since)) {
		m.since = since
	}
}

func (m *machine) mark(id string, p StepProgress) { m.marks = append(m.marks, Mark{id, p}) }

// WaveBegan is when the first step of the wave that is under way was written, zero where none was.
func WaveBegan(p *Plan, g *Progress) time.Time {
	for i := range p.Waves {
		var began time.Time
		left := false
		for _, s := range p.Waves[i].Steps {
			x := g.Steps[s.ID]
			left = left || !final(x.State)
			if x.State.Taken() && !x.Began.IsZero() && (began.IsZero() || x.Began.Before(began)) {
				began = x.Began
			}
		}
		if left {
			return began
		}
	}
	return time.Time{}
}
