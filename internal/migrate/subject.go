package migrate

import (
	"encoding/json"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/plan"
	"github.com/sidestep-mesh/sidestep/internal/verify"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// subject is what a gate of a step is asked about.
func (m *machine) subject(s plan.Step, g plan.Gate) verify.Subject {
	out := verify.Subject{Object: g.Object, Step: string(s.Kind)}
	if s.Kind == plan.KindMove {
		out.Workload = s.Subject
		out.Admitted, out.AdmittedPorts = m.admitted(s)
	}
	return out
}

// admitted says who may call a workload past its waypoint: the waypoints of its Services and whoever the guards of the plan leave alone.
func (m *machine) admitted(s plan.Step) (principals, ports []string) {
	if m.evidence.Mesh == nil {
		return nil, nil
	}
	w := m.evidence.Mesh.Workload(s.Subject.Kind, s.Subject.Namespace, s.Subject.Name)
	if w == nil {
		return nil, nil
	}
	for _, v := range w.Services {
		for _, g := range m.evidence.Mesh.Waypoints {
			if v.Waypoint.Bound && g.Ref == v.Waypoint.Gateway {
				principals = append(principals, g.Principal)
			}
		}
	}
	for _, wave := range m.plan.Waves {
		for _, x := range wave.Steps {
			o, ok := x.Edit.Put.(*securityv1.AuthorizationPolicy)
			if !ok || x.Kind != plan.KindGuard || x.Subject.Namespace != s.Subject.Namespace || !guards(o, w.Labels) {
				continue
			}
			for _, rule := range o.Spec.Rules {
				for _, from := range rule.From {
					principals = append(principals, from.GetSource().GetNotPrincipals()...)
				}
				for _, to := range rule.To {
					ports = append(ports, to.GetOperation().GetNotPorts()...)
				}
			}
		}
	}
	slices.Sort(principals)
	slices.Sort(ports)
	return slices.Compact(principals), slices.Compact(ports)
}

// guards reports whether a policy selects the pods that the move of a step makes.
func guards(o *securityv1.AuthorizationPolicy, labels map[string]string) bool {
	for k, v := range o.Spec.GetSelector().GetMatchLabels() {
		if got, ok := labels[k]; k != mesh.LabelDataplaneMode && (!ok || got != v) {
			return false
		}
	}
	return true
}

// Patch is an edit as its owner commits it: a server-side apply manifest in JSON, or a strategic merge patch with nulls for
// what goes.
func Patch(e plan.Edit) string {
	if e.Verb == plan.Delete {
		return "delete " + e.Object.String()
	}
	manifest, err := e.Manifest()
	if err != nil {
		return ""
	}
	if len(e.Removed()) > 0 {
		nulls(manifest, e)
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return ""
	}
	return string(raw)
}

// nulls adds the labels and annotations that an edit removes.
func nulls(manifest map[string]any, e plan.Edit) {
	at := manifest
	path := []string{"metadata"}
	switch {
	case e.Verb != plan.Label && e.Object.Kind == "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template", "metadata"}
	case e.Verb != plan.Label:
		path = []string{"spec", "template", "metadata"}
	}
	for _, p := range path {
		next, ok := at[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[p] = next
		}
		at = next
	}
	for name, values := range map[string]map[string]*string{"labels": e.Labels, "annotations": e.Annotations} {
		for k, v := range values {
			if v != nil {
				continue
			}
			list, ok := at[name].(map[string]any)
			if !ok {
				list = map[string]any{}
				at[name] = list
			}
			list[k] = nil
		}
	}
}
