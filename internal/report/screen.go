package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of the first screen: what a terminal shows without scrolling.
const (
	screenLines = 24
	screenWidth = 100
	mostFrees   = 4
	mostCodes   = 3
)

// Overview is the first screen as data: what could go, what stands in the way, what is broken.
type Overview struct {
	// Groups cover every pod that has a sidecar, each once, so that their pods sum to Summary.Sidecars.
	Groups []OverviewGroup `json:"groups"`
	// Frees are what holds sidecars, as sets that have to be solved together, most pods first.
	Frees []FreeSet `json:"frees"`
	// Broken counts what is broken today, First what has to come before a move, FailsOpen and FailsShut what would
	// become of calls if sidecars just went; each by code, most workloads first.
	Broken    []CodeCount `json:"broken"`
	First     []CodeCount `json:"first"`
	FailsOpen []CodeCount `json:"failsOpen"`
	FailsShut []CodeCount `json:"failsShut"`
}

// OverviewGroup is the pods with sidecars that share a fate.
type OverviewGroup struct {
	// Name is ready, first, waypoint or stays.
	Name      string `json:"name"`
	Workloads int    `json:"workloads"`
	// Pods are those that have a sidecar now.
	Pods int `json:"pods"`
}

// Names of the groups.
const (
	groupReady    = "ready"
	groupFirst    = "first"
	groupWaypoint = "waypoint"
	groupStays    = "stays"
)

var groupNames = []string{groupReady, groupFirst, groupWaypoint, groupStays}

var groupWords = map[string]string{
	groupReady: "nothing found in the way", groupFirst: "one step first", groupWaypoint: "behind a waypoint", groupStays: "keep their sidecar",
}

// FreeSet is a set of findings that together are all that holds some workloads' sidecars: solving a part of
// it wins nothing.
type FreeSet struct {
	Holds []Hold `json:"holds"`
	// After says that the sets before this one have to be solved too.
	After bool `json:"after,omitempty"`
	// Workloads and Pods are what it frees, beyond what the sets before it free.
	Workloads int `json:"workloads"`
	Pods      int `json:"pods"`
}

// Hold is one thing that asks for a sidecar.
type Hold struct {
	Code    string `json:"code"`
	Subject Object `json:"subject"`
}

// CodeCount counts workloads, or objects where no workload is concerned, by code.
type CodeCount struct {
	Code  string `json:"code"`
	Count int    `json:"count"`
}

// needsStep reports whether something has to happen before the workload moves.
func (w *Workload) needsStep() bool {
	return len(w.First) > 0 || slices.ContainsFunc(w.Findings, func(f Finding) bool {
		return f.Severity != "info" && (f.Requires == "ambient" || f.Requires == "none")
	})
}

func (w *Workload) group() string {
	switch {
	case w.Verdict == "waypoint":
		return groupWaypoint
	case w.Verdict != "ambient":
		return groupStays
	case w.needsStep():
		return groupFirst
	}
	return groupReady
}

// overview derives the first screen from the workloads and findings of the report.
func (r *AuditReport) overview() Overview {
	o := Overview{Frees: r.frees(), Broken: []CodeCount{}, First: []CodeCount{}, FailsOpen: []CodeCount{}, FailsShut: []CodeCount{}}
	for _, name := range groupNames {
		g := OverviewGroup{Name: name}
		for i := range r.Workloads {
			if w := &r.Workloads[i]; w.Sidecars > 0 && w.group() == name {
				g.Workloads++
				g.Pods += w.Sidecars
			}
		}
		o.Groups = append(o.Groups, g)
	}
	o.Broken = r.codes(true, func(_ *Workload, f *Finding) bool { return f.Known == "" && f.Severity == "error" })
	o.First = r.firsts()
	moving := func(effect string) func(*Workload, *Finding) bool {
		return func(w *Workload, f *Finding) bool {
			return f.Known == "" && w.Sidecars > 0 && f.IfMoved == "error" && r.rule(f.Code).Moving == effect
		}
	}
	o.FailsOpen, o.FailsShut = r.codes(false, moving("open")), r.codes(false, moving("shut"))
	return o
}

// firsts counts the workloads that something has to happen for before they move, by code: what findings ask for short of a
// waypoint, and what the state that they go to was given.
func (r *AuditReport) firsts() []CodeCount {
	counts := map[string]int{}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if w.Sidecars == 0 || w.Verdict == "sidecar" {
			continue
		}
		seen := map[string]bool{}
		for _, f := range w.Findings {
			seen[f.Code] = seen[f.Code] || f.Severity == "warning" && (f.Requires == "ambient" || f.Requires == "none")
		}
		for _, s := range w.First {
			if _, found := seen[s.Code]; !found {
				seen[s.Code] = true
			}
		}
		for code, yes := range seen {
			if yes {
				counts[code]++
			}
		}
	}
	return ranked(counts)
}

