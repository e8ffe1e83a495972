package mesh_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// TestEndpointSlices: what stands behind a Service without selector, and how a call by it arrives. The server admits one caller by identity,
// so that a call whose identity is not seen is refused.
func TestEndpointSlices(t *testing.T) {
	objects := strings.Replace(base, "selector: {app: cart}, ports: [{name: http, port: 80, targetPort: web}]", "ports: [{name: http, port: 80, targetPort: 8080}]", 1) +
		"---\n" + authzPolicy("shop", "{rules: [{from: [{source: {principals: [cluster.local/ns/web/sa/default]}}]}]}") + `---
apiVersion: v1
kind: Pod
metadata:
  name: cart-5d-x1
  namespace: shop
  uid: u1
  labels: {app: cart, pod-template-hash: 5d}
  annotations: {sidecar.istio.io/status: '{}'}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: cart-5d, uid: u0, controller: true}]
spec: {containers: [{name: app, image: app:1}, {name: istio-proxy, image: "istio/proxyv2:1.31.0"}]}
status: {phase: Running, podIP: 10.2.0.5}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: web}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80, targetPort: 8080}]}
`
	slice := func(namespace, endpoints, port string) string {
		return fmt.Sprintf("---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-%d, namespace: %s, labels: {kubernetes.io/service-name: cart}}\n"+
			"addressType: IPv4\nports: [%s]\nendpoints: [%s]\n", len(endpoints)+len(port), namespace, port, endpoints)
	}
	const (
		port    = "{name: http, port: 8080, protocol: TCP}"
		pod     = "{addresses: [10.2.0.5], targetRef: {kind: Pod, namespace: shop, name: cart-5d-x1, uid: u1}}"
		named   = "{addresses: [10.2.0.5], targetRef: {kind: Pod, namespace: shop, name: cart-5d-x1}}"
		address = "{addresses: [10.2.0.5]}"
		outside = "{addresses: [192.0.2.7]}"
	)
	mirrored := "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: cart, namespace: shop}\nsubsets: [{addresses: [{ip: 10.2.0.5}], ports: [{name: http, port: 8080}]}]\n"
	for sentence, c := range map[string]struct {
		slices, namespace string
		sidecars, ambient string
		outside           string
	}{
		"a pod by name and UID is the pod to all":                     {slice("shop", pod, port), "shop", "allow by server sidecar", "allow by ztunnel", ""},
		"a pod by name alone is none to ztunnel":                      {slice("shop", named, port), "shop", "allow by server sidecar", "deny by network", ""},
		"ztunnel does not look for the pod behind an address":         {slice("shop", address, port), "shop", "allow by server sidecar", "deny by ztunnel", ""},
		"nobody looks for it in another namespace":                    {slice("web", address, port), "web", "deny by server sidecar", "deny by ztunnel", ""},
		"Endpoints are mirrored":                                      {mirrored, "shop", "allow by server sidecar", "deny by ztunnel", ""},
		"an address beside the pod leads outside":                     {slice("shop", pod+", "+outside, port), "shop", "allow by server sidecar", "allow by ztunnel", "address 192.0.2.7"},
		"several slices count together":                               {slice("shop", pod, port) + slice("shop", outside, port), "shop", "allow by server sidecar", "allow by ztunnel", "address 192.0.2.7"},
		"the same pod in two ways cannot be told":                     {slice("shop", pod+", "+address, port), "shop", "unknown by nobody", "unknown by nobody", ""},
		"ztunnel calls the port of the Service":                       {slice("shop", pod, "{name: http, port: 9090, protocol: TCP}"), "shop", "allow by server sidecar", "unknown by nobody", ""},
		"two ports of one name cannot be told":                        {slice("shop", pod, port+", {name: http, port: 9090, protocol: TCP}"), "shop", "unknown by nobody", "unknown by nobody", ""},
		"an address outside is no workload":                           {slice("shop", outside, port), "shop", "", "", "address 192.0.2.7"},
		"a pod that is gone is no workload":                           {slice("shop", strings.ReplaceAll(pod, "x1", "x0"), port), "shop", "", "", "pod shop/cart-5d-x0"},
		"names of hosts are not read":                                 {strings.Replace(slice("shop", address, port), "IPv4", "FQDN", 1), "shop", "", "", ""},
		"what the control plane wrote for a selector is not read":     {strings.Replace(slice("shop", pod, port), "cart}}", "cart, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}}", 1), "shop", "", "", ""},
		"a slice without the label of a Service is for somebody else": {strings.Replace(slice("shop", pod, port), "kubernetes.io/service-name", "example.com/service", 1), "shop", "", "", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			now := mesh.Build(meshtest.Load(t, objects+c.slices), mesh.Assume{})
			s := now.Service(c.namespace, "cart")
			if got := strings.Join(s.Outside, ", "); got != c.outside {
				t.Errorf("outside are %q, want %q", got, c.outside)
			}
			if c.sidecars == "" {
				if len(s.Workloads) > 0 {
					t.Errorf("behind it is %v", s.Workloads[0].Ref)
				}
				return
			}
			front, cart := mesh.Ref{Kind: "Deployment", Namespace: "web", Name: "front"}, mesh.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}
			end := moved(t, now, map[mesh.Ref]enrol.Target{front: enrol.Ambient, cart: enrol.Ambient})
			for m, want := range map[*mesh.Mesh]string{now: c.sidecars, end: c.ambient} {
				world := mesh.AuthzWorld(m)
				a, err := authz.Can(&world, authz.Request{From: authz.Caller{Workload: &authz.Pods{Ref: authz.Ref{Kind: front.Kind, Namespace: front.Namespace, Name: front.Name}}},
					To: authz.Destination{Service: c.namespace + "/cart", ServicePort: 80}, Protocol: authz.ProtocolHTTP, Method: "GET", Path: "/", Host: "cart"})
				if got := string(a.Decision) + " by " + string(a.By); err != nil || got != want {
					t.Errorf("%v: answer is %s (%s, %s), want %s", err, got, a.Why, a.Route, want)
				}
			}
		})
	}
}

// TestEndpointsOfStatefulSet: manifests have no pods, and a StatefulSet's are called after it.
func TestEndpointsOfStatefulSet(t *testing.T) {
	m := mesh.Build(meshtest.Load(t, base+`---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pg, namespace: shop}
spec: {selector: {matchLabels: {app: pg}}, template: {metadata: {labels: {app: pg}}, spec: {containers: [{name: app, image: app:1}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: pg-primary, namespace: shop}
spec: {ports: [{name: tcp-pg, port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pg-primary-1, namespace: shop, labels: {kubernetes.io/service-name: pg-primary}}
addressType: IPv4
ports: [{name: tcp-pg, port: 5432, protocol: TCP}]
endpoints: [{addresses: [10.2.0.9], targetRef: {kind: Pod, namespace: shop, name: pg-11}}]
`), mesh.Assume{})
	pg := m.Workload("StatefulSet", "shop", "pg")
	if !slices.Contains(pg.Services, m.Service("shop", "pg-primary")) || len(m.Service("shop", "pg-primary").Outside) > 0 {
		t.Errorf("services of pg are %v", pg.Services)
	}
}
