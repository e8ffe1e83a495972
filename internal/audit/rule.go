package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Rule is one thing an audit looks for: data for people, and one function. Rules stand in a file of
// their own each and are listed in all.go. A rule sees facts and states a minimum; it never sees what
// other rules found, so their order cannot matter.
type Rule struct {
	// Code is stable and never reused. The first digit tells the group, see Groups.
	Code string
	// Title says in a plain sentence what was found.
	Title string
	// Severity is the most severe, and Requires the costliest, that a finding of this rule can be. Both are
	// what a finding gets that says nothing else.
	Severity Severity
	Requires Verdict
	// Today says that an Error holds while the workload still has its sidecar. Without it, what asks for a
	// costlier mode than ambient is an error only once the sidecar is gone, and until then Finding.IfMoved.
	Today bool
	// First says that what it finds has to be mended before the workload moves, however cheap the mode it goes to.
	First bool
	// Moving is what would happen to calls if the sidecar went and nothing else were done, where that is known.
	Moving Effect
	// Inputs is everything that Check reads.
	Inputs Inputs
	// Since and Until are the first and last Istio 1.x minor the rule applies to, 0 for no bound.
	Since, Until int
	// References are where the behaviour was read: pages, upstream issues, files of istio/istio.
	References []string
	// Why explains the behaviour to somebody who sees the finding for the first time. Remedy is what would end
	// it, for findings that do not say anything more exact.
	Why, Remedy string
	// Modes are the modes in effect that Check is asked for; empty means sidecar and ambient: a workload
	// outside the mesh loses nothing by a change of mode.
	Modes []mesh.Mode

	// Exactly one of the three is set.

	// Check looks at one workload.
	Check func(*View) []Finding
	// Consequence looks at one workload and the verdict that all Checks gave it. It cannot raise that
	// verdict: what it requires is cut to it.
	Consequence func(*View, Verdict) []Finding
	// Whole looks at the mesh when every workload has its verdict; its findings are about no single one.
	Whole func(*MeshView) []Finding
}

// Effect is what becomes of calls when a policy is no longer enforced as it was written.
type Effect string

const (
	FailsOpen Effect = "open" // calls pass that were refused
	FailsShut Effect = "shut" // calls are refused that passed
)

// Inputs is what a rule reads, so that a page can say so and a test can prove it.
type Inputs struct {
	// Features are the uses it asks for, Facts the other facts, Kinds the objects it reads itself.
	Features []mesh.Feature
	Facts    []Fact
	Kinds    []snapshot.Kind
}

// Fact names a part of what package mesh knows.
type Fact string

const (
	FactMode      Fact = "mode in effect"
	FactMetadata  Fact = "labels and annotations"
	FactTemplate  Fact = "pod template"
	FactPods      Fact = "live pods"
	FactProxy     Fact = "sidecar"
	FactServices  Fact = "services"
	FactPolicies  Fact = "policies"
	FactBinding   Fact = "waypoint binding"
	FactWaypoints Fact = "waypoints"
	FactSettings  Fact = "mesh settings"
	FactUnknown   Fact = "unreadable kinds"
	FactWorkloads Fact = "all workloads"
	FactVerdicts  Fact = "verdicts"
	FactRoutes    Fact = "what routes change"
	FactModel     Fact = "calls that the end state decides otherwise"
)

// Group is the hundred that a code belongs to.
type Group struct {
	Prefix string // the code's first three characters, such as SS1
	Name   string
}

// Groups lists the groups in the order of their codes.
func Groups() []Group {
	return []Group{
		{"SS1", "Labels and injection"},
		{"SS2", "Policies"},
		{"SS3", "Routing"},
		{"SS4", "Egress and configuration scope"},
		{"SS5", "Extensions"},
		{"SS6", "Telemetry"},
		{"SS7", "Pods and their annotations"},
		{"SS8", "Waypoints and bindings"},
		{"SS9", "Platform, installation and what could not be read"},
	}
}

// OldestMinor and NewestMinor bound the Istio 1.x minors whose behaviour the rules know.
const (
	OldestMinor = 22
	NewestMinor = 31
)

// assumedMinor is the minor rules go by: an unknown one counts as the newest.
func assumedMinor(s mesh.Settings) int {
	if s.Minor == 0 {
		return NewestMinor
	}
	return s.Minor
}

func (r Rule) appliesTo(minor int) bool {
	return (r.Since == 0 || minor >= r.Since) && (r.Until == 0 || minor <= r.Until)
}

func (r Rule) asksFor(mode mesh.Mode) bool {
	if len(r.Modes) == 0 {
		return mode == mesh.Sidecar || mode == mesh.Ambient
	}
	for _, m := range r.Modes {
		if m == mode {
			return true
		}
	}
	return false
}

// Explain returns the rule of a code.
func Explain(code string) (Rule, bool) {
	for _, r := range All() {
		if r.Code == code {
			return r, true
		}
	}
	return Rule{}, false
}

// atService declares the inputs of a rule that asks View.AtService.
func atService(features []mesh.Feature, facts ...Fact) Inputs {
	return Inputs{Features: append([]mesh.Feature{mesh.ClientNamespaceRoute, mesh.ClientNamespaceRule}, features...), Facts: facts}
}
