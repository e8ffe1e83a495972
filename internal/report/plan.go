package report

import (
	"fmt"
	"io"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/plan"
)

// PlanReport is a plan as a document. Its form is an API; `sidestep roi --plan` and everything that carries a plan out reads it.
type PlanReport struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Goal is empty for a move to ambient mode, or change.
	Goal        string         `json:"goal,omitempty"`
	Fingerprint string         `json:"fingerprint,omitempty"`
	Summary     PlanSummary    `json:"summary"`
	Waves       []PlanWave     `json:"waves"`
	Needs       []PlanNeed     `json:"needs"`
	Stays       []PlanStay     `json:"stays"`
	Dropped     []PlanNeed     `json:"dropped,omitempty"`
	Accepted    []PlanAccepted `json:"accepted,omitempty"`
	Proof       PlanProof      `json:"proof"`
	Stale       []PlanStale    `json:"stale,omitempty"`
	Basis       []PlanRead     `json:"basis"`
	Notes       []string       `json:"notes,omitempty"`
	Limits      []string       `json:"limits,omitempty"`
}

// PlanSummary counts what a reader asks first: workloads.
type PlanSummary struct {
	Moves int `json:"moves"`
	Stays int `json:"stays"`
	Done  int `json:"done"`
	Waves int `json:"waves"`
	Steps int `json:"steps"`
}

// PlanProof says how much was compared, and how.
type PlanProof struct {
	Comparisons int    `json:"comparisons"`
	Scenarios   int    `json:"scenarios"`
	Classes     int    `json:"classes"`
	PodSets     int    `json:"podSets"`
	Weaker      int    `json:"weaker"`
	Says        string `json:"says"`
}

// PlanWave is a set of steps between which no order is needed but that of the list.
type PlanWave struct {
	Name    string     `json:"name"`
	Purpose string     `json:"purpose"`
	Steps   []PlanStep `json:"steps"`
}

// PlanStep is one write with its undo.
type PlanStep struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Subject  Object     `json:"subject"`
	Why      string     `json:"why"`
	Change   PlanChange `json:"change"`
	Undo     PlanChange `json:"undo"`
	UndoKind string     `json:"undoKind"`
	Gates    []PlanGate `json:"gates"`
}

// PlanChange is what is written: manifests for server-side apply, fields that go, objects that go, workloads that restart.
type PlanChange struct {
	// Verb is create, replace, label, template, recreate or delete.
	Verb    string           `json:"verb"`
	Apply   []map[string]any `json:"apply,omitempty"`
	Unset   []PlanUnset      `json:"unset,omitempty"`
	Delete  []PlanObject     `json:"delete,omitempty"`
	Restart []PlanObject     `json:"restart,omitempty"`
	// Recreate are Jobs, whose template cannot be changed: the fields of Apply are for their next run.
	Recreate []PlanObject `json:"recreate,omitempty"`
}

// PlanUnset takes fields of an object away, such as metadata.labels[istio.io/use-waypoint].
type PlanUnset struct {
	Object PlanObject `json:"object"`
	Fields []string   `json:"fields"`
}

// PlanObject names an object with its API version.
type PlanObject struct {
	APIVersion string `json:"apiVersion"`
	Object
}

// PlanGate is what has to be seen before (or after) a step.
type PlanGate struct {
	Check  string `json:"check"`
	When   string `json:"when"`
	Object Object `json:"object"`
	Expect string `json:"expect"`
}

// PlanEvent is a moment of one or more objects.
type PlanEvent struct {
	Event string `json:"event"`
	Object
	Others []Object `json:"others,omitempty"`
}

// PlanNeed says what comes first, and the request that breaks otherwise.
type PlanNeed struct {
	First    PlanEvent     `json:"first"`
	Then     PlanEvent     `json:"then"`
	Reason   string        `json:"reason"`
	Evidence string        `json:"evidence"`
	Words    string        `json:"words"`
	Request  authz.Request `json:"request"`
	Before   PlanDecision  `json:"before"`
	After    PlanDecision  `json:"after"`
}

// PlanDecision is what happens to a request.
type PlanDecision struct {
	Decision string `json:"decision"`
	By       string `json:"by"`
	Policy   string `json:"policy,omitempty"`
	Why      string `json:"why"`
}

