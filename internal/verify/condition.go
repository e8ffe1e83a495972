package verify

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"istio.io/api/meta/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

// condition is one of an object's status, whichever API it is of.
type condition struct {
	kind, status, reason, message string
	// generation is the object's when the condition was written, 0 where it is not said.
	generation int64
}

func conditionNamed(list []condition, kind string) (condition, bool) {
	for _, c := range list {
		if c.kind == kind {
			return c, true
		}
	}
	return condition{}, false
}

// reasonOf words a condition's reason and message, with a comma before; empty where it has none.
func reasonOf(list []condition, kind string) string {
	c, ok := conditionNamed(list, kind)
	if !ok || c.reason == "" && c.message == "" {
		return ""
	}
	return ": " + c.reason + " (" + c.message + ")"
}

func serviceConditions(s *corev1.Service) []condition {
	var out []condition
	for _, c := range s.Status.Conditions {
		out = append(out, condition{kind: c.Type, status: string(c.Status), reason: c.Reason, message: c.Message, generation: c.ObservedGeneration})
	}
	return out
}

func istioConditions(list []*v1alpha1.IstioCondition) []condition {
	var out []condition
	for _, c := range list {
		out = append(out, condition{kind: c.Type, status: c.Status, reason: c.Reason, message: c.Message, generation: c.ObservedGeneration})
	}
	return out
}

// workloadOf finds a workload of the mesh; nil where it is gone.
func workloadOf(e *Evidence, r mesh.Ref) *mesh.Workload {
	return e.Mesh.Workload(r.Kind, r.Namespace, r.Name)
}
