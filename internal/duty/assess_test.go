package duty

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidestep-mesh/sidestep/api/v1alpha1"
	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shop is a mesh with a Service behind a waypoint and a guard, one that is ambient without, and one with a sidecar.
const shop = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "defaultConfig: {}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod, istio: pilot}}
spec:
  selector: {matchLabels: {app: istiod}}
  template:
    metadata: {labels: {app: istiod, istio: pilot}}
    spec: {containers: [{name: discovery, image: "istio/pilot:1.31.0", env: [{name: PILOT_ENABLE_AMBIENT, value: "true"}]}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ztunnel, namespace: istio-system, labels: {app: ztunnel}}
spec:
  selector: {matchLabels: {app: ztunnel}}
  template:
    metadata: {labels: {app: ztunnel}}
    spec: {containers: [{name: istio-proxy, image: "istio/ztunnel:1.31.0"}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, kubernetes.io/metadata.name: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: legacy, labels: {istio-injection: enabled, kubernetes.io/metadata.name: legacy}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIP: 10.0.0.1, selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart, istio.io/dataplane-mode: ambient}}
    spec: {serviceAccountName: cart, containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: old, namespace: legacy}
spec:
  replicas: 3
  selector: {matchLabels: {app: old}}
  template:
    metadata: {labels: {app: old}}
    spec: {serviceAccountName: old, containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: get-only, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  action: ALLOW
  rules:
  - to: [{operation: {methods: [GET]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart-waypoint-only, namespace: shop}
spec:
  selector: {matchLabels: {app: cart, istio.io/dataplane-mode: ambient}}
  action: DENY
  rules:
  - from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/waypoint]}}]