// PlanStay is a workload that keeps its sidecar.
type PlanStay struct {
	Object
	Because  []PlanBecause `json:"because"`
	Blockers []Object      `json:"blockers,omitempty"`
	Choices  []PlanChoice  `json:"choices"`
}

// PlanBecause is one reason.
type PlanBecause struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// PlanChoice is a way out with its price; Accept is the argument of --accept, where a flag takes it.
type PlanChoice struct {
	Name   string `json:"name"`
	Text   string `json:"text"`
	Price  string `json:"price"`
	Accept string `json:"accept,omitempty"`
}

// PlanAccepted is a divergence that a person took.
type PlanAccepted struct {
	Code      string `json:"code"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Why       string `json:"why"`
	Who       string `json:"who,omitempty"`
	When      string `json:"when,omitempty"`
}

// PlanRead is what the proof read of one object: a digest of each field. When one of them differs, the plan is stale.
type PlanRead struct {
	Group string `json:"group,omitempty"`
	Object
	Fields map[string]string `json:"fields"`
}

// PlanStale is a difference between what an earlier plan's proof read and what is there now.
type PlanStale struct {
	Object
	Field string   `json:"field,omitempty"`
	How   string   `json:"how"`
	Steps []string `json:"steps"`
}

// NewPlan makes the document of a plan.
func NewPlan(p *plan.Plan) (*PlanReport, error) {
	r := &PlanReport{APIVersion: APIVersion, Kind: "Plan", Goal: p.Goal, Fingerprint: p.Fingerprint, Waves: []PlanWave{}, Stays: []PlanStay{}, Notes: p.Notes, Limits: p.Limits,
		Needs: planNeeds(p.Needs), Dropped: planNeeds(p.Dropped),
		Proof: PlanProof{Comparisons: p.Proof.Comparisons, Scenarios: p.Proof.Scenarios, Classes: p.Proof.Regions, PodSets: p.Proof.PodSets, Weaker: p.Proof.Weaker,
			Says: "with old and new pods of every workload that moves side by side, all at once, no call passes that is refused today; so none does after any part of the plan, in any order, nor on the way back"}}
	if p.Goal == plan.GoalChange {
		r.Proof.Says = "in no state on the way does a call pass that both ends refuse, and none that counts is refused that both ends let pass"
	}
	for _, w := range p.Waves {
		out := PlanWave{Name: w.Name, Purpose: w.Purpose}
		for _, s := range w.Steps {
			step, err := planStep(s)
			if err != nil {
				return nil, err
			}
			out.Steps = append(out.Steps, step)
			r.Summary.Steps++
			if s.Kind == plan.KindMove {
				r.Summary.Moves++
			}
		}
		r.Waves = append(r.Waves, out)
	}
	for _, s := range p.Stays {
		r.Stays = append(r.Stays, planStay(s))
	}
	for _, a := range p.Accepted {
		out := PlanAccepted{Code: a.Code, Namespace: a.Namespace, Name: a.Name, Why: a.Why, Who: a.Who}
		if !a.When.IsZero() {
			out.When = a.When.UTC().Format("2006-01-02T15:04:05Z")
		}
		r.Accepted = append(r.Accepted, out)
	}
	r.Basis = make([]PlanRead, 0, len(p.Reads))
	for _, x := range p.Reads {
		r.Basis = append(r.Basis, PlanRead{Group: x.Object.Group, Object: objectOf(x.Object), Fields: x.Fields})
	}
	r.Summary.Stays, r.Summary.Done, r.Summary.Waves = len(r.Stays), p.Done, len(r.Waves)
	return r, nil
}

func planStep(s plan.Step) (PlanStep, error) {
	out := PlanStep{ID: s.ID, Kind: string(s.Kind), Subject: objectOf(s.Subject), Why: s.Why, UndoKind: string(s.UndoKind), Gates: []PlanGate{}}
	var err error
	if out.Change, err = planChange(s.Edit); err != nil {
		return out, err
	}
	if out.Undo, err = planChange(s.Undo); err != nil {
		return out, err
	}
	for _, g := range s.Gates {
		when := "after"
		if g.Before {
			when = "before"
		}
		out.Gates = append(out.Gates, PlanGate{Check: g.Check, When: when, Object: objectOf(g.Object), Expect: g.Expect})
	}
	return out, nil
}

func planChange(e plan.Edit) (PlanChange, error) {
	out := PlanChange{Verb: string(e.Verb)}
	version, err := e.APIVersion()
	if err != nil {
		return out, err
	}
	object := PlanObject{APIVersion: version, Object: objectOf(e.Object)}
	if e.Verb == plan.Delete {
		out.Delete = []PlanObject{object}
		return out, nil
	}
	manifest, err := e.Manifest()
	if err != nil {
		return out, err
	}
	if e.Sets() {
		out.Apply = []map[string]any{manifest}
	}
	if removed := append(e.Removed(), e.Gone...); len(removed) > 0 {
		out.Unset = []PlanUnset{{Object: object, Fields: removed}}
	}
	switch e.Verb {
	case plan.Template:
		out.Restart = []PlanObject{object}
	case plan.Recreate:
		out.Recreate = []PlanObject{object}
	}
	return out, nil
}

func planNeeds(needs []plan.Need) []PlanNeed {
	out := make([]PlanNeed, 0, len(needs))
	decision := func(a authz.Answer) PlanDecision {
		return PlanDecision{Decision: string(a.Decision), By: string(a.By), Policy: a.Policy, Why: a.Why}
	}
	for _, n := range needs {
		out = append(out, PlanNeed{First: planEvent(n.First), Then: planEvent(n.Then), Reason: string(n.Reason), Evidence: string(n.Evidence), Words: n.Words,
			Request: n.Request, Before: decision(n.Before), After: decision(n.After)})
	}
	return out
}

func planEvent(e plan.Event) PlanEvent {
	out := PlanEvent{Event: string(e.Kind), Object: objectOf(e.Subject)}
	for _, r := range e.Others {
		out.Others = append(out.Others, objectOf(r))
	}
	return out
}

func planStay(s plan.Stay) PlanStay {
	out := PlanStay{Object: objectOf(s.Workload), Because: []PlanBecause{}, Choices: []PlanChoice{}}
	for _, b := range s.Because {
		out.Because = append(out.Because, PlanBecause(b))
	}
	for _, c := range s.Choices {
		out.Choices = append(out.Choices, PlanChoice(c))
	}
	for _, b := range s.Blockers {
		out.Blockers = append(out.Blockers, objectOf(b))
	}
	return out
}

// JSON writes the plan as a versioned document.
func (r *PlanReport) JSON(w io.Writer) error { return writeJSON(w, r) }

// Pending reports whether there is anything to do.
func (r *PlanReport) Pending() bool { return len(r.Waves) > 0 }

// Text writes the plan for a person: what happens in which wave, what a person has to decide, and what the proof says.
func (r *PlanReport) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	s := r.Summary
	switch {
	case r.Goal == plan.GoalChange && !r.Pending():
		p.line("Nothing to do: everything is as the change says.")
	case r.Goal == plan.GoalChange:
		p.line("%s, one after the other in this order.", p.bold(count(s.Steps, "write")))
	case !r.Pending():
		p.line("Nothing to do: %s in ambient mode, %s.", count(s.Done, "workload"), keeps(s.Stays))
	default:
		p.line("%s in %s; %s in ambient mode already; %s.", p.bold(count(s.Moves, "workload")+" can move"), count(s.Waves, "wave"), number(s.Done), keeps(s.Stays))
	}
	for i, wave := range r.Waves {
		p.line("")
		p.line("%s  %s", p.bold(fmt.Sprintf("%d. %s", i+1, wave.Name)), wave.Purpose)
		wave.text(p, o.Wide)
	}
	r.textStale(p)
	r.textNeeds(p, o.Wide)
	r.textStays(p, o.Wide)
	p.line("")
	p.line("%s", p.faint(fmt.Sprintf("Proof: %s of whole states, %s, %s of requests, %s of pods; %s weaker.", count(r.Proof.Comparisons, "comparison"),
		count(r.Proof.Scenarios, "scenario"), plural(r.Proof.Classes, "class", "classes"), count(r.Proof.PodSets, "set"), number(r.Proof.Weaker))))
	for _, note := range r.Notes {
		p.line("Note: %s", note)
	}
	for _, limit := range r.Limits {
		p.line("Not covered: %s.", limit)
	}
	_, err := w.Write(p.Bytes())
	return err
}

func (r *PlanReport) textStale(p *printer) {
	if len(r.Stale) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.bold("What has changed since the earlier plan"))
	for i, s := range r.Stale {
		if i == mostGroups {
			p.line("   and %s more: see -o json", number(len(r.Stale)-i))
			break
		}
		p.line("   %s %s %s, which %s of it rest on", s.Object, s.Field, s.How, count(len(s.Steps), "step"))
	}
}

func keeps(n int) string {
	if n == 1 {
		return "1 keeps its sidecar"
	}
	return number(n) + " keep their sidecars"
}

// mostSteps is how many steps of a kind are named unless the output is wide.
const mostSteps = 6

func (w *PlanWave) text(p *printer, wide bool) {
	var kinds []string
	byKind := map[string][]PlanStep{}
	for _, s := range w.Steps {
		if byKind[s.Kind] == nil {
			kinds = append(kinds, s.Kind)
		}
		byKind[s.Kind] = append(byKind[s.Kind], s)
	}
	for _, kind := range kinds {
		steps := byKind[kind]
		shown := steps
		if !wide && len(shown) > mostSteps {
			shown = shown[:mostSteps]
		}
		for i, s := range shown {
			head := ""
			if i == 0 {
				head = kind
			}
			p.line("   %s %s", pad(head, 9), s.Subject)
			if wide {
				p.line("             %s", p.faint(s.Why))
			}
		}
		if more := len(steps) - len(shown); more > 0 {
			p.line("   %s %s", pad("", 9), p.faint(fmt.Sprintf("and %s more: see --wide", number(more))))
		}
	}
}

func (r *PlanReport) textNeeds(p *printer, wide bool) {
	if len(r.Needs) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.bold("What has to come first, and the call that is refused otherwise"))
	for i, n := range r.Needs {
		if i == mostGroups && !wide {
			p.line("   and %s more: see --wide or -o json", number(len(r.Needs)-i))
			break
		}
		p.line("   %s before %s  %s", n.First.words(), n.Then.words(), p.faint("("+n.Evidence+", "+n.Reason+")"))
		p.line("       %s: %s", n.Words, n.After.Why)
	}
}

// words names the subject and counts the others.
func (e PlanEvent) words() string {
	out := e.Object.String()
	if len(e.Others) > 0 {
		out += " and " + number(len(e.Others)) + " more"
	}
	if e.Event == "retire" {
		out += " is removed"
	}
	return out
}

func (r *PlanReport) textStays(p *printer, wide bool) {
	if len(r.Stays) == 0 {
		return
	}
	var deciding []PlanStay
	other := 0
	for _, s := range r.Stays {
		if wide || slices.ContainsFunc(s.Choices, func(c PlanChoice) bool { return c.Accept != "" || c.Name == "policy" }) {
			deciding = append(deciding, s)
		} else {
			other++
		}
	}
	if len(deciding) > 0 {
		p.line("")
		p.line("%s", p.bold("What a person has to decide: these keep their sidecars unless"))
		for i, s := range deciding {
			if i == mostGroups && !wide {
				p.line("   and %s more: see --wide or -o json", number(len(deciding)-i))
				break
			}
			p.line("   %s", p.bold(s.Object.String()))
			for _, b := range s.Because {
				p.line("       %s: %s", b.Code, b.Text)
			}
			for _, c := range s.Choices {
				p.line("       - %s: %s (price: %s)%s", c.Name, c.Text, c.Price, acceptFlag(c))
			}
		}
	}
	if other > 0 {
		p.line("")
		p.line("%s for reasons of their own: see sidestep audit, or --wide.", keeps(other))
	}
}

func acceptFlag(c PlanChoice) string {
	if c.Accept == "" {
		return ""
	}
	return " --accept " + c.Accept + " --why ..."
}