// codes counts the workloads that have a finding of a sort, by code; with whole, findings about no workload too.
func (r *AuditReport) codes(whole bool, want func(*Workload, *Finding) bool) []CodeCount {
	counts := map[string]int{}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		seen := map[string]bool{}
		for j := range w.Findings {
			if f := &w.Findings[j]; !seen[f.Code] && want(w, f) {
				seen[f.Code] = true
				counts[f.Code]++
			}
		}
	}
	if whole {
		for i := range r.Findings {
			if want(nil, &r.Findings[i]) {
				counts[r.Findings[i].Code]++
			}
		}
	}
	return ranked(counts)
}

// ranked lists counts, the largest first.
func ranked(counts map[string]int) []CodeCount {
	out := make([]CodeCount, 0, len(counts))
	for code, n := range counts {
		out = append(out, CodeCount{code, n})
	}
	slices.SortFunc(out, func(a, b CodeCount) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Code, b.Code)) })
	return out
}

// held is one workload that keeps its sidecars, and all that holds them.
type held struct {
	holds []Hold
	pods  int
}

func (r *AuditReport) held() []held {
	var out []held
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if w.Verdict != "sidecar" || w.Sidecars == 0 {
			continue
		}
		var holds []Hold
		for _, f := range w.Findings {
			if h := (Hold{f.Code, f.Subject}); f.Requires == "sidecar" && !slices.Contains(holds, h) {
				holds = append(holds, h)
			}
		}
		slices.SortFunc(holds, compareHolds)
		if len(holds) > 0 { // else kept by its owner's wish alone
			out = append(out, held{holds, w.Sidecars})
		}
	}
	return out
}

// frees orders what holds sidecars by what solving it wins: the set next that frees most pods for each finding to be
// solved, given those before it.
func (r *AuditReport) frees() []FreeSet {
	out := []FreeSet{}
	solved := map[Hold]bool{}
	for rest := r.held(); len(rest) > 0; {
		var best FreeSet
		for _, candidate := range rest {
			set := gain(rest, solved, candidate.holds)
			if c := set.Pods*len(best.Holds) - best.Pods*len(set.Holds); len(best.Holds) == 0 || c > 0 ||
				c == 0 && slices.CompareFunc(set.Holds, best.Holds, compareHolds) < 0 {
				best = set
			}
		}
		for _, h := range best.Holds {
			solved[h] = true
		}
		rest = slices.DeleteFunc(rest, func(h held) bool { return all(h.holds, func(x Hold) bool { return solved[x] }) })
		out = append(out, best)
	}
	return out
}

// gain is what solving these holds wins beside what is solved.
func gain(rest []held, solved map[Hold]bool, holds []Hold) FreeSet {
	set := FreeSet{Holds: slices.DeleteFunc(slices.Clone(holds), func(h Hold) bool { return solved[h] })}
	for _, h := range rest {
		if all(h.holds, func(x Hold) bool { return solved[x] || slices.Contains(set.Holds, x) }) {
			set.Workloads++
			set.Pods += h.pods
			set.After = set.After || !all(h.holds, func(x Hold) bool { return slices.Contains(set.Holds, x) })
		}
	}
	return set
}

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(x T) bool { return !ok(x) })
}

func compareHolds(a, b Hold) int {
	return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject.String(), b.Subject.String()))
}

// Screen writes the first screen: at most 24 lines of 100 characters.
func (r *AuditReport) Screen(w io.Writer, o TextOptions) error {
	p := &printer{colour: o.Colour}
	s, v := r.Summary, r.Overview
	p.line("%s", p.bold(clip(r.title())))
	p.line("%s", clip(s.headline()))
	for _, g := range v.Groups {
		p.line("  %s  %s %s", padLeft(number(g.Pods), 7), pad(groupWords[g.Name], 25), p.faint(count(g.Workloads, "workload")))
	}
	r.screenFrees(p, v)
	r.screenCodes(p, "Broken today", v.Broken, "nothing")
	r.screenCodes(p, "Before the first move", v.First, "nothing")
	p.line("%s %s", p.bold("If sidecars just went"), clipTo(screenWidth-22, v.moving()))
	r.screenInput(p)
	if s.Known > 0 {
		p.line("%s %s", p.bold("Known"), "and not counted: "+count(s.Known, "finding")+" in the baseline or ignored")
	}
	p.line("%s", p.bold("Next"))
	for _, line := range r.next(v, o.Command) {
		p.line("  %s", clip(line))
	}
	_, err := w.Write(p.Bytes())
	return err
}

func (r *AuditReport) screenFrees(p *printer, v Overview) {
	if len(v.Frees) == 0 {
		return
	}
	p.line("%s", p.bold("What frees most"))
	for i, f := range v.Frees {
		if i == mostFrees {
			p.line("  %s", p.faint(fmt.Sprintf("and %d more: --list --only sidecar", len(v.Frees)-i)))
			break
		}
		var names []string
		for _, h := range f.Holds {
			names = append(names, h.Code+" "+h.Subject.String())
		}
		text := strings.Join(names, " + ")
		if len(names) > 1 {
			text += " (together)"
		}
		if f.After {
			text += ", with the above"
		}
		p.line("  %s  %s", padLeft(number(f.Pods), 7), clipTo(screenWidth-11, text))
	}
}

