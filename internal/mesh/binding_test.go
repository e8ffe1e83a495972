package mesh_test

import (
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// shop is a namespace, a workload and its Service, with room for labels.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {NAMESPACE}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, labels: {SERVICE}, annotations: {ANNOTATIONS}}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart, POD}}
    spec: {containers: [{name: app, image: app:1}]}
`

// gateway is a waypoint in any namespace; PROGRAMMED is its status.
func gateway(namespace, name, labels, routes, status string) string {
	return `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ` + name + `, namespace: ` + namespace + `, uid: g1, labels: {` + labels + `}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE` + routes + `}]
` + status
}

const (
	programmed    = "status: {addresses: [{type: Hostname, value: w.shop.svc.cluster.local}]}\n"
	notProgrammed = "status: {conditions: [{type: Programmed, status: Unknown, reason: Pending, message: m, lastTransitionTime: \"2026-01-01T00:00:00Z\"}]}\n"
	fromAll       = ", allowedRoutes: {namespaces: {from: All}}"
	fromSelector  = ", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}"
)

// TestBinding is the matrix of T14: labels and Gateways in, binding or istiod's reason out.
func TestBinding(t *testing.T) {
	for sentence, c := range map[string]struct {
		namespace, service, pod, annotations string
		gateways                             string
		want                                 string
	}{
		"without a label nothing is asked for": {
			gateways: gateway("shop", "w", "", "", programmed),
			want:     "Service shop/cart waypoint none",
		},
		"a Service label binds to a programmed waypoint": {
			service: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart waypoint shop/w bound\n!Service shop/cart waypoint assumed\n!Service shop/cart waypoint inherited",
		},
		"a namespace label binds its Services": {
			namespace: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart waypoint shop/w bound\nService shop/cart waypoint inherited",
		},
		"a Service opts out of its namespace's waypoint": {
			namespace: "istio.io/use-waypoint: w", service: "istio.io/use-waypoint: none", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart waypoint opts out\nService shop/cart waypoint shadows shop/w bound true",
		},
		"a missing Gateway is not ready": {
			service: "istio.io/use-waypoint: w",
			want:    "Service shop/cart waypoint shop/w refused WaypointIsNotReady",
		},
		"a Gateway without address is not ready": {
			service: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "", "", notProgrammed),
			want: "Service shop/cart waypoint shop/w refused WaypointIsNotReady",
		},
		"a Service label that names nothing takes the namespace's healthy waypoint away": {
			namespace: "istio.io/use-waypoint: w", service: "istio.io/use-waypoint: gone", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart waypoint shop/gone refused WaypointIsNotReady\nService shop/cart waypoint shadows shop/w bound true",
		},
		"a workload waypoint takes no Service": {
			service: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "istio.io/waypoint-for: workload", "", programmed),
			want: "Service shop/cart waypoint shop/w refused UnsupportedTrafficType",
		},
		"a waypoint for nothing takes no Service": {
			service: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "istio.io/waypoint-for: none", "", programmed),
			want: "Service shop/cart waypoint shop/w refused UnsupportedTrafficType",
		},
		"a waypoint for all takes Services and pods": {
			namespace: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "istio.io/waypoint-for: all", "", programmed),
			want: "Service shop/cart waypoint shop/w bound\nDeployment shop/cart waypoint shop/w bound",
		},
		"a namespace's service waypoint is no error for its pods": {
			namespace: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "", "", programmed),
			want: "Deployment shop/cart waypoint none",
		},
		"a pod label that names a service waypoint is refused": {
			pod: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "", "", programmed),
			want: "Deployment shop/cart waypoint shop/w refused UnsupportedTrafficType",
		},
		"a pod label binds to a workload waypoint": {
			pod: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "istio.io/waypoint-for: workload", "", programmed),
			want: "Deployment shop/cart waypoint shop/w bound",
		},
		"a waypoint of another namespace admits only its own by default": {
			service:  "istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra",
			gateways: gateway("infra", "w", "", "", programmed),
			want:     "Service shop/cart waypoint infra/w refused AttachmentDenied",
		},
		"a waypoint of another namespace admits all": {
			service:  "istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra",
			gateways: gateway("infra", "w", "", fromAll, programmed),
			want:     "Service shop/cart waypoint infra/w bound",
		},
		"a waypoint of another namespace admits namespaces by label": {
			namespace: "team: a, istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra",
			gateways:  gateway("infra", "w", "", fromSelector, programmed),
			want:      "Service shop/cart waypoint infra/w bound\nwaypoint infra/w admits [shop] all false",
		},
		"a waypoint of another namespace denies namespaces without the label": {
			namespace: "team: b, istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra",
			gateways:  gateway("infra", "w", "", fromSelector, programmed),
			want:      "Service shop/cart waypoint infra/w refused AttachmentDenied",
		},
		"denial is told before the traffic type": {
			service:  "istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra",
			gateways: gateway("infra", "w", "istio.io/waypoint-for: workload", "", programmed),
			want:     "Service shop/cart waypoint infra/w refused AttachmentDenied",
		},
		"the namespace label of an own waypoint does not look at the Service's namespace label alone": {
			service: "istio.io/use-waypoint-namespace: infra", namespace: "istio.io/use-waypoint: w",
			gateways: gateway("shop", "w", "", "", programmed),
			want:     "Service shop/cart waypoint shop/w bound",
		},
		"manifests without status are taken at their word": {
			service:  "istio.io/use-waypoint: w",
			gateways: strings.Replace(gateway("shop", "w", "", "", ""), "uid: g1, ", "", 1),
			want:     "Service shop/cart waypoint shop/w bound\nService shop/cart waypoint assumed\nwaypoint shop/w programmed false known false ready 0",
		},
		"an ingress gateway is not a waypoint": {
			service:  "istio.io/use-waypoint: w",
			gateways: strings.NewReplacer("istio-waypoint", "istio", "HBONE", "HTTP", "15008", "80").Replace(gateway("shop", "w", "", "", programmed)),
			want:     "Service shop/cart waypoint shop/w refused NotAWaypoint",
		},
		"the class's label decides where the Gateway has none": {
			service: "istio.io/use-waypoint: w",
			gateways: gateway("shop", "w", "", "", programmed) +
				"---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: istio-waypoint, labels: {istio.io/waypoint-for: workload}}\nspec: {controllerName: istio.io/mesh-controller}\n",
			want: "Service shop/cart waypoint shop/w refused UnsupportedTrafficType",
		},
		"ingress uses the waypoint by the Service's label": {
			service: "istio.io/use-waypoint: w, istio.io/ingress-use-waypoint: \"true\"", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart ingress uses waypoint",
		},
		"ingress uses the waypoint by any spelling of true": {
			service: "istio.io/use-waypoint: w, istio.io/ingress-use-waypoint: \"True\"", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart ingress uses waypoint",
		},
		"ingress ignores a label that is no boolean": {
			service: "istio.io/use-waypoint: w, istio.io/ingress-use-waypoint: \"yes\"", gateways: gateway("shop", "w", "", "", programmed),
			want: "!Service shop/cart ingress uses waypoint",
		},
		"ingress uses the waypoint by the namespace's label": {
			namespace: "istio.io/use-waypoint: w, istio.io/ingress-use-waypoint: \"true\"", gateways: gateway("shop", "w", "", "", programmed),
			want: "Service shop/cart ingress uses waypoint",
		},
		"the Service's label on ingress beats the namespace's": {
			namespace: "istio.io/use-waypoint: w, istio.io/ingress-use-waypoint: \"true\"", service: "istio.io/ingress-use-waypoint: \"false\"",
			gateways: gateway("shop", "w", "", "", programmed),
			want:     "!Service shop/cart ingress uses waypoint",
		},
		"the label on the Gateway does nothing for ingress": {
			service: "istio.io/use-waypoint: w", gateways: gateway("shop", "w", "istio.io/ingress-use-waypoint: \"true\"", "", programmed),
			want: "!Service shop/cart ingress uses waypoint",
		},
		"a canary takes its share": {
			service: "istio.io/use-waypoint: w, istio.io/use-waypoint-canary: v", annotations: "istio.io/use-waypoint-canary-weight: \"20\"",
			gateways: gateway("shop", "w", "", "", programmed) + gateway("shop", "v", "", "", programmed),
			want:     "Service shop/cart waypoint canary shop/v weight 20",
		},
		"a canary that is the waypoint itself is refused": {
			service:  "istio.io/use-waypoint: w, istio.io/use-waypoint-canary: w",
			gateways: gateway("shop", "w", "", "", programmed),
			want:     "Service shop/cart waypoint canary shop/w weight 0 CanarySameAsPrimary",
		},
		"a canary weight beyond 100 is refused": {
			service: "istio.io/use-waypoint: w, istio.io/use-waypoint-canary: v", annotations: "istio.io/use-waypoint-canary-weight: \"120\"",
			gateways: gateway("shop", "w", "", "", programmed) + gateway("shop", "v", "", "", programmed),
			want:     "Service shop/cart waypoint canary shop/v weight 0 CanaryInvalidWeight",
		},
		"a canary that is not ready leaves the first alone": {
			service:  "istio.io/use-waypoint: w, istio.io/use-waypoint-canary: v",
			gateways: gateway("shop", "w", "", "", programmed),
			want:     "Service shop/cart waypoint canary shop/v weight 0 WaypointIsNotReady\nService shop/cart waypoint shop/w bound",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			yaml := strings.NewReplacer("NAMESPACE", c.namespace, "SERVICE", c.service, "ANNOTATIONS", c.annotations, ", POD", comma(c.pod)).Replace(shop)
			m := mesh.Build(meshtest.Load(t, yaml+c.gateways), mesh.Assume{})
			meshtest.Expect(t, meshtest.Facts(m), c.want)
		})
	}
}

func comma(s string) string {
	if s == "" {
		return ""
	}
	return ", " + s
}

// TestWaypointPods joins waypoint pods with their Gateway: readiness, identity and role.
func TestWaypointPods(t *testing.T) {
	const pods = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: w, namespace: shop, labels: {gateway.istio.io/managed: istio.io-mesh-controller}}
spec:
  selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: w}}
  template:
    metadata: {labels: {gateway.networking.k8s.io/gateway-name: w, istio.io/dataplane-mode: none, sidecar.istio.io/inject: "false"}}
    spec: {serviceAccountName: w-account, containers: [{name: istio-proxy, image: "proxyv2:1.31.0", args: [proxy, waypoint]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: w-1, namespace: shop, uid: w1, labels: {gateway.networking.k8s.io/gateway-name: w, pod-template-hash: x}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: w-x, uid: r, controller: true}]}
spec: {serviceAccountName: w-account, containers: [{name: istio-proxy, image: "proxyv2:1.31.0", args: [proxy, waypoint]}]}
status: {phase: Running, conditions: [{type: Ready, status: "STATUS"}]}
`
	for status, ready := range map[string]string{"True": "1", "False": "0"} {
		yaml := strings.NewReplacer("NAMESPACE", "istio.io/use-waypoint: w", "SERVICE", "", "ANNOTATIONS", "", ", POD", "").Replace(shop) +
			gateway("shop", "w", "", "", programmed) + strings.Replace(pods, "STATUS", status, 1)
		meshtest.Expect(t, meshtest.Facts(mesh.Build(meshtest.Load(t, yaml), mesh.Assume{})), `
			waypoint shop/w programmed true known true ready `+ready+`
			waypoint shop/w for service class istio-waypoint account w-account
			Deployment shop/w role waypoint
			Deployment shop/w mode none
			Service shop/cart waypoint shop/w bound`)
	}
}
