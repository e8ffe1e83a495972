package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
)

// diffMarker begins the Markdown of a comparison, so that whoever posts it finds the comment to update. The text has
// neither a time nor a version in it: as long as nothing changed, it is the same.
const diffMarker = "<!-- sidestep audit --diff -->"

// mostRows is how many rows a table of a comparison shows.
const mostRows = 30

// AuditDiff is what a change does to an audit: verdicts, findings, access and cost.
type AuditDiff struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Before and After say what was compared.
	Before string `json:"before"`
	After  string `json:"after"`
	// Verdicts are those that changed, workloads that came or went included.
	Verdicts []VerdictChange `json:"verdicts"`
	// New and Gone are findings of one side only.
	New  []Finding `json:"new"`
	Gone []Finding `json:"gone"`
	// Access is whether every call is decided as before.
	Access AccessChange `json:"access"`
	Cost   CostChange   `json:"cost"`
}

// VerdictChange is a workload whose verdict changed; empty on the side that lacks it.
type VerdictChange struct {
	Object
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// AccessChange sums up what authz diff says.
type AccessChange struct {
	// Pass says that every call is decided as before, and that nothing was left out.
	Pass bool `json:"pass"`
	// ByKind counts divergences: weaker, stricter and others.
	ByKind map[string]int `json:"byKind"`
	// Reasons are examples in words, weaker ones first.
	Reasons []string `json:"reasons"`
}

// CostChange compares sidecars.
type CostChange struct {
	SidecarsBefore  int `json:"sidecarsBefore"`
	SidecarsAfter   int `json:"sidecarsAfter"`
	RemovableBefore int `json:"removableBefore"`
	RemovableAfter  int `json:"removableAfter"`
}

// NewAuditDiff compares two audits. Findings of the second that are known, by a baseline or an ignore, are not new.
func NewAuditDiff(before, after *AuditReport, access authz.Result) *AuditDiff {
	d := &AuditDiff{APIVersion: APIVersion, Kind: "AuditDiff", Before: before.Source, After: after.Source,
		Verdicts: []VerdictChange{}, New: onlyIn(after, before), Gone: onlyIn(before, after), Access: accessChange(access),
		Cost: CostChange{before.Summary.Sidecars, after.Summary.Sidecars, before.Summary.SidecarsRemovable, after.Summary.SidecarsRemovable}}
	was := map[Object]string{}
	for i := range before.Workloads {
		was[before.Workloads[i].Object()] = before.Workloads[i].Verdict
	}
	for i := range after.Workloads {
		w := &after.Workloads[i]
		if old := was[w.Object()]; old != w.Verdict {
			d.Verdicts = append(d.Verdicts, VerdictChange{w.Object(), old, w.Verdict})
		}
		delete(was, w.Object())
	}
	for o, old := range was {
		d.Verdicts = append(d.Verdicts, VerdictChange{Object: o, Before: old})
	}
	slices.SortFunc(d.Verdicts, func(a, b VerdictChange) int { return cmp.Compare(a.String(), b.String()) })
	return d
}

// onlyIn lists the findings of one report that the other lacks, each once, by what does not change with words and lines.
func onlyIn(r, other *AuditReport) []Finding {
	type key struct {
		code, worst       string
		subject, workload Object
	}
	all := func(r *AuditReport, visit func(key, Finding)) {
		for _, f := range r.Findings {
			visit(key{f.Code, f.Worst(), f.Subject, Object{}}, f)
		}
		for i := range r.Workloads {
			for _, f := range r.Workloads[i].Findings {
				visit(key{f.Code, f.Worst(), f.Subject, r.Workloads[i].Object()}, f)
			}
		}
	}
	there := map[key]bool{}
	all(other, func(k key, _ Finding) { there[k] = true })
	out := []Finding{}
	shown := map[key]bool{}
	all(r, func(k key, f Finding) {
		once := key{f.Code, f.Message, f.Subject, Object{}}
		if !there[k] && f.Known == "" && !shown[once] {
			shown[once] = true
			out = append(out, f)
		}
	})
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(severityRank(b.Worst()), severityRank(a.Worst())), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject.String(), b.Subject.String()))
	})
	return out
}

