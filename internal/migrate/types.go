// Package migrate is the state machine that carries a plan out: Next looks at the plan, at how far it has come and at what is seen of the
// mesh, and says what to do now. It writes nothing and remembers nothing: whoever acts records what it did before and after, so that
// after a crash at any point the record and the mesh say how to go on. Pure.
package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/verify"
)

// Plan is what is carried out: the waves of a plan and what has to come first, as a record keeps them.
type Plan struct {
	// ID is a digest of the waves.
	ID    string      `json:"id"`
	Waves []plan.Wave `json:"waves"`
	// After says which steps have to have passed before a step is taken, by their IDs.
	After map[string][]string `json:"after,omitempty"`
}

// Of takes from a plan what carrying it out needs.
func Of(p *plan.Plan) (*Plan, error) {
	out := &Plan{Waves: p.Waves, After: map[string][]string{}}
	byRef := map[mesh.Ref]string{}
	seen := map[string]bool{}
	for _, s := range p.Steps() {
		if seen[s.ID] {
			return nil, fmt.Errorf("the plan has two steps called %s", s.ID)
		}
		seen[s.ID] = true
		if s.Kind == plan.KindMove || s.Kind == plan.KindRetire {
			byRef[s.Subject] = s.ID
		}
	}
	for _, n := range p.Needs {
		for _, a := range append([]mesh.Ref{n.First.Subject}, n.First.Others...) {
			for _, b := range append([]mesh.Ref{n.Then.Subject}, n.Then.Others...) {
				first, then := byRef[a], byRef[b]
				if first != "" && then != "" && first != then && !slices.Contains(out.After[then], first) {
					out.After[then] = append(out.After[then], first)
				}
			}
		}
	}
	raw, err := json.Marshal(out.Waves)
	if err != nil {
		return nil, fmt.Errorf("digest of the plan: %w", err)
	}
	sum := sha256.Sum256(raw)
	out.ID = hex.EncodeToString(sum[:])[:16]
	return out, nil
}

// Step finds a step by its ID, with the number of its wave.
func (p *Plan) Step(id string) (step plan.Step, wave int, ok bool) {
	for i := range p.Waves {
		for _, s := range p.Waves[i].Steps {
			if s.ID == id {
				return s, i, true
			}
		}
	}
	return plan.Step{}, 0, false
}

// Wish is what a person wants to happen.
type Wish string

// Wishes.
const (
	Run      Wish = "run"
	Pause    Wish = "pause"
	Rollback Wish = "rollback"
)

// State is how far a step has come.
type State string

// States of a step. In Writing and Undoing the write may have happened or not: the mesh tells.
const (
	Ahead    State = ""
	Writing  State = "writing"
	Written  State = "written"
	Passed   State = "passed"
	Skipped  State = "skipped"
	Undoing  State = "undoing"
	Reverted State = "reverted"
	Undone   State = "undone"
)

// Taken reports whether a step in this state may have changed the mesh.
func (s State) Taken() bool {
	return s == Writing || s == Written || s == Passed || s == Undoing || s == Reverted
}

// Before is what stood before a step was taken. It is recorded before the write and never again, and never from what Sidestep wrote.
type Before struct {
	// Absent says that the object was not there.
	Absent bool `json:"absent,omitempty"`
	// Object is the whole object, where the step replaces or deletes it.
	Object json.RawMessage `json:"object,omitempty"`
	// Labels and Annotations are those that the step sets, nil for those that were not there.
	Labels      map[string]*string `json:"labels,omitempty"`
	Annotations map[string]*string `json:"annotations,omitempty"`
	// Theirs says that the mesh stood as the step would leave it: somebody else made the change, and undoing it is theirs too.
	Theirs bool `json:"theirs,omitempty"`
}

// Conflict is a field that somebody else owns.
type Conflict struct {
	// Managers own the fields; Fields are their paths.
	Managers []string `json:"managers,omitempty"`
	Fields   []string `json:"fields,omitempty"`
	// Text is what the API server, or Sidestep, says about it.
	Text string `json:"text"`
	// Patch is what its owner has to commit.
	Patch string `json:"patch,omitempty"`
}

