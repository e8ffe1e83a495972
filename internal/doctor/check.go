// Package doctor looks a running hybrid mesh over: one check a file, each a sentence that is true of a healthy mesh. A check
// that fails says what it saw, what causes it and what ends it; one that cannot tell says why. What an audit rule finds
// already a check asks of the rule, so that each fact is derived once.
package doctor

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Severity is an audit's.
type Severity = audit.Severity

// Confidence says how sure a finding is of its cause.
type Confidence string

// Certain: the fields or series seen can have no other cause. Likely: they usually have this one. Possible: it is one of several.
const (
	Certain  Confidence = "certain"
	Likely   Confidence = "likely"
	Possible Confidence = "possible"
)

// Symptom is what a user notices.
type Symptom string

// Symptoms that checks can be asked by.
const (
	Symptom503     Symptom = "503"
	Symptom403     Symptom = "403"
	SymptomLatency Symptom = "latency"
	SymptomDNS     Symptom = "dns"
	SymptomOOM     Symptom = "oom"
	SymptomStartup Symptom = "startup"
	SymptomRollout Symptom = "rollout"
)

// Symptoms lists them.
func Symptoms() []Symptom {
	return []Symptom{Symptom503, Symptom403, SymptomLatency, SymptomDNS, SymptomOOM, SymptomStartup, SymptomRollout}
}

// Check is data for people and one way to look.
type Check struct {
	// ID is stable and never reused.
	ID string
	// Sentence is true of a healthy mesh, and Otherwise of one with the fault; both stand as headings.
	Sentence, Otherwise string
	// Severity is what a finding has that says nothing else, and Confidence likewise.
	Severity   Severity
	Confidence Confidence
	Symptoms   []Symptom
	// Cause and Fix are what a finding has that says nothing more exact.
	Cause, Fix string
	References []string
	// NeedsPods says that manifests alone cannot tell.
	NeedsPods bool
	// Kinds are those that Look reads itself; one that RBAC hides makes the check unable to tell.
	Kinds []snapshot.Kind
	// Metrics are those that Look reads: without a usable answer to the first the check cannot tell.
	Metrics []string
	// Alert is the alert that watches the same thing, for checks that have a metric.
	Alert *Alert

	// Exactly one of the two is set.

	// Rules are audit rules that find the fault; AmbientOnly keeps what they find on workloads that are ambient now.
	Rules       []string
	AmbientOnly bool
	// Look examines a mesh.
	Look func(*View) []Finding
}

// Alert is a Prometheus alert on a metric of the catalogue.
type Alert struct {
	Name string
	// Metric is recorded under a name of its own; Bound is what its value must be to alert, such as "> 0.8".
	Metric, Bound string
	// For is how long that has to last, as Prometheus writes durations. Summary may use $labels and $value.
	For, Summary string
}

// Finding is a fault that was seen.
type Finding struct {
	Subject    mesh.Ref        `json:"subject"`
	Message    string          `json:"message"`
	Cause      string          `json:"cause"`
	Fix        string          `json:"fix"`
	Severity   Severity        `json:"severity"`
	Confidence Confidence      `json:"confidence"`
	Evidence   []mesh.Evidence `json:"evidence,omitempty"`
	// Measured is the number that was seen, with its unit and metric; empty where none was.
	Measured string          `json:"measured,omitempty"`
	Source   snapshot.Source `json:"-"`
}

// State is what came of a check.
type State string

// States of a check.
const (
	Healthy State = "healthy"
	Found   State = "found"
	Unknown State = "unknown"
)

// Result is what came of one check.
type Result struct {
	Check    *Check
	State    State
	Findings []Finding
	// Why says why the check cannot tell.
	Why string
}

// View is what checks look at.
type View struct {
	Mesh *mesh.Mesh
	dump metric.Dump
}

// Series are the usable series of a metric; none when the metric has no data, which means what its NoData says.
func (v *View) Series(name string) []metric.Series {
	if r := v.dump.Result(name); r.Failed == "" && !r.Partial {
		return r.Series
	}
	return nil
}

// Only narrows what is looked at; the zero value looks at everything.
type Only struct {
	// Symptoms keeps the checks that explain one of them, and Checks those of these IDs.
	Symptoms []Symptom
	Checks   []string
}

func (o Only) has(c *Check) bool {
	explains := func(s Symptom) bool { return slices.Contains(o.Symptoms, s) }
	return (len(o.Symptoms) == 0 || slices.ContainsFunc(c.Symptoms, explains)) && (len(o.Checks) == 0 || slices.Contains(o.Checks, c.ID))
}

