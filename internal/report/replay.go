package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/replay"
)

// LogExplanation says of lines of an access log who decided and what would admit the call.
type LogExplanation struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Lines      []ExplainedLog `json:"lines"`
}

// ExplainedLog is one line. Problem says why it cannot be explained.
type ExplainedLog struct {
	Number  int             `json:"number"`
	Problem string          `json:"problem,omitempty"`
	Verdict *replay.Verdict `json:"verdict,omitempty"`
	// Ask is the command that asks about the call again, Patch the change as a unified diff of the policies, and Also what it
	// admits besides.
	Ask   string   `json:"ask,omitempty"`
	Patch string   `json:"patch,omitempty"`
	Also  []string `json:"also,omitempty"`
}

// NewLogExplanation makes an empty document.
func NewLogExplanation() *LogExplanation {
	return &LogExplanation{APIVersion: APIVersion, Kind: "LogExplanation", Lines: []ExplainedLog{}}
}

// Add adds the verdict on a line, or why there is none.
func (e *LogExplanation) Add(number int, v *replay.Verdict, problem error) {
	x := ExplainedLog{Number: number, Verdict: v}
	if problem != nil {
		x.Problem = problem.Error()
	} else {
		x.Ask = CanCommand(v.Request)
	}
	if v != nil && v.Change != nil {
		for _, edit := range v.Change.Edits {
			x.Patch += string(diff.Diff(edit.Policy, []byte(edit.Before.Manifest()), edit.Policy, []byte(edit.After.Manifest())))
		}
		x.Also = alsoAdmitted(v)
	}
	e.Lines = append(e.Lines, x)
}

// alsoAdmitted lists what a change does to other calls than the line's: other callers, ways, or requests.
func alsoAdmitted(v *replay.Verdict) []string {
	var out []string
	for _, g := range v.Change.Diff.Groups() {
		same := g.Count == 1 && g.Example.Request.To == v.Request.To && g.Example.Request.From.Others == 0 &&
			g.Example.Request.Method == v.Request.Method && g.Kind == authz.Weaker
		if !same {
			out = append(out, fmt.Sprintf("%s: %s (%s)", g.Kind, g.Example.Words, count(g.Count, "class")))
		}
	}
	return out
}

// Problems counts the lines that could not be explained, and Differing those that the model decides otherwise.
func (e *LogExplanation) Problems() (problems, differing int) {
	for _, l := range e.Lines {
		if l.Problem != "" {
			problems++
		} else if !l.Verdict.Agrees {
			differing++
		}
	}
	return problems, differing
}

// JSON writes the document.
func (e *LogExplanation) JSON(w io.Writer) error { return writeJSON(w, e) }

// Text writes one paragraph a line.
func (e *LogExplanation) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for i, l := range e.Lines {
		if i > 0 {
			p.line("")
		}
		if l.Problem != "" {
			p.line("line %d: %s", l.Number, l.Problem)
			continue
		}
		explainedText(p, l, o)
	}
	_, err := w.Write(p.Bytes())
	return err
}

func explainedText(p *printer, l ExplainedLog, o TextOptions) {
	v := l.Verdict
	p.line("line %d: %s (%s)", l.Number, p.bold(string(v.Line.Outcome)), v.Line.Form)
	p.line("  call   %s", v.Answer.Route)
	p.line("  from   %s", callerOf(v.Request.From))
	p.line("  to     %s", destinationOf(v.Request.To))
	said := v.Line.Why
	if v.Line.Policy != "" {
		said = "policy " + v.Line.Policy
		if v.Line.Rule >= 0 {
			said += fmt.Sprintf(" rule %d", v.Line.Rule)
		}
	}
	if said != "" {
		p.line("  line   %s", said)
	}
	p.line("  model  %s by %s: %s", p.decision(v.Answer.Decision, 0), by(v.Answer), v.Answer.Why)
	for n, h := range v.Answer.Hops {
		identity := h.Principal
		if identity == "" {
			identity = "nobody (plaintext)"
		}
		p.line("  %d. %s of %s, port %d, sees %s: %s", n+1, h.Point, h.Where, h.Port, identity, p.decision(h.Decision, 0))
		for _, r := range h.Reasons {
			if o.Wide || h.Decision != authz.Allow {
				p.line("       %s", p.faint(reasonWords(r)))
			}
		}
	}
	for _, n := range v.Notes {
		p.line("  note   %s", n)
	}
	p.line("  ask    %s", l.Ask)
	if v.Instead != "" {
		p.line("  instead of a policy's edit: %s", v.Instead)
	}
	if l.Patch == "" {
		return
	}
	p.line("  This change admits it:")
	for _, line := range strings.Split(strings.TrimRight(l.Patch, "\n"), "\n") {
		p.line("    %s", line)
	}
	if len(l.Also) == 0 {
		p.line("  It admits nothing else.")
	}
	for i, a := range l.Also {
		if i == mostGroups && !o.Wide {
			p.line("    and %s more: see --wide", number(len(l.Also)-i))
			break
		}
		if i == 0 {
			p.line("  It also decides otherwise:")
		}
		p.line("    %s", a)
	}
}

// AuthzShadow is recorded calls that another state decides otherwise.
type AuthzShadow struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	replay.Shadow
}

// NewAuthzShadow makes the document.
func NewAuthzShadow(s replay.Shadow) *AuthzShadow {
	if s.Flips == nil {
		s.Flips = []replay.Flip{}
	}
	return &AuthzShadow{APIVersion: APIVersion, Kind: "AuthzShadow", Shadow: s}
}

// JSON writes the document.
func (s *AuthzShadow) JSON(w io.Writer) error { return writeJSON(w, s) }

// Text writes the calls that flip, those with the most lines first.
func (s *AuthzShadow) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for i, f := range s.Flips {
		if i == mostGroups && !o.Wide {
			p.line("and %s more: see --wide or -o json", count(len(s.Flips)-i, "sort"))
			break
		}
		r := f.Call
		what := strings.ToUpper(string(r.Protocol)) + " connection"
		if r.Method != "" {
			what = r.Method + " " + r.Path
		}
		p.line("%s %s: %s from %s to %s", pad(string(f.Kind), 10), count(f.Calls, "call"), what, callerOf(r.From), destinationOf(r.To))
		p.line("           before %s by %s: %s", p.decision(f.Before.Decision, 0), by(f.Before), f.Before.Why)
		p.line("           after  %s by %s: %s", p.decision(f.After.Decision, 0), by(f.After), f.After.Why)
		for _, n := range f.Notes {
			p.line("           note   %s", n)
		}
		p.line("           ask    %s", CanCommand(r))
	}
	p.line("Replayed %s: %s decided alike, %s otherwise.", count(s.Decided, "call"), number(s.Same), number(s.Decided-s.Same))
	if s.Stale > 0 {
		p.line("Of these the first state decides %s otherwise than the log says: it is not quite the state that was logged.", number(s.Stale))
	}
	for _, reason := range sortedNames(s.Skipped) {
		p.line("Left out: %s, %s.", count(s.Skipped[reason], "line"), reason)
	}
	_, err := w.Write(p.Bytes())
	return err
}
