package snapshot_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func read(t *testing.T, text string) *snapshot.Snapshot {
	t.Helper()
	s := manifest.Load(manifest.Path("x.yaml", fstest.MapFS{"x.yaml": {Data: []byte(text)}}, "x.yaml"))
	if len(s.Problems()) > 0 {
		t.Fatal(s.Problems())
	}
	return s
}

const running = `apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {replicas: 3, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {restartPolicy: Always, containers: [{name: api, image: "api:1", imagePullPolicy: Always, ports: [{containerPort: 80, protocol: TCP}]}]}}}
status: {replicas: 3}
`

func TestAnOverlayReplacesWhatIsWrittenAndKeepsWhatAServerWrites(t *testing.T) {
	base := read(t, running)
	over := read(t, strings.ReplaceAll(strings.ReplaceAll(running, "clusterIP: 10.0.0.1, ", ""), "status: {replicas: 3}", "")+
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: new, namespace: shop}\nspec: {ports: [{port: 81}]}\n")
	s := base.Overlay(over)
	if s.Len() != 4 || base.Len() != 3 {
		t.Fatalf("%d objects over %d", s.Len(), base.Len())
	}
	api, _ := snapshot.Get[*corev1.Service](s, "shop", "api")
	if api.Spec.ClusterIP != "10.0.0.1" || api.CreationTimestamp.IsZero() {
		t.Errorf("the Service lost what the server gave it: %+v", api)
	}
	d, _ := snapshot.Get[*appsv1.Deployment](s, "shop", "api")
	if d.Status.Replicas != 3 {
		t.Errorf("the Deployment lost its status: %+v", d.Status)
	}
	if got := s.Source(d); got.Line != 11 {
		t.Errorf("the Deployment is from %v", got)
	}
}

func TestOnlyATemplateThatAsksForSomethingNewRollsOut(t *testing.T) {
	base := read(t, running)
	for name, c := range map[string]struct {
		from, to string
		rolls    int
	}{
		"the same":                       {"", "", 0},
		"without the server's defaults":  {"imagePullPolicy: Always, ", "", 0},
		"another label":                  {"labels: {app: api}", "labels: {app: api, version: v2}", 1},
		"a container more":               {"containers: [", "containers: [{name: more}, ", 1},
		"another number of pods":         {"replicas: 3", "replicas: 4", 0},
		"another image":                  {"api:1", "api:2", 1},
		"another name, a new Deployment": {"name: api, namespace: shop}\nspec: {replicas", "name: api2, namespace: shop}\nspec: {replicas", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := base.Rollouts(read(t, strings.Replace(running, c.from, c.to, 1))); len(got) != c.rolls {
				t.Errorf("%v roll out, want %d", got, c.rolls)
			}
		})
	}
}