// Run makes the checks asked for. Dump may be empty: what it lacks is said.
func Run(m *mesh.Mesh, dump metric.Dump, only Only) []Result {
	v := &View{Mesh: m, dump: dump}
	found := audit.Run(m, audit.Options{})
	pods := len(snapshot.All[*snapshot.Pod](m.Snapshot)) > 0
	var out []Result
	checks := All()
	for i := range checks {
		c := &checks[i]
		if only.has(c) {
			out = append(out, c.run(v, found, pods))
		}
	}
	return out
}

func (c *Check) run(v *View, found *audit.Result, pods bool) Result {
	r := Result{Check: c, State: Healthy, Why: c.cannotTell(v, pods)}
	if c.Look != nil && (r.Why == "" || len(c.Metrics) > 1) {
		r.Findings = c.Look(v)
	} else if c.Look == nil {
		r.Findings = c.fromRules(v.Mesh, found)
	}
	for i := range r.Findings {
		c.complete(v, &r.Findings[i])
	}
	switch {
	case len(r.Findings) > 0:
		r.State = Found
	case r.Why != "":
		r.State = Unknown
	}
	return r
}

// cannotTell says why the check's input is not enough to call the mesh healthy; empty when it is.
func (c *Check) cannotTell(v *View, pods bool) string {
	if c.NeedsPods && !pods {
		return "the input holds no pods: manifests do not tell what runs"
	}
	kinds := slices.Clone(c.Kinds)
	for _, code := range c.Rules {
		if rule, ok := audit.Explain(code); ok {
			kinds = append(kinds, rule.Inputs.Kinds...)
		}
	}
	for _, k := range kinds {
		if known := v.Mesh.Snapshot.Knowledge(k); known.State == snapshot.Hidden {
			return k.Kind + " cannot be read: " + known.Reason
		}
	}
	if len(c.Metrics) == 0 {
		return ""
	}
	r := v.dump.Result(c.Metrics[0])
	m, _ := metric.LookupHealth(c.Metrics[0])
	switch {
	case r.Failed != "" || r.Partial:
		return "metric " + m.Name + ": " + r.Why()
	case len(r.Series) == 0 && v.scraped(m):
		return ""
	case len(r.Series) == 0:
		return "metric " + m.Name + " has no data: " + m.NoData
	}
	return ""
}

// scraped reports whether another metric of the same exporters has data, so that no data means none of it.
func (v *View) scraped(m metric.Metric) bool {
	for _, r := range v.dump.Results {
		other, ok := metric.LookupHealth(r.Metric)
		if ok && other.Name != m.Name && r.Usable() && slices.ContainsFunc(m.Sources, func(s metric.Source) bool { return slices.Contains(other.Sources, s) }) {
			return true
		}
	}
	return false
}

func (c *Check) fromRules(m *mesh.Mesh, r *audit.Result) []Finding {
	var out []Finding
	add := func(f audit.Finding) {
		if slices.Contains(c.Rules, f.Code) {
			// A rule speaks of what a verdict needs; how urgent it is on a running mesh is the check's to say, and never more than the rule's.
			out = append(out, Finding{Subject: f.Subject, Message: f.Message, Fix: f.Remedy, Evidence: f.Evidence, Source: f.Source, Severity: milder(f.Severity, c.Severity)})
		}
	}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if c.AmbientOnly && w.Workload.Mode != mesh.Ambient {
			continue
		}
		for _, f := range w.Findings {
			add(f)
		}
	}
	for _, f := range r.Findings {
		add(f)
	}
	return out
}

func milder(a, b Severity) Severity {
	if a.Worse(b) {
		return b
	}
	return a
}

func (c *Check) complete(v *View, f *Finding) {
	if f.Severity == "" {
		f.Severity = c.Severity
	}
	if f.Confidence == "" {
		f.Confidence = c.Confidence
	}
	if f.Cause == "" {
		f.Cause = c.Cause
	}
	if f.Fix == "" {
		f.Fix = c.Fix
	}
	if o, ok := v.object(f.Subject); ok && f.Source == (snapshot.Source{}) {
		f.Source = v.Mesh.Snapshot.Source(o)
	}
}

func (v *View) object(r mesh.Ref) (snapshot.Object, bool) {
	if r.Name == "" {
		return nil, false
	}
	if w := v.Mesh.Workload(r.Kind, r.Namespace, r.Name); w != nil && w.Object != nil {
		return w.Object, true
	}
	return nil, false
}

// Worst is the severest finding of several results; empty when there is none.
func Worst(results []Result) Severity {
	var worst Severity
	for _, r := range results {
		for _, f := range r.Findings {
			if f.Severity.Worse(worst) {
				worst = f.Severity
			}
		}
	}
	return worst
}

// percent writes a ratio.
func percent(ratio float64) string { return fmt.Sprintf("%.0f%%", ratio*100) }
