package verify

import (
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// istio-cni writes the annotation once ztunnel has the pod (pkg/config/constants AmbientRedirectionEnabled); until then the pod has
// neither a sidecar nor ztunnel.
var enrolled = Gate{
	Name: Enrolled, Deadline: 5 * time.Minute,
	Doc: "ztunnel has taken every pod of the workload",
	Check: func(e *Evidence, s Subject) Result {
		w := workloadOf(e, s.Workload)
		if w == nil {
			return pass("it is gone")
		}
		n := 0
		for _, p := range w.Pods {
			if finished(p.Status.Phase) {
				continue
			}
			if got := p.Annotations[mesh.AnnotationRedirection]; got != mesh.RedirectionEnabled {
				if got == "" {
					got = "absent"
				}
				return notYet("annotation %s of pod %s is %s", mesh.AnnotationRedirection, p.Name, got)
			}
			n++
		}
		if n == 0 && w.Replicas > 0 && w.Kind != "CronJob" && w.Kind != "Job" {
			return notYet("it has no pods")
		}
		return pass("ztunnel has all of %d pods", n)
	},
}

var noSidecarPods = Gate{
	Name: "NoSidecarPods", Deadline: 15 * time.Minute,
	Doc: "no pod has a sidecar any more",
	Check: func(e *Evidence, s Subject) Result {
		if w := workloadOf(e, s.Object); w != nil {
			if left := withSidecars(w); left > 0 {
				return notYet("%d pods of %s have sidecars", left, w.Ref)
			}
			return pass("no pod of %s has a sidecar", w.Ref)
		}
		// A policy: no pod that it selects.
		for _, w := range e.Mesh.Workloads {
			for _, p := range w.Policies {
				if p.Kind != s.Object.Kind || p.Namespace != s.Object.Namespace || p.Name != s.Object.Name || w.Role != mesh.Application {
					continue
				}
				if left := withSidecars(w); left > 0 {
					return notYet("%d pods of %s have sidecars, and it selects them", left, w.Ref)
				}
			}
		}
		return pass("no pod that it selects has a sidecar")
	},
}

func withSidecars(w *mesh.Workload) int {
	n := 0
	for i := range w.Sets {
		if w.Sets[i].Mode != mesh.Sidecar {
			continue
		}
		for _, p := range w.Sets[i].Pods {
			if !finished(p.Status.Phase) {
				n++
			}
		}
		if w.Derived {
			n++ // no pod was read: the template speaks for them
		}
	}
	return n
}
