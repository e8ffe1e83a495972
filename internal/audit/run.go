package audit

import (
	"cmp"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// DefaultHighScaleReplicas is the number of replicas from which a workload counts as costly.
const DefaultHighScaleReplicas = 10

// Run audits a mesh: every application workload gets the findings of all rules that apply to the mesh's
// Istio version, and as verdict the costliest mode that any of them requires, or a costlier one where the model shows that calls
// would be decided otherwise in the state that the verdicts lead to (consult). It changes nothing it is given.
func Run(m *mesh.Mesh, o Options) *Result { return run(m, o, All(), consult) }

// run audits with the given rules, and with the model unless ask is nil.
func run(m *mesh.Mesh, o Options, rules []Rule, ask func(*mesh.Mesh, Options, map[mesh.Ref]Verdict) *shown) *Result {
	minor := assumedMinor(m.Settings)
	rules = slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return !r.appliesTo(minor) })
	f := facts{mesh: m, index: &index{mesh: m}}
	threshold := cmp.Or(o.HighScaleReplicas, DefaultHighScaleReplicas)
	out := &Result{Workloads: make([]WorkloadResult, 0, len(m.Workloads))}
	verdicts := make(map[mesh.Ref]Verdict, len(m.Workloads))
	for _, w := range m.Workloads {
		if w.Role == mesh.Application {
			r := check(&View{facts: f, w: w}, rules)
			verdicts[w.Ref] = r.Verdict
			out.Workloads = append(out.Workloads, r)
		}
	}
	if ask != nil {
		f.index.shown = ask(m, o, verdicts)
	}
	for i := range out.Workloads {
		r := &out.Workloads[i]
		w, v := r.Workload, &View{facts: f, w: r.Workload}
		r.Verdict = verdicts[w.Ref]
		conclude(v, rules, r)
		if o, ok := overrideOf(v); ok && o.known() {
			r.Override = o.verdict
		}
		r.HighScale = r.Verdict == VerdictSidecar && w.Replicas >= threshold
		if r.HighScale {
			r.KeptBy, r.Keepers = keptBy(r.Findings)
		}
	}
	out.Summary = Summarize(out.Workloads)
	whole := &MeshView{facts: f, results: out.Workloads}
	for i := range rules {
		if rules[i].Whole != nil {
			out.Findings = append(out.Findings, complete(m, &rules[i], rules[i].Whole(whole))...)
		}
	}
	sortFindings(out.Findings)
	return out
}

// check gives one workload the findings of all Checks and the verdict that they ask for.
func check(v *View, rules []Rule) WorkloadResult {
	w := v.w
	verdict := VerdictNone
	if w.Mode != mesh.None {
		verdict = VerdictAmbient
	}
	var findings []Finding
	for i := range rules {
		if r := &rules[i]; r.Check != nil && r.asksFor(w.Mode) {
			for _, f := range complete(v.mesh, r, r.Check(v)) {
				verdict = costliest(verdict, f.Requires)
				findings = append(findings, f)
			}
		}
	}
	if w.Mode == mesh.None && len(hiddenFromMode(v)) == 0 {
		verdict = VerdictNone // no mode to preserve, whatever a finding about it says
	}
	return WorkloadResult{Workload: w, Verdict: verdict, Findings: findings}
}

// conclude adds to one workload what follows from its verdict.
func conclude(v *View, rules []Rule, result *WorkloadResult) {
	w, verdict, findings := v.w, result.Verdict, result.Findings
	for i := range rules {
		if r := &rules[i]; r.Consequence != nil && r.asksFor(w.Mode) {
			for _, f := range complete(v.mesh, r, r.Consequence(v, verdict)) {
				if f.Requires.Costlier(verdict) {
					f.Requires = verdict
				}
				findings = append(findings, f)
			}
		}
	}
	judgeByToday(w.Mode, rules, findings)
	sortFindings(findings)
	result.Findings = findings
	result.First = firstOf(v, rules, result)
}

