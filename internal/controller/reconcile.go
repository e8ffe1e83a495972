package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/duty"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// reconciler gives Migrations their status.
type reconciler struct {
	client  client.Client
	engine  *engine
	planner *planner
	carrier *carrier
	meters  *meters
	events  events.EventRecorder
	now     func() time.Time
}

// every asks for every Migration to be looked at: the state of the mesh is new.
func (r *reconciler) every(ctx context.Context, _ client.Object) []reconcile.Request {
	var list v1alpha1.MigrationList
	if err := r.client.List(ctx, &list); err != nil { // it is the cache that is asked
		log.FromContext(ctx).Error(err, "list Migrations")
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: list.Items[i].Name}})
	}
	return out
}

// Reconcile looks at one Migration in the state of the mesh as it is known now.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s := r.engine.current.Load()
	if s == nil {
		return reconcile.Result{}, nil // the first state calls for every Migration
	}
	var mig v1alpha1.Migration
	if err := r.client.Get(ctx, req.NamespacedName, &mig); err != nil {
		if apierrors.IsNotFound(err) {
			r.meters.forget(req.Name)
			r.planner.forget(req.Name)
			r.carrier.forget(req.Name)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	view := duty.View{Mesh: s.mesh, Audit: s.audit, World: s.world, Lost: s.lost}
	enforce := mig.Spec.Mode == v1alpha1.Enforce
	if p := r.planner.want(&mig, enforce || mig.Spec.Mode == v1alpha1.Recommend); p != nil {
		view.Planned = p.numbers
	}
	view.Carried = r.carrier.want(&mig, enforce && !mig.Spec.Paused)
	out := duty.Assess(&mig, view, r.now())
	if err := r.write(ctx, &mig, out.Status); err != nil {
		return reconcile.Result{}, err
	}
	for _, e := range out.Events {
		r.tell(s, e)
	}
	r.meters.looked(&mig, out.Status, s, r.now())
	return reconcile.Result{}, nil
}

// write stores a status that is new. The object's resource version has to be the one that was looked at: who changed it in between
// is looked at again.
func (r *reconciler) write(ctx context.Context, mig *v1alpha1.Migration, status v1alpha1.MigrationStatus) error {
	if equality.Semantic.DeepEqual(mig.Status, status) {
		return nil
	}
	next := mig.DeepCopy()
	next.Status = status
	if err := r.client.Status().Update(ctx, next); err != nil {
		return fmt.Errorf("write the status of Migration %s: %w", mig.Name, err)
	}
	return nil
}

// tell sends an event to the object that it is about.
func (r *reconciler) tell(s *state, e duty.Event) {
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	const most = 1024 // a note may be no longer
	note := e.Message
	if len(note) > most {
		note = note[:most-3] + "..."
	}
	r.events.Eventf(referenceTo(s.mesh.Snapshot, e.Object), nil, kind, e.Reason, "Audit", "%s", note)
}

// referenceTo names an object as events do. The UID, by which kubectl describe finds events, is the snapshot's.
func referenceTo(snap *snapshot.Snapshot, ref object.Ref) *corev1.ObjectReference {
	out := &corev1.ObjectReference{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, APIVersion: "v1"}
	for _, info := range snapshot.Kinds() {
		if info.Kind.Kind != ref.Kind || ref.Group != "" && ref.Group != info.Group {
			continue
		}
		o, ok := snap.Find(info.Kind, ref.Namespace, ref.Name)
		if !ok && ref.Group != info.Group {
			continue
		}
		out.APIVersion = info.WithVersion(info.Versions[0]).GroupVersion().String()
		if ok {
			out.UID = o.GetUID()
			return out
		}
	}
	if ref.Kind == "Migration" {
		out.APIVersion = v1alpha1.GroupVersion.String()
	}
	return out
}
