// Package audit holds rules over mesh facts, the findings they give, and the verdict: the cheapest
// mode in which a workload behaves as it does today.
package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Verdict is the mode a workload needs. The order is a lattice of cost: None < Ambient < Waypoint <
// Sidecar; a workload's verdict is the maximum of what its findings require.
type Verdict string

const (
	// VerdictNone: the workload is outside the mesh, or no mode applies to it (hostNetwork, gateways).
	VerdictNone Verdict = "none"
	// VerdictAmbient: ztunnel alone preserves behaviour.
	VerdictAmbient Verdict = "ambient"
	// VerdictWaypoint: ztunnel and a waypoint do.
	VerdictWaypoint Verdict = "waypoint"
	// VerdictSidecar: only a sidecar does, or nothing else is known to.
	VerdictSidecar Verdict = "sidecar"
)

// Severity says how bad a finding is where nothing is done about it.
type Severity string

const (
	// Error: something is broken, or not enforced, today.
	Error Severity = "error"
	// Warning: behaviour would be lost, or would differ, without the sidecar until the remedy is applied.
	Warning Severity = "warning"
	// Info: good to know; changes no behaviour.
	Info Severity = "info"
)

// Finding is one result of one rule.
type Finding struct {
	// Code is the rule's stable code, never reused.
	Code string
	// Severity is by what is true today.
	Severity Severity
	// IfMoved is Error where the workload would be broken, or less protected, if its sidecar went and nothing
	// else were done; empty otherwise, and for workloads that have no sidecar to lose.
	IfMoved Severity
	// Requires is the least mode that preserves what the finding is about.
	Requires Verdict
	// Message says what was found and what it means, in one or two sentences.
	Message string
	// Subject is the object to look at; Evidence every field the finding was read from.
	Subject  mesh.Ref
	Evidence []mesh.Evidence
	// Remedy would change the verdict or end the finding.
	Remedy string
	// Apply are objects that end it when they are created before the workload moves, where the remedy is as
	// exact as that.
	Apply []snapshot.Object
	// Source is the file and line of the subject when the input was files.
	Source snapshot.Source
}

// Step is something that has to happen before a workload moves.
type Step struct {
	// Code is the rule that knows it.
	Code string
	// Message says what would go wrong otherwise, Remedy what to do.
	Message, Remedy string
}

// Worst is the severer of what holds today and what would hold without the sidecar.
func (f *Finding) Worst() Severity {
	if f.IfMoved.Worse(f.Severity) {
		return f.IfMoved
	}
	return f.Severity
}

// WorkloadResult is the verdict for one workload with all its reasons.
type WorkloadResult struct {
	Workload *mesh.Workload
	Verdict  Verdict
	Findings []Finding
	// First is what has to happen before a workload that can go without its sidecar moves; empty where nothing has to.
	First []Step
	// Override is the owner's wish from annotation sidestep.dev/mode, empty without one. It raises a
	// verdict; below the verdict it is an error finding and has no effect.
	Override Verdict
	// HighScale marks a workload at or above Options.HighScaleReplicas that still needs a sidecar;
	// Keepers are then the codes of the rules that ask for the sidecar, and KeptBy is the finding of that rule
	// when it is a single one (its first finding, where the same thing was found more than once).
	HighScale bool
	KeptBy    *Finding
	Keepers   []string
}

// Result is a whole audit.
type Result struct {
	Workloads []WorkloadResult // application workloads, in the order of mesh.Mesh
	// Findings are about no single workload.
	Findings []Finding
	Summary  Summary
}

// Summary counts what a reader asks first.
type Summary struct {
	// ByVerdict counts workloads.
	ByVerdict map[Verdict]int
	// Sidecars is the number of pods with a sidecar now; SidecarsRemovable those whose workload's
	// verdict needs none.
	Sidecars, SidecarsRemovable int
	// RemovableCPUMilli and RemovableMemoryBytes are the requests that removable sidecars hold.
	RemovableCPUMilli, RemovableMemoryBytes int64
	// HeldCPUMilli and HeldMemoryBytes are the requests of all sidecars.
	HeldCPUMilli, HeldMemoryBytes int64
	// RequestsUnknown counts sidecar pods whose requests could not be read and are not in the sums.
	RequestsUnknown int
}

// Options tune an audit.
type Options struct {
	// HighScaleReplicas is the number of replicas from which a workload counts as costly; 0 means 10.
	HighScaleReplicas int
	// Each calls do with 0 to n-1, side by side if it likes, and returns when all are done; nil means one after the other.
	Each func(n int, do func(int))
}

func (o Options) each(n int, do func(int)) {
	if o.Each != nil {
		o.Each(n, do)
		return
	}
	for i := range n {
		do(i)
	}
}
