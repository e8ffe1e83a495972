package report

import (
	"io"

	"github.com/sidestep-mesh/sidestep/internal/assertion"
)

// AuthzAssertionReport is what became of a document of assertions on one state.
type AuthzAssertionReport struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Holds says that every assertion was examined and holds.
	Holds      bool        `json:"holds"`
	Assertions []Assertion `json:"assertions"`
}

// Assertion is one sentence with its result; the commands ask about its breaches again, in their order.
type Assertion struct {
	assertion.Result
	Commands []string `json:"commands,omitempty"`
}

// NewAuthzAssertionReport makes the document of results.
func NewAuthzAssertionReport(results []assertion.Result) *AuthzAssertionReport {
	r := &AuthzAssertionReport{APIVersion: APIVersion, Kind: "AuthzAssertionReport", Holds: true, Assertions: []Assertion{}}
	for _, one := range results {
		a := Assertion{Result: one}
		for _, b := range one.Breaches {
			a.Commands = append(a.Commands, CanCommand(b.Request))
		}
		r.Holds = r.Holds && one.Holds
		r.Assertions = append(r.Assertions, a)
	}
	return r
}

// Problems counts the assertions that could not be examined, and Broken those that do not hold.
func (r *AuthzAssertionReport) Problems() (problems, broken int) {
	for _, a := range r.Assertions {
		switch {
		case a.Problem != "":
			problems++
		case !a.Holds:
			broken++
		}
	}
	return problems, broken
}

// JSON writes the report as a versioned document.
func (r *AuthzAssertionReport) JSON(w io.Writer) error { return writeJSON(w, r) }

// mostBreaches is how many calls that break one assertion are shown unless the output is wide.
const mostBreaches = 3

// Text writes one sentence after the other, with the calls that break it.
func (r *AuthzAssertionReport) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for _, a := range r.Assertions {
		p.line("%s  %s", p.holds(a.Result), a.Sentence)
		if a.Name != "" {
			p.line("         %s", p.faint(a.Name))
		}
		if a.Problem != "" {
			p.line("         cannot be examined: %s", a.Problem)
		}
		more := a.More
		for i, b := range a.Breaches {
			if i >= mostBreaches && !o.Wide {
				more += len(a.Breaches) - i
				break
			}
			p.line("         %s by %s: %s", p.decision(b.Answer.Decision, 0), by(b.Answer), b.Words)
			p.line("           why    %s", b.Answer.Why)
			p.line("           ask    %s", a.Commands[i])
		}
		if more > 0 {
			p.line("         and %s", plural(more, "more way or class of callers", "more ways and classes of callers"))
		}
		for _, u := range a.Unclear {
			p.line("         unclear: %s", u)
		}
	}
	problems, broken := r.Problems()
	p.line("%s", p.faint(count(len(r.Assertions), "assertion")+": "+number(len(r.Assertions)-problems-broken)+" hold, "+
		number(broken)+" do not, "+number(problems)+" cannot be examined."))
	_, err := w.Write(p.Bytes())
	return err
}

func (p *printer) holds(r assertion.Result) string {
	switch {
	case r.Holds:
		return p.paint("32", "holds  ")
	case r.Problem != "":
		return p.paint("33", "unclear")
	}
	return p.paint("31", "broken ")
}
