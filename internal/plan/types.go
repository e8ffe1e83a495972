package plan

import (
	"fmt"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// Plan is an order of small changes in which no state on the way is weaker than the start, and no call that is known to exist is
// refused. It is data: the same input gives the same plan.
type Plan struct {
	// Goal is what the plan is for: empty for the move to ambient mode, or GoalChange.
	Goal string
	// Fingerprint is one digest of exactly what the proof read, which Reads lists by object and field.
	Fingerprint string
	Reads       []Read
	Waves       []Wave
	// Needs are what has to come first, each with the request that breaks otherwise. Dropped are those that the call graph
	// speaks against, so that nothing waits for them.
	Needs, Dropped []Need
	// Stays are the workloads that keep their sidecars, and what could be done about each.
	Stays []Stay
	// Accepted are the divergences that a person took.
	Accepted []Acceptance
	// Done counts the workloads that are where the plan would put them.
	Done int
	// Proof says what was compared.
	Proof Proof
	// Notes say what else a reader should know; Limits what the proof does not cover and what was assumed.
	Notes, Limits []string
}

// Manifests returns every object that the steps of the plan write, in their order, as server-side apply takes them.
func (p *Plan) Manifests() ([]map[string]any, error) {
	var out []map[string]any
	for _, w := range p.Waves {
		for _, s := range w.Steps {
			if !s.Edit.Sets() || s.Edit.Verb == Recreate {
				continue
			}
			m, err := s.Edit.Manifest()
			if err != nil {
				return nil, fmt.Errorf("step %s: %w", s.ID, err)
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// Steps lists the steps of all waves.
func (p *Plan) Steps() []Step {
	var out []Step
	for _, w := range p.Waves {
		out = append(out, w.Steps...)
	}
	return out
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Waves) == 0 }

// Wave is a set of steps; everything in it may be under way at once. The next wave starts when all gates of this one have passed.
type Wave struct {
	Name string `json:"name"`
	// Purpose is one sentence for a person.
	Purpose string `json:"purpose"`
	Steps   []Step `json:"steps"`
}

// StepKind says what a step is for.
type StepKind string

// Kinds of steps, in the order in which a unit goes through them.
const (
	KindRestart  StepKind = "restart"  // a sidecar is made anew so that it listens on HBONE
	KindWaypoint StepKind = "waypoint" // a waypoint is made
	KindCopy     StepKind = "copy"     // a policy for the waypoint, without effect until calls pass there
	KindAdmit    StepKind = "admit"    // an ALLOW for the waypoint where some ALLOW applies
	KindExempt   StepKind = "exempt"   // a DENY leaves alone what the waypoint has judged
	KindGuard    StepKind = "guard"    // a DENY of all but the waypoint at ambient pods
	KindClose    StepKind = "close"    // pods of a workload refuse each other for a while
	KindBind     StepKind = "bind"     // a Service gets its waypoint, for gateways as well where calls come from one
	KindMove     StepKind = "move"     // a workload's next pods are ambient
	KindChange   StepKind = "change"   // a write that a person asked for
	KindRetire   StepKind = "retire"   // a policy goes that the waypoint has taken over, or that was for the way only
)

// UndoKind says what giving a step up takes.
type UndoKind string

// Kinds of undo.
const (
	// UndoAtOnce: one write, in effect within seconds.
	UndoAtOnce UndoKind = "immediate"
	// UndoByRestart: pods are made anew.
	UndoByRestart UndoKind = "restart"
	// UndoNone: what was there cannot be brought back.
	UndoNone UndoKind = "none"
)

// Step is one change with its undo.
type Step struct {
	// ID is stable for the same change: kind and object.
	ID      string   `json:"id"`
	Kind    StepKind `json:"kind"`
	Subject mesh.Ref `json:"subject"`
	// Why is one sentence.
	Why  string `json:"why"`
	Edit Edit   `json:"edit"`
	// Undo brings back what stood before.
	Undo     Edit     `json:"undo"`
	UndoKind UndoKind `json:"undoKind"`
	// Restarts tells that pods of the subject are made anew.
	Restarts bool   `json:"restarts,omitempty"`
	Gates    []Gate `json:"gates,omitempty"`
}

// Gate is what has to be seen before the next step that depends on this one.
type Gate struct {
	// Check names the check: see the constants.
	Check string `json:"check"`
	// Object that it is about.
	Object mesh.Ref `json:"object"`
	// Expect is what must hold, in words.
	Expect string `json:"expect"`
	// Before says that it is looked at before the step is taken, not after.
	Before bool `json:"before,omitempty"`
}

// Checks.
const (
	GateProgrammed = "WaypointProgrammed" // the Gateway has an address and a ready pod
	GateAccepted   = "PolicyAccepted"     // status: WaypointAccepted, or ZtunnelAccepted
	GateBound      = "WaypointBound"      // the Service's condition
	GateRolledOut  = "RolledOut"          // every pod is new and ready
	GateOnlyVia    = "OnlyThroughWaypoint"
	GateNoOld      = "NoSidecarPods"
	GateNoCalls    = "NoCalls" // the workload that moves was not seen to call the object
)

// EventKind is a moment in the life of a workload or policy.
type EventKind string

// Events.
const (
	MoveStart EventKind = "moveStart" // its first ambient pod
	MoveEnd   EventKind = "moveEnd"   // its last pod with a sidecar is gone
	Retire    EventKind = "retire"    // the policy is removed
	Written   EventKind = "written"   // the object is as a change says
)

// Event is a moment that needs speak of.
type Event struct {
	Kind    EventKind
	Subject mesh.Ref
	// Others are further ones for which the same holds.
	Others []mesh.Ref
}

// Reason is why one event has to come before another.
type Reason string

// Reasons.
const (
	// ReasonBypass: a caller with a sidecar calls the pods themselves, past the waypoint, and the guard refuses it.
	ReasonBypass Reason = "calls-past-the-waypoint"
	// ReasonPlaintext: a caller's calls arrive without an identity and are refused.
	ReasonPlaintext Reason = "arrives-without-identity"
	// ReasonAddress: a policy goes by addresses, which calls through HBONE do not have.
	ReasonAddress Reason = "address-not-seen"
	// ReasonWeaker: a call that is refused today would pass.
	ReasonWeaker Reason = "would-be-weaker"
	// ReasonRetire: the policy still lets a caller in.
	ReasonRetire Reason = "still-admitted-by-it"
	// ReasonRefused: refused for another reason; the request says more.
	ReasonRefused Reason = "refused"
)

// Evidence is how sure it is that a caller calls.
type Evidence string

// Evidence, the strongest first.
const (
	Observed Evidence = "observed" // metrics show calls
	Declared Evidence = "declared" // a policy, a route or an object names the caller
	Possible Evidence = "possible" // nothing forbids it, and nothing was observed at all
	Refuted  Evidence = "refuted"  // calls were observed, these were not among them
	// Always is for what security itself needs: it does not depend on who calls.
	Always Evidence = "always"
)

// Need says that one event comes before another, and what breaks otherwise.
type Need struct {
	First, Then Event
	Reason      Reason
	Evidence    Evidence
	// Request is the call that breaks; Words says it as a person would.
	Request authz.Request
	Words   string
	// Before and After say who decides.
	Before, After authz.Answer
}

// Because is one reason why a workload keeps its sidecar.
type Because struct {
	// Code is a rule's code, or one of the Code constants.
	Code string
	Text string
}

// Codes of reasons that are the plan's own.
const (
	CodePinned   = "pinned"   // a caller that keeps its sidecar calls it past the waypoint
	CodeCycle    = "cycle"    // it and others call each other, and none can go first
	CodePeers    = "peers"    // its own pods call each other
	CodeOutside  = "outside"  // a caller outside the mesh would be refused
	CodeRefused  = "refused"  // a call that exists would be refused in the end
	CodeWeaker   = "weaker"   // no preparation was found with which nothing is weaker
	CodeTemplate = "template" // there is no pod template to change
	CodeOwner    = "owner"    // its object was not read
	CodePorts    = "ports"    // a policy's ports cannot be translated
	CodeScope    = "scope"    // left out by a flag
	CodeRoutes   = "routes"   // no route was found that does the same
	CodeSetup    = "ambient"  // the cluster cannot run ambient pods
)

// Choice is something that would let a workload move, with its price.
type Choice struct {
	Name string
	Text string
	// Price says what it costs.
	Price string
	// Accept is the word for --accept, empty where a flag does not do it.
	Accept string
}

// Stay is a workload that keeps its sidecar.
type Stay struct {
	Workload mesh.Ref
	Because  []Because
	// Blockers are the workloads that it waits for.
	Blockers []mesh.Ref
	Choices  []Choice
}

// Acceptance is a divergence that a person takes.
type Acceptance struct {
	// Code is one of the codes of a Stay; Namespace and Name are the workload's.
	Code, Namespace, Name string
	// Why and Who are the person's words; When is when it was said, zero where no clock was given.
	Why, Who string
	When     time.Time
}

// Proof says how much was compared.
type Proof struct {
	// Comparisons of whole states with the start, and the scenarios and request classes in them.
	Comparisons, Scenarios, Regions int
	// Weaker is the number of calls found weaker in the accepted plan; always 0 unless Accepted says otherwise.
	Weaker int
	// PodSets is the number of sets of pods in the state in which all are under way.
	PodSets int
}
