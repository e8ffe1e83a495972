package report

import (
	"fmt"
	"io"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// AuthzAnswer is one question about authorization and its answer. With AllCallers there is one for each.
type AuthzAnswer struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Answers    []CallAnswer `json:"answers"`
}

// CallAnswer is the answer for one caller.
type CallAnswer struct {
	Request authz.Request `json:"request"`
	authz.Answer
}

// NewAuthzAnswer makes the document of answers.
func NewAuthzAnswer(answers []CallAnswer) *AuthzAnswer {
	return &AuthzAnswer{APIVersion: APIVersion, Kind: "AuthzAnswer", Answers: answers}
}

// Allowed tells that every call is allowed.
func (a *AuthzAnswer) Allowed() bool {
	for _, c := range a.Answers {
		if c.Decision != authz.Allow {
			return false
		}
	}
	return true
}

// JSON writes the answers as a versioned document.
func (a *AuthzAnswer) JSON(w io.Writer) error { return writeJSON(w, a) }

// Text writes one answer with its reasons, or one line for each of many.
func (a *AuthzAnswer) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for i, c := range a.Answers {
		if len(a.Answers) > 1 && !o.Wide {
			p.line("%s  %s  %s", p.decision(c.Decision, 7), pad(callerOf(c.Request.From), 48), by(c.Answer))
			continue
		}
		if i > 0 {
			p.line("")
		}
		if len(a.Answers) > 1 {
			p.line("%s", p.bold(callerOf(c.Request.From)))
		}
		textAnswer(p, c.Answer)
	}
	_, err := w.Write(p.Bytes())
	return err
}

func textAnswer(p *printer, a authz.Answer) {
	p.line("%s by %s", p.decision(a.Decision, 0), by(a))
	p.line("  why    %s", a.Why)
	if a.Route != "" {
		p.line("  route  %s", a.Route)
	}
	for i, h := range a.Hops {
		identity := h.Principal
		if identity == "" {
			identity = "nobody (plaintext)"
		}
		p.line("  %d. %s of %s, port %d, sees %s: %s", i+1, h.Point, h.Where, h.Port, identity, p.decision(h.Decision, 0))
		for _, r := range h.Reasons {
			p.line("       %s", p.faint(reasonWords(r)))
		}
	}
	for _, assumed := range a.Assumed {
		p.line("  assumed: %s; policies on the way ask for it", assumed)
	}
}

func reasonWords(r authz.Reason) string {
	s := string(r.Effect)
	if r.Policy != "" {
		s += " by " + r.Policy
		if r.Rule >= 0 {
			s += fmt.Sprintf(" rule %d", r.Rule)
		}
	}
	return s + ": " + r.Why
}

func by(a authz.Answer) string {
	if a.Policy == "" {
		return string(a.By)
	}
	return fmt.Sprintf("%s (%s)", a.By, a.Policy)
}

func callerOf(c authz.Caller) string {
	switch {
	case c.Workload != nil:
		return fmt.Sprintf("%s (%s)", c.Workload, c.Mode)
	case c.Principal != "":
		return fmt.Sprintf("%s (%s)", c.Principal, c.Mode)
	}
	return "a caller outside the mesh"
}

func (p *printer) decision(d authz.Decision, width int) string {
	return p.paint(map[authz.Decision]string{authz.Allow: "32", authz.Deny: "31"}[d], pad(string(d), width))
}

// AuthzDiff is the comparison of two states of a mesh.
type AuthzDiff struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	authz.Result
}

// NewAuthzDiff makes the document of a comparison.
func NewAuthzDiff(r authz.Result) *AuthzDiff {
	if r.Divergences == nil {
		r.Divergences = []authz.Divergence{}
	}
	return &AuthzDiff{APIVersion: APIVersion, Kind: "AuthzDiff", Result: r}
}

// JSON writes the comparison as a versioned document.
func (d *AuthzDiff) JSON(w io.Writer) error { return writeJSON(w, d) }

// mostDivergences is how many kinds of divergence are shown unless the output is wide.
const mostDivergences = 10

// likeness is what divergences have in common that a person would call the same thing: the call may go
// elsewhere, but the same points decide it for the same reasons.
type likeness struct {
	kind          authz.Kind
	before, after decided
}

type decided struct {
	decision authz.Decision
	by       authz.Point
	policy   string
	why      string
}

func decidedBy(a authz.Answer) decided { return decided{a.Decision, a.By, a.Policy, a.Why} }

// alike groups divergences, in the order of their first.
func (d *AuthzDiff) alike() [][]authz.Divergence {
	at := map[likeness]int{}
	var out [][]authz.Divergence
	for _, v := range d.Divergences {
		key := likeness{v.Kind, decidedBy(v.Before), decidedBy(v.After)}
		i, seen := at[key]
		if !seen {
			i = len(out)
			at[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], v)
	}
	return out
}

var diffHeads = map[authz.Kind]string{
	authz.Weaker:   "Weaker: refused before, not any more",
	authz.Stricter: "Stricter: allowed before, not any more",
}

// Text writes the comparison for a person: what became weaker first, one example of each kind.
func (d *AuthzDiff) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for _, kind := range []authz.Kind{authz.Weaker, authz.Stricter} {
		shown := 0
		for _, group := range d.alike() {
			if group[0].Kind != kind {
				continue
			}
			if shown == 0 {
				p.line("%s", p.bold(diffHeads[kind]))
			}
			if shown++; shown > mostDivergences && !o.Wide {
				continue
			}
			textDivergences(p, group, o.Wide)
		}
		if shown > mostDivergences && !o.Wide {
			p.line("  and %s more: see --wide or -o json", count(shown-mostDivergences, "kind"))
		}
	}
	if d.Equivalent {
		p.line("Equivalent: no call is decided differently.")
	}
	s := d.Stats
	p.line("%s", p.faint(fmt.Sprintf("Compared %s, %s and %s of requests; %s that nothing changed for left out.",
		count(s.Destinations, "destination"), count(s.Scenarios, "scenario"), plural(s.Regions, "class", "classes"), count(s.Skipped, "destination"))))
	for _, note := range d.Notes {
		p.line("Note: %s", note)
	}
	_, err := w.Write(p.Bytes())
	return err
}

// textDivergences shows divergences that are alike by their first, or all.
func textDivergences(p *printer, group []authz.Divergence, wide bool) {
	for i, v := range group {
		if i > 0 && !wide {
			p.line("      and %s like it", count(len(group)-1, "call"))
			break
		}
		p.line("  %s", v.Words)
	}
	v := group[0]
	p.line("      before  %s by %s: %s", p.decision(v.Before.Decision, 0), by(v.Before), v.Before.Why)
	p.line("      after   %s by %s: %s", p.decision(v.After.Decision, 0), by(v.After), v.After.Why)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}
