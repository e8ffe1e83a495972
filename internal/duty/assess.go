package duty

import (
	"fmt"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// View is the state of the mesh that a Migration is looked at in.
type View struct {
	Mesh  *mesh.Mesh
	Audit *audit.Result
	// World gives the state as package authz sees it, made once; nil where no Migration has assertions.
	World func() *authz.World
	// Planned is the plan for the Migration's scope; nil where there is none, or none yet.
	Planned *Planned
	// Carried is what carrying the plan out has come to; nil where nothing is carried out.
	Carried *Carried
	// Lost are gaps that are not in the state itself: what stood before is gone.
	Lost []Lost
}

// Event is something that happened, told where a person looks: at the object that is concerned.
type Event struct {
	Object  object.Ref
	Warning bool
	// Reason is one CamelCase word; Message a sentence.
	Reason, Message string
}

// Outcome is what a Migration's status should be and what is to be told.
type Outcome struct {
	Status v1alpha1.MigrationStatus
	Events []Event
}

// Limits of lists in a status: an object has to fit into the API server's store.
const (
	mostGaps     = 100
	mostBreaches = 20
	mostHeld     = 50
	mostEntries  = 20
)

// Reasons of conditions and events.
const (
	ReasonEnforced      = "Enforced"
	ReasonGap           = "EnforcementGap"
	ReasonGapClosed     = "EnforcementGapClosed"
	ReasonKindsHidden   = "KindsHidden"
	ReasonAllRead       = "AllRead"
	ReasonHolds         = "EveryAssertionHolds"
	ReasonBreach        = "AssertionBroken"
	ReasonInvalid       = "Invalid"
	ReasonEmptyScope    = "EmptyScope"
	ReasonEverybodyDone = "EverybodyInPlace"
	ReasonSomeToMove    = "WorkloadsToMove"
	ReasonObserving     = "Observing"
	ReasonPaused        = "Paused"
)

// Assess gives the status of a Migration in a state of the mesh. Its present status is what the last look gave, so that what has
// not changed keeps its times and is not told again.
func Assess(mig *v1alpha1.Migration, v View, now time.Time) Outcome {
	a := &assessment{mig: mig, view: v, now: metav1.NewTime(now.UTC().Truncate(time.Second)), was: &mig.Status}
	a.out.Status.Conditions = slices.Clone(mig.Status.Conditions)
	a.out.Status.History = slices.Clone(mig.Status.History)
	a.out.Status.ObservedGeneration = mig.Generation
	scope, err := ScopeOf(&mig.Spec.Scope, v.Mesh)
	if err != nil {
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, ReasonInvalid, err.Error())
		return a.out
	}
	a.scope = scope
	a.out.Status.Namespaces = int32(len(scope))
	a.count()
	known := a.known()
	a.gaps(known)
	a.assertions()
	a.plan()
	a.progress()
	return a.out
}

// assessment is one look at one Migration.
type assessment struct {
	mig   *v1alpha1.Migration
	view  View
	now   metav1.Time
	was   *v1alpha1.MigrationStatus
	scope map[string]bool
	out   Outcome
}

// condition sets a condition; its time is that of its last change. Messages are bounded as the API server bounds them.
func (a *assessment) condition(kind string, status metav1.ConditionStatus, reason, message string) {
	const most = 4096
	if len(message) > most {
		message = message[:most]
	}
	meta.SetStatusCondition(&a.out.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: a.mig.Generation, LastTransitionTime: a.now,
	})
}

// tell records an event.
func (a *assessment) tell(to object.Ref, warning bool, reason, format string, args ...any) {
	a.out.Events = append(a.out.Events, Event{Object: to, Warning: warning, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// remember puts an entry at the head of the history.
func (a *assessment) remember(reason, format string, args ...any) {
	e := v1alpha1.Entry{Time: a.now, Reason: reason, Message: fmt.Sprintf(format, args...)}
	a.out.Status.History = append([]v1alpha1.Entry{e}, a.out.Status.History...)
	if len(a.out.Status.History) > mostEntries {
		a.out.Status.History = a.out.Status.History[:mostEntries]
	}
}

// self names the Migration.
func (a *assessment) self() object.Ref {
	return object.Ref{Group: v1alpha1.GroupVersion.Group, Kind: "Migration", Name: a.mig.Name}
}

// count counts workloads by mode and verdict.
func (a *assessment) count() {
	c := &a.out.Status.Workloads
	for i := range a.view.Audit.Workloads {
		r := &a.view.Audit.Workloads[i]
		if !a.scope[r.Workload.Namespace] {
			continue
		}
		c.Total++
		sidecars := int32(audit.Sidecars(r.Workload))
		c.Sidecars += sidecars
		switch r.Workload.Mode {
		case object.Sidecar:
			c.Sidecar++
			verdict := r.Verdict
			if r.Override.Costlier(verdict) {
				verdict = r.Override
			}
			switch verdict {
			case audit.VerdictSidecar:
				c.Keep++
				continue
			case audit.VerdictWaypoint:
				c.ToWaypoint++
			}
			c.ToMove++
			c.Removable += sidecars
		case object.Ambient:
			c.Ambient++
		default:
			c.None++
		}
	}
}

// known says whether everything that verdicts depend on can be read, and reports it.
func (a *assessment) known() bool {
	hidden := a.view.Mesh.Snapshot.Unknown()
	var names []string
	for _, k := range hidden {
		if known := a.view.Mesh.Snapshot.Knowledge(k); known.State == "hidden" {
			names = append(names, k.Kind+": "+known.Reason)
		}
	}
	if len(names) == 0 {
		a.condition(v1alpha1.ConditionKnown, metav1.ConditionTrue, ReasonAllRead, "Every kind that verdicts depend on can be read.")
		return true
	}
	a.condition(v1alpha1.ConditionKnown, metav1.ConditionFalse, ReasonKindsHidden,
		fmt.Sprintf("Not everything can be read, so that workloads keep their sidecars: %s.", some(names, 5)))
	return false
}

// some joins the first few of many.
func some(list []string, most int) string {
	out, rest := "", 0
	for i, s := range list {
		if i >= most {
			rest++
			continue
		}
		if i > 0 {
			out += "; "
		}
		out += s
	}
	if rest > 0 {
		out += fmt.Sprintf("; and %d more", rest)
	}
	return out
}
