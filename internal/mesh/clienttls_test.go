package mesh_test

import (
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// TestClientTLS: the DestinationRule in effect for the caller decides whether the server sees who calls. The
// server admits only the caller's identity.
func TestClientTLS(t *testing.T) {
	onlyFront := "---\n" + authzPolicy("shop", "{rules: [{from: [{source: {principals: [cluster.local/ns/web/sa/default]}}]}]}")
	dr := func(namespace, spec string) string { return "---\n" + destinationRule(namespace, spec) }
	named := func(name, rule string) string { return strings.Replace(rule, "name: x,", "name: "+name+",", 1) }
	const full = "cart.shop.svc.cluster.local"
	const disable = ", trafficPolicy: {tls: {mode: DISABLE}}}"
	const mutual = ", trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"
	ambient := map[mesh.Ref]enrol.Target{{Kind: "Deployment", Namespace: "shop", Name: "cart"}: enrol.Ambient}
	meshConfig := func(text string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: \"" + text + "\"}\n"
	}
	const silent = "defaultConfig: {proxyMetadata: {ISTIO_META_DISABLE_HBONE_SEND: 'true'}}"
	seen, plain := "allow by server sidecar", "deny by server sidecar"
	for sentence, c := range map[string]struct {
		rules string
		to    map[mesh.Ref]enrol.Target
		want  string
	}{
		"without rules auto mTLS carries the identity":              {"", nil, seen},
		"the service's namespace turns TLS off":                     {dr("shop", "{host: cart"+disable), nil, plain},
		"the root namespace turns TLS off":                          {dr("istio-system", "{host: '*.local'"+disable), nil, plain},
		"the service's namespace comes before the root namespace":   {dr("istio-system", "{host: '*.local'"+disable) + dr("shop", "{host: cart"+mutual), nil, seen},
		"the caller's namespace comes before the service's":         {dr("shop", "{host: cart"+disable) + dr("web", "{host: "+full+mutual), nil, seen},
		"a rule of the caller's namespace that says nothing hides":  {dr("shop", "{host: cart"+disable) + dr("web", "{host: "+full+", trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}"), nil, seen},
		"a short name is one of the rule's own namespace":           {dr("web", "{host: cart"+disable), nil, seen},
		"a rule of a third namespace is not for this caller":        {dr("other", "{host: "+full+disable), nil, seen},
		"a rule that is not exported is not for this caller":        {dr("shop", "{host: cart, exportTo: [.]"+disable), nil, seen},
		"a rule that is exported to the caller is":                  {dr("shop", "{host: cart, exportTo: [web]"+disable), nil, plain},
		"mesh configuration keeps rules at home":                    {dr("shop", "{host: cart"+disable) + meshConfig("defaultDestinationRuleExportTo: [.]"), nil, seen},
		"an exact host comes before a wildcard":                     {dr("web", "{host: '*.shop.svc.cluster.local'"+disable) + named("second", dr("web", "{host: "+full+mutual)), nil, seen},
		"a longer wildcard comes before a shorter one":              {dr("web", "{host: '*.local'"+disable) + named("second", dr("web", "{host: '*.svc.cluster.local'"+mutual)), nil, seen},
		"a setting for the port replaces the general one":           {dr("shop", "{host: cart, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}}"), nil, plain},
		"a setting for another port does not":                       {dr("shop", "{host: cart, trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {mode: DISABLE}}]}}"), nil, seen},
		"a selector that matches the caller":                        {dr("web", "{host: "+full+", workloadSelector: {matchLabels: {app: front}}"+disable), nil, plain},
		"a selector that does not":                                  {dr("web", "{host: "+full+", workloadSelector: {matchLabels: {app: other}}"+disable), nil, seen},
		"a subset with TLS of its own":                              {dr("shop", "{host: cart, subsets: [{name: v1, labels: {version: v1}"+disable+"]}"), nil, "unknown by nobody"},
		"TLS that is not Istio's":                                   {dr("shop", "{host: cart, trafficPolicy: {tls: {mode: SIMPLE}}}"), nil, "unknown by nobody"},
		"auto mTLS switched off":                                    {meshConfig("enableAutoMtls: false"), nil, plain},
		"auto mTLS switched off, and a rule that asks for it":       {meshConfig("enableAutoMtls: false") + dr("shop", "{host: cart"+mutual), nil, seen},
		"an ambient destination is sent HBONE by who asks for mTLS": {dr("shop", "{host: cart"+mutual), ambient, "allow by ztunnel"},
		"one told to send no HBONE calls it in plaintext":           {meshConfig(silent), ambient, "deny by ztunnel"},
		"and where it asks for legacy mTLS it fails":                {meshConfig(silent) + dr("shop", "{host: cart"+mutual), ambient, "deny by network"},
		"a ProxyConfig tells as well":                               {"---\n" + istio("networking.istio.io/v1beta1", "ProxyConfig", "web", "{environmentVariables: {ISTIO_META_DISABLE_HBONE_SEND: 'true'}}"), ambient, "deny by ztunnel"},
		"to another namespace it tells nothing":                     {"---\n" + istio("networking.istio.io/v1beta1", "ProxyConfig", "other", "{environmentVariables: {ISTIO_META_DISABLE_HBONE_SEND: 'true'}}"), ambient, "allow by ztunnel"},
		"mTLS disabled for a namespace, not for the workload of it": {"---\n" + istio("security.istio.io/v1", "PeerAuthentication", "shop", "{mtls: {mode: DISABLE}}") + "---\n" + strings.Replace(istio("security.istio.io/v1", "PeerAuthentication", "shop", "{selector: {matchLabels: {app: cart}}, mtls: {mode: PERMISSIVE}}"), "name: x", "name: second", 1), nil, plain},
		"one port exempt from STRICT through the workload's policy": {"---\n" + istio("security.istio.io/v1", "PeerAuthentication", "shop", "{selector: {matchLabels: {app: cart}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}"), nil, plain},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, base+onlyFront+c.rules), mesh.Assume{})
			a := answer(t, m, c.to, "/")
			if got := string(a.Decision) + " by " + string(a.By); got != c.want {
				t.Errorf("answer is %s (%s, %s), want %s", got, a.Why, a.Route, c.want)
			}
		})
	}
}

