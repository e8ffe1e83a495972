package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// TextOptions tune the text rendering.
type TextOptions struct {
	// Wide shows every finding of every workload, with evidence and remedy.
	Wide bool
	// Colour uses ANSI colours.
	Colour bool
	// Command is how the reader calls this program; empty means sidestep.
	Command string
}

// mostExamples is how many objects of one kind of error a report names unless it is wide.
const mostExamples = 3

// Text writes the report for a person: namespaces with one line a workload, what is broken now, and a
// summary last, where a terminal shows it.
func (r *AuditReport) Text(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	name := r.nameWidth()
	p.line("%s", p.bold(r.title()))
	p.line("")
	for _, ns := range r.namespaces() {
		p.line("%s  %s", p.bold(ns.Name), p.faint(mix(ns.byVerdict)))
		for _, wl := range ns.Workloads {
			r.textWorkload(p, wl, name, o.Wide)
		}
		p.line("")
	}
	r.textGroups(p, "Broken today", r.broken(), o.Wide)
	r.textGroups(p, "Would break if the sidecar just went", r.ifMoved(), o.Wide)
	r.textGroups(p, "About the mesh as a whole", r.whole(), o.Wide)
	r.textSummary(p)
	_, err := w.Write(p.Bytes())
	return err
}

func (r *AuditReport) textWorkload(p *printer, w *Workload, nameWidth int, wide bool) {
	reason := r.reason(w)
	p.line("  %s  %s  %s  %s", pad(shortKind(w.Kind)+"/"+w.Name, nameWidth), padLeft(pods(w), 10),
		pad(w.Mode, 7)+" -> "+p.verdict(pad(w.Verdict, 8), w.Verdict), reason)
	if !wide {
		return
	}
	p.first(w, "      ")
	for _, f := range w.Findings {
		r.textFinding(p, f, "      ")
	}
}

// first writes what has to happen before a workload moves.
func (p *printer) first(w *Workload, indent string) {
	for _, s := range w.First {
		p.line("%sfirst: %s %s", indent, s.Code, s.Remedy)
	}
}

func (r *AuditReport) textFinding(p *printer, f Finding, indent string) {
	p.line("%s%s %s%s (needs %s) %s", indent, f.Code, p.severity(f.Severity), f.then(), f.Requires, f.Message)
	if f.Known != "" {
		p.line("%s  %s", indent, p.faint("not counted: "+f.Known))
	}
	for _, e := range f.Evidence {
		p.line("%s  %s", indent, p.faint("read from "+e.String()))
	}
	if f.Place != (Place{}) {
		p.line("%s  %s", indent, p.faint("at "+f.Place.String()))
	}
	if f.Remedy != "" {
		p.line("%s  way out: %s", indent, f.Remedy)
	}
}

// String is OBJECT FIELD = VALUE.
func (e Evidence) String() string {
	s := e.Object.String()
	if e.Field != "" {
		s += " " + e.Field
	}
	if e.Value != "" {
		s += " = " + e.Value
	}
	return s
}

// reason is the right-hand column: the main finding and how many others there are.
func (r *AuditReport) reason(w *Workload) string {
	main := w.main()
	others := len(w.Findings)
	var text string
	if main != nil {
		others--
		text = main.Code + " " + r.rule(main.Code).Title
	} else {
		text = map[string]string{
			"ambient": "nothing in use above L4", "none": "not in the mesh",
		}[w.Verdict]
	}
	if others > 0 {
		text += fmt.Sprintf(" (+%d)", others)
	}
	if w.Override != "" {
		text += fmt.Sprintf(" [owner asks for %s]", w.Override)
	}
	return text
}

// textGroups shows findings code by code. Unless it is wide, a few examples stand for the many.
func (r *AuditReport) textGroups(p *printer, head string, groups []codeGroup, wide bool) {
	if len(groups) == 0 {
		return
	}
	p.line("%s", p.bold(head))
	for _, g := range groups {
		objects := count(len(g.topics), "object")
		if n := g.workloads(); n > 0 {
			objects += ", " + count(n, "workload")
		}
		p.line("  %s %s %s: %s", g.code, p.severity(g.topics[0].Severity), r.rule(g.code).Title, p.faint(objects))
		for i, t := range g.topics {
			if i == mostExamples && !wide && len(g.topics) > mostExamples+1 {
				p.line("      %s", p.faint(fmt.Sprintf("and %d more: sidestep explain %s", len(g.topics)-i, g.code)))
				break
			}
			where := ""
			if t.Place != (Place{}) {
				where = p.faint(" (" + t.Place.String() + ")")
			}
			if wide || len(g.topics) == 1 {
				p.line("      %s%s", t.Message, where)
			} else {
				p.line("      %s%s", t.Subject, where)
			}
		}
	}
	p.line("")
}

func (r *AuditReport) textSummary(p *printer) {
	s := r.Summary
	p.line("%s", p.bold("Summary"))
	p.line("  Workloads   %s: %s", number(s.Workloads), mixWords(s.ByVerdict))
	have := "have"
	if s.Sidecars == 1 {
		have = "has"
	}
	p.line("  Sidecars    %s %s one now, %s of them could go (%s)",
		count(s.Sidecars, "pod"), have, number(s.SidecarsRemovable), share(s.SidecarsRemovable, s.Sidecars))
	r.textRequests(p)
	p.line("  Findings    %s", s.findings())
	r.textHighScale(p)
	r.textInput(p)
}

