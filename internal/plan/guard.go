package plan

import (
	"maps"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	securityv1beta1 "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
)

// podSelector returns labels that select the pods of a workload, before and after it moves: the labels of its own selector,
// else those of its template.
func podSelector(w *mesh.Workload) map[string]string {
	var own *metav1.LabelSelector
	switch o := w.Object.(type) {
	case *appsv1.Deployment:
		own = o.Spec.Selector
	case *appsv1.StatefulSet:
		own = o.Spec.Selector
	case *appsv1.DaemonSet:
		own = o.Spec.Selector
	case *appsv1.ReplicaSet:
		own = o.Spec.Selector
	case *partial.Rollout:
		own = o.Spec.Selector
	}
	if own != nil && len(own.MatchLabels) > 0 {
		return own.MatchLabels
	}
	if w.Template == nil {
		return nil
	}
	out := maps.Clone(w.Template.Labels)
	for _, k := range []string{mesh.LabelInject, mesh.LabelDataplaneMode} { // the move changes these
		delete(out, k)
	}
	return out
}

// admitEdit lets a workload's waypoints pass where some ALLOW policy applies: their identity is not the caller's.
func (y *synthesis) admitEdit(w *mesh.Workload, principals []string) Edit {
	r := y.names.name(groupSecurity, kindPolicy, w.Namespace, w.Name+"-admit-waypoint")
	o := &securityv1.AuthorizationPolicy{ObjectMeta: meta(r)}
	o.Spec.Action = securityv1beta1.AuthorizationPolicy_ALLOW
	o.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: podSelector(w)}
	o.Spec.Rules = []*securityv1beta1.Rule{{From: []*securityv1beta1.Rule_From{{Source: &securityv1beta1.Source{Principals: principals}}}}}
	return Edit{Verb: Create, Object: r, Put: o}
}

// guardEdit refuses all but the waypoints at a workload's ambient pods, and at no others: a sidecar that knows nothing of the
// waypoint still calls the pods that have one themselves. It is a DENY: an ALLOW for the waypoint alone is bypassed by any
// other ALLOW that ztunnel understands, and opens when the waypoint is deleted.
func (y *synthesis) guardEdit(w *mesh.Workload, principals []string, except []exception) Edit {
	r := y.names.name(groupSecurity, kindPolicy, w.Namespace, w.Name+"-waypoint-only")
	o := &securityv1.AuthorizationPolicy{ObjectMeta: meta(r)}
	o.Spec.Action = securityv1beta1.AuthorizationPolicy_DENY
	selector := maps.Clone(podSelector(w))
	if selector == nil {
		selector = map[string]string{}
	}
	selector[mesh.LabelDataplaneMode] = mesh.ModeAmbient
	o.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: selector}
	source := &securityv1beta1.Source{NotPrincipals: slices.Clone(principals)}
	rule := &securityv1beta1.Rule{From: []*securityv1beta1.Rule_From{{Source: source}}}
	var ports []string
	for _, x := range except {
		if x.port != "" {
			ports = append(ports, x.port)
		}
		if x.principal != "" {
			source.NotPrincipals = append(source.NotPrincipals, x.principal)
		}
	}
	if len(ports) > 0 {
		rule.To = []*securityv1beta1.Rule_To{{Operation: &securityv1beta1.Operation{NotPorts: ports}}}
	}
	if len(source.NotPrincipals) == 0 {
		rule.From = nil // nothing leads to these pods: nobody may call them
	}
	o.Spec.Rules = []*securityv1beta1.Rule{rule}
	return Edit{Verb: Create, Object: r, Put: o}
}

// closeEdit makes pods of a workload refuse each other, by their own identity.
func (y *synthesis) closeEdit(w *mesh.Workload) Edit {
	r := y.names.name(groupSecurity, kindPolicy, w.Namespace, w.Name+"-not-itself")
	o := &securityv1.AuthorizationPolicy{ObjectMeta: meta(r)}
	o.Spec.Action = securityv1beta1.AuthorizationPolicy_DENY
	o.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: podSelector(w)}
	o.Spec.Rules = []*securityv1beta1.Rule{{From: []*securityv1beta1.Rule_From{{Source: &securityv1beta1.Source{Principals: []string{w.Principal}}}}}}
	return Edit{Verb: Create, Object: r, Put: o}
}

// exception lets somebody past the guard: callers of a port, or one identity.
type exception struct {
	port, principal string
}

// exempted returns a DENY policy that leaves waypoints alone: what they forward, they have judged by the copy. Every rule gets
// the waypoints among its notPrincipals; one without sources gets a source that is everybody else.
func exempted(o *securityv1.AuthorizationPolicy, principals []string) *securityv1.AuthorizationPolicy {
	out := o.DeepCopy()
	for _, rule := range out.Spec.Rules {
		if len(rule.From) == 0 {
			rule.From = []*securityv1beta1.Rule_From{{Source: &securityv1beta1.Source{}}}
		}
		for _, from := range rule.From {
			if from.Source == nil {
				from.Source = &securityv1beta1.Source{}
			}
			for _, p := range principals {
				if !slices.Contains(from.Source.NotPrincipals, p) {
					from.Source.NotPrincipals = append(from.Source.NotPrincipals, p)
				}
			}
		}
	}
	return out
}
