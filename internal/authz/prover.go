package authz

import (
	"fmt"
)

// Options of a comparison.
type Options struct {
	// OnlyWorkloads leaves out identities that policies name and no workload bears.
	OnlyWorkloads bool
	// PerScenario bounds the divergences kept of one sort (which decisions before and
	// after) of one caller class, destination and way of addressing; 0 means 8. Which sorts
	// there are, and for which callers, does not depend on it.
	PerScenario int
	// Max bounds the divergences kept in all; 0 means no bound. What is left out is noted.
	Max int
	// Destinations, when not nil, says which destinations to look at, by their pods in the second world.
	Destinations func(Pods) bool
	// Callers, when not nil, says which callers to look at. A caller outside the mesh has no principal and an
	// identity that only policies name has no workload; Others is not set.
	Callers func(Caller) bool
	// OnlyDeclaredPorts leaves out calls by pod IP to ports that neither the pods nor a Service declare.
	OnlyDeclaredPorts bool
	// EveryWay lets identities whose namespaces have no workloads call in every way that somebody calls in, not in the most
	// common one alone: what holds then holds however many go which way.
	EveryWay bool
	// EachService tells calls by the Services of the same pods apart; else they are one divergence where they take the same way.
	EachService bool
	// From says for pods of the second world which pods of the first they took the place of, where neither
	// their names nor those of their workloads say so: a workload under another name.
	From map[Pods]Pods
}

// Prover compares any number of states of a mesh with one: what they have in common is compiled once.
// Its methods may be called by several goroutines at once; the World must not be changed meanwhile.
type Prover struct {
	ps     *programs
	before *model
}

// NewProver makes a prover that compares with a state. It keeps the World and never changes it.
func NewProver(before *World) *Prover {
	ps := newPrograms()
	return &Prover{ps: ps, before: newModel(before, ps)}
}

// Compare compares another state with the first over every call: every caller of either, every destination
// that is in both, by service and by pod IP, and every class of request that any policy
// on the way can tell apart. Nothing is sampled.
//
// Callers and destinations are sets of pods. A set that the first state lacks is compared with all pods that its workload
// had there, so that a restart half way, where old and new pods call old and new pods, is four comparisons with the start.
func (p *Prover) Compare(after *World, opts Options) Result {
	return Merge(opts, p.Parts(after, opts, 1)[0]())
}

// Parts is Compare in n parts of the destinations, which may run side by side; Merge joins their results.
func (p *Prover) Parts(after *World, opts Options, n int) []func() Result {
	m := newModel(after, p.ps)
	same := correspond(p.before, m, opts.From)
	out := make([]func() Result, n)
	for i := range out {
		out[i] = func() Result { return newComparison(p.before, m, same, opts).run(i, n) }
	}
	return out
}

// comparison prepares a comparison in one part.
func (p *Prover) comparison(after *World, opts Options) *comparison {
	m := p.before
	if after != m.w {
		m = newModel(after, p.ps)
	}
	return newComparison(p.before, m, correspond(p.before, m, opts.From), opts)
}

// Diff compares two worlds; see Prover.Compare.
func Diff(before, after *World, opts Options) Result { return NewProver(before).Compare(after, opts) }

// Meets reports whether two worlds have any workload in common that could be compared.
func (w *World) Meets(o *World) bool {
	here := map[Ref]bool{}
	for i := range w.Workloads {
		if x := &w.Workloads[i]; x.Role != RoleWaypoint && x.Role != RoleOther {
			here[x.Ref] = true
		}
	}
	for i := range o.Workloads {
		if here[o.Workloads[i].Ref] {
			return true
		}
	}
	return false
}

// Merge joins the results of all parts.
func Merge(opts Options, parts ...Result) Result {
	out := Result{Equivalent: true}
	notes, omitted := map[string]bool{}, map[string]bool{}
	for _, p := range parts {
		out.Equivalent = out.Equivalent && p.Equivalent
		for _, o := range p.Omitted {
			omitted[o] = true
		}
		out.Divergences = append(out.Divergences, p.Divergences...)
		for _, n := range p.Notes {
			notes[n] = true
		}
		out.Stats.add(p.Stats)
	}
	out.Notes = sortedKeys(notes)
	out.Omitted = sortedKeys(omitted)
	sortDivergences(out.Divergences)
	out.limit(opts)
	return out
}

func (s *Stats) add(o Stats) {
	s.Destinations += o.Destinations
	s.Skipped += o.Skipped
	s.Scenarios += o.Scenarios
	s.Split += o.Split
	s.Regions += o.Regions
}

func (r *Result) limit(opts Options) {
	if opts.Max > 0 && len(r.Divergences) > opts.Max {
		r.Notes = append(r.Notes, fmt.Sprintf("%d further divergences are not listed", len(r.Divergences)-opts.Max))
		r.Divergences = r.Divergences[:opts.Max]
	}
}
