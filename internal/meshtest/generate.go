package meshtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator writes a mesh at random, in the lines of Text and as further manifests.
type generator struct {
	*rand.Rand
	text    strings.Builder
	objects []string
	names   []string // workloads of namespace app
	second  bool     // whether namespace two is there
	bound   bool     // whether there is a waypoint at the start
}

func (g *generator) line(format string, args ...any) { fmt.Fprintf(&g.text, format+"\n", args...) }
func (g *generator) pick(list ...string) string      { return list[g.IntN(len(list))] }
func (g *generator) one(in int) bool                 { return g.IntN(in) == 0 }

// Generate is a mesh at random, as lines for Text and further manifests: modes (some of them ambient already), policies of all kinds and widths, several Services and ports,
// headless ones, Services that workloads share, Jobs, a gateway, routes, callers outside and some that keep their sidecars.
func Generate(r *rand.Rand) (lines string, objects []string) {
	g := &generator{Rand: r}
	if g.one(3) {
		g.line("strict")
	}
	if g.one(5) {
		g.line("no-hbone")
	}
	for _, n := range []string{"app inject", "cli inject", "ext"} {
		g.line("namespace %s", n)
	}
	if g.bound = g.one(2); g.bound {
		g.line("waypoint app/waypoint")
	}
	g.names = []string{"a", "b", "c", "d"}[:2+g.IntN(3)]
	for _, n := range g.names {
		g.workload("app", n)
	}
	if g.second = g.one(4); g.second {
		g.line("namespace two inject")
		g.workload("two", "a")
	}
	if g.one(6) {
		g.line("service app/all %s sel=tier:all", g.pick("80:8080", "90:8081", "80:8080 90:8081"))
	}
	g.line("%s cli/x 8080%s", g.pick("Deployment", "CronJob", "Job"), g.pick("", "", "", ambient))
	if g.one(3) {
		g.line("Deployment ext/e 8080")
	}
	for i := range g.IntN(5) {
		g.policy(i)
	}
	if g.one(4) {
		g.line("jwt app/j%s", g.pick("", " for="+g.pick(g.names...), " for="+g.pick(g.names...)))
	}
	if g.one(6) {
		g.line("peer app/m %s for=%s", g.pick("STRICT", "PERMISSIVE", "DISABLE"), g.pick(g.names...))
	}
	g.routes()
	return g.text.String(), g.objects
}

// ambient labels a template so that its pods are ambient at the start.
const ambient = " istio.io/dataplane-mode=ambient sidecar.istio.io/inject=false"

// workload writes one workload with its Services.
func (g *generator) workload(namespace, n string) {
	more := ""
	switch {
	case g.one(8):
		more = " @sidestep.dev/mode=sidecar"
	case g.one(10):
		more = ambient
	}
	if g.one(3) {
		more += " tier=all"
	}
	g.line("%s %s/%s 8080 8081 9100%s", g.pick("Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet"), namespace, n, more)
	binding := ""
	if g.bound && namespace == "app" && g.one(4) {
		binding = " @istio.io/use-waypoint=waypoint"
		if g.one(3) {
			binding += " @istio.io/ingress-use-waypoint=true"
		}
	}
	if !g.one(6) {
		g.line("service %s/%s %s%s%s", namespace, n, g.pick("80:8080", "80:8080 81:8081", "8081:8080 8080:8081", "tcp-80:8080"), g.pick("", "", "", "", " headless", " loadbalancer"), binding)
	}
	if g.one(4) {
		g.line("service %s/%s-old 8080:8081 for=%s%s", namespace, n, n, binding)
	}
}

