package report

import (
	_ "embed"
	"html/template"
	"io"
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/doctor"
)

//go:embed doctor.html.tmpl
var doctorTemplate string

var doctorHTML = template.Must(template.New("doctor").Funcs(template.FuncMap{"number": number, "count": count, "url": func(id string) string { return checksURL + "#" + id }}).Parse(doctorTemplate))

// HTML writes the report as one page that needs nothing else: no network, no other file, no script.
func (r *DoctorReport) HTML(w io.Writer) error {
	return doctorHTML.Execute(w, struct {
		*DoctorReport
		CSS template.CSS
	}{r, template.CSS(pageCSS)}) //nolint:gosec // this package's own file
}

// Only keeps findings about some namespaces, and those about none; a check that found nothing else is well there. None means all.
func (r *DoctorReport) Only(namespaces []string) {
	if len(namespaces) == 0 {
		return
	}
	for i := range r.Checks {
		c := &r.Checks[i]
		c.Findings = slices.DeleteFunc(c.Findings, func(f DoctorFinding) bool {
			return f.Subject.Namespace != "" && !slices.Contains(namespaces, f.Subject.Namespace)
		})
		if c.State == string(doctor.Found) && len(c.Findings) == 0 {
			c.State = string(doctor.Healthy)
			if c.Why != "" {
				c.State = string(doctor.Unknown)
			}
		}
	}
	r.sum()
}

// sum counts checks and findings anew.
func (r *DoctorReport) sum() {
	r.Summary = DoctorSummary{Findings: map[string]int{"error": 0, "warning": 0, "info": 0}}
	for _, c := range r.Checks {
		switch c.State {
		case string(doctor.Healthy):
			r.Summary.Healthy++
		case string(doctor.Found):
			r.Summary.Found++
		default:
			r.Summary.Unknown++
		}
		for _, f := range c.Findings {
			r.Summary.Findings[f.Severity]++
		}
	}
}

// Changes writes what began and what ended since another look, one line each; nothing when neither did. A finding is the same when its check and
// its subject are: numbers in its message may move.
func (r *DoctorReport) Changes(w io.Writer, before *DoctorReport, o TextOptions, when string) error {
	was, is := before.bySubject(), r.bySubject()
	p := &printer{colour: o.Colour}
	for _, key := range sortedKeys(is) {
		if _, ok := was[key]; !ok {
			p.line("%s  %s %s  %s", when, p.paint("31", "✗ began"), pad(is[key].Severity, 7), is[key].Message)
		}
	}
	for _, key := range sortedKeys(was) {
		if _, ok := is[key]; !ok {
			p.line("%s  %s %s  %s", when, p.paint("32", "✓ ended"), pad(was[key].Severity, 7), was[key].Message)
		}
	}
	for i := range r.Checks {
		if c, old := r.Checks[i], before.check(r.Checks[i].ID); old != nil && old.State != c.State && c.State == string(doctor.Unknown) {
			p.line("%s  %s %s: %s", when, p.paint("33", "? unknown"), c.Sentence, c.Why)
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}

func (r *DoctorReport) check(id string) *DoctorCheck {
	for i := range r.Checks {
		if r.Checks[i].ID == id {
			return &r.Checks[i]
		}
	}
	return nil
}

func (r *DoctorReport) bySubject() map[string]DoctorFinding {
	out := map[string]DoctorFinding{}
	for _, c := range r.Checks {
		for _, f := range c.Findings {
			out[c.ID+"\x00"+f.Subject.String()] = f
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
