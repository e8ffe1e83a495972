package report

import (
	"cmp"
	"io"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/doctor"
)

// AuditReport is an audit as people and programs read it.
type AuditReport struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Provenance
	// Filtered says that only a part of the mesh is shown; every number is of that part.
	Filtered bool     `json:"filtered,omitempty"`
	Summary  Summary  `json:"summary"`
	Overview Overview `json:"overview"`
	// Workloads are application workloads by namespace, kind and name.
	Workloads []Workload `json:"workloads"`
	// Findings are about no single workload.
	Findings []Finding `json:"findings"`
	Input    Input     `json:"input"`
	// Rules describes every code that a finding can bear.
	Rules []Rule `json:"-"`
}

// Summary counts what a reader asks first.
type Summary struct {
	Workloads int            `json:"workloads"`
	ByVerdict map[string]int `json:"byVerdict"`
	// BySeverity counts findings, each once for every workload it is about.
	BySeverity map[string]int `json:"bySeverity"`
	// IfMoved counts, likewise, what is no error today and would be one if the sidecar just went.
	IfMoved int `json:"ifMoved"`
	// Known counts findings that do not count: in the baseline, or ignored.
	Known int `json:"known,omitempty"`
	// Sidecars are pods with one now; SidecarsRemovable those whose verdict needs none.
	Sidecars          int `json:"sidecars"`
	SidecarsRemovable int `json:"sidecarsRemovable"`
	// The sums of the requests of sidecar containers.
	RemovableCPUMilli    int64 `json:"removableCPUMilli"`
	RemovableMemoryBytes int64 `json:"removableMemoryBytes"`
	HeldCPUMilli         int64 `json:"heldCPUMilli"`
	HeldMemoryBytes      int64 `json:"heldMemoryBytes"`
	// RequestsUnknown counts sidecars that are not in the sums.
	RequestsUnknown int `json:"requestsUnknown"`
	// HighScaleReplicas is the number of pods from which a workload counts as high scale.
	HighScaleReplicas int `json:"highScaleReplicas"`
}

// Workload is one workload with its verdict and every reason.
type Workload struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Mode      string `json:"mode"`    // sidecar, ambient, none
	Verdict   string `json:"verdict"` // ambient, waypoint, sidecar, none
	// Override is the mode that the owner asks for, empty without one.
	Override string `json:"override,omitempty"`
	Replicas int    `json:"replicas"`
	// Sidecars is how many of the pods have one now.
	Sidecars int `json:"sidecars"`
	// HighScale marks a workload with many pods that keeps its sidecars. KeptBy are the codes that ask for
	// them: with one code, a single feature stands in the way.
	HighScale bool     `json:"highScale,omitempty"`
	KeptBy    []string `json:"keptBy,omitempty"`
	// First is what has to happen before the workload moves to its verdict's mode.
	First    []Step    `json:"first"`
	Findings []Finding `json:"findings"`
	Place
}

// Step is something that has to happen before a workload moves.
type Step struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// Object names the workload.
func (w *Workload) Object() Object {
	return Object{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
}

// main is the finding that best explains the verdict, nil when there is none: findings come sorted by
// what they require.
func (w *Workload) main() *Finding {
	for i := range w.Findings {
		if w.Findings[i].Requires == w.Verdict {
			return &w.Findings[i]
		}
	}
	if len(w.Findings) > 0 && w.Verdict == "none" {
		return &w.Findings[0]
	}
	return nil
}

// Finding is one result of one rule.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // error, warning, info: by what is true today
	// IfMoved is "error" where something would be broken, or less protected, if the sidecar went and nothing else
	// were done; empty where that adds nothing to Severity.
	IfMoved string `json:"ifMoved,omitempty"`
	// Known says why the finding does not count: it is in the baseline, or ignored for a reason.
	Known    string `json:"known,omitempty"`
	Requires string `json:"requires"` // the least mode that preserves what it is about
	Message  string `json:"message"`
	Subject  Object `json:"subject"`
	Remedy   string `json:"remedy"`
	// Apply are objects that end it when they are created before the workload moves.
	Apply []any `json:"apply,omitempty"`
	// Evidence is every field that the finding was read from.
	Evidence []Evidence `json:"evidence,omitempty"`
	Place
}

// Worst is the severer of what holds today and what would hold without the sidecar.
func (f *Finding) Worst() string {
	if severityRank(f.IfMoved) > severityRank(f.Severity) {
		return f.IfMoved
	}
	return f.Severity
}

// Evidence is a field of an object.
type Evidence struct {
	Object Object `json:"object"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"`
}

// Input says what the audit read and what it could not.
type Input struct {
	Objects int `json:"objects"`
	// Problems are documents that could not be read, Unknown kinds that could not be, and Ignored objects
	// that were read and not needed.
	Problems []Problem     `json:"problems,omitempty"`
	Unknown  []UnknownKind `json:"unknown,omitempty"`
	Ignored  []Ignored     `json:"ignored,omitempty"`
}

// Problem is a document that could not be read.
type Problem struct {
	Message string `json:"message"`
	Place
}

// UnknownKind is a kind whose absence from the input means nothing.
type UnknownKind struct {
	Kind  string `json:"kind"`
	Group string `json:"group,omitempty"`
	// State is hidden or not-served.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// Ignored is an object that was read and left out.
type Ignored struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	Reason     string `json:"reason"`
	Place
}

// Rule describes a code.
type Rule struct {
	Code     string
	Title    string
	Severity string
	// Requires is the costliest mode that a finding of the rule asks for.
	Requires string
	// Moving is open or shut where it is known what becomes of calls if the sidecar just went.
	Moving      string
	Why, Remedy string
	References  []string
}

