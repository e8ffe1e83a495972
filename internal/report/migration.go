package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/migrate"
	"github.com/sidestep-mesh/sidestep/internal/plan"
)

// MigrationReport says how far a migration has come and what it waits for. Its form is an API.
type MigrationReport struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Plan is the ID of what is carried out; State is apply, wait, hold, undo, halt or done.
	Plan  string `json:"plan"`
	State string `json:"state"`
	// Wish is run, pause or rollback, as a person wants it.
	Wish string `json:"wish"`
	Who  string `json:"who,omitempty"`
	// Wave is the number of the wave that is under way, from 1.
	Wave  int             `json:"wave"`
	Waves []MigrationWave `json:"waves"`
	// Why is what it waits for or is held by; Since and Until bound a wait.
	Why     []MigrationReason `json:"why"`
	Since   *time.Time        `json:"since,omitempty"`
	Until   *time.Time        `json:"until,omitempty"`
	Budget  MigrationBudget   `json:"budget"`
	LeftOut []MigrationGate   `json:"leftOut,omitempty"`
	Steps   []MigrationStep   `json:"steps"`
}

// MigrationWave counts the steps of a wave.
type MigrationWave struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	Steps   int    `json:"steps"`
	Passed  int    `json:"passed"`
	Taken   int    `json:"taken"`
}

// MigrationReason is one thing that is waited for.
type MigrationReason struct {
	Step   string  `json:"step,omitempty"`
	Gate   string  `json:"gate,omitempty"`
	Object *Object `json:"object,omitempty"`
	Text   string  `json:"text"`
	Patch  string  `json:"patch,omitempty"`
}

// MigrationBudget is how many pods may be made anew at once, 0 for no bound, and how many are.
type MigrationBudget struct {
	MaxPods    int `json:"maxPods"`
	Restarting int `json:"restarting"`
}

// MigrationGate is a gate that a person left out.
type MigrationGate struct {
	Gate string    `json:"gate"`
	Who  string    `json:"who,omitempty"`
	When time.Time `json:"when,omitzero"`
}

// MigrationStep is how far one step has come.
type MigrationStep struct {
	ID      string     `json:"id"`
	Wave    string     `json:"wave"`
	Kind    string     `json:"kind"`
	Subject Object     `json:"subject"`
	State   string     `json:"state"`
	Since   *time.Time `json:"since,omitempty"`
	Why     string     `json:"why,omitempty"`
}

// NewMigration makes the document of a migration.
func NewMigration(p *migrate.Plan, g *migrate.Progress, a migrate.Action, replicas func(plan.Step) int) *MigrationReport {
	r := &MigrationReport{APIVersion: APIVersion, Kind: "MigrationStatus", Plan: p.ID, State: string(a.Kind), Wish: string(g.Wish), Who: g.Who, Wave: a.Wave + 1,
		Why: []MigrationReason{}, Budget: MigrationBudget{MaxPods: g.MaxPods}, Since: when(a.Since), Until: when(a.Until)}
	for _, w := range p.Waves {
		out := MigrationWave{Name: w.Name, Purpose: w.Purpose, Steps: len(w.Steps)}
		for _, s := range w.Steps {
			x := g.Steps[s.ID]
			switch {
			case x.State == migrate.Passed || x.State == migrate.Skipped:
				out.Passed++
			case x.State.Taken():
				out.Taken++
				if s.Restarts && replicas != nil {
					r.Budget.Restarting += replicas(s)
				}
			}
			r.Steps = append(r.Steps, MigrationStep{ID: s.ID, Wave: w.Name, Kind: string(s.Kind), Subject: objectOf(s.Subject), State: stateWord(x.State), Since: when(x.Since), Why: x.Why})
		}
		r.Waves = append(r.Waves, out)
	}
	for _, w := range a.Why {
		out := MigrationReason{Step: w.Step, Gate: w.Gate, Text: w.Text, Patch: w.Patch}
		if w.Object.Kind != "" {
			o := objectOf(w.Object)
			out.Object = &o
		}
		r.Why = append(r.Why, out)
	}
	for _, l := range g.LeftOut {
		r.LeftOut = append(r.LeftOut, MigrationGate{Gate: l.Gate, Who: l.Who, When: l.When})
	}
	return r
}

func stateWord(s migrate.State) string {
	if s == migrate.Ahead {
		return "ahead"
	}
	return string(s)
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// JSON writes the status as a versioned document.
func (r *MigrationReport) JSON(w io.Writer) error { return writeJSON(w, r) }

// Text writes the status for a person.
func (r *MigrationReport) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	p.line("%s", p.bold(r.headline()))
	for i, v := range r.Waves {
		mark := " "
		if i+1 == r.Wave && r.State != string(migrate.Done) {
			mark = ">"
		}
		p.line("%s %d. %s %d of %s passed%s", mark, i+1, pad(v.Name, 10), v.Passed, count(v.Steps, "step"), underWay(v.Taken))
	}
	for i, why := range r.Why {
		if i == mostGroups && !o.Wide {
			p.line("  and %s more: see --wide or -o json", number(len(r.Why)-i))
			break
		}
		p.line("  %s", why.words())
		if why.Patch != "" {
			p.line("      %s", p.faint(why.Patch))
		}
	}
	if r.Budget.MaxPods > 0 {
		p.line("Budget: at most %s at once, %s now.", plural(r.Budget.MaxPods, "pod", "pods"), number(r.Budget.Restarting))
	}
	for _, l := range r.LeftOut {
		p.line("Left out: gate %s%s.", l.Gate, byWhom(l.Who))
	}
	if o.Wide {
		p.line("")
		for _, s := range r.Steps {
			p.line("  %s %s %s", pad(s.State, 9), pad(s.Kind, 9), s.Subject)
			if s.Why != "" {
				p.line("            %s", p.faint(s.Why))
			}
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}

func underWay(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d under way", n)
}

func byWhom(who string) string {
	if who == "" {
		return ""
	}
	return ", by " + who
}

func (r *MigrationReport) headline() string {
	verb := map[string]string{
		string(migrate.Apply): "Steps are being taken", string(migrate.Wait): "Waiting", string(migrate.Hold): "Held", string(migrate.Undo): "Steps are being taken back",
		string(migrate.Halt): "Halted", string(migrate.Done): "Done",
	}[r.State]
	if r.State == string(migrate.Done) && r.Pending() {
		verb = "Stopped"
	}
	if r.Wish == string(migrate.Rollback) {
		verb += ", going back"
	}
	if r.Since != nil {
		verb += " since " + r.Since.Format(time.RFC3339)
	}
	if r.Until != nil {
		verb += ", until " + r.Until.Format(time.RFC3339) + " at the latest"
	}
	return verb + "."
}

func (w *MigrationReason) words() string {
	out := w.Text
	if w.Object != nil {
		out = w.Object.String() + ": " + out
	}
	if w.Gate != "" {
		out = w.Gate + " of " + out
	}
	return out
}

// Pending reports whether there is anything left to do.
func (r *MigrationReport) Pending() bool {
	return slices.ContainsFunc(r.Waves, func(w MigrationWave) bool { return w.Passed < w.Steps })
}
