package report

import (
	"fmt"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// NewAudit builds the report of an audit of a mesh, of what passes the filter. The audit itself is always of the
// whole mesh: what a workload needs depends on policies and callers elsewhere.
func NewAudit(m *mesh.Mesh, result *audit.Result, options audit.Options, from Provenance, filter Filter) *AuditReport {
	from.Istio = istioVersion(m)
	r := &AuditReport{
		APIVersion: APIVersion, Kind: "AuditReport",
		Provenance: from, Filtered: !filter.empty(),
		Findings: []Finding{},
		Input:    inputOf(m),
		Rules:    rules(),
	}
	r.Workloads = make([]Workload, 0, len(result.Workloads))
	kept := make([]audit.WorkloadResult, 0, len(result.Workloads))
	for _, w := range result.Workloads {
		if filter.keeps(w) {
			kept = append(kept, w)
			r.Workloads = append(r.Workloads, workloadOf(m, w))
		}
	}
	for _, f := range result.Findings {
		if filter.keepsFinding(f) {
			r.Findings = append(r.Findings, findingOf(f))
		}
	}
	r.Summary = summaryOf(audit.Summarize(kept), r, options)
	r.Recount()
	return r
}

// istioVersion names the minors of the control planes that were found, empty where none was.
func istioVersion(m *mesh.Mesh) string {
	var out []string
	for _, minor := range m.Settings.Minors {
		out = append(out, fmt.Sprintf("1.%d", minor))
	}
	return strings.Join(out, ", ")
}

func summaryOf(s audit.Summary, r *AuditReport, options audit.Options) Summary {
	out := Summary{
		Workloads:            len(r.Workloads),
		ByVerdict:            map[string]int{},
		Sidecars:             s.Sidecars,
		SidecarsRemovable:    s.SidecarsRemovable,
		RemovableCPUMilli:    s.RemovableCPUMilli,
		RemovableMemoryBytes: s.RemovableMemoryBytes,
		HeldCPUMilli:         s.HeldCPUMilli,
		HeldMemoryBytes:      s.HeldMemoryBytes,
		RequestsUnknown:      s.RequestsUnknown,
		HighScaleReplicas:    options.HighScaleReplicas,
	}
	if out.HighScaleReplicas == 0 {
		out.HighScaleReplicas = audit.DefaultHighScaleReplicas
	}
	for _, v := range verdicts {
		out.ByVerdict[v] = s.ByVerdict[audit.Verdict(v)]
	}
	return out
}

// Recount counts the findings again, after some were marked as known.
func (r *AuditReport) Recount() {
	s := &r.Summary
	s.BySeverity, s.IfMoved, s.Known = map[string]int{}, 0, 0
	for _, severity := range severities {
		s.BySeverity[severity] = 0
	}
	count := func(list []Finding) {
		for _, f := range list {
			switch {
			case f.Known != "":
				s.Known++
				continue
			case f.IfMoved == "error":
				s.IfMoved++
			}
			s.BySeverity[f.Severity]++
		}
	}
	count(r.Findings)
	for i := range r.Workloads {
		count(r.Workloads[i].Findings)
	}
	r.Overview = r.overview()
}

func workloadOf(m *mesh.Mesh, w audit.WorkloadResult) Workload {
	out := Workload{
		Namespace: w.Workload.Namespace,
		Kind:      w.Workload.Kind,
		Name:      w.Workload.Name,
		Mode:      string(w.Workload.Mode),
		Verdict:   string(w.Verdict),
		Override:  string(w.Override),
		Replicas:  w.Workload.Replicas,
		Sidecars:  audit.Sidecars(w.Workload),
		HighScale: w.HighScale,
		KeptBy:    w.Keepers,
		First:     []Step{},
		Findings:  []Finding{},
	}
	for _, s := range w.First {
		out.First = append(out.First, Step(s))
	}
	if w.Workload.Object != nil {
		source := m.Snapshot.Source(w.Workload.Object)
		out.Place = Place{File: source.File, Line: source.Line}
	}
	for _, f := range w.Findings {
		out.Findings = append(out.Findings, findingOf(f))
	}
	return out
}

func findingOf(f audit.Finding) Finding {
	out := Finding{
		Code: f.Code, Severity: string(f.Severity), IfMoved: string(f.IfMoved), Requires: string(f.Requires),
		Message: f.Message, Subject: objectOf(f.Subject), Remedy: f.Remedy,
		Place: Place{File: f.Source.File, Line: f.Source.Line},
	}
	for _, o := range f.Apply {
		out.Apply = append(out.Apply, o)
	}
	for _, e := range f.Evidence {
		out.Evidence = append(out.Evidence, Evidence{Object: objectOf(e.Object), Field: e.Field, Value: e.Value})
	}
	return out
}

func objectOf(r mesh.Ref) Object { return Object{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name} }

func inputOf(m *mesh.Mesh) Input {
	in := Input{Objects: m.Snapshot.Len()}
	for _, p := range m.Snapshot.Problems() {
		in.Problems = append(in.Problems, Problem{Message: p.Message, Place: Place{File: p.Source.File, Line: p.Source.Line}})
	}
	for _, k := range m.Snapshot.Unknown() {
		known := m.Snapshot.Knowledge(k)
		in.Unknown = append(in.Unknown, UnknownKind{Kind: k.Kind, Group: k.Group, State: string(known.State), Reason: known.Reason})
	}
	for _, i := range m.Snapshot.Ignored() {
		in.Ignored = append(in.Ignored, Ignored{
			APIVersion: i.APIVersion, Kind: i.Kind, Namespace: i.Namespace, Name: i.Name, Reason: i.Reason,
			Place: Place{File: i.Source.File, Line: i.Source.Line},
		})
	}
	return in
}

// Rules is a report of no mesh, which knows every rule.
func Rules() *AuditReport {
	return &AuditReport{APIVersion: APIVersion, Kind: "AuditReport", Workloads: []Workload{}, Findings: []Finding{}, Rules: rules()}
}

func rules() []Rule {
	var out []Rule
	for _, rule := range audit.All() {
		out = append(out, Rule{
			Code: rule.Code, Title: rule.Title, Severity: string(rule.Severity), Requires: string(rule.Requires),
			Moving: string(rule.Moving), Why: rule.Why, Remedy: rule.Remedy, References: rule.References,
		})
	}
	return out
}
