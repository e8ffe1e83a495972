package verify

import (
	"fmt"
	"slices"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/partial"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// The rules of kubectl rollout status (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go), and that new pods are ready.
var rolledOut = Gate{
	Name: "RolledOut", Deadline: 15 * time.Minute,
	Doc: "every pod that is wanted is new and ready, and none of the old are left",
	Check: func(e *Evidence, s Subject) Result {
		w := workloadOf(e, s.Object)
		if w == nil {
			return pass("it is gone")
		}
		switch o := w.Object.(type) {
		case *appsv1.Deployment:
			return deploymentRolledOut(o)
		case *appsv1.StatefulSet:
			return statefulSetRolledOut(o)
		case *appsv1.DaemonSet:
			return daemonSetRolledOut(o)
		case *batchv1.CronJob, *batchv1.Job:
			return pass("its next run is made from the new template")
		case *partial.Rollout:
			return podsNew(w, "promote the Rollout, where its strategy waits for that")
		}
		return podsNew(w, "delete its pods one by one: nothing else makes them anew")
	},
}

func deploymentRolledOut(o *appsv1.Deployment) Result {
	want := int32(1)
	if o.Spec.Replicas != nil {
		want = *o.Spec.Replicas
	}
	st := o.Status
	for _, c := range st.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" && st.ObservedGeneration >= o.Generation {
			return fail(New, "the rollout does not go on: %s", c.Message)
		}
	}
	switch {
	case st.ObservedGeneration < o.Generation:
		return notYet("the Deployment controller has not seen the new template")
	case o.Spec.Paused:
		return notYet("the Deployment is paused: kubectl rollout resume it")
	case st.UpdatedReplicas < want:
		return notYet("%d of %d pods are new", st.UpdatedReplicas, want)
	case st.Replicas > st.UpdatedReplicas:
		return notYet("%d old pods are left", st.Replicas-st.UpdatedReplicas)
	case st.AvailableReplicas < st.UpdatedReplicas || st.ReadyReplicas < want:
		return notYet("%d of %d new pods are available", st.AvailableReplicas, want)
	}
	return pass("%d of %d pods are new and available", st.UpdatedReplicas, want)
}

func statefulSetRolledOut(o *appsv1.StatefulSet) Result {
	want := int32(1)
	if o.Spec.Replicas != nil {
		want = *o.Spec.Replicas
	}
	st := o.Status
	switch {
	case st.ObservedGeneration < o.Generation:
		return notYet("the StatefulSet controller has not seen the new template")
	case o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType && st.UpdatedReplicas < want:
		return notYet("its updateStrategy is OnDelete: delete its pods; %d of %d are new", st.UpdatedReplicas, want)
	case partition(o) > 0 && st.UpdatedReplicas < want:
		return notYet("its updateStrategy has partition %d: pods below it stay old until that is 0", partition(o))
	case st.UpdatedReplicas < want || st.CurrentRevision != st.UpdateRevision:
		return notYet("%d of %d pods are new", st.UpdatedReplicas, want)
	case st.ReadyReplicas < want:
		return notYet("%d of %d pods are ready", st.ReadyReplicas, want)
	}
	return pass("%d of %d pods are new and ready", st.UpdatedReplicas, want)
}

func partition(o *appsv1.StatefulSet) int32 {
	if u := o.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil {
		return *u.Partition
	}
	return 0
}

func daemonSetRolledOut(o *appsv1.DaemonSet) Result {
	st := o.Status
	switch {
	case st.ObservedGeneration < o.Generation:
		return notYet("the DaemonSet controller has not seen the new template")
	case o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType && st.UpdatedNumberScheduled < st.DesiredNumberScheduled:
		return notYet("its updateStrategy is OnDelete: delete its pods; %d of %d are new", st.UpdatedNumberScheduled, st.DesiredNumberScheduled)
	case st.UpdatedNumberScheduled < st.DesiredNumberScheduled:
		return notYet("%d of %d pods are new", st.UpdatedNumberScheduled, st.DesiredNumberScheduled)
	case st.NumberAvailable < st.DesiredNumberScheduled:
		return notYet("%d of %d pods are available", st.NumberAvailable, st.DesiredNumberScheduled)
	}
	return pass("%d of %d pods are new and available", st.UpdatedNumberScheduled, st.DesiredNumberScheduled)
}

// podsNew judges by the pods alone: all bear the labels of the template and are ready.
func podsNew(w *mesh.Workload, advice string) Result {
	if w.Template == nil {
		return notYet("its template is not known")
	}
	for _, p := range w.Pods {
		if finished(p.Status.Phase) {
			continue
		}
		for _, k := range []string{mesh.LabelInject, mesh.LabelDataplaneMode} {
			if p.Labels[k] != w.Template.Labels[k] {
				return notYet("pod %s is of the old template; %s", p.Name, advice)
			}
		}
		if p.Status.Ready != corev1.ConditionTrue {
			return notYet("pod %s is not ready", p.Name)
		}
	}
	return pass("all of %d pods are new and ready", len(w.Pods))
}

func finished(p corev1.PodPhase) bool {
	return slices.Contains([]corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed}, p)
}

// Sides say how well the two generations of a workload's pods are.
type Sides struct {
	// Old and New count the running pods, OldReady and NewReady those that are ready.
	Old, OldReady, New, NewReady int
}

// String words it.
func (s Sides) String() string {
	return fmt.Sprintf("%d of %d old pods and %d of %d new ones are ready", s.OldReady, s.Old, s.NewReady, s.New)
}

// SidesOf counts the pods of a workload by whether they bear a sidecar. Back turns the two round.
func SidesOf(e *Evidence, r mesh.Ref, back bool) Sides {
	var out Sides
	w := workloadOf(e, r)
	if w == nil {
		return out
	}
	for i := range w.Sets {
		set := &w.Sets[i]
		for _, p := range set.Pods {
			if finished(p.Status.Phase) {
				continue
			}
			ready := 0
			if p.Status.Ready == corev1.ConditionTrue {
				ready = 1
			}
			if (set.Mode == mesh.Sidecar) != back {
				out.Old++
				out.OldReady += ready
			} else {
				out.New++
				out.NewReady += ready
			}
		}
	}
	return out
}
