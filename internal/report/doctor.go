package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// DoctorReport is what came of every check on a running mesh.
type DoctorReport struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Input      Input         `json:"input"`
	Checks     []DoctorCheck `json:"checks"`
	// Summary counts checks by state, and findings by severity.
	Summary DoctorSummary `json:"summary"`
}

// DoctorSummary counts.
type DoctorSummary struct {
	Healthy  int            `json:"healthy"`
	Found    int            `json:"found"`
	Unknown  int            `json:"unknown"`
	Findings map[string]int `json:"findings"`
}

// DoctorCheck is one check with its result.
type DoctorCheck struct {
	ID string `json:"id"`
	// Sentence is true of a healthy mesh, Otherwise of one with the fault.
	Sentence  string `json:"sentence"`
	Otherwise string `json:"otherwise"`
	State     string `json:"state"`
	// Why says why the check cannot tell.
	Why        string          `json:"why,omitempty"`
	Symptoms   []string        `json:"symptoms"`
	References []string        `json:"references"`
	Findings   []DoctorFinding `json:"findings"`
}

// DoctorFinding is a fault that was seen.
type DoctorFinding struct {
	Severity   string     `json:"severity"`
	Confidence string     `json:"confidence"`
	Subject    Object     `json:"subject"`
	Message    string     `json:"message"`
	Cause      string     `json:"cause"`
	Fix        string     `json:"fix"`
	Measured   string     `json:"measured,omitempty"`
	Evidence   []Evidence `json:"evidence,omitempty"`
	Place
}

// checksURL is where the generated page of all checks is published.
const checksURL = "https://github.com/sidestep-mesh/sidestep/blob/main/docs/checks.md"

// NewDoctor makes the report of results about a mesh.
func NewDoctor(m *mesh.Mesh, results []doctor.Result) *DoctorReport {
	r := &DoctorReport{APIVersion: APIVersion, Kind: "DoctorReport", Input: inputOf(m), Checks: []DoctorCheck{}}
	for _, one := range results {
		c := DoctorCheck{ID: one.Check.ID, Sentence: one.Check.Sentence, Otherwise: one.Check.Otherwise, State: string(one.State), Why: one.Why, References: one.Check.References, Findings: []DoctorFinding{}}
		for _, s := range one.Check.Symptoms {
			c.Symptoms = append(c.Symptoms, string(s))
		}
		for _, f := range one.Findings {
			d := DoctorFinding{Severity: string(f.Severity), Confidence: string(f.Confidence), Subject: objectOf(f.Subject), Message: f.Message, Cause: f.Cause, Fix: f.Fix,
				Measured: f.Measured, Place: Place{File: f.Source.File, Line: f.Source.Line}}
			for _, e := range f.Evidence {
				d.Evidence = append(d.Evidence, Evidence{Object: objectOf(e.Object), Field: e.Field, Value: e.Value})
			}
			c.Findings = append(c.Findings, d)
		}
		r.Checks = append(r.Checks, c)
	}
	r.sum()
	return r
}

// Worst reports whether a finding is at least of a severity, or a part of the input could not be read, which counts as an error.
func (r *DoctorReport) Worst(severity string) bool {
	if len(r.Input.Problems) > 0 {
		return true
	}
	for s, n := range r.Summary.Findings {
		if n > 0 && !audit.Severity(severity).Worse(audit.Severity(s)) {
			return true
		}
	}
	return false
}

// heading is the sentence that is true of what was seen.
func (c *DoctorCheck) heading() string {
	if c.State == string(doctor.Found) {
		return c.Otherwise
	}
	return c.Sentence
}

// JSON writes the report as a versioned document.
func (r *DoctorReport) JSON(w io.Writer) error { return writeJSON(w, r) }

// mostFindings is how many findings of one check are shown unless the output is wide.
const mostFindings = 5

