package duty

import (
	"encoding/json"
	"fmt"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/assertion"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Document returns the assertions of a Migration as a file of them would say them. An error says which one is wrong, and how.
func Document(list []v1alpha1.Assertion) (*assertion.Document, error) {
	text, err := json.Marshal(map[string]any{"apiVersion": assertion.APIVersion, "kind": assertion.Kind, "assertions": list})
	if err != nil {
		return nil, fmt.Errorf("spec.assertions: %w", err)
	}
	return assertion.Parse("spec", text) // JSON is YAML
}

// assertions examines every assertion, and tells of those that began or ceased to hold.
func (a *assessment) assertions() {
	if len(a.mig.Spec.Assertions) == 0 {
		meta.RemoveStatusCondition(&a.out.Status.Conditions, v1alpha1.ConditionAsserted)
		return
	}
	d, err := Document(a.mig.Spec.Assertions)
	if err != nil {
		a.condition(v1alpha1.ConditionAsserted, metav1.ConditionFalse, ReasonInvalid, err.Error())
		return
	}
	had := map[string]v1alpha1.Breach{}
	for _, b := range a.was.Breaches {
		had[b.Name] = b
	}
	var words []string
	broken := 0
	for i, r := range assertion.Check(a.view.World(), d) {
		name := r.Name
		if name == "" {
			name = fmt.Sprintf("assertions[%d]", i)
		}
		old, was := had[name]
		if r.Holds && r.Problem == "" {
			if was {
				a.tell(a.self(), false, ReasonHolds, "%s holds again: %s", name, r.Sentence)
				a.remember(ReasonHolds, "%s", name)
			}
			continue
		}
		broken++
		message := r.Sentence + ": it does not hold"
		switch {
		case r.Problem != "":
			message = r.Sentence + ": it cannot be examined: " + r.Problem
		case len(r.Breaches) > 0:
			message += fmt.Sprintf(", for example for %s: %s", r.Breaches[0].Words, r.Breaches[0].Answer.Why)
		case len(r.Unclear) > 0:
			message += ": it cannot be decided: " + some(r.Unclear, 3)
		}
		words = append(words, message)
		b := v1alpha1.Breach{Name: name, Message: message, Since: a.now}
		if was {
			b.Since = old.Since
		} else {
			a.tell(a.self(), true, ReasonBreach, "%s", message)
			a.remember(ReasonBreach, "%s", message)
		}
		if len(a.out.Status.Breaches) < mostBreaches {
			a.out.Status.Breaches = append(a.out.Status.Breaches, b)
		}
	}
	if broken > 0 {
		a.condition(v1alpha1.ConditionAsserted, metav1.ConditionFalse, ReasonBreach,
			fmt.Sprintf("%d of %s: %s", broken, plural(len(d.Assertions), "assertion", "assertions"), some(words, 3)))
		return
	}
	a.condition(v1alpha1.ConditionAsserted, metav1.ConditionTrue, ReasonHolds, fmt.Sprintf("All %d hold.", len(d.Assertions)))
}
