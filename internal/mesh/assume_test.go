package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// rolled is a Deployment whose template says ambient while its one pod still has the sidecar of the template before.
const rolled = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart, TEMPLATE}}, spec: {containers: [{name: app, image: a}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: cart-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: cart, uid: d, controller: true}]}
spec: {replicas: 1, selector: {matchLabels: {app: cart}}}
---
apiVersion: v1
kind: Pod
metadata:
  {name: cart-1-a, namespace: shop, uid: p, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: cart-1, uid: r, controller: true}],
   labels: {app: cart, service.istio.io/canonical-name: cart, service.istio.io/canonical-revision: latest, security.istio.io/tlsMode: istio, networking.istio.io/tunnel: http},
   annotations: {sidecar.istio.io/status: "{}"}}
spec: {containers: [{name: app, image: a}, {name: istio-proxy, image: p, args: [proxy, sidecar]}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: injected, namespace: shop}
spec: {selector: {matchLabels: {service.istio.io/canonical-name: cart}}}
`

func sets(w *mesh.Workload) string {
	var out []string
	for _, s := range w.Sets {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s hbone=%v tls=%s", s.Generation, s.Mode, s.HBONE, s.Labels[mesh.LabelTLSMode])))
	}
	return strings.Join(out, ", ")
}

func TestAssume(t *testing.T) {
	cart := mesh.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	const toAmbient, toSidecar = `sidecar.istio.io/inject: "false", istio.io/dataplane-mode: ambient`, `version: v1`
	is := mesh.Build(meshtest.Load(t, strings.Replace(rolled, "TEMPLATE", toAmbient, 1)), mesh.Assume{})
	old := is.Workload("Deployment", "shop", "cart").Sets
	for sentence, c := range map[string]struct {
		template string
		assume   mesh.Assume
		mode     mesh.Mode
		sets     string
		attached int
	}{
		"as it is, the pods show the mode":                     {toAmbient, mesh.Assume{}, mesh.Sidecar, "sidecar hbone=true tls=istio", 1},
		"restarted, the template does, and injected labels go": {toAmbient, mesh.Assume{Restarted: []mesh.Ref{cart}}, mesh.Ambient, "ambient hbone=false tls=", 0},
		"restarted with a sidecar, the injector labels again":  {toSidecar, mesh.Assume{Restarted: []mesh.Ref{cart}}, mesh.Sidecar, "sidecar hbone=false tls=istio", 1},
		"half restarted, there are pods of both sorts":         {toAmbient, mesh.Assume{Old: map[mesh.Ref][]mesh.PodSet{cart: old}}, mesh.Ambient, "old sidecar hbone=true tls=istio, new ambient hbone=false tls=", 1},
		"what restarts elsewhere changes nothing":              {toAmbient, mesh.Assume{Restarted: []mesh.Ref{{Kind: "Deployment", Namespace: "shop", Name: "other"}}}, mesh.Sidecar, "sidecar hbone=true tls=istio", 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, strings.Replace(rolled, "TEMPLATE", c.template, 1)), c.assume)
			w := m.Workload("Deployment", "shop", "cart")
			if w.Mode != c.mode || sets(w) != c.sets || len(w.Policies) != c.attached {
				t.Errorf("mode %s, sets %s, %d policies; want %s, %s, %d", w.Mode, sets(w), len(w.Policies), c.mode, c.sets, c.attached)
			}
		})
	}
}

// TestRestartOfAPodWithoutOwner: its own metadata is its template, less what the injector wrote there.
func TestRestartOfAPodWithoutOwner(t *testing.T) {
	text := strings.Replace(rolled, ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: cart-1, uid: r, controller: true}]", "", 1)
	text = strings.Replace(text, "labels: {app: cart, service", `labels: {sidecar.istio.io/inject: "false", istio.io/dataplane-mode: ambient, app: cart, service`, 1)
	pod := mesh.Ref{Kind: "Pod", Namespace: "shop", Name: "cart-1-a"}
	m := mesh.Build(meshtest.Load(t, strings.Replace(text, "TEMPLATE", "a: b", 1)), mesh.Assume{Restarted: []mesh.Ref{pod}})
	w := m.Workload("Pod", "shop", "cart-1-a")
	if got := sets(w); got != "ambient hbone=false tls=" || len(w.Policies) != 0 || len(w.Template.Spec.Containers) != 1 {
		t.Errorf("sets %s, policies %v, template %+v", got, w.Policies, w.Template)
	}
}

// TestReadyWaypoints: a Gateway that nobody has started is one that works, where it is supposed to.
func TestReadyWaypoints(t *testing.T) {
	s := meshtest.Load(t, base+"---\n"+gateway("shop", "w", "", "", ""))
	is := mesh.Build(s, mesh.Assume{})
	if w := is.Waypoints[0]; !w.StatusKnown || w.Programmed {
		t.Fatalf("without status it is %+v", w)
	}
	if w := mesh.Build(s, mesh.Assume{Ready: is.ReadyWaypoints()}).Waypoints[0]; !w.Programmed || w.ReadyPods == 0 {
		t.Errorf("supposed ready it is %+v", w)
	}
}
