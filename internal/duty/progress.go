package duty

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Planned is a plan in numbers.
type Planned struct {
	Hash         string
	Waves        []Wave
	Moves, Stays int
	ConfigMap    string
	// Failed says why there is no plan.
	Failed string
}

// Wave is one wave of a plan.
type Wave struct {
	Name, Purpose string
	Steps, Done   int
	// Weaker says that a person accepted something weaker in it.
	Weaker bool
}

// Carried is what carrying out has come to.
type Carried struct {
	// Reason is a CamelCase word, such as Waiting, Held, Halted; Message says for what, since when, until when.
	Reason, Message string
	// Stuck says that a person has to look.
	Stuck bool
	Held  []v1alpha1.Hold
}

// plan puts the plan into the status.
func (a *assessment) plan() {
	p := a.view.Planned
	if p == nil || a.mig.Spec.Mode == v1alpha1.Observe || a.mig.Spec.Mode == "" || p.Failed != "" {
		return
	}
	steps := 0
	for _, w := range p.Waves {
		steps += w.Steps
		policy := PolicyFor(&a.mig.Spec.Review, w.Name)
		a.out.Status.Waves = append(a.out.Status.Waves, v1alpha1.WaveStatus{
			Name: w.Name, Purpose: w.Purpose, Steps: int32(w.Steps), Done: int32(w.Done), Review: policy,
			Approved: Approved(&a.mig.Spec, p.Hash, w),
		})
	}
	a.out.Status.Plan = &v1alpha1.PlanStatus{
		Hash: p.Hash, Waves: int32(len(p.Waves)), Steps: int32(steps), Moves: int32(p.Moves), Stays: int32(p.Stays), ConfigMap: p.ConfigMap,
	}
	if a.was.Plan == nil || a.was.Plan.Hash != p.Hash {
		a.remember("Planned", "plan %s: %s, %s, %d stay", p.Hash, plural(len(p.Waves), "wave", "waves"), plural(p.Moves, "workload moves", "workloads move"), p.Stays)
	}
}

// PolicyFor is the review policy of a wave: its own, the default, or ALWAYS.
func PolicyFor(r *v1alpha1.Review, wave string) v1alpha1.ReviewPolicy {
	for _, w := range r.Waves {
		if w.Name == wave {
			return w.Review
		}
	}
	if r.Default == "" {
		return v1alpha1.ReviewAlways
	}
	return r.Default
}

// Approved reports whether a wave of a plan may begin: its policy asks nobody, or somebody approved exactly this plan.
func Approved(spec *v1alpha1.MigrationSpec, hash string, w Wave) bool {
	switch PolicyFor(&spec.Review, w.Name) {
	case v1alpha1.ReviewNever:
		return true
	case v1alpha1.ReviewOnWeaker:
		if !w.Weaker {
			return true
		}
	}
	for _, ap := range spec.Approvals {
		if ap.Plan != hash {
			continue
		}
		if len(ap.Waves) == 0 {
			return true
		}
		for _, name := range ap.Waves {
			if name == w.Name {
				return true
			}
		}
	}
	return false
}

// LeadingApproved counts the waves from the first on that may begin, in their order.
func LeadingApproved(spec *v1alpha1.MigrationSpec, hash string, waves []Wave) int {
	for i, w := range waves {
		if !Approved(spec, hash, w) {
			return i
		}
	}
	return len(waves)
}

// progress says what the controller does, or waits for, and tells when that changes.
func (a *assessment) progress() {
	was := ""
	if c := meta.FindStatusCondition(a.was.Conditions, v1alpha1.ConditionProgressing); c != nil {
		was = c.Reason
	}
	a.progressing()
	c := meta.FindStatusCondition(a.out.Status.Conditions, v1alpha1.ConditionProgressing)
	if c.Reason != was && a.view.Carried != nil {
		a.tell(a.self(), a.view.Carried.Stuck, c.Reason, "%s", c.Message)
		a.remember(c.Reason, "%s", c.Message)
	}
}

func (a *assessment) progressing() {
	c := a.out.Status.Workloads
	done := c.ToMove == 0
	where := fmt.Sprintf("%d of %s in ambient mode, %d to move, %d keep their sidecars", c.Ambient, plural(int(c.Total), "workload", "workloads"), c.ToMove, c.Keep)
	switch {
	case len(a.scope) == 0:
		a.condition(v1alpha1.ConditionComplete, metav1.ConditionUnknown, ReasonEmptyScope, "No namespace in scope exists.")
	case done:
		a.condition(v1alpha1.ConditionComplete, metav1.ConditionTrue, ReasonEverybodyDone, "Everybody in scope is in the mode of the verdict: "+where+".")
	default:
		a.condition(v1alpha1.ConditionComplete, metav1.ConditionFalse, ReasonSomeToMove, where+".")
	}
	switch mode := a.mig.Spec.Mode; {
	case len(a.scope) == 0:
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, ReasonEmptyScope, "No namespace in scope exists: correct spec.scope, or create one.")
	case a.mig.Spec.Paused:
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, ReasonPaused, "spec.paused is set: nothing is written; "+where+".")
	case a.view.Planned != nil && a.view.Planned.Failed != "" && mode != v1alpha1.Observe:
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, ReasonInvalid, "There is no plan: "+a.view.Planned.Failed)
	case a.view.Carried != nil:
		status := metav1.ConditionTrue
		if a.view.Carried.Stuck {
			status = metav1.ConditionFalse
		}
		a.condition(v1alpha1.ConditionProgressing, status, a.view.Carried.Reason, a.view.Carried.Message)
		a.out.Status.Held = a.view.Carried.Held[:min(len(a.view.Carried.Held), mostHeld)]
	case mode == v1alpha1.Enforce || mode == v1alpha1.Recommend && a.view.Planned == nil:
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, "Planning", "A plan is made; "+where+".")
	case mode == v1alpha1.Recommend:
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, "Recommending", "The plan is written down and nothing is carried out: "+where+".")
	default:
		a.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, ReasonObserving, "Nothing is planned or carried out in mode Observe: "+where+".")
	}
}