func accessChange(r authz.Result) AccessChange {
	a := AccessChange{Pass: r.Equivalent, ByKind: map[string]int{}, Reasons: []string{}}
	list := slices.Clone(r.Divergences)
	slices.SortStableFunc(list, func(x, y authz.Divergence) int {
		weak := func(d authz.Divergence) int {
			if d.Kind == authz.Weaker {
				return 0
			}
			return 1
		}
		return weak(x) - weak(y)
	})
	for i, d := range list {
		a.ByKind[string(d.Kind)]++
		if i < mostExamples {
			a.Reasons = append(a.Reasons, fmt.Sprintf("%s: %s; before %s by %s, after %s by %s", d.Kind, d.Words, d.Before.Decision, by(d.Before), d.After.Decision, by(d.After)))
		}
	}
	return a
}

// Worse reports whether the change brings a finding of at least this severity, or does not pass on access.
func (d *AuditDiff) Worse(atLeast string) bool {
	if !d.Access.Pass {
		return true
	}
	return slices.ContainsFunc(d.New, func(f Finding) bool {
		if atLeast == FailOnToday {
			return f.Severity == "error"
		}
		return severityRank(f.Worst()) >= severityRank(atLeast)
	})
}

// JSON writes the comparison as a versioned document.
func (d *AuditDiff) JSON(w io.Writer) error { return writeJSON(w, d) }

// access says PASS or FAIL, and how many calls are decided otherwise.
func (d *AuditDiff) access() string {
	if d.Access.Pass {
		return "PASS: every call is decided as before"
	}
	text := "FAIL"
	for i, kind := range slices.Sorted(maps.Keys(d.Access.ByKind)) {
		text += fmt.Sprintf("%s %d %s", [2]string{":", ","}[min(i, 1)], d.Access.ByKind[kind], kind)
	}
	if len(d.Access.ByKind) == 0 {
		text += ": not everything could be compared"
	}
	return text
}

func (d *AuditDiff) cost() string {
	c := d.Cost
	return fmt.Sprintf("%s before, %s after; %s of them could go before, %s after",
		count(c.SidecarsBefore, "sidecar"), number(c.SidecarsAfter), number(c.RemovableBefore), number(c.RemovableAfter))
}

// Markdown writes the comparison as a comment on a pull request, the same as long as nothing changed.
func (d *AuditDiff) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n## What this change does to the mesh\n\n**Access: %s**\n", diffMarker, markdownText(d.access()))
	for _, reason := range d.Access.Reasons {
		fmt.Fprintf(&b, "- %s\n", markdownText(reason))
	}
	fmt.Fprintf(&b, "\n**Cost:** %s\n", d.cost())
	if len(d.Verdicts) > 0 {
		fmt.Fprintf(&b, "\n### Verdicts\n\n| workload | before | after |\n|---|---|---|\n")
		for i, v := range d.Verdicts {
			if i == mostRows {
				fmt.Fprintf(&b, "\nand %d more\n", len(d.Verdicts)-i)
				break
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", markdownText(v.String()), cmp.Or(v.Before, "new"), cmp.Or(v.After, "gone"))
		}
	}
	for _, list := range []struct {
		head     string
		findings []Finding
	}{{"New findings", d.New}, {"Gone findings", d.Gone}} {
		if len(list.findings) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n| code | where | what |\n|---|---|---|\n", list.head)
		for i, f := range list.findings {
			if i == mostRows {
				fmt.Fprintf(&b, "\nand %d more\n", len(list.findings)-i)
				break
			}
			fmt.Fprintf(&b, "| [%s](%s) %s | %s | %s |\n", f.Code, Rule{Code: f.Code}.URL(), f.Worst(), markdownText(f.Subject.String()), markdownText(f.Message))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Text writes the comparison for a terminal.
func (d *AuditDiff) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	p.line("%s %s", p.bold("Access"), d.access())
	for _, reason := range d.Access.Reasons {
		p.line("  %s", reason)
	}
	p.line("%s %s", p.bold("Cost"), d.cost())
	if len(d.Verdicts) > 0 {
		p.line("%s", p.bold("Verdicts"))
	}
	for _, v := range d.Verdicts {
		p.line("  %s: %s -> %s", v.Object, cmp.Or(v.Before, "new"), cmp.Or(v.After, "gone"))
	}
	for _, list := range []struct {
		head     string
		findings []Finding
	}{{"New findings", d.New}, {"Gone findings", d.Gone}} {
		if len(list.findings) > 0 {
			p.line("%s", p.bold(list.head))
		}
		for _, f := range list.findings {
			p.line("  %s %s %s", f.Code, p.severity(f.Worst()), f.Message)
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}