// StepProgress is what a record keeps of a step.
type StepProgress struct {
	State State `json:"state,omitempty"`
	// Began is when it was about to be written first, Since when it got into its state, Steady since when all its gates have passed.
	Began  time.Time `json:"began,omitzero"`
	Since  time.Time `json:"since,omitzero"`
	Steady time.Time `json:"steady,omitzero"`
	// PutBack is since when the mesh does not stand as the step left it, although nobody took it back here.
	PutBack time.Time `json:"putBack,omitzero"`
	Before  *Before   `json:"before,omitempty"`
	// Conflict holds the step until a person resumes, or the mesh stands as the step would leave it.
	Conflict *Conflict `json:"conflict,omitempty"`
	// Why is what a person said who skipped the step, or the reason for which it was undone.
	Why string `json:"why,omitempty"`
}

// LeftOut is a gate that a person left out, for all steps.
type LeftOut struct {
	Gate string    `json:"gate"`
	Who  string    `json:"who,omitempty"`
	When time.Time `json:"when,omitzero"`
}

// Progress is how far a plan has come, and what a person wants of it.
type Progress struct {
	Wish Wish `json:"wish,omitempty"`
	// Who wished it, and when.
	Who  string    `json:"who,omitempty"`
	When time.Time `json:"when,omitzero"`
	// Until is the last wave, counted from 1, that may be begun; 0 for all.
	Until int `json:"until,omitempty"`
	// MaxPods bounds how many pods may be made anew at once; 0 for no bound.
	MaxPods int `json:"maxPods,omitempty"`
	// Soak is how long all gates of a move have to have passed.
	Soak    time.Duration           `json:"soak,omitempty"`
	LeftOut []LeftOut               `json:"leftOut,omitempty"`
	Steps   map[string]StepProgress `json:"steps,omitempty"`
}

// State gives the state of a step.
func (g *Progress) State(id string) State { return g.Steps[id].State }

// Finished reports whether every step of a plan has passed or was skipped.
func (g *Progress) Finished(p *Plan) bool {
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			if !final(g.State(s.ID)) {
				return false
			}
		}
	}
	return true
}

// leaves reports whether a person left a gate out.
func (g *Progress) leaves(gate string) bool {
	return slices.ContainsFunc(g.LeftOut, func(l LeftOut) bool { return l.Gate == gate })
}

// Evidence is what is seen of the mesh.
type Evidence struct {
	verify.Evidence
	// Prove compares the start with the mesh as it would stand after further edits; see plan.Reprove. It is asked just before a write and
	// after a wave. Nil is inconclusive.
	Prove func(next []plan.Edit) (plan.Reproof, error)
}

// Kind is what is to be done.
type Kind string

// Kinds of actions.
const (
	// Apply the steps named, in their order.
	Apply Kind = "apply"
	// Wait: nothing is to be done until the mesh has changed, at the latest until Until.
	Wait Kind = "wait"
	// Hold: nothing is to be done until a person has decided, or what is held for has come about.
	Hold Kind = "hold"
	// Undo the steps named, in their order.
	Undo Kind = "undo"
	// Halt: nothing is to be done at all, not even undone: the new side is the healthy one.
	Halt Kind = "halt"
	// Done: there is nothing left to do.
	Done Kind = "done"
)

// Reason is why.
type Reason struct {
	// Step and Gate are empty where it is about the whole.
	Step   string   `json:"step,omitempty"`
	Gate   string   `json:"gate,omitempty"`
	Object mesh.Ref `json:"object,omitzero"`
	Text   string   `json:"text"`
	// Patch is what the owner of the object has to commit, where that is what is waited for.
	Patch string `json:"patch,omitempty"`
}

// Action is what to do now and why.
type Action struct {
	Kind Kind `json:"kind"`
	// Wave is the number of the wave, from 0; len(plan.Waves) when all are done.
	Wave int `json:"wave"`
	// Steps are those to write or to undo.
	Steps []string `json:"steps,omitempty"`
	Why   []Reason `json:"why,omitempty"`
	// Since is when the present wait or hold began; Until is when a wait ends at the latest, in a hold.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Marks are to be recorded before anything else is done.
	Marks []Mark `json:"-"`
}

// Mark is a change of a step's record that needs no write to the mesh.
type Mark struct {
	Step     string
	Progress StepProgress
}
