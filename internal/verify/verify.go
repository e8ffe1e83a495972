// Package verify looks at a mesh after (or before) a step of a plan and says whether what the step is for has come about: one gate a
// file, evidence in, pass, fail or inconclusive with reasons out. Inconclusive is what is not known yet, or for want of data: it never
// counts as passed, and never as failed. Pure.
package verify

import (
	"fmt"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
)

// Verdict is what a gate says.
type Verdict string

// Verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Side is a generation of pods of a workload that moves.
type Side string

// Sides. NoSide is for failures that speak against neither.
const (
	NoSide Side = ""
	Old    Side = "old"
	New    Side = "new"
)

// Result is a verdict with its reasons.
type Result struct {
	Gate    string
	Object  mesh.Ref
	Verdict Verdict
	Why     []string
	// Against is the side that a failure speaks against.
	Against Side
}

// Evidence is what was collected about a mesh at one moment.
type Evidence struct {
	At time.Time
	// Mesh are the facts of the cluster.
	Mesh *mesh.Mesh
	// Metrics are the answers to metric.Migration over the last minutes, Baseline those to the same questions asked for the time just
	// before the wave began. A dump that says why it is empty makes the gates that need it inconclusive.
	Metrics, Baseline metric.Dump
	// WaveBegan is when the first step of the wave was written, zero where none was.
	WaveBegan time.Time
}

// Subject is what a gate is asked about.
type Subject struct {
	// Object is what the gate looks at, Step what kind of step it belongs to, and Workload the workload that the step moves, where it does.
	Object   mesh.Ref
	Step     string
	Workload mesh.Ref
	// Admitted are the principals, without spiffe://, that may call the workload past its waypoint or are the waypoint.
	Admitted []string
	// AdmittedPorts are ports at which anybody may.
	AdmittedPorts []string
	// Back says that the step is being taken back: pods are to have sidecars again.
	Back bool
}

// Gate is one check.
type Gate struct {
	// Name is stable: plans, records and the command line use it.
	Name string
	// Doc is one positive sentence: what holds where it passes.
	Doc string
	// Deadline is how long the gate may be inconclusive before the migration holds.
	Deadline time.Duration
	// Metrics says that it needs them.
	Metrics bool
	// Check looks.
	Check func(e *Evidence, s Subject) Result
}

// Names of the gates that plans do not name themselves, and of those that package migrate answers.
const (
	Enrolled             = "Enrolled"
	ErrorRate            = "ErrorRate"
	Latency              = "Latency"
	ConnectionFailures   = "ConnectionFailures"
	CallsConserved       = "CallsConserved"
	EnforcementConserved = "EnforcementConserved"
	DenialsConserved     = "DenialsConserved"

	// InEffect: the object stands as the step wrote it. Proof: nothing is weaker than at the start. Soak: all gates have passed
	// for long enough.
	InEffect = "InEffect"
	Proof    = "Proof"
	Soak     = "Soak"
)

// All lists the gates.
func All() []Gate {
	return []Gate{
		programmed, policyAccepted, waypointBound, rolledOut, enrolled, noSidecarPods,
		onlyThroughWaypoint, noCalls,
		errorRate, latency, connectionFailures, callsConserved, enforcementConserved, denialsConserved,
	}
}

// OnMetrics are the names of the gates that need a Prometheus server.
func OnMetrics() []string {
	var out []string
	for _, g := range All() {
		if g.Metrics {
			out = append(out, g.Name)
		}
	}
	return out
}

// Lookup finds a gate by name.
func Lookup(name string) (Gate, bool) {
	for _, g := range All() {
		if g.Name == name {
			return g, true
		}
	}
	return Gate{}, false
}

// ForMoves are the gates that every move has to pass beside those that its plan names.
func ForMoves() []string {
	return []string{Enrolled, ErrorRate, Latency, ConnectionFailures, CallsConserved, EnforcementConserved, DenialsConserved}
}

// Check asks a gate by name. A gate that is not known is inconclusive: the plan may be of a later version.
func Check(name string, e *Evidence, s Subject) Result {
	g, ok := Lookup(name)
	if !ok {
		return Result{Gate: name, Object: s.Object, Verdict: Inconclusive, Why: []string{"this version of Sidestep knows no gate of the name"}}
	}
	if e.Mesh == nil {
		return Result{Gate: name, Object: s.Object, Verdict: Inconclusive, Why: []string{"the cluster has not been read"}}
	}
	r := g.Check(e, s)
	r.Gate, r.Object = name, s.Object
	return r
}

func pass(format string, args ...any) Result {
	return Result{Verdict: Pass, Why: []string{fmt.Sprintf(format, args...)}}
}

func notYet(format string, args ...any) Result {
	return Result{Verdict: Inconclusive, Why: []string{fmt.Sprintf(format, args...)}}
}

func fail(against Side, format string, args ...any) Result {
	return Result{Verdict: Fail, Why: []string{fmt.Sprintf(format, args...)}, Against: against}
}