// URL is the rule's place on the generated page.
func (r Rule) URL() string {
	if _, isCheck := doctor.Lookup(r.Code); isCheck {
		return checksURL + "#" + r.Code
	}
	return docsURL + "#" + lower(r.Code)
}

// JSON writes the report as a versioned document.
func (r *AuditReport) JSON(w io.Writer) error { return writeJSON(w, r) }

// FailOnToday is the value of --fail-on that counts only what is broken today, not what would break on moving.
const FailOnToday = "today"

// Worst reports whether a finding, or input that could not be read, is at least as severe as the given
// severity, today or without its sidecar; FailOnToday counts errors of today alone. Input that could not be read
// counts as an error: nobody knows what it holds.
func (r *AuditReport) Worst(atLeast string) bool {
	if atLeast == FailOnToday {
		return len(r.Input.Problems) > 0 || r.Summary.BySeverity["error"] > 0
	}
	if r.Summary.IfMoved > 0 && severityRank("error") >= severityRank(atLeast) {
		return true
	}
	if len(r.Input.Problems) > 0 && severityRank("error") >= severityRank(atLeast) {
		return true
	}
	for severity, n := range r.Summary.BySeverity {
		if n > 0 && severityRank(severity) >= severityRank(atLeast) {
			return true
		}
	}
	return false
}

// severities from the mildest.
var severities = []string{"info", "warning", "error"}

func severityRank(severity string) int { return slices.Index(severities, severity) }

func (r *AuditReport) rule(code string) Rule {
	for _, rule := range r.Rules {
		if rule.Code == code {
			return rule
		}
	}
	return Rule{Code: code, Title: code}
}

// topic is one thing found, whatever the number of workloads it is about: a policy for a whole
// namespace is one thing to do, not twenty.
type topic struct {
	Finding
	Workloads []Object
}

// topics groups findings by code, subject and message, the most severe first.
func (r *AuditReport) topics() []topic {
	type key struct {
		code, message string
		subject       Object
	}
	at := map[key]int{}
	var out []topic
	add := func(f Finding, workload *Workload) {
		k := key{f.Code, f.Message, f.Subject}
		i, seen := at[k]
		if !seen {
			i = len(out)
			at[k] = i
			out = append(out, topic{Finding: f})
		}
		if workload != nil {
			out[i].Workloads = append(out[i].Workloads, workload.Object())
		}
	}
	for _, f := range r.Findings {
		add(f, nil)
	}
	for i := range r.Workloads {
		for _, f := range r.Workloads[i].Findings {
			add(f, &r.Workloads[i])
		}
	}
	slices.SortStableFunc(out, func(a, b topic) int {
		return cmp.Or(
			cmp.Compare(severityRank(b.Severity), severityRank(a.Severity)),
			cmp.Compare(severityRank(b.IfMoved), severityRank(a.IfMoved)),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Subject.Namespace, b.Subject.Namespace),
			cmp.Compare(a.Subject.Kind, b.Subject.Kind),
			cmp.Compare(a.Subject.Name, b.Subject.Name),
		)
	})
	return out
}

// codeGroup is every topic of one code.
type codeGroup struct {
	code   string
	topics []topic
}

// workloads counts those that the group is about, each once.
func (g codeGroup) workloads() int {
	seen := map[Object]bool{}
	for _, t := range g.topics {
		for _, w := range t.Workloads {
			seen[w] = true
		}
	}
	return len(seen)
}

// broken is what a reader should look at first, by code: what is broken today.
func (r *AuditReport) broken() []codeGroup {
	return r.group(func(t topic) bool { return t.Known == "" && t.Severity == "error" })
}

// ifMoved is what would be broken if sidecars just went, by code.
func (r *AuditReport) ifMoved() []codeGroup {
	return r.group(func(t topic) bool { return t.Known == "" && t.IfMoved == "error" })
}

// whole is what is about the mesh as a whole and no error, by code.
func (r *AuditReport) whole() []codeGroup {
	return r.group(func(t topic) bool { return t.Severity != "error" && len(t.Workloads) == 0 })
}

func (r *AuditReport) group(want func(topic) bool) []codeGroup {
	var out []codeGroup
	for _, t := range r.topics() {
		if !want(t) {
			continue
		}
		if len(out) == 0 || out[len(out)-1].code != t.Code {
			out = append(out, codeGroup{code: t.Code})
		}
		g := &out[len(out)-1]
		g.topics = append(g.topics, t)
	}
	return out
}

// namespaces yields the workloads of each namespace, in order.
func (r *AuditReport) namespaces() []namespaceGroup {
	var out []namespaceGroup
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if len(out) == 0 || out[len(out)-1].Name != w.Namespace {
			out = append(out, namespaceGroup{Name: w.Namespace})
		}
		g := &out[len(out)-1]
		g.Workloads = append(g.Workloads, w)
	}
	return out
}

type namespaceGroup struct {
	Name      string
	Workloads []*Workload
}

func (g namespaceGroup) byVerdict(verdict string) int {
	n := 0
	for _, w := range g.Workloads {
		if w.Verdict == verdict {
			n++
		}
	}
	return n
}

// verdicts from the cheapest, in the order that a report shows them.
var verdicts = []string{"ambient", "waypoint", "sidecar", "none"}

// verdictWords says a verdict to somebody who has not read the manual.
var verdictWords = map[string]string{
	"ambient":  "ztunnel is enough",
	"waypoint": "ztunnel and a waypoint",
	"sidecar":  "keeps its sidecar",
	"none":     "no mode applies",
}