func (r *AuditReport) screenCodes(p *printer, head string, codes []CodeCount, none string) {
	if len(codes) == 0 {
		p.line("%s %s", p.bold(head), none)
		return
	}
	p.line("%s", p.bold(head))
	for i, c := range codes {
		if i == mostCodes-1 && len(codes) > mostCodes {
			p.line("  %s", clip(fmt.Sprintf("%s and %s", padLeft("", 7), codesInLine(codes[i:], "more"))))
			break
		}
		p.line("  %s  %s", padLeft(number(c.Count), 7), clipTo(screenWidth-11, c.Code+" "+r.rule(c.Code).Title))
	}
}

func (r *AuditReport) screenInput(p *printer) {
	in := r.Input
	var hidden []string
	for _, k := range in.Unknown {
		if k.State == "hidden" {
			hidden = append(hidden, k.Kind)
		}
	}
	unseen := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == "SS915" })
	if len(hidden) > 0 || len(in.Problems) > 0 || unseen {
		var parts []string
		if unseen {
			parts = append(parts, "namespaces without their object: SS915")
		}
		if len(hidden) > 0 {
			parts = append(parts, "kinds not read: "+strings.Join(hidden, ", "))
		}
		if len(in.Problems) > 0 {
			parts = append(parts, count(len(in.Problems), "document")+" unread")
		}
		p.line("%s %s", p.bold("Not known"), clipTo(screenWidth-10, strings.Join(parts, "; ")))
	}
}

// headline says how many sidecars there are and how many could go.
func (s *Summary) headline() string {
	switch s.Sidecars {
	case 0:
		return "No pod has a sidecar."
	case 1:
		return fmt.Sprintf("1 pod has a sidecar; %s could go%s.", [2]string{"it", "none"}[1-min(s.SidecarsRemovable, 1)], s.freed())
	}
	return fmt.Sprintf("%s have a sidecar; %s of them could go (%s)%s.", count(s.Sidecars, "pod"), number(s.SidecarsRemovable),
		share(s.SidecarsRemovable, s.Sidecars), s.freed())
}

// moving says what becomes of calls if sidecars just went.
func (v *Overview) moving() string {
	var parts []string
	if len(v.FailsOpen) > 0 {
		parts = append(parts, codesInLine(v.FailsOpen, "fail open"))
	}
	if len(v.FailsShut) > 0 {
		parts = append(parts, codesInLine(v.FailsShut, "fail shut"))
	}
	if len(parts) == 0 {
		return "no policy would fail open or shut"
	}
	return strings.Join(parts, "; ")
}

// next names the commands that lead on, for what this report found.
func (r *AuditReport) next(v Overview, program string) []string {
	program = cmp.Or(program, "sidestep")
	lines := []string{program + " audit --list              one line for each workload; -n, -l, --only, --code narrow it"}
	switch {
	case len(v.Broken) > 0:
		lines = append(lines, fmt.Sprintf("%s explain %-17s why, with the field, and the way out", program, v.Broken[0].Code))
	case len(v.Frees) > 0:
		lines = append(lines, fmt.Sprintf("%s explain %-17s why, with the field, and the way out", program, v.Frees[0].Holds[0].Code))
	}
	if r.Summary.SidecarsRemovable > 0 {
		lines = append(lines, program+" plan                      an order of small steps, each with its proof and its undo")
	}
	return lines
}

// codesInLine sums codes up in words.
func codesInLine(codes []CodeCount, what string) string {
	total, names := 0, make([]string, 0, len(codes))
	for _, c := range codes {
		total += c.Count
		names = append(names, fmt.Sprintf("%s %d", c.Code, c.Count))
	}
	return fmt.Sprintf("%s %s (%s)", number(total), what, strings.Join(names, ", "))
}

// freed says what removable sidecars request, as far as it is known.
func (s *Summary) freed() string {
	if s.RemovableCPUMilli == 0 && s.RemovableMemoryBytes == 0 {
		return ""
	}
	return fmt.Sprintf(", which request %s and %s", cpu(s.RemovableCPUMilli), memory(s.RemovableMemoryBytes))
}

func clip(s string) string { return clipTo(screenWidth, s) }

// clipTo shortens text to a width in characters.
func clipTo(width int, s string) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-3]) + "..."
}

// title says what was read, when, and of which Istio.
func (r *AuditReport) title() string {
	parts := []string{"Audit of " + cmp.Or(r.Source, "a mesh")}
	if r.Istio != "" {
		parts[0] += ", Istio " + r.Istio
	}
	if r.Filtered {
		parts[0] += ", in part"
	}
	if r.Time != "" {
		parts = append(parts, r.Time)
	}
	if r.Program != "" {
		parts = append(parts, "sidestep "+r.Program)
	}
	return strings.Join(parts, "; ")
}