`

var (
	cart     = object.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	waypoint = object.Ref{Group: snapshot.GatewayGroup, Kind: "Gateway", Namespace: "shop", Name: "waypoint"}
	guard    = object.Ref{Group: snapshot.IstioSecurity, Kind: "AuthorizationPolicy", Namespace: "shop", Name: "cart-waypoint-only"}
	copied   = object.Ref{Group: snapshot.IstioSecurity, Kind: "AuthorizationPolicy", Namespace: "shop", Name: "get-only"}
	noon     = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// world is a mesh that changes, and a Migration that is looked at after every change.
type world struct {
	t      *testing.T
	snap   *snapshot.Snapshot
	memory Memory
	mig    v1alpha1.Migration
	now    time.Time
	events []Event
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, snap: meshtest.Load(t, shop), now: noon}
	w.mig.Name, w.mig.Generation = "m", 1
	w.mig.Spec.Scope.NamespaceSelector = &metav1.LabelSelector{}
	w.look()
	return w
}

// look assesses the state as it is now and keeps the status, as the controller does.
func (w *world) look() {
	m := mesh.Build(w.snap, mesh.Assume{})
	lost, _ := w.memory.Look(m)
	out := Assess(&w.mig, View{Mesh: m, Audit: audit.Run(m, audit.Options{}), Lost: lost, World: func() *authz.World { a := mesh.AuthzWorld(m); return &a }}, w.now)
	w.mig.Status, w.events = out.Status, out.Events
	w.now = w.now.Add(time.Minute)
}

// change makes a change and looks.
func (w *world) change(c snapshot.Change) {
	w.t.Helper()
	var err error
	if w.snap, err = w.snap.Edit(c); err != nil {
		w.t.Fatal(err)
	}
	w.look()
}

func (w *world) remove(refs ...object.Ref) { w.t.Helper(); w.change(snapshot.Change{Remove: refs}) }

func (w *world) apply(yaml string) {
	w.t.Helper()
	var c snapshot.Change
	for o := range meshtest.Load(w.t, yaml).Objects() {
		c.Put = append(c.Put, o)
	}
	w.change(c)
}

// find returns an object as it is.
func (w *world) find(ref object.Ref) snapshot.Object {
	w.t.Helper()
	o, ok := w.snap.Find(snapshot.Kind{Group: ref.Group, Kind: ref.Kind}, ref.Namespace, ref.Name)
	if !ok {
		w.t.Fatalf("no %s", ref)
	}
	return o
}

// unlabel takes a label off.
func (w *world) unlabel(ref object.Ref, label string) {
	w.t.Helper()
	o := w.find(ref).DeepCopyObject().(snapshot.Object)
	labels := o.GetLabels()
	delete(labels, label)
	o.SetLabels(labels)
	w.change(snapshot.Change{Put: []snapshot.Object{o}})
}

func (w *world) expect(status metav1.ConditionStatus, says string) {
	w.t.Helper()
	c := meta.FindStatusCondition(w.mig.Status.Conditions, v1alpha1.ConditionSafe)
	if c == nil || c.Status != status || !strings.Contains(c.Message, says) {
		w.t.Fatalf("condition Safe is %+v, want %s with %q", c, status, says)
	}
}

// told reports whether an event about an object was sent at the last look.
func (w *world) told(ref object.Ref, reason string) {
	w.t.Helper()
	if !slices.ContainsFunc(w.events, func(e Event) bool { return e.Object == ref && e.Reason == reason }) {
		w.t.Fatalf("no event %s about %s: %+v", reason, ref, w.events)
	}
}

func TestAHealthyMeshIsCountedAndSafe(t *testing.T) {
	w := newWorld(t)
	w.expect(metav1.ConditionTrue, "enforces")
	want := v1alpha1.Counts{Total: 3, Sidecar: 1, Ambient: 2, ToMove: 1, Sidecars: 3, Removable: 3}
	if w.mig.Status.Workloads != want {
		t.Errorf("counts %+v, want %+v", w.mig.Status.Workloads, want)
	}
	if c := meta.FindStatusCondition(w.mig.Status.Conditions, v1alpha1.ConditionComplete); c.Status != metav1.ConditionFalse {
		t.Errorf("somebody is to move, and condition Complete is %+v", c)
	}
	before := *w.mig.Status.DeepCopy()
	w.look()
	if !equality.Semantic.DeepEqual(before, w.mig.Status) || len(w.events) > 0 {
		t.Errorf("a second look at the same state gives another status or events: %+v", w.events)
	}
}

func TestWhatMakesAModeUnsafeIsToldAtOnceAndOnceOver(t *testing.T) {
	ns, svc := object.Ref{Kind: "Namespace", Name: "shop"}, object.Ref{Kind: "Service", Namespace: "shop", Name: "cart"}
	deny := object.Ref{Group: snapshot.IstioSecurity, Kind: "AuthorizationPolicy", Namespace: "shop", Name: "no-admin"}
	tests := map[string]struct {
		change func(*world)
		at     object.Ref // whom an event must be about
		says   string
		// back undoes the change; nil for putting back the object it is about.
		back func(*world)
	}{
		"an HTTP policy by selector for a workload without a waypoint": {
			func(w *world) {
				w.apply("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin, namespace: shop}\n" +
					"spec: {selector: {matchLabels: {app: web}}, action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}")
			}, deny, "denies nothing", func(w *world) { w.remove(deny) },
		},
		"a binding is removed": {func(w *world) { w.unlabel(svc, mesh.LabelUseWaypoint) }, svc, "no longer has istio.io/use-waypoint=waypoint", nil},
		"the guard is removed": {func(w *world) { w.remove(guard) }, guard, "is allowed, which was refused", nil},
		"the waypoint vanishes": {func(w *world) { w.remove(waypoint) }, svc, "does not exist or is not ready", func(w *world) {
			w.apply(shop)
		}},
		"the namespace leaves the mesh": {func(w *world) {
			o := w.find(cart).DeepCopyObject().(snapshot.Object)
			labels := snapshot.PodTemplate(o).Labels
			delete(labels, mesh.LabelDataplaneMode)
			w.change(snapshot.Change{Put: []snapshot.Object{o}}) // its namespace still enrols it
			w.unlabel(ns, mesh.LabelDataplaneMode)
		}, ns, "no longer has istio.io/dataplane-mode=ambient", func(w *world) { w.apply(shop) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var was snapshot.Object
			if test.back == nil {
				was = w.find(test.at)
			}
			test.change(w)
			w.expect(metav1.ConditionFalse, test.says)
			w.told(test.at, ReasonGap)
			since := w.mig.Status.Unsafe[0].Since
			w.look()
			w.expect(metav1.ConditionFalse, test.says)
			if len(w.events) > 0 || w.mig.Status.Unsafe[0].Since != since {
				t.Errorf("it is told again though nothing changed: %+v", w.events)
			}
			if test.back == nil {
				w.change(snapshot.Change{Put: []snapshot.Object{was}})
			} else {
				test.back(w)
			}
			w.expect(metav1.ConditionTrue, "enforces")
			w.told(test.at, ReasonGapClosed)
		})
	}
}

// What nothing rests on may be taken away: a label that binds to a waypoint without policies, where no guard is.
func TestWhatNothingRestsOnIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.remove(guard)
	w.remove(copied) // with it goes what the guard was for, and a person meant it
	w.remove(object.Ref{Kind: "Service", Namespace: "shop", Name: "cart"})
	w.remove(object.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"})
	w.expect(metav1.ConditionTrue, "enforces")
}

func TestAnAssertionIsWatched(t *testing.T) {
	w := newWorld(t)
	w.mig.Spec.Assertions = []v1alpha1.Assertion{{Name: "reads only", Never: []string{"shop/web"}, To: []string{"shop/cart"}, Methods: []string{"POST"}}}
	w.look()
	asserted := func() *metav1.Condition {
		return meta.FindStatusCondition(w.mig.Status.Conditions, v1alpha1.ConditionAsserted)
	}
	if c := asserted(); c.Status != metav1.ConditionTrue {
		t.Fatalf("%+v", c)
	}
	policy := w.find(copied)
	w.remove(copied)
	if c := asserted(); c.Status != metav1.ConditionFalse || len(w.mig.Status.Breaches) != 1 {
		t.Fatalf("%+v", c)
	}
	w.told(object.Ref{Group: "sidestep.dev", Kind: "Migration", Name: "m"}, ReasonBreach)
	w.change(snapshot.Change{Put: []snapshot.Object{policy}})
	if c := asserted(); c.Status != metav1.ConditionTrue || len(w.mig.Status.Breaches) != 0 {
		t.Fatalf("%+v", c)
	}
	w.mig.Spec.Assertions[0].To = []string{"shop/nobody"}
	w.look()
	if c := asserted(); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "cannot be examined") {
		t.Fatalf("an assertion about nothing holds: %+v", c)
	}
}

func TestWhatCannotBeReadIsNotSafe(t *testing.T) {
	w := newWorld(t)
	b := snapshot.NewBuilder()
	b.Mark(snapshot.Kind{Group: snapshot.IstioSecurity, Kind: "AuthorizationPolicy"}, snapshot.Knowledge{State: snapshot.Hidden, Reason: "may not list them"})
	w.snap = w.snap.Refresh(b, nil)
	w.look()
	w.expect(metav1.ConditionUnknown, "not everything can be read")
	if c := meta.FindStatusCondition(w.mig.Status.Conditions, v1alpha1.ConditionKnown); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "may not list them") {
		t.Errorf("%+v", c)
	}
}

func TestApprovalsAreForOnePlan(t *testing.T) {
	spec := v1alpha1.MigrationSpec{Approvals: []v1alpha1.Approval{{Plan: "aaaaaaaaaaaa", Waves: []string{"canary"}, By: "me"}, {Plan: "bbbbbbbbbbbb", By: "me"}}}
	tests := map[string]struct {
		review v1alpha1.Review
		hash   string
		wave   Wave
		want   bool
	}{
		"the wave that is named":                 {v1alpha1.Review{}, "aaaaaaaaaaaa", Wave{Name: "canary"}, true},
		"another wave":                           {v1alpha1.Review{}, "aaaaaaaaaaaa", Wave{Name: "wave-2"}, false},
		"every wave":                             {v1alpha1.Review{}, "bbbbbbbbbbbb", Wave{Name: "wave-2"}, true},
		"another plan":                           {v1alpha1.Review{}, "cccccccccccc", Wave{Name: "canary"}, false},
		"nobody asks":                            {v1alpha1.Review{Default: v1alpha1.ReviewNever}, "cccccccccccc", Wave{Name: "canary"}, true},
		"only what is weaker, and it is not":     {v1alpha1.Review{Default: v1alpha1.ReviewOnWeaker}, "cccccccccccc", Wave{Name: "canary"}, true},
		"only what is weaker, and it is":         {v1alpha1.Review{Default: v1alpha1.ReviewOnWeaker}, "cccccccccccc", Wave{Name: "canary", Weaker: true}, false},
		"its own policy is stricter than others": {v1alpha1.Review{Default: v1alpha1.ReviewNever, Waves: []v1alpha1.WaveReview{{Name: "canary", Review: v1alpha1.ReviewAlways}}}, "cccccccccccc", Wave{Name: "canary"}, false},
	}
	for name, test := range tests {
		spec.Review = test.review
		if have := Approved(&spec, test.hash, test.wave); have != test.want {
			t.Errorf("%s: %v", name, have)
		}
	}
}
