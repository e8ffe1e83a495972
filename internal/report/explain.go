package report

import (
	"io"
	"slices"
	"strings"
)

// mostWorkloads is how many workloads are named for one finding unless the output is wide.
const mostWorkloads = 12

// ExplainRule writes what a code means.
func (r *AuditReport) ExplainRule(w io.Writer, code string, o TextOptions) error {
	p := &printer{colour: o.Colour}
	rule := r.rule(code)
	p.line("%s  %s", p.bold(rule.Code), p.bold(rule.Title))
	p.line("%s; requires %s", p.severity(rule.Severity), p.verdict(rule.Requires, rule.Requires))
	p.line("")
	p.line("%s", wrap(rule.Why))
	if rule.Remedy != "" {
		p.line("")
		p.line("%s", wrap("Way out: "+rule.Remedy))
	}
	p.line("")
	for _, ref := range rule.References {
		p.line("  see %s", ref)
	}
	p.line("  see %s", rule.URL())
	_, err := w.Write(p.Bytes())
	return err
}

// ExplainCode writes what a code means and every place where this audit found it.
func (r *AuditReport) ExplainCode(w io.Writer, code string, o TextOptions) error {
	if err := r.ExplainRule(w, code, o); err != nil {
		return err
	}
	p := &printer{colour: o.Colour}
	found := 0
	for _, t := range r.topics() {
		if t.Code != code {
			continue
		}
		if found++; found == 1 {
			p.line("")
			p.line("%s", p.bold("Found here"))
		}
		r.textFinding(p, t.Finding, "  ")
		for i, wl := range t.Workloads {
			if i == mostWorkloads && !o.Wide {
				p.line("    and %s more: see --wide", count(len(t.Workloads)-i, "workload"))
				break
			}
			p.line("    about %s", wl)
		}
	}
	if found == 0 {
		p.line("")
		p.line("Not found in this input.")
	}
	_, err := w.Write(p.Bytes())
	return err
}

// ExplainWorkload writes everything that a workload's verdict rests on.
func (r *AuditReport) ExplainWorkload(w io.Writer, wl *Workload, o TextOptions) error {
	p := &printer{colour: o.Colour}
	p.line("%s  %s, now %s", p.bold(wl.Object().String()), pods(wl), wl.Mode)
	p.line("needs %s: %s", p.verdict(wl.Verdict, wl.Verdict), verdictWords[wl.Verdict])
	if wl.Override != "" {
		p.line("its owner asks for %s", wl.Override)
	}
	if wl.Place != (Place{}) {
		p.line("%s", p.faint("read from "+wl.Place.String()))
	}
	p.first(wl, "")
	last := ""
	for _, f := range wl.Findings {
		if f.Requires != last {
			p.line("")
			p.line("%s", p.bold(explainHeads[f.Requires]))
			last = f.Requires
		}
		r.textFinding(p, f, "  ")
	}
	if len(wl.Findings) == 0 {
		p.line("")
		p.line("No finding: nothing in the input needs more.")
	}
	_, err := w.Write(p.Bytes())
	return err
}

// ExplainObject writes what was found about an object that is no workload: a policy, a route, a waypoint, a Service.
func (r *AuditReport) ExplainObject(w io.Writer, o Object, options TextOptions) error {
	p := &printer{colour: options.Colour}
	p.line("%s", p.bold(o.String()))
	found := 0
	for _, t := range r.topics() {
		if t.Subject != o && !slices.ContainsFunc(t.Evidence, func(e Evidence) bool { return e.Object == o }) {
			continue
		}
		found++
		p.line("")
		r.textFinding(p, t.Finding, "  ")
		for i, wl := range t.Workloads {
			if i == mostWorkloads && !options.Wide {
				p.line("    and %s more: see --wide", count(len(t.Workloads)-i, "workload"))
				break
			}
			p.line("    about %s", wl)
		}
	}
	if found == 0 {
		p.line("")
		p.line("Nothing was found about it: no workload's verdict rests on it.")
	}
	_, err := w.Write(p.Bytes())
	return err
}

// explainHeads are the headings over the findings that require a mode.
var explainHeads = map[string]string{
	"sidecar":  "What only a sidecar keeps",
	"waypoint": "What a waypoint keeps",
	"ambient":  "What changes with ztunnel",
	"none":     "Good to know",
}

// Find returns the workloads that a user may mean; see Means.
func (r *AuditReport) Find(what string) []*Workload {
	var out []*Workload
	for i := range r.Workloads {
		if w := &r.Workloads[i]; Means(what, w.Namespace, w.Kind, w.Name) {
			out = append(out, w)
		}
	}
	return out
}

// Means tells whether a user who writes NAME, KIND/NAME, NAMESPACE/NAME or NAMESPACE/KIND/NAME, kinds also
// by their short names, may mean a workload.
func Means(what, namespace, kind, name string) bool {
	isKind := func(s string) bool { return lower(s) == lower(kind) || lower(s) == shortKind(kind) }
	parts := strings.Split(what, "/")
	switch len(parts) {
	case 1:
		return parts[0] == name
	case 2:
		return parts[1] == name && (parts[0] == namespace || isKind(parts[0]))
	case 3:
		return parts[0] == namespace && isKind(parts[1]) && parts[2] == name
	}
	return false
}

// Rule returns the rule of a code, in any case.
func (r *AuditReport) Rule(code string) (Rule, bool) {
	for _, rule := range r.Rules {
		if strings.EqualFold(rule.Code, code) {
			return rule, true
		}
	}
	return Rule{}, false
}

// ListRules writes every code with its title, one a line.
func (r *AuditReport) ListRules(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	for _, rule := range r.Rules {
		p.line("%s  %s  %s  %s", rule.Code, p.severity(pad(rule.Severity, 7)), p.verdict(pad(rule.Requires, 8), rule.Requires), rule.Title)
	}
	_, err := w.Write(p.Bytes())
	return err
}

// RuleList is every code, as a versioned document.
type RuleList struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Rules      []ListedRule `json:"rules"`
}

// ListedRule is a Rule with the JSON names of a document.
type ListedRule struct {
	Code       string   `json:"code"`
	Title      string   `json:"title"`
	Severity   string   `json:"severity"`
	Requires   string   `json:"requires"`
	Moving     string   `json:"moving,omitempty"`
	Why        string   `json:"why"`
	Remedy     string   `json:"remedy"`
	References []string `json:"references"`
}

// RulesJSON writes every code as a versioned document.
func (r *AuditReport) RulesJSON(w io.Writer) error {
	list := make([]ListedRule, 0, len(r.Rules))
	for _, x := range r.Rules {
		list = append(list, ListedRule(x))
	}
	return writeJSON(w, RuleList{APIVersion, "RuleList", list})
}

// wrap breaks text into lines of at most 88 characters.
func wrap(text string) string {
	const width = 88
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		if column > 0 && column+1+len(word) > width {
			b.WriteByte('\n')
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// WorkloadReport is one workload, as a versioned document.
type WorkloadReport struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Workload   *Workload `json:"workload"`
}

// ExplainJSON writes one workload as a versioned document.
func ExplainJSON(w io.Writer, wl *Workload) error {
	return writeJSON(w, WorkloadReport{APIVersion, "WorkloadReport", wl})
}