// routes are a gateway with its VirtualService, and routes within the mesh.
func (g *generator) routes() {
	if g.one(4) {
		g.line("namespace edge")
		g.line("gateway edge/gw")
		g.objects = append(g.objects, fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: in, namespace: app}\nspec: {hosts: [shop.example], gateways: [edge/gw], http: [{route: [{destination: {host: %s.app.svc.cluster.local}}]}]}\n", g.pick(g.names...)))
	}
	if g.one(5) {
		g.objects = append(g.objects, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: inner, namespace: app}\nspec: {parentRefs: [{group: '', kind: Service, name: %s, port: 80}], rules: [{backendRefs: [{name: %s, port: 80}]}]}\n", g.pick(g.names...), g.pick(g.names...)))
	}
}

// policy writes one AuthorizationPolicy.
func (g *generator) policy(i int) {
	action := g.pick("ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "DENY", "CUSTOM provider=ext", "AUDIT")
	reach := g.pick(" for=a", " for=b", " for=a", " for=c", " sel=tier:all", "")
	namespace := "app"
	switch {
	case g.bound && g.one(8):
		reach = " target=" + g.pick(g.names...)
	case reach == "" && g.one(3):
		namespace = "istio-system"
	case g.second && g.one(3):
		namespace = "two"
	}
	if g.one(12) {
		reach += " @istio.io/dry-run=true"
	}
	rules := ""
	for range g.pick("1", "1", "1", "22", "") { // nothing, one or two
		rules += " | " + g.rule()
	}
	if rules == "" && strings.HasPrefix(action, "CUSTOM") {
		rules = " | {}"
	}
	g.line("policy %s/p%d %s%s%s", namespace, i, action, reach, rules)
}

func (g *generator) who() string {
	return "cluster.local/ns/" + g.pick("app/sa/a", "app/sa/b", "two/sa/a", "cli/sa/x", "cli/sa/nobody", "app/sa/waypoint")
}

// rule writes one rule: sources, operations and conditions of every kind that ztunnel keeps, broadens or drops.
func (g *generator) rule() string {
	var parts, source, operation []string
	if g.one(2) {
		source = append(source, g.pick("principals: ["+g.who()+"]", "principals: ['*']", "notPrincipals: ["+g.who()+"]", "namespaces: [cli]", "notNamespaces: [app]", "ipBlocks: [10.66.0.0/16]",
			"notIpBlocks: [10.66.0.0/16]", "remoteIpBlocks: [10.77.0.0/16]", "requestPrincipals: ['*']", "notRequestPrincipals: ['*']", "serviceAccounts: [a]", "principals: ["+g.who()+"], requestPrincipals: ['*']"))
	}
	if g.one(2) {
		operation = append(operation, g.pick("methods: [GET]", "notMethods: [GET]", "paths: [/admin*]", "notPaths: [/open]", "hosts: [x.example]", "paths: ['/{*}/keys']"))
	}
	if g.one(3) {
		operation = append(operation, g.pick("ports: ['8080']", "ports: ['8081']", "notPorts: ['8080']", "ports: ['9100']", "ports: ['8080', '8081']"))
	}
	if len(source) > 0 {
		parts = append(parts, "from: [{source: {"+strings.Join(source, ", ")+"}}]")
	}
	if len(operation) > 0 {
		parts = append(parts, "to: [{operation: {"+strings.Join(operation, ", ")+"}}]")
	}
	if g.one(6) {
		parts = append(parts, "when: [{key: "+g.pick("destination.port, values: ['8080']", "destination.port, notValues: ['8081']", "'request.headers[x-team]', values: [blue]",
			"source.namespace, values: [cli]", "source.principal, notValues: ["+g.who()+"]", "source.ip, values: [10.66.0.0/16]", "'request.auth.claims[role]', values: [admin]", "source.serviceAccount, values: [a]")+"}]")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// GeneratePolicies is that many AuthorizationPolicies at random, p0 and so on, as Generate writes them for its workloads a and b.
func GeneratePolicies(r *rand.Rand, n int) string {
	g := &generator{Rand: r, names: []string{"a", "b"}}
	for i := range n {
		g.policy(i)
	}
	return g.text.String()
}
