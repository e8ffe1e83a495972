package route_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/route"
)

// routedMesh is n Services of two versions in namespaces of 25, each with a VirtualService, a DestinationRule and an
// HTTPRoute. A caller's labels are its own, so that no two are alike.
func routedMesh(n int) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: \"rootNamespace: istio-system\"}\n")
	for i := range n {
		ns := fmt.Sprintf("team-%d", i/25)
		if i%25 == 0 {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {istio-injection: enabled}}\n", ns)
		}
		b.WriteString(strings.NewReplacer("I", fmt.Sprint(i), "NS", ns, "ADDRESS", fmt.Sprintf("10.1.%d.%d", i/250, i%250)).Replace(routedService))
	}
	return b.String()
}

const routedService = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-I-v1, namespace: NS}
spec:
  selector: {matchLabels: {app: app-I, version: v1}}
  template: {metadata: {labels: {app: app-I, version: v1}}, spec: {containers: [{name: app, image: app}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-I-v2, namespace: NS}
spec:
  selector: {matchLabels: {app: app-I, version: v2}}
  template: {metadata: {labels: {app: app-I, version: v2}}, spec: {containers: [{name: app, image: app}]}}
---
apiVersion: v1
kind: Service
metadata: {name: app-I, namespace: NS}
spec: {clusterIP: ADDRESS, selector: {app: app-I}, ports: [{name: http, port: 80}, {name: http-admin, port: 81}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app-I, namespace: NS}
spec:
  hosts: [app-I]
  http:
  - match: [{uri: {prefix: /v2}}, {headers: {x-version: {exact: v2}}}]
    route: [{destination: {host: app-I, subset: v2}}]
    timeout: 3s
  - route: [{destination: {host: app-I, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app-I, namespace: NS}
spec:
  host: app-I
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app-I, namespace: NS}
spec:
  parentRefs: [{group: "", kind: Service, name: app-I, port: 81}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /admin}}]
    backendRefs: [{name: app-I, port: 81}]
    timeouts: {request: 2s}
`

// BenchmarkDiff compares a whole mesh of sidecars with one of ztunnels.
func BenchmarkDiff(b *testing.B) {
	for _, n := range []int{400, 4000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			m := mesh.Build(meshtest.Load(b, routedMesh(n)), mesh.Assume{})
			before, after := mesh.RouteWorld(m), mesh.RouteWorld(m)
			for i := range after.Workloads {
				after.Workloads[i].Mode = route.Ambient
			}
			b.ReportAllocs()
			for b.Loop() {
				if r := route.Diff(&before, &after); len(r.Differences) < 2*n {
					b.Fatalf("%d differences", len(r.Differences))
				}
			}
		})
	}
}
