package duty

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/doctor"
	"github.com/sidestep-mesh/sidestep/internal/object"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// enforcementChecks are the checks of doctor whose rules say that something which is written is not enforced. What they find counts
// whatever severity a rule gives it where a workload is still to move.
var enforcementChecks = []string{"policies-enforced", "policies-attached", "services-bound", "waypoint-ready", "nobody-can-go-round"}

// Watched returns the codes of the rules that a Migration's condition Safe rests on, sorted.
func Watched() []string {
	var out []string
	for _, id := range enforcementChecks {
		check, _ := doctor.Lookup(id)
		out = append(out, check.Rules...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Lost is a gap that comes of something having been taken away.
type Lost struct {
	Workload, Object object.Ref
	Code             string
	Message, Remedy  string
	weaker           bool
}

// gaps lists what the modes in effect in scope do not enforce, and tells what is new and what is gone.
func (a *assessment) gaps(known bool) {
	found := a.find()
	had := map[string]v1alpha1.Gap{}
	for _, g := range a.was.Unsafe {
		had[keyOf(&g)] = g
	}
	listed := map[string]bool{}
	for i := range found {
		g := &found[i]
		key := keyOf(g)
		listed[key] = true
		if old, there := had[key]; there {
			g.Since = old.Since
			continue
		}
		g.Since = a.now
		if len(a.was.Unsafe) >= mostGaps && i >= mostGaps {
			continue // it may have been there, beyond the end of the list
		}
		object := refOf(g.Object)
		a.tell(object, true, ReasonGap, "%s: %s", g.Code, g.Message)
		if g.Workload != nil && *g.Workload != g.Object {
			a.tell(refOf(*g.Workload), true, ReasonGap, "%s: %s", g.Code, g.Message)
		}
		a.remember(ReasonGap, "%s %s: %s", g.Code, object, g.Message)
	}
	for _, g := range a.was.Unsafe {
		if !listed[keyOf(&g)] {
			a.tell(refOf(g.Object), false, ReasonGapClosed, "%s is over: %s", g.Code, g.Message)
			a.remember(ReasonGapClosed, "%s %s", g.Code, refOf(g.Object))
		}
	}
	a.out.Status.Unsafe = found[:min(len(found), mostGaps)]
	switch {
	case len(found) > 0:
		var words []string
		for _, g := range found {
			words = append(words, fmt.Sprintf("%s: %s", g.Code, g.Message))
		}
		a.condition(v1alpha1.ConditionSafe, metav1.ConditionFalse, ReasonGap, fmt.Sprintf("%s: %s", plural(len(found), "gap", "gaps"), some(words, 3)))
	case !known:
		a.condition(v1alpha1.ConditionSafe, metav1.ConditionUnknown, ReasonKindsHidden, "Nothing was found, and not everything can be read; see condition Known.")
	default:
		a.condition(v1alpha1.ConditionSafe, metav1.ConditionTrue, ReasonEnforced, "The mode of every workload in scope enforces what its policies say.")
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// find lists the gaps, sorted.
func (a *assessment) find() []v1alpha1.Gap {
	codes := Watched()
	var out []v1alpha1.Gap
	for i := range a.view.Audit.Workloads {
		r := &a.view.Audit.Workloads[i]
		w := r.Workload
		if !a.scope[w.Namespace] || w.Mode != object.Ambient && w.PodModes.Ambient == 0 {
			continue
		}
		for j := range r.Findings {
			if f := &r.Findings[j]; slices.Contains(codes, f.Code) && f.Severity != audit.Info {
				workload := reference(w.Ref)
				out = append(out, v1alpha1.Gap{Code: f.Code, Workload: &workload, Object: reference(f.Subject), Message: f.Message, Remedy: f.Remedy})
			}
		}
	}
	for i := range a.view.Audit.Findings {
		f := &a.view.Audit.Findings[i]
		if a.scope[f.Subject.Namespace] && slices.Contains(codes, f.Code) && f.Severity == audit.Error {
			out = append(out, v1alpha1.Gap{Code: f.Code, Object: reference(f.Subject), Message: f.Message, Remedy: f.Remedy})
		}
	}
	for _, l := range a.view.Lost {
		if a.scope[l.Workload.Namespace] {
			workload := reference(l.Workload)
			out = append(out, v1alpha1.Gap{Code: l.Code, Workload: &workload, Object: reference(l.Object), Message: l.Message, Remedy: l.Remedy})
		}
	}
	slices.SortStableFunc(out, func(x, y v1alpha1.Gap) int { return cmp.Compare(keyOf(&x), keyOf(&y)) })
	return slices.CompactFunc(out, func(x, y v1alpha1.Gap) bool { return keyOf(&x) == keyOf(&y) })
}

// keyOf tells gaps apart: the same rule about the same object and workload is the same gap, whatever it says.
func keyOf(g *v1alpha1.Gap) string {
	key := g.Code + " " + refOf(g.Object).String()
	if g.Workload != nil {
		key += " " + refOf(*g.Workload).String()
	}
	return key
}

func reference(r object.Ref) v1alpha1.ObjectReference {
	return v1alpha1.ObjectReference{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

func refOf(r v1alpha1.ObjectReference) object.Ref {
	return object.Ref{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}