// TestWorldOfExternalServices: a ServiceEntry outside the mesh is a destination that its waypoint guards.
func TestWorldOfExternalServices(t *testing.T) {
	entry := "---\n" + strings.Replace(istio("networking.istio.io/v1", "ServiceEntry", "shop", "{hosts: [api.example.com], ports: [{number: 443, name: tls, protocol: TLS}], location: MESH_EXTERNAL, resolution: DNS}"),
		"name: x, namespace: shop", "name: x, namespace: shop, labels: {istio.io/use-waypoint: w}", 1)
	policy := "---\n" + authzPolicy("shop", "{targetRefs: [{group: networking.istio.io, kind: ServiceEntry, name: x}], rules: [{from: [{source: {namespaces: [shop]}}]}]}")
	m := mesh.Build(meshtest.Load(t, base+entry+policy+gateway("shop", "w", "", "", programmed)), mesh.Assume{})
	world := mesh.AuthzWorld(moved(t, m, map[mesh.Ref]enrol.Target{{Kind: "Deployment", Namespace: "web", Name: "front"}: enrol.Ambient}))
	for i := range world.Waypoints {
		world.Waypoints[i].Ready = true
	}
	request := authz.Request{From: authz.Caller{Workload: &authz.Pods{Ref: authz.Ref{Kind: "Deployment", Namespace: "web", Name: "front"}}},
		To: authz.Destination{Service: "shop/x", ServicePort: 443}, Protocol: authz.ProtocolTCP}
	if a, err := authz.Can(&world, request); err != nil || a.Decision != authz.Deny || a.By != authz.PointWaypoint {
		t.Errorf("an ambient caller of another namespace: %s by %s (%v)", a.Decision, a.By, err)
	}
	request.From.Workload = &authz.Pods{Ref: authz.Ref{Kind: "Deployment", Namespace: "shop", Name: "client"}}
	if a, err := authz.Can(&world, request); err != nil || a.Decision != authz.Allow || a.By != authz.PointNobody {
		t.Errorf("a sidecar passes no egress waypoint: %s by %s (%v)", a.Decision, a.By, err)
	}
}