// findings counts findings in words.
func (s *Summary) findings() string {
	text := fmt.Sprintf("%s today, %s, %s", count(s.BySeverity["error"], "error"), count(s.BySeverity["warning"], "warning"), count(s.BySeverity["info"], "note"))
	if s.IfMoved > 0 {
		text += fmt.Sprintf("; %s of the warnings would be errors if the sidecar just went", number(s.IfMoved))
	}
	if s.Known > 0 {
		text += fmt.Sprintf("; not counted are %s in the baseline or ignored", number(s.Known))
	}
	return text
}

// then says what becomes of a finding without the sidecar.
func (f *Finding) then() string {
	if f.IfMoved == "" {
		return ""
	}
	return ", " + f.IfMoved + " if just moved"
}

// textRequests says what sidecars hold. A sum is never shown without what it leaves out.
func (r *AuditReport) textRequests(p *printer) {
	s := r.Summary
	switch {
	case s.Sidecars == 0:
	case s.RequestsUnknown >= s.Sidecars:
		p.line("  Requests    not known: the input shows no sidecar container and no injector configuration")
	default:
		left := ""
		if s.RequestsUnknown > 0 {
			left = fmt.Sprintf("; without %s whose requests are not known", count(s.RequestsUnknown, "sidecar"))
		}
		p.line("  Requests    those that could go hold %s and %s of the %s and %s that sidecar containers request%s",
			cpu(s.RemovableCPUMilli), memory(s.RemovableMemoryBytes), cpu(s.HeldCPUMilli), memory(s.HeldMemoryBytes), left)
		p.line("              %s", p.faint("waypoints and ztunnel, which the new mode needs, are not subtracted: see sidestep roi"))
	}
}

func (r *AuditReport) textHighScale(p *printer) {
	var high []*Workload
	for i := range r.Workloads {
		if r.Workloads[i].HighScale {
			high = append(high, &r.Workloads[i])
		}
	}
	if len(high) == 0 {
		return
	}
	p.line("  High scale  %s with %d or more pods %s sidecars:", count(len(high), "workload"), r.Summary.HighScaleReplicas,
		map[bool]string{true: "keeps its", false: "keep their"}[len(high) == 1])
	for _, w := range high {
		why := fmt.Sprintf("kept by %d features: %s", len(w.KeptBy), strings.Join(w.KeptBy, ", "))
		if len(w.KeptBy) == 1 {
			why = "kept by one feature: " + w.KeptBy[0] + " " + r.rule(w.KeptBy[0]).Title
		}
		p.line("              %s %s, %s", w.Namespace+"/"+w.Name, p.faint(pods(w)), why)
	}
}

func (r *AuditReport) textInput(p *printer) {
	in := r.Input
	for _, k := range in.Unknown {
		if k.State == "hidden" {
			p.line("  Unknown     %s: %s; whatever depends on it keeps its sidecar", k.Kind, k.Reason)
		}
	}
	if n := len(in.Ignored); n > 0 {
		p.line("  Ignored     %s that no verdict depends on: see -o json", count(n, "object"))
	}
	if n := len(in.Problems); n > 0 {
		p.line("  Unread      %s, listed on standard error: nobody knows what they hold", count(n, "document"))
	}
}

func (r *AuditReport) nameWidth() int {
	width := 20
	for _, w := range r.Workloads {
		width = max(width, len(shortKind(w.Kind)+"/"+w.Name))
	}
	return min(width, 44)
}

func pods(w *Workload) string { return count(w.Replicas, "pod") }

// mix says how many workloads have each verdict, leaving zeros out.
func mix(by func(string) int) string {
	var parts []string
	for _, v := range verdicts {
		if n := by(v); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, ", ")
}

func mixWords(by map[string]int) string {
	var parts []string
	for _, v := range verdicts {
		if n := by[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s (%s)", number(n), v, verdictWords[v]))
		}
	}
	return strings.Join(parts, ", ")
}

// shortKind is what kubectl calls a kind for short.
func shortKind(kind string) string {
	if s, ok := map[string]string{
		"Deployment": "deploy", "StatefulSet": "sts", "DaemonSet": "ds", "ReplicaSet": "rs", "CronJob": "cj",
	}[kind]; ok {
		return s
	}
	return lower(kind)
}

func lower(s string) string { return strings.ToLower(s) }

func pad(s string, width int) string {
	if len(s) >= width {
		return s
	}
	return s + strings.Repeat(" ", width-len(s))
}

func padLeft(s string, width int) string {
	if len(s) >= width {
		return s
	}
	return strings.Repeat(" ", width-len(s)) + s
}

// printer collects lines, with colours or without.
type printer struct {
	bytes.Buffer
	colour bool
}

func (p *printer) line(format string, args ...any) {
	p.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	p.WriteByte('\n')
}

func (p *printer) paint(code, s string) string {
	if !p.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) bold(s string) string  { return p.paint("1", s) }
func (p *printer) faint(s string) string { return p.paint("2", s) }

func (p *printer) verdict(text, verdict string) string {
	return p.paint(map[string]string{"ambient": "32", "waypoint": "33", "sidecar": "31", "none": "2"}[verdict], text)
}

func (p *printer) severity(severity string) string {
	return p.paint(map[string]string{"error": "1;31", "warning": "33", "info": "2"}[severity], severity)
}
