package report

import (
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"k8s.io/apimachinery/pkg/labels"
)

// Provenance says what a report is of and what made it.
type Provenance struct {
	// Source is what was read: files, or the cluster of a context.
	Source string `json:"source,omitempty"`
	// Time is when it was read, in RFC 3339.
	Time string `json:"time,omitempty"`
	// Program is the version of this program, Istio the minors of the control planes found.
	Program string `json:"program,omitempty"`
	Istio   string `json:"istio,omitempty"`
}

// Filter says which workloads a report shows. Every number in the report is of those. The zero Filter shows all.
type Filter struct {
	// Namespaces to show; empty for all. Verdicts and Codes likewise.
	Namespaces, Verdicts, Codes []string
	// Selector matches the labels of pods; nil matches all.
	Selector labels.Selector
	// Severity is the least that a finding of the workload must have, today or if just moved; empty for any.
	Severity string
}

func (f *Filter) empty() bool {
	return len(f.Namespaces)+len(f.Verdicts)+len(f.Codes) == 0 && f.Selector == nil && f.Severity == ""
}

func (f *Filter) keeps(w audit.WorkloadResult) bool {
	if !among(f.Namespaces, w.Workload.Namespace) || !among(f.Verdicts, string(w.Verdict)) {
		return false
	}
	if f.Selector != nil && !f.Selector.Matches(labels.Set(w.Workload.Labels)) {
		return false
	}
	return len(f.Codes) == 0 && f.Severity == "" || slices.ContainsFunc(w.Findings, f.wants)
}

// wants reports whether a finding has the codes and the severity asked for.
func (f *Filter) wants(x audit.Finding) bool {
	return among(f.Codes, x.Code) && (f.Severity == "" || severityRank(string(x.Worst())) >= severityRank(f.Severity))
}

// keepsFinding is keeps for a finding about no workload: such are left out where workloads are picked by what
// only workloads have.
func (f *Filter) keepsFinding(x audit.Finding) bool {
	if len(f.Verdicts) > 0 || f.Selector != nil || x.Subject.Namespace != "" && !among(f.Namespaces, x.Subject.Namespace) {
		return false
	}
	return f.wants(x)
}

func among(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
