// Package gate lets a team adopt the audit as a check on day one: a baseline of what is known, so that only what is
// new fails, and ignores of one finding on one object, each with a reason and a day on which it ends.
package gate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/report"
)

// baselineKind is the kind of the document that a baseline is.
const baselineKind = "AuditBaseline"

// Baseline is the findings of an audit that somebody has looked at.
type Baseline struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Findings   []Entry `json:"findings"`
}

// Entry names a finding by what does not change when words, lines or counts do: its code, the object it is about
// and the workload it was found on. Severity is the worst that it was; one that got worse is new.
type Entry struct {
	Code     string        `json:"code"`
	Subject  report.Object `json:"subject"`
	Workload report.Object `json:"workload,omitzero"`
	Severity string        `json:"severity"`
}

type key struct {
	code              string
	subject, workload report.Object
}

// NewBaseline takes every finding of a report as known, sorted.
func NewBaseline(r *report.AuditReport) Baseline {
	worst := map[key]string{}
	each(r, func(w *report.Workload, f *report.Finding) {
		k := keyOf(w, f)
		if rank(f.Worst()) >= rank(worst[k]) {
			worst[k] = f.Worst()
		}
	})
	b := Baseline{APIVersion: report.APIVersion, Kind: baselineKind, Findings: []Entry{}}
	for k, severity := range worst {
		b.Findings = append(b.Findings, Entry{k.code, k.subject, k.workload, severity})
	}
	slices.SortFunc(b.Findings, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(x.Workload.Namespace, y.Workload.Namespace), cmp.Compare(x.Workload.String(), y.Workload.String()),
			cmp.Compare(x.Code, y.Code), cmp.Compare(x.Subject.String(), y.Subject.String()))
	})
	return b
}

// Write writes the baseline as JSON, one finding a line, so that changes to it read well in a review.
func (b Baseline) Write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "{\"apiVersion\": %q, \"kind\": %q, \"findings\": [", b.APIVersion, b.Kind); err != nil {
		return err
	}
	for i, e := range b.Findings {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		sep := ","
		if i == 0 {
			sep = ""
		}
		if _, err := fmt.Fprintf(w, "%s\n%s", sep, line); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "\n]}\n")
	return err
}

// ReadBaseline reads what Write wrote.
func ReadBaseline(r io.Reader) (Baseline, error) {
	var b Baseline
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, fmt.Errorf("not a baseline that sidestep audit --write-baseline wrote: %w", err)
	}
	if b.Kind != baselineKind || b.APIVersion != report.APIVersion {
		return b, fmt.Errorf("not a baseline: apiVersion %q, kind %q; want %s %s, as sidestep audit --write-baseline writes it",
			b.APIVersion, b.Kind, report.APIVersion, baselineKind)
	}
	return b, nil
}

// Apply marks the findings of a report that the baseline knows, and returns how many of its entries are found no
// more. A finding that is worse than it was is not known.
func (b Baseline) Apply(r *report.AuditReport) (gone int) {
	known := map[key]string{}
	for _, e := range b.Findings {
		known[key{e.Code, e.Subject, e.Workload}] = e.Severity
	}
	seen := map[key]bool{}
	each(r, func(w *report.Workload, f *report.Finding) {
		k := keyOf(w, f)
		if severity, ok := known[k]; ok {
			seen[k] = true
			if rank(f.Worst()) <= rank(severity) {
				f.Known = "baseline"
			}
		}
	})
	return len(known) - len(seen)
}

func keyOf(w *report.Workload, f *report.Finding) key {
	k := key{code: f.Code, subject: f.Subject}
	if w != nil {
		k.workload = report.Object{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
	}
	return k
}

// each visits every finding, with its workload where it has one.
func each(r *report.AuditReport, visit func(*report.Workload, *report.Finding)) {
	for i := range r.Findings {
		visit(nil, &r.Findings[i])
	}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		for j := range w.Findings {
			visit(w, &w.Findings[j])
		}
	}
}

func rank(severity string) int { return slices.Index([]string{"info", "warning", "error"}, severity) }

// ApplySeverities sets the severities that a configuration asks for.
func ApplySeverities(r *report.AuditReport, c Config) {
	each(r, func(_ *report.Workload, f *report.Finding) {
		if severity := c.SeverityOf(f.Code); severity != "" {
			f.Severity, f.IfMoved = severity, ""
		}
	})
}