// judgeByToday keeps Error for what is broken today: as long as a workload has its sidecar, what only a costlier
// mode than ambient preserves is preserved.
func judgeByToday(mode mesh.Mode, rules []Rule, findings []Finding) {
	if mode != mesh.Sidecar {
		return
	}
	for i := range findings {
		f := &findings[i]
		if f.Severity != Error || !f.Requires.Costlier(VerdictAmbient) {
			continue
		}
		if j := slices.IndexFunc(rules, func(r Rule) bool { return r.Code == f.Code }); !rules[j].Today {
			f.Severity, f.IfMoved = Warning, Error
		}
	}
}

// complete fills what a rule says once for all its findings.
func complete(m *mesh.Mesh, r *Rule, found []Finding) []Finding {
	for i := range found {
		f := &found[i]
		f.Code = r.Code
		f.Severity = cmp.Or(f.Severity, r.Severity)
		f.Requires = cmp.Or(f.Requires, r.Requires)
		f.Remedy = cmp.Or(f.Remedy, r.Remedy)
		if f.Subject == (mesh.Ref{}) && len(f.Evidence) > 0 {
			f.Subject = f.Evidence[0].Object
		}
		if f.Source == (snapshot.Source{}) {
			f.Source = sourceOf(m.Snapshot, f.Subject)
		}
	}
	return found
}

// sourceOf returns where the object a finding is about was read from.
func sourceOf(s *snapshot.Snapshot, ref mesh.Ref) snapshot.Source {
	o, ok := s.Find(snapshot.Kind{Group: ref.Group, Kind: ref.Kind}, ref.Namespace, ref.Name)
	if !ok {
		return snapshot.Source{}
	}
	return s.Source(o)
}

// sortFindings orders by what they require (the costliest first), severity, code, subject and message,
// so that the order of rules is never seen.
func sortFindings(f []Finding) {
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(b.Requires.rank(), a.Requires.rank()),
			cmp.Compare(b.Worst().rank(), a.Worst().rank()),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Subject.Kind, b.Subject.Kind),
			cmp.Compare(a.Subject.Namespace, b.Subject.Namespace),
			cmp.Compare(a.Subject.Name, b.Subject.Name),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// keptBy returns the codes of the rules that ask for a sidecar and, when there is just one, its first finding.
func keptBy(findings []Finding) (*Finding, []string) {
	var first *Finding
	var codes []string
	for i := range findings {
		f := &findings[i]
		if f.Requires != VerdictSidecar {
			continue
		}
		if first == nil {
			first = f
		}
		if !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	if len(codes) != 1 {
		return nil, codes
	}
	return first, codes
}

// Summarize counts results: all of an audit, or the part of it that is shown.
func Summarize(results []WorkloadResult) Summary {
	s := Summary{ByVerdict: map[Verdict]int{}}
	for _, r := range results {
		s.add(r.Workload, r.Verdict)
	}
	return s
}

// add counts one workload.
func (s *Summary) add(w *mesh.Workload, verdict Verdict) {
	s.ByVerdict[verdict]++
	n := Sidecars(w)
	if n == 0 {
		return
	}
	removable := verdict == VerdictAmbient || verdict == VerdictWaypoint
	s.Sidecars += n
	if removable {
		s.SidecarsRemovable += n
	}
	if !w.Proxy.RequestsKnown {
		s.RequestsUnknown += n
		return
	}
	s.HeldCPUMilli += int64(n) * w.Proxy.CPUMilli
	s.HeldMemoryBytes += int64(n) * w.Proxy.MemoryBytes
	if removable {
		s.RemovableCPUMilli += int64(n) * w.Proxy.CPUMilli
		s.RemovableMemoryBytes += int64(n) * w.Proxy.MemoryBytes
	}
}

// Sidecars is the number of a workload's pods that have a sidecar: live ones, or the replicas wanted where
// the input has no pods.
func Sidecars(w *mesh.Workload) int {
	if w.Proxy.Kind == mesh.NoSidecar {
		return 0
	}
	if w.Derived {
		return w.Replicas
	}
	return w.PodModes.Sidecar
}