// Text writes a checklist: what was found first, then what cannot be told, then what is well.
func (r *DoctorReport) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for _, c := range r.Checks {
		if c.State != string(doctor.Found) {
			continue
		}
		p.line("%s %s", p.paint("31", "✗"), p.bold(c.Otherwise+"  ["+c.ID+"]"))
		cause, fix := "", ""
		for i, f := range c.Findings {
			if i == mostFindings && !o.Wide {
				p.line("    and %s more: see --wide", number(len(c.Findings)-i))
				break
			}
			p.line("    %s  %s", pad(f.Severity, 7), f.Message)
			if f.Measured != "" {
				p.line("             measured  %s", p.faint(f.Measured))
			}
			for _, e := range f.Evidence {
				if o.Wide {
					p.line("             seen      %s", p.faint(strings.TrimSpace(e.Object.String()+" "+e.Field+" "+e.Value)))
				}
			}
			if f.Cause != cause {
				cause = f.Cause
				p.line("             cause     %s (%s)", f.Cause, f.Confidence)
			}
			if f.Fix != fix {
				fix = f.Fix
				p.line("             fix       %s", f.Fix)
			}
		}
		for _, ref := range c.References {
			p.line("             read      %s", p.faint(ref))
		}
		if c.Why != "" {
			p.line("             not all of it was seen: %s", c.Why)
		}
	}
	for _, c := range r.Checks {
		if c.State == string(doctor.Unknown) {
			p.line("%s %s  [%s]", p.paint("33", "?"), c.Sentence, c.ID)
			p.line("    cannot be told: %s", p.faint(c.Why))
		}
	}
	for _, c := range r.Checks {
		if c.State == string(doctor.Healthy) {
			p.line("%s %s", p.paint("32", "✓"), c.Sentence)
		}
	}
	s := r.Summary
	p.line("%s: %s well, %s not, %s cannot be told. Findings: %s, %s, %s.", count(len(r.Checks), "check"), number(s.Healthy), number(s.Found), number(s.Unknown),
		count(s.Findings["error"], "error"), count(s.Findings["warning"], "warning"), plural(s.Findings["info"], "note", "notes"))
	_, err := w.Write(p.Bytes())
	return err
}

// Markdown writes the same for a pull request or a ticket.
func (r *DoctorReport) Markdown(w io.Writer) error {
	var b strings.Builder
	s := r.Summary
	fmt.Fprintf(&b, "# Doctor\n\n%s: %d well, %d not, %d cannot be told.\n", count(len(r.Checks), "check"), s.Healthy, s.Found, s.Unknown)
	for _, c := range r.Checks {
		mark := map[string]string{"healthy": "x", "found": " ", "unknown": " "}[c.State]
		fmt.Fprintf(&b, "\n- [%s] [%s](%s#%s)", mark, markdownText(c.heading()), checksURL, c.ID)
		if c.State == string(doctor.Unknown) {
			fmt.Fprintf(&b, ": cannot be told, %s", markdownText(c.Why))
		}
		for _, f := range c.Findings {
			fmt.Fprintf(&b, "\n  - **%s** %s *Cause:* %s *Fix:* %s", f.Severity, markdownText(f.Message), markdownText(f.Cause), markdownText(f.Fix))
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// SARIF writes the findings as SARIF 2.1.0, one rule a check.
func (r *DoctorReport) SARIF(w io.Writer, version string) error {
	a := &AuditReport{Input: r.Input}
	for _, c := range r.Checks {
		rule := Rule{Code: c.ID, Title: c.Otherwise, Severity: "warning", References: c.References}
		check, _ := doctor.Lookup(c.ID)
		rule.Severity, rule.Why, rule.Remedy = string(check.Severity), check.Cause, check.Fix
		a.Rules = append(a.Rules, rule)
		for _, f := range c.Findings {
			a.Findings = append(a.Findings, Finding{Code: c.ID, Severity: f.Severity, Message: f.Message, Subject: f.Subject, Remedy: f.Fix, Evidence: f.Evidence, Place: f.Place})
		}
	}
	return a.SARIF(w, version)
}
