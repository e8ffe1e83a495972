package generate

import (
	"fmt"
	"hash/fnv"
	"strings"

	authz "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"istio.io/api/annotation"

	"github.com/sidestep-mesh/sidestep/test/oracle/corpus"
)

// fixed is a policy set written by hand; its requests are generated like any other case's.
type fixed struct {
	id string
	// specs are AuthorizationPolicy specs. Where a spec has neither selector nor targetRefs and namespace is empty, the set
	// is judged twice over: once with a selector (sidecar, ztunnel) and once with targetRefs (waypoint).
	specs       []string
	namespace   string
	annotations map[string]string
	jwt         bool
	aliases     []string
}

// scenarios are the known traps of a migration, by the names that they have in Sidestep's own scenario files.
func scenarios() []fixed {
	front := `"principals":["cluster.local/ns/web/sa/front"]`
	dry := map[string]string{annotation.IoIstioDryRun.Name: "true"}
	return []fixed{
		{id: "T1-namespace-wide-allow", namespace: "shop", specs: []string{`{"rules":[{"from":[{"source":{"namespaces":["shop"]}}]}]}`}},
		{id: "T2-deny-paths", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"paths":["/admin"]}}]}]}`}},
		{id: "T2a-deny-principals-and-paths", specs: []string{
			`{"action":"DENY","rules":[{"from":[{"source":{` + front + `}}],"to":[{"operation":{"paths":["/admin"]}}]}]}`}},
		{id: "T2b-deny-ports-and-paths", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"ports":["8080"],"paths":["/admin"]}}]}]}`}},
		{id: "T2b-deny-service-port-and-paths", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"ports":["80"],"paths":["/admin"]}}]}]}`}},
		{id: "T2c-deny-one-rule-of-each-layer", specs: []string{
			`{"action":"DENY","rules":[{"from":[{"source":{` + front + `}}]},{"to":[{"operation":{"paths":["/admin"]}}]}]}`}},
		{id: "T3-allow-mixed", specs: []string{`{"rules":[{"from":[{"source":{` + front + `}}]},{"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "T3-allow-http-only", specs: []string{`{"rules":[{"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "T4-custom-everything", specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{}]}`}},
		{id: "T4-custom-ports", specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"ports":["8080","80"]}}]}]}`}},
		{id: "T4-custom-paths", specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`}},
		{id: "T4-custom-unknown-provider", specs: []string{`{"action":"CUSTOM","provider":{"name":"nobody"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`}},
		{id: "T4-custom-two-providers", specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`,
			`{"action":"CUSTOM","provider":{"name":"authz-b"},"rules":[{"to":[{"operation":{"methods":["POST"]}}]}]}`}},
		{id: "T4-custom-principals", specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"from":[{"source":{` + front + `}}]}]}`}},
		{id: "T4-custom-not-principals", specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"from":[{"source":{"notPrincipals":["cluster.local/ns/web/sa/front"]}}]}]}`}},
		{id: "T4-audit", specs: []string{`{"action":"AUDIT","rules":[{}]}`}},
		{id: "T4-dry-run-deny", annotations: dry, specs: []string{`{"action":"DENY","rules":[{}]}`}},
		{id: "T4-dry-run-allow", annotations: dry, specs: []string{`{"rules":[{"from":[{"source":{` + front + `}}]}]}`}},
		{id: "T4-dry-run-beside-enforced", annotations: dry, specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"methods":["GET"]}}]}]}`,
			`{"rules":[{"from":[{"source":{"namespaces":["web"]}}]}]}`}},
		{id: "T4-dry-run-custom-everything", annotations: dry, specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{}]}`}},
		{id: "T4-dry-run-custom-paths", annotations: dry, specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`}},
		{id: "T4-dry-run-custom-ports", annotations: dry, specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"ports":["8080","80"]}}]}]}`}},
		{id: "T4-dry-run-custom-principals", annotations: dry, specs: []string{`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"from":[{"source":{` + front + `}}]}]}`}},
		{id: "T4-dry-run-custom-not-principals", annotations: dry, specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"from":[{"source":{"notPrincipals":["cluster.local/ns/web/sa/front"]}}]}]}`}},
		{id: "T4-dry-run-custom-claims", annotations: dry, jwt: true, specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"when":[{"key":"request.auth.claims[groups]","values":["admins"]}]}]}`}},
		{id: "T4-dry-run-custom-unknown-provider", annotations: dry, specs: []string{`{"action":"CUSTOM","provider":{"name":"nobody"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`}},
		{id: "T4-dry-run-custom-beside-enforced", annotations: dry, specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`,
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"methods":["POST"]}}]}]}`}},
		{id: "T4-dry-run-custom-beside-allow", annotations: dry, specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`,
			`{"rules":[{"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "T5-deny-delete", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"methods":["DELETE"]}}]}]}`}},
		{id: "T6-allow-client", specs: []string{`{"rules":[{"from":[{"source":{` + front + `}}]}]}`}},
		{id: "T6-allow-client-and-waypoint", specs: []string{
			`{"rules":[{"from":[{"source":{"principals":["cluster.local/ns/web/sa/front","cluster.local/ns/shop/sa/waypoint"]}}]}]}`}},
		{id: "T7-only-a-deny", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"methods":["POST"],"paths":["/admin/*"]}}]}]}`}},
		{id: "T7-deny-all-but-waypoint", namespace: "shop", specs: []string{
			`{"action":"DENY","rules":[{"from":[{"source":{"notPrincipals":["cluster.local/ns/shop/sa/waypoint"]}}]}]}`}},
		{id: "T8-allow-get", specs: []string{`{"rules":[{"from":[{"source":{"namespaces":["web"]}}],"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "T10-namespace-allow-methods", namespace: "shop", specs: []string{`{"rules":[{"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "T10-mesh-deny-paths", namespace: rootNamespace, specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]}`}},
		{id: "T10-class-in-root", namespace: rootNamespace, specs: []string{classRef(`"action":"DENY","rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]`)}},
		{id: "T10-class-elsewhere", namespace: "shop", specs: []string{classRef(`"action":"DENY","rules":[{"to":[{"operation":{"paths":["/admin*"]}}]}]`)}},
		{id: "T15-jwt-and-methods", jwt: true, specs: []string{
			`{"rules":[{"from":[{"source":{"requestPrincipals":["https://issuer.example/*"]}}],"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "T15-deny-without-token", jwt: true, specs: []string{`{"action":"DENY","rules":[{"from":[{"source":{"notRequestPrincipals":["*"]}}]}]}`}},
		{id: "deny-all", namespace: "shop", specs: []string{`{}`}},
		{id: "deny-all-mesh", namespace: rootNamespace, specs: []string{`{}`}},
		{id: "allow-all", specs: []string{`{"rules":[{}]}`}},
		{id: "aliases", aliases: []string{"old.example", "partner.example"}, specs: []string{
			`{"rules":[{"from":[{"source":{"principals":["old.example/ns/web/sa/front","*/ns/ops/sa/batch"],"notPrincipals":["partner.example/ns/web/sa/front"]}}]}]}`}},
		{id: "trust-domains", aliases: []string{"old.example"}, specs: []string{`{"rules":[{"from":[{"source":{"trustDomains":["cluster.local"]}}]}]}`,
			`{"action":"DENY","rules":[{"from":[{"source":{"notTrustDomains":["cluster*"]}}]}]}`}},
	}
}

func classRef(rest string) string {
	return `{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"GatewayClass","name":"istio-waypoint"}],` + rest + `}`
}

// singleFields is one policy per field and condition key: what ztunnel does with each alone.
func singleFields() []fixed {
	sources := map[string]string{
		"requestPrincipals": `["https://issuer.example/alice"]`, "notRequestPrincipals": `["https://issuer.example/alice"]`,
		"remoteIpBlocks": `["203.0.113.0/24"]`, "notRemoteIpBlocks": `["203.0.113.0/24"]`,
		"principals": `["cluster.local/ns/web/sa/front"]`, "notPrincipals": `["cluster.local/ns/web/sa/front"]`,
		"namespaces": `["web"]`, "notNamespaces": `["web"]`, "serviceAccounts": `["web/front"]`, "notServiceAccounts": `["web/front"]`,
		"ipBlocks": `["10.2.0.0/16"]`, "notIpBlocks": `["10.2.0.0/16"]`, "trustDomains": `["cluster.local"]`, "notTrustDomains": `["cluster.local"]`,
	}
	operations := map[string]string{
		"hosts": `["cart"]`, "notHosts": `["cart"]`, "methods": `["GET"]`, "notMethods": `["GET"]`, "paths": `["/admin"]`, "notPaths": `["/admin"]`,
		"ports": `["80","8080"]`, "notPorts": `["80","8080"]`,
	}
	keys := map[string]string{
		"request.auth.claims[groups]": `["admins"]`, "request.auth.claims[realm][roles]": `["admins"]`, "request.auth.principal": `["issuer-b/alice"]`,
		"request.auth.audiences": `["cart"]`, "request.auth.presenter": `["alice"]`, "connection.sni": `["*.example.com"]`,
		"request.headers[x-user]": `["alice"]`, "remote.ip": `["203.0.113.7"]`, "source.ip": `["10.2.0.0/16"]`, "source.namespace": `["web"]`,
		"source.principal": `["cluster.local/ns/web/sa/front"]`, "destination.ip": `["10.1.0.7","10.96.0.7"]`, "destination.port": `["80","8080"]`,
	}
	var out []fixed
	add := func(id, rule string) {
		for _, action := range []string{"ALLOW", "DENY"} {
			out = append(out, fixed{id: "T9-" + strings.ToLower(action) + "-" + id, jwt: strings.Contains(id, "equest"),
				specs: []string{fmt.Sprintf(`{"action":%q,"rules":[%s]}`, action, rule)}})
		}
	}
	for _, f := range sorted(sources) {
		add(f, fmt.Sprintf(`{"from":[{"source":{%q:%s}}]}`, f, sources[f]))
	}
	for _, f := range sorted(operations) {
		add(f, fmt.Sprintf(`{"to":[{"operation":{%q:%s}}]}`, f, operations[f]))
	}
	for _, k := range sorted(keys) {
		add("when-"+k, fmt.Sprintf(`{"when":[{"key":%q,"values":%s}]}`, k, keys[k]))
		add("when-not-"+k, fmt.Sprintf(`{"when":[{"key":%q,"notValues":%s}]}`, k, keys[k]))
	}
	return out
}

// mistakes are policies that istiod's validation refuses, and what happens when they are there all the same.
func mistakes() []fixed {
	return []fixed{
		{id: "bad-unknown-key", specs: []string{`{"rules":[{"when":[{"key":"request.color","values":["red"]}]},{"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "bad-unknown-key-deny", specs: []string{`{"action":"DENY","rules":[{"when":[{"key":"request.color","values":["red"]}]},{"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "bad-port-name", specs: []string{`{"rules":[{"to":[{"operation":{"ports":["http"]}}]}]}`}},
		{id: "bad-port-name-deny", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"ports":["http"],"methods":["GET"]}}]}]}`}},
		{id: "bad-port-range-deny", specs: []string{`{"action":"DENY","rules":[{"to":[{"operation":{"ports":["99999","8080","80"]}}]}]}`}},
		{id: "bad-cidr", specs: []string{`{"rules":[{"from":[{"source":{"ipBlocks":["10.2.0","10.2.0.0/16"]}}]}]}`}},
		{id: "bad-cidr-deny", specs: []string{`{"action":"DENY","rules":[{"from":[{"source":{"ipBlocks":["10.2.0"]}}],"to":[{"operation":{"methods":["GET"]}}]}]}`}},
		{id: "bad-condition-without-values", specs: []string{`{"rules":[{"when":[{"key":"source.namespace"}]}]}`}},
		{id: "bad-deny-without-rules", specs: []string{`{"action":"DENY"}`}},
		{id: "bad-custom-without-provider", specs: []string{`{"action":"CUSTOM","rules":[{}]}`}},
		{id: "bad-custom-with-token-fields", jwt: true, specs: []string{
			`{"action":"CUSTOM","provider":{"name":"authz-a"},"rules":[{"from":[{"source":{"requestPrincipals":["*"]}}]}]}`}},
		{id: "bad-accounts-with-namespaces", specs: []string{`{"rules":[{"from":[{"source":{"serviceAccounts":["web/front"],"namespaces":["web"]}}]}]}`}},
		{id: "bad-account-wildcard", specs: []string{`{"rules":[{"from":[{"source":{"serviceAccounts":["web/*"]}}]}]}`}},
		{id: "bad-claim-key", jwt: true, specs: []string{`{"rules":[{"when":[{"key":"request.auth.claims","values":["x"]}]}]}`}},
		{id: "bad-claim-key-deny", jwt: true, specs: []string{`{"action":"DENY","rules":[{"when":[{"key":"request.auth.claims","values":["x"]}]}]}`}},
		{id: "bad-header-key", specs: []string{`{"action":"DENY","rules":[{"when":[{"key":"request.headers","values":["x"]}]}]}`}},
		{id: "bad-host-empty", specs: []string{`{"rules":[{"to":[{"operation":{"hosts":[""]}}]}]}`}},
		{id: "bad-inner-star", specs: []string{`{"rules":[{"to":[{"operation":{"paths":["/ad*min","/admin"]}}]},{"from":[{"source":{"namespaces":["w*b"]}}]}]}`}},
	}
}

// fixedCase judges a hand-written set with the generator's requests.
func fixedCase(seed uint64, f fixed) (*corpus.Case, error) {
	name := fnv.New64a()
	name.Write([]byte(f.id))
	d := newDice(seed, name.Sum64())
	c := baseCase(f.id)
	c.Mesh.TrustDomainAliases = f.aliases
	b := &builder{dice: d, c: c}
	for i, js := range f.specs {
		spec, err := specOf(js)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.id, err)
		}
		b.specs = append(b.specs, spec)
		annotations := f.annotations
		if i > 0 {
			annotations = nil
		}
		name := fmt.Sprintf("p%d", i)
		if f.namespace != "" {
			b.objects = append(b.objects, object{"AuthorizationPolicy", name, f.namespace, annotations, spec})
			continue
		}
		selected, targeted := spec.DeepCopy(), spec.DeepCopy()
		selected.Selector = selector(map[string]string{"app": "cart"})
		targeted.TargetRefs = []*typev1beta1.PolicyTargetReference{{Kind: "Service", Name: c.Service.Name}}
		b.objects = append(b.objects, object{"AuthorizationPolicy", name, "shop", annotations, selected},
			object{"AuthorizationPolicy", name + "-t", "shop", annotations, targeted})
	}
	if f.jwt {
		for _, iss := range issuers {
			b.jwt = append(b.jwt, &authz.JWTRule{Issuer: iss, Jwks: JWKS})
		}
		b.objects = append(b.objects,
			object{"RequestAuthentication", "jwt", "shop", nil,
				&authz.RequestAuthentication{JwtRules: b.jwt, Selector: selector(map[string]string{"app": "cart"})}},
			object{"RequestAuthentication", "jwt-t", "shop", nil,
				&authz.RequestAuthentication{JwtRules: b.jwt, TargetRefs: []*typev1beta1.PolicyTargetReference{{Kind: "Service", Name: c.Service.Name}}}})
	}
	return b.finish()
}
