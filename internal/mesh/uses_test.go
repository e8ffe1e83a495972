package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// base has a server (cart) with a Service in shop, a client in shop and one in web.
const base = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: cart}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart, version: v1}}
    spec: {containers: [{name: app, image: app:1, ports: [{name: web, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: shop}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec: {containers: [{name: app, image: app:1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: web}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: app, image: app:1}]}
`

func istio(group, kind, namespace, spec string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: x, namespace: %s}\nspec: %s\n", group, kind, namespace, spec)
}

func authzPolicy(namespace, spec string) string {
	return istio("security.istio.io/v1", "AuthorizationPolicy", namespace, spec)
}
func virtualService(namespace, spec string) string {
	return istio("networking.istio.io/v1", "VirtualService", namespace, spec)
}
func destinationRule(namespace, spec string) string {
	return istio("networking.istio.io/v1", "DestinationRule", namespace, spec)
}
func httpRoute(namespace, spec string) string {
	return istio("gateway.networking.k8s.io/v1", "HTTPRoute", namespace, spec)
}
func pod(annotations, spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, annotations: {" + annotations + "}}\nspec: {containers: [{name: app, image: app:1}]" + spec + "}\n"
}

// routed sends one HTTP route of a VirtualService to cart.
func routed(rest string) string {
	return virtualService("shop", "{hosts: [cart], http: [{route: [{destination: {host: cart}}]"+rest+"}]}")
}

// database is a Service over cart for connections.
const database = "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.0.0.7, selector: {app: cart}, ports: [{name: tcp, port: 5432}, {name: tls, port: 8443}]}\n"

// onCart is a DestinationRule for cart.
func onCart(rest string) string { return destinationRule("shop", "{host: cart, "+rest+"}") }

// TestUses has a case for every feature and for what must not count as one; at the end every feature
// of the list has been seen.
func TestUses(t *testing.T) {
	const cart = "Deployment shop/cart uses "
	seen := map[mesh.Feature]bool{}
	for sentence, c := range map[string]struct{ yaml, want string }{
		// Authorization.
		"a policy on principals, namespaces and ports is L4": {
			authzPolicy("shop", `{selector: {matchLabels: {app: cart}}, rules: [{from: [{source: {principals: [a], namespaces: [b], ipBlocks: [10.0.0.0/8]}}], to: [{operation: {ports: ["80"]}}], when: [{key: source.ip, values: [1.1.1.1]}, {key: destination.port, values: ["80"]}]}]}`),
			cart + "l4-authz inbound: AuthorizationPolicy shop/x spec.rules\n!" + cart + "l7-authz\n!Deployment shop/client uses l4-authz\nDeployment shop/cart policy AuthorizationPolicy shop/x selector",
		},
		"an empty policy is L4": {authzPolicy("shop", "{}"), cart + "l4-authz\nDeployment shop/client uses l4-authz\n!Deployment web/front uses l4-authz\nDeployment shop/cart policy AuthorizationPolicy shop/x namespace"},
		"every HTTP attribute is L7": {
			authzPolicy("shop", `{action: DENY, rules: [{from: [{source: {requestPrincipals: [a], notRequestPrincipals: [b], remoteIpBlocks: [10.0.0.0/8], notRemoteIpBlocks: [10.1.0.0/16], principals: [c]}}], to: [{operation: {hosts: [a], notHosts: [b], methods: [GET], notMethods: [PUT], paths: [/a], notPaths: [/b]}}], when: [{key: "request.auth.claims[x]", values: [a]}, {key: connection.sni, values: [a]}, {key: "request.headers[x]", values: [a]}]}]}`),
			strings.Join([]string{
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].from[0].source.requestPrincipals",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].from[0].source.notRequestPrincipals",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].from[0].source.remoteIpBlocks",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].from[0].source.notRemoteIpBlocks",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].to[0].operation.hosts",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].to[0].operation.notHosts",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].to[0].operation.methods",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].to[0].operation.notMethods",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].to[0].operation.paths",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].to[0].operation.notPaths",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].when[0].key",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].when[1].key",
				cart + "l7-authz inbound: AuthorizationPolicy shop/x spec.rules[0].when[2].key",
				"!" + cart + "l4-authz",
				"policy AuthorizationPolicy shop/x scope namespace workloads 2 DENY",
			}, "\n"),
		},
		"a root policy reaches every namespace, also by selector": {
			authzPolicy("istio-system", "{selector: {matchLabels: {app: front}}, rules: [{}]}"),
			"Deployment web/front policy AuthorizationPolicy istio-system/x selector\n!" + cart + "l4-authz",
		},
		"CUSTOM needs HTTP whatever its rules say":        {authzPolicy("shop", "{action: CUSTOM, provider: {name: p}, rules: [{}]}"), cart + "ext-authz inbound: AuthorizationPolicy shop/x spec.action\n!" + cart + "l4-authz"},
		"AUDIT is told apart":                             {authzPolicy("shop", "{action: AUDIT, rules: [{to: [{operation: {paths: [/a]}}]}]}"), cart + "audit-authz\n!" + cart + "l7-authz"},
		"dry run is told":                                 {strings.Replace(authzPolicy("shop", "{rules: [{}]}"), "namespace: shop", `namespace: shop, annotations: {istio.io/dry-run: "true"}`, 1), cart + "dry-run-authz inbound: AuthorizationPolicy shop/x metadata.annotations[istio.io/dry-run]"},
		"a policy with targetRefs is no sidecar's":        {authzPolicy("shop", "{targetRefs: [{kind: Service, group: '', name: cart}], rules: [{to: [{operation: {methods: [GET]}}]}]}"), "!" + cart + "l7-authz\npolicy AuthorizationPolicy shop/x target Service shop/cart accepted false AncestorNotBound"},
		"targetRefs to a missing Service find nothing":    {authzPolicy("shop", "{targetRefs: [{kind: Service, group: '', name: gone}], rules: [{}]}"), "policy AuthorizationPolicy shop/x target Service shop/gone accepted false TargetNotFound"},
		"targetRefs to a missing Gateway find nothing":    {authzPolicy("shop", "{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: gone}], rules: [{}]}"), "policy AuthorizationPolicy shop/x target Gateway shop/gone accepted false TargetNotFound"},
		"a GatewayClass outside the root is invalid":      {authzPolicy("shop", "{targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint}], rules: [{}]}"), "policy AuthorizationPolicy shop/x target GatewayClass istio-waypoint accepted false Invalid"},
		"a GatewayClass in the root namespace is allowed": {authzPolicy("istio-system", "{targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint}], rules: [{}]}"), "policy AuthorizationPolicy istio-system/x target GatewayClass istio-waypoint accepted true"},
		"a policy on a bound Service acts at the waypoint": {
			authzPolicy("shop", "{targetRefs: [{kind: Service, group: '', name: bound}], rules: [{to: [{operation: {methods: [GET]}}]}]}") +
				"---\napiVersion: v1\nkind: Service\nmetadata: {name: bound, namespace: shop, labels: {istio.io/use-waypoint: w}}\nspec: {selector: {app: cart}, ports: [{name: http, port: 80}]}\n" + gateway("shop", "w", "", "", programmed),
			cart + "waypoint-policy inbound: AuthorizationPolicy shop/x spec.targetRefs\nService shop/bound policy AuthorizationPolicy shop/x\n!Service shop/cart policy",
		},
		"JWT validation is a use": {istio("security.istio.io/v1", "RequestAuthentication", "shop", "{selector: {matchLabels: {app: cart}}, jwtRules: [{issuer: i}]}"), cart + "request-authn inbound: RequestAuthentication shop/x spec.jwtRules[0].issuer\n!Deployment shop/client uses request-authn"},
		// Peer authentication.
		"the mesh is strict":                             {istio("security.istio.io/v1", "PeerAuthentication", "istio-system", "{mtls: {mode: STRICT}}"), cart + "strict-mtls\nDeployment web/front mtls STRICT"},
		"a selector in the root namespace has no effect": {istio("security.istio.io/v1", "PeerAuthentication", "istio-system", "{selector: {matchLabels: {app: cart}}, mtls: {mode: STRICT}}"), "Deployment shop/cart mtls PERMISSIVE"},
		"a port differs":                                 {istio("security.istio.io/v1", "PeerAuthentication", "shop", "{selector: {matchLabels: {app: cart}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}, 9090: {}}}"), "Deployment shop/cart mtls STRICT [{8080 DISABLE} {9090 STRICT}]\n" + cart + "port-level-mtls inbound: PeerAuthentication shop/x spec.portLevelMtls[8080].mode\n" + cart + "disabled-mtls\nDeployment shop/client mtls PERMISSIVE"},
		"a namespace inherits":                           {istio("security.istio.io/v1", "PeerAuthentication", "istio-system", "{mtls: {mode: STRICT}}") + "---\n" + istio("security.istio.io/v1", "PeerAuthentication", "shop", "{mtls: {mode: UNSET}}") + "---\n" + istio("security.istio.io/v1", "PeerAuthentication", "web", "{mtls: {mode: PERMISSIVE}}"), "Deployment shop/cart mtls STRICT\nDeployment web/front mtls PERMISSIVE\n!Deployment web/front uses strict-mtls"},
		// HTTP routing.
		"a plain route asks for nothing":                {routed(""), "Deployment shop/cart route VirtualService shop/x\n!" + cart + "http-match\n!" + cart + "traffic-split"},
		"matches":                                       {routed(", match: [{uri: {prefix: /a}}, {headers: {'@request.auth.claims.sub': {exact: a}, x-forwarded-client-cert: {prefix: a}}}]"), cart + "http-match inbound: VirtualService shop/x spec.http[0].match[0].uri\n" + cart + "jwt-claim-routing\n" + cart + "forwarded-client-cert"},
		"rules of one route":                            {routed(", timeout: 1s, retries: {attempts: 3}, fault: {abort: {httpStatus: 500}}, mirror: {host: cart}, corsPolicy: {}, rewrite: {uri: /}, headers: {request: {remove: [a]}}"), cart + "timeouts\n" + cart + "retries\n" + cart + "fault-injection\n" + cart + "mirroring\n" + cart + "cors\n" + cart + "rewrite\n" + cart + "header-manipulation"},
		"a split over subsets":                          {virtualService("shop", "{hosts: [cart], http: [{route: [{destination: {host: cart, subset: v1}, weight: 90}, {destination: {host: cart, subset: v2}, weight: 10}]}]}") + "---\n" + onCart("subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]"), cart + "traffic-split\n" + cart + "subsets inbound: VirtualService shop/x spec.http[0].route[0].destination.subset"},
		"another destination is a split":                {virtualService("shop", "{hosts: [cart], http: [{route: [{destination: {host: client}}]}]}"), cart + "traffic-split inbound: VirtualService shop/x spec.http[0].route[0].destination.host"},
		"a route for some clients":                      {virtualService("shop", "{hosts: [cart.shop.svc.cluster.local], http: [{match: [{sourceLabels: {app: front}}], timeout: 1s, route: [{destination: {host: cart}}]}]}"), cart + "source-match inbound\nDeployment web/front uses source-match outbound: VirtualService shop/x spec.http[0].match[0].sourceLabels\n!Deployment shop/client uses source-match"},
		"a route for some clients of its own namespace": {virtualService("shop", "{hosts: [cart], exportTo: [.], http: [{match: [{sourceLabels: {app: front}}], route: [{destination: {host: cart}}]}]}"), "!Deployment web/front uses source-match"},
		"a route in the client's namespace":             {virtualService("web", "{hosts: [cart.shop.svc.cluster.local], http: [{timeout: 1s, route: [{destination: {host: cart.shop.svc.cluster.local}}]}]}"), cart + "client-namespace-route inbound\nDeployment web/front uses client-namespace-route outbound\n!Deployment shop/client uses client-namespace-route\n" + cart + "timeouts"},
		"a route at a gateway only is no use":           {virtualService("shop", "{hosts: [cart], gateways: [shop/gw], http: [{timeout: 1s, route: [{destination: {host: cart}}]}]}"), "!" + cart + "timeouts\n!Deployment shop/cart route"},
		"a match at a gateway only is no use":           {virtualService("shop", "{hosts: [cart], gateways: [shop/gw, mesh], http: [{match: [{uri: {prefix: /a}, gateways: [shop/gw]}], route: [{destination: {host: cart}}]}]}"), "!" + cart + "http-match"},
		"a delegate's rules count": {virtualService("shop", "{hosts: [cart], http: [{match: [{uri: {prefix: /a}}], delegate: {name: inner}}]}") +
			"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: inner, namespace: shop}\nspec: {http: [{retries: {attempts: 1}, route: [{destination: {host: cart}}]}]}\n",
			cart + "delegate-route\n" + cart + "retries inbound: VirtualService shop/inner spec.http[0].retries.attempts"},
		"TCP and TLS routes":                   {virtualService("shop", "{hosts: [db], tcp: [{route: [{destination: {host: cart, port: {number: 80}}}]}], tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: cart, port: {number: 80}}}]}]}") + database, cart + "tcp-routing\n" + cart + "tls-routing"},
		"a wildcard host":                      {virtualService("shop", "{hosts: ['*.shop.svc.cluster.local'], http: [{timeout: 1s, route: [{destination: {host: cart}}]}]}"), cart + "timeouts"},
		"name and namespace alone":             {virtualService("web", "{hosts: [cart.shop], http: [{timeout: 1s, route: [{destination: {host: cart.shop.svc.cluster.local}}]}]}"), cart + "timeouts"},
		"an unknown host concerns the clients": {virtualService("web", "{hosts: [api.example.com], http: [{timeout: 1s, route: [{destination: {host: api.example.com}}]}]}"), "Deployment web/front uses timeouts outbound\n!" + cart + "timeouts"},
		"an HTTPRoute on the Service": {httpRoute("shop", "{parentRefs: [{kind: Service, group: '', name: cart}], rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}], timeouts: {request: 1s}, backendRefs: [{name: cart, port: 80}, {name: client, port: 80}]}]}"),
			cart + "http-match inbound: HTTPRoute shop/x spec.rules[0].matches\n" + cart + "header-manipulation\n" + cart + "timeouts\n" + cart + "traffic-split\nDeployment shop/cart route HTTPRoute shop/x"},
		"an HTTPRoute that matches everything": {httpRoute("shop", "{parentRefs: [{kind: Service, group: '', name: cart}], rules: [{matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: cart, port: 80}]}]}"), "!" + cart + "http-match\nDeployment shop/cart route HTTPRoute shop/x"},
		"an HTTPRoute on a Gateway is no use":  {httpRoute("shop", "{parentRefs: [{name: gw}], rules: [{timeouts: {request: 1s}, backendRefs: [{name: cart, port: 80}]}]}"), "!" + cart + "timeouts"},
		"a consumer HTTPRoute is its clients'": {httpRoute("web", "{parentRefs: [{kind: Service, group: '', name: cart, namespace: shop}], rules: [{timeouts: {request: 1s}}]}"), "Deployment web/front uses client-namespace-route outbound\n!" + cart + "timeouts"},
		"both kinds of route on one host":      {httpRoute("shop", "{parentRefs: [{kind: Service, group: '', name: cart}], rules: [{}]}") + "---\n" + routed(""), cart + "mixed-routes"},
		// Traffic policy.
		"pool and outliers": {onCart("trafficPolicy: {portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 1}}, outlierDetection: {consecutive5xxErrors: 1}}]}"), cart + "connection-pool\n" + cart + "outlier-detection inbound: DestinationRule shop/x spec.trafficPolicy.portLevelSettings[0].outlierDetection"},
		"TLS settings": {onCart("trafficPolicy: {tls: {mode: SIMPLE}}, subsets: [{name: v1, labels: {version: v9}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]") +
			"---\n" + istio("networking.istio.io/v1", "VirtualService", "shop", "{hosts: [cart], http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: cart, subset: v1}}]}, {route: [{destination: {host: cart}}]}]}"), cart + "client-tls\n" + cart + "explicit-istio-mutual inbound: DestinationRule shop/x spec.subsets[0].trafficPolicy.tls.mode\n" + cart + "subsets"},
		"a subset that no route names":          {onCart("subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {outlierDetection: {}}}]"), "!" + cart + "subsets\n!" + cart + "outlier-detection"},
		"extensions by side":                    {istio("extensions.istio.io/v1alpha1", "WasmPlugin", "shop", "{url: 'oci://a/b', match: [{mode: CLIENT}, {ports: [{number: 80}]}]}"), cart + "client-extension outbound: WasmPlugin shop/x spec.match[0].mode\n" + cart + "wasm-plugin both"},
		"load balancing":                        {onCart("trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: a}, localityLbSetting: {failoverPriority: [a]}}, proxyProtocol: {version: V1}}"), cart + "consistent-hash\n" + cart + "locality-lb\n" + cart + "upstream-proxy-protocol"},
		"zone awareness":                        {onCart("trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {}}}"), cart + "zone-aware-lb"},
		"a port's load balancing":               {onCart("trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: a}}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}"), cart + "load-balancing\n!" + cart + "consistent-hash"},
		"a rule that says the default":          {onCart("trafficPolicy: {connectionPool: {}, loadBalancer: {simple: LEAST_REQUEST}, tls: {mode: DISABLE}}, subsets: [{name: v1, labels: {version: v1}}]"), "!" + cart + "connection-pool\n!" + cart + "load-balancing\n!" + cart + "client-tls\n!" + cart + "subsets"},
		"an egress proxy":                       {istio("networking.istio.io/v1", "Sidecar", "web", "{outboundTrafficPolicy: {egressProxy: {host: proxy.web.svc.cluster.local, port: {number: 443}}}}"), "Deployment web/front uses egress-proxy outbound"},
		"a rule for clients":                    {destinationRule("web", "{host: cart.shop.svc.cluster.local, workloadSelector: {matchLabels: {app: front}}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}"), "Deployment web/front uses client-destination-rule outbound\n!" + cart + "connection-pool"},
		"a rule in the client's namespace":      {destinationRule("web", "{host: cart.shop.svc.cluster.local, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}"), "!" + cart + "connection-pool\nDeployment web/front uses client-namespace-rule outbound"},
		"a mesh-wide rule is nobody's crossing": {destinationRule("istio-system", "{host: '*.local', trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}"), cart + "connection-pool\n!" + cart + "client-namespace-rule"},
		// Extensions and telemetry.
		"an EnvoyFilter with rate limits":       {istio("networking.istio.io/v1alpha3", "EnvoyFilter", "istio-system", "{configPatches: [{applyTo: HTTP_FILTER, match: {context: ANY}, patch: {operation: ADD, value: {name: envoy.filters.http.local_ratelimit}}}, {applyTo: HTTP_FILTER, match: {context: GATEWAY}, patch: {value: {forward_client_cert_details: a}}}]}"), cart + "envoy-filter both: EnvoyFilter istio-system/x spec.configPatches[0].applyTo\n" + cart + "rate-limit\n!" + cart + "forwarded-client-cert"},
		"an EnvoyFilter for gateways is no use": {istio("networking.istio.io/v1alpha3", "EnvoyFilter", "istio-system", "{configPatches: [{applyTo: HTTP_FILTER, match: {context: GATEWAY}, patch: {operation: ADD}}]}"), "!" + cart + "envoy-filter"},
		"a WasmPlugin":                          {istio("extensions.istio.io/v1alpha1", "WasmPlugin", "shop", "{url: 'oci://x', selector: {matchLabels: {app: cart}}}"), cart + "wasm-plugin both: WasmPlugin shop/x spec.url\n!Deployment shop/client uses wasm-plugin"},
		"a TrafficExtension":                    {istio("extensions.istio.io/v1alpha1", "TrafficExtension", "shop", "{lua: {inlineCode: a}}"), cart + "traffic-extension"},
		"a Telemetry":                           {istio("telemetry.istio.io/v1", "Telemetry", "shop", "{tracing: [{randomSamplingPercentage: 1}], metrics: [{overrides: [{tagOverrides: {path: {value: request.url_path}}}]}], accessLogging: [{filter: {expression: a}}]}"), cart + "tracing\n" + cart + "http-metrics both: Telemetry shop/x spec.metrics[0].overrides\n" + cart + "access-logging both: Telemetry shop/x spec.accessLogging[0].filter.expression"},
		"a Telemetry selector in the root namespace stays there": {istio("telemetry.istio.io/v1", "Telemetry", "istio-system", "{selector: {matchLabels: {app: cart}}, tracing: [{}]}"), "!" + cart + "tracing"},
		"a ProxyConfig": {istio("networking.istio.io/v1beta1", "ProxyConfig", "shop", "{concurrency: 2}"), cart + "proxy-config-resource"},
		// Sidecar and egress.
		"a Sidecar with everything": {istio("networking.istio.io/v1", "Sidecar", "shop", "{workloadSelector: {labels: {app: cart}}, egress: [{hosts: [./*], port: {number: 9080, protocol: HTTP, name: a}}], ingress: [{port: {number: 80, protocol: HTTP, name: a}, defaultEndpoint: '127.0.0.1:8080'}], inboundConnectionPool: {}, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"),
			cart + "sidecar-egress outbound\n" + cart + "sidecar-listener\n" + cart + "sidecar-ingress inbound\n" + cart + "sidecar-connection-pool\n" + cart + "registry-only outbound: Sidecar shop/x spec.outboundTrafficPolicy.mode\nDeployment shop/cart scope Sidecar shop/x\n!Deployment shop/client scope"},
		"a Sidecar open to all is no use": {istio("networking.istio.io/v1", "Sidecar", "istio-system", "{egress: [{hosts: ['*/*']}]}"), "!" + cart + "sidecar-egress\nDeployment shop/cart scope Sidecar istio-system/x"},
		"a ServiceEntry for its namespace": {istio("networking.istio.io/v1", "ServiceEntry", "web", "{hosts: ['*.example.com'], exportTo: [.], ports: [{number: 443, name: tls, protocol: TLS}], location: MESH_EXTERNAL, resolution: NONE}") +
			"---\n" + destinationRule("web", "{host: '*.example.com', trafficPolicy: {tls: {mode: SIMPLE}}}"),
			"Deployment web/front uses egress-service-entry outbound\nDeployment web/front uses egress-wildcard outbound: ServiceEntry web/x spec.hosts[0]\nDeployment web/front uses export-to outbound\nDeployment web/front uses tls-origination outbound\n!" + cart + "egress-service-entry"},
		"mesh configuration restricts egress unless a Sidecar opens it": {
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n---\n" +
				istio("networking.istio.io/v1", "Sidecar", "shop", "{outboundTrafficPolicy: {mode: ALLOW_ANY}}"),
			"Deployment web/front uses registry-only outbound: ConfigMap istio-system/istio\n!" + cart + "registry-only",
		},
		// Shapes.
		"ports": {"apiVersion: v1\nkind: Service\nmetadata: {name: more, namespace: shop, annotations: {networking.istio.io/traffic-distribution: PreferClose}}\nspec: {clusterIP: None, ipFamilies: [IPv6], selector: {app: cart}, ports: [{name: db-mongo, port: 1}, {name: mongo-x, port: 2}, {name: d, protocol: UDP, port: 53}, {name: any, appProtocol: kubernetes.io/h2c, port: 3}, {port: 4, name: x, targetPort: gone}]}\n",
			cart + "opaque-tcp inbound: Service shop/more spec.ports[1].name\n" + cart + "undeclared-protocol inbound: Service shop/more spec.ports[0].name\n" + cart + "udp-port\n" + cart + "headless-service\n" + cart + "traffic-distribution\n" + cart + "ipv6\nService shop/more port any 3 to 3 http2\nService shop/more port x 4 to 0\nService shop/cart port http 80 to 8080 http"},
		"no Service":                  {"", "Deployment shop/client uses no-service\n!" + cart + "no-service"},
		"host network":                {pod("", ", hostNetwork: true"), "Pod shop/p uses host-network\nPod shop/p mode none"},
		"init containers and Windows": {pod("", ", nodeSelector: {kubernetes.io/os: windows}, initContainers: [{name: setup, image: a}]"), "Pod shop/p uses init-containers both: Pod shop/p spec.initContainers[0].name\nPod shop/p uses windows-node"},
		"a virtual node":              {pod("", ", nodeSelector: {type: virtual-kubelet}"), "Pod shop/p uses virtual-node both: Pod shop/p spec.nodeSelector[type]"},
		"a Job":                       {"apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: a, args: [sh, -c, 'run; curl -X POST localhost:15020/quitquitquit']}]}}}\n", "Job shop/j uses run-to-completion\nJob shop/j uses proxy-endpoint both: Job shop/j spec.template.spec.containers[0].args"},
		"a node agent":                {"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: shop}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {volumes: [{name: s, csi: {driver: csi.spiffe.io}}], containers: [{name: app, image: a}]}}}\n", "DaemonSet shop/d uses node-agent\nDaemonSet shop/d uses spire"},
		"a virtual machine": {istio("networking.istio.io/v1", "WorkloadGroup", "shop", "{metadata: {labels: {app: cart}}, template: {serviceAccount: vm}}") + "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: x-1, namespace: shop, annotations: {istio.io/autoRegistrationGroup: x}}\nspec: {address: 1.2.3.4}\n---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: plain, namespace: shop}\nspec: {address: 1.2.3.5, labels: {app: cart}}\n",
			"WorkloadGroup shop/x mode sidecar\nWorkloadGroup shop/x uses virtual-machine\nWorkloadGroup shop/x replicas 1\nService shop/cart selects WorkloadGroup shop/x\nService shop/cart selects WorkloadEntry shop/plain\nWorkloadEntry shop/plain mode none\n!WorkloadEntry shop/x-1 mode"},
		"a remote control plane and networks": {
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-sidecar-injector, namespace: istio-system}\ndata:\n  config: '{}'\n  values: '{\"global\": {\"remotePilotAddress\": \"1.2.3.4\"}}'\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: 'defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}}'\n  meshNetworks: 'networks: {a: {}}'\n",
			"mesh uses primary-remote\nmesh uses multi-network\n" + cart + "dns-proxy outbound"},
		"a namespace served from another cluster": {"apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system, annotations: {topology.istio.io/controlPlaneClusters: one}}\n", "mesh uses primary-remote both: Namespace istio-system metadata.annotations[topology.istio.io/controlPlaneClusters]"},
		"a route for its own namespace only":      {virtualService("shop", "{hosts: [cart], exportTo: [.], http: [{timeout: 1s, route: [{destination: {host: cart}}]}]}"), cart + "export-to inbound: VirtualService shop/x spec.exportTo"},
		// Annotations.
		"annotations that end with the sidecar":                  {pod(`sidecar.istio.io/proxyCPU: "1", sidecar.istio.io/logLevel: debug`, ""), "Pod shop/p uses tuning-annotations both: Pod shop/p metadata.annotations[sidecar.istio.io/proxyCPU]\nPod shop/p uses tuning-annotations both: Pod shop/p metadata.annotations[sidecar.istio.io/logLevel]"},
		"annotations to review":                                  {pod(`proxy.istio.io/config: "concurrency: 2", proxy.istio.io/overrides: a, sidecar.istio.io/discoveryAddress: a, sidecar.istio.io/proxyImage: a, inject.istio.io/templates: "sidecar,mine", prometheus.istio.io/merge-metrics: "true", prometheus.io/scrape: "true"`, ""), "Pod shop/p uses proxy-config-annotation\nPod shop/p uses proxy-overrides\nPod shop/p uses discovery-address\nPod shop/p uses proxy-image\nPod shop/p uses inject-templates\nPod shop/p uses merge-metrics-annotation\nPod shop/p uses merged-metrics"},
		"what the injector writes on every pod excludes nothing": {pod(`sidecar.istio.io/interceptionMode: REDIRECT, traffic.sidecar.istio.io/excludeInboundPorts: "15020", traffic.sidecar.istio.io/includeInboundPorts: "*", traffic.sidecar.istio.io/includeOutboundIPRanges: "*"`, ""), "!Pod shop/p uses traffic-exclusion"},
		"a port beside the status port is excluded":              {pod(`traffic.sidecar.istio.io/excludeInboundPorts: "3306,15020"`, ""), "Pod shop/p uses traffic-exclusion"},
		"the status port may be another one":                     {pod(`status.sidecar.istio.io/port: "9000", traffic.sidecar.istio.io/excludeInboundPorts: "9000"`, ""), "!Pod shop/p uses traffic-exclusion"},
		"annotations that only a sidecar obeys":                  {pod(`sidecar.istio.io/bootstrapOverride: a, sidecar.istio.io/userVolume: "[]", sidecar.istio.io/interceptionMode: TPROXY, traffic.sidecar.istio.io/excludeOutboundPorts: "3306", traffic.sidecar.istio.io/includeInboundPorts: "*", traffic.sidecar.istio.io/excludeInterfaces: eth1, traffic.sidecar.istio.io/kubevirtInterfaces: tap0`, ""), "Pod shop/p uses bootstrap-override\nPod shop/p uses user-volume\nPod shop/p uses interception-mode\nPod shop/p uses traffic-exclusion both: Pod shop/p metadata.annotations[traffic.sidecar.istio.io/excludeOutboundPorts]\n!Pod shop/p uses traffic-exclusion both: Pod shop/p metadata.annotations[traffic.sidecar.istio.io/includeInboundPorts]\nPod shop/p uses exclude-interfaces\nPod shop/p uses kubevirt-interfaces"},
		"annotations of ambient mode":                            {pod(`ambient.istio.io/bypass-inbound-capture: "true"`, ""), "Pod shop/p uses ambient-annotations"},
		"the deprecated annotation":                              {pod(`sidecar.istio.io/inject: "true"`, ""), "Pod shop/p uses inject-annotation"},
		"proxyless gRPC":                                         {pod("inject.istio.io/templates: grpc-agent", ""), "Pod shop/p uses proxyless-grpc"},
		"a customised proxy container":                           {strings.Replace(pod("", ""), "image: app:1}]", "image: app:1}, {name: istio-proxy, image: mine}]", 1), "Pod shop/p uses proxy-overrides\nPod shop/p mode sidecar"},
		"a field from the future":                                {authzPolicy("shop", "{rules: [{}], tomorrow: true}"), cart + "unknown-field both: AuthorizationPolicy shop/x spec.tomorrow"},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, base+"---\n"+c.yaml), mesh.Assume{})
			meshtest.Expect(t, meshtest.Facts(m), c.want)
			note(seen, m.Uses)
			for _, w := range m.Workloads {
				note(seen, w.Uses)
			}
		})
	}
	for _, f := range mesh.Features() {
		if !seen[f] {
			t.Errorf("no case shows feature %s", f)
		}
	}
}

func note(seen map[mesh.Feature]bool, uses []mesh.Use) {
	for _, u := range uses {
		seen[u.Feature] = true
	}
}
