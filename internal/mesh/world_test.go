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
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

// moved supposes workloads elsewhere.
func moved(t *testing.T, m *mesh.Mesh, to map[mesh.Ref]enrol.Target) *mesh.Mesh {
	t.Helper()
	end, err := enrol.End(m, to, false)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = end.Build(m); err != nil {
		t.Fatal(err)
	}
	return m
}

// answer asks a world whether front (in namespace web) may GET a path at cart.
func answer(t *testing.T, m *mesh.Mesh, to map[mesh.Ref]enrol.Target, path string) authz.Answer {
	t.Helper()
	m = moved(t, m, to)
	world := mesh.AuthzWorld(m)
	callers, destinations := m.Callers("web", "default"), m.Destinations("shop", "cart", 80)
	if len(callers) != 1 || len(destinations) == 0 {
		t.Fatalf("callers %v, destinations %v", callers, destinations)
	}
	a, err := authz.Can(&world, authz.Request{From: callers[0], To: destinations[0], Protocol: authz.ProtocolHTTP, Method: "GET", Path: path, Host: "cart"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestWorldAnswers asks package authz about worlds derived here: what is derived must be what decides.
func TestWorldAnswers(t *testing.T) {
	denyAdmin := authzPolicy("shop", "{action: DENY, selector: {matchLabels: {app: cart}}, rules: [{to: [{operation: {paths: [/admin]}}]}]}")
	cart := mesh.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	front := mesh.Ref{Kind: "Deployment", Namespace: "web", Name: "front"}
	ambient := map[mesh.Ref]enrol.Target{cart: enrol.Ambient, front: enrol.Ambient}
	waypoint := "---\n" + strings.Replace(denyAdmin, "selector: {matchLabels: {app: cart}}", "targetRefs: [{group: '', kind: Service, name: cart}]", 1) +
		gateway("shop", "w", "", "", programmed)
	bound := strings.Replace(base, "{name: cart, namespace: shop}\nspec: {clusterIP", "{name: cart, namespace: shop, labels: {istio.io/use-waypoint: w}}\nspec: {clusterIP", 1)
	pods := "---\napiVersion: v1\nkind: Pod\nmetadata: {name: w-1, namespace: shop, uid: w1, labels: {gateway.networking.k8s.io/gateway-name: w}}\nspec: {serviceAccountName: w, containers: [{name: istio-proxy, image: p, args: [proxy, waypoint]}]}\nstatus: {phase: Running, conditions: [{type: Ready, status: \"True\"}]}\n"
	patched := istio("networking.istio.io/v1alpha3", "EnvoyFilter", "shop", "{configPatches: [{applyTo: HTTP_FILTER, patch: {operation: REMOVE, value: {name: envoy.filters.http.rbac}}}]}")
	excluded := strings.Replace(base, "labels: {app: cart, version: v1}", `labels: {app: cart, version: v1}, annotations: {traffic.sidecar.istio.io/includeInboundPorts: "9090"}`, 1)
	for sentence, c := range map[string]struct {
		yaml     string
		to       map[mesh.Ref]enrol.Target
		path     string
		decision authz.Decision
		by       authz.Point
	}{
		"a sidecar denies a path":                           {base + "---\n" + denyAdmin, nil, "/admin", authz.Deny, authz.PointServerSidecar},
		"a sidecar allows other paths":                      {base + "---\n" + denyAdmin, nil, "/", authz.Allow, authz.PointServerSidecar},
		"in ambient mode the same denial is gone":           {base + "---\n" + denyAdmin, ambient, "/admin", authz.Allow, authz.PointZtunnel},
		"a bound waypoint denies again":                     {bound + waypoint + pods, ambient, "/admin", authz.Deny, authz.PointWaypoint},
		"a bound waypoint without ready pods fails calls":   {bound + waypoint, ambient, "/", authz.Deny, authz.PointNetwork},
		"an EnvoyFilter on access control makes it unknown": {base + "---\n" + patched, nil, "/", authz.DecisionUnknown, ""},
		"a port outside the sidecar is nobody's":            {excluded + "---\n" + denyAdmin, nil, "/admin", authz.Allow, authz.PointNobody},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, c.yaml), mesh.Assume{})
			a := answer(t, m, c.to, c.path)
			if a.Decision != c.decision || c.by != "" && a.By != c.by {
				t.Errorf("answer is %s by %s (%s), want %s by %s", a.Decision, a.By, a.Why, c.decision, c.by)
			}
		})
	}
}

// TestWorldOfHiddenPolicies: what could not be read is not allowed to look like absence.
func TestWorldOfHiddenPolicies(t *testing.T) {
	s := meshtest.Load(t, base)
	b := snapshot.NewBuilder()
	for o := range s.Objects() {
		if err := b.Add(o, snapshot.Source{}); err != nil {
			t.Fatal(err)
		}
	}
	kind := snapshot.Kind{Group: "security.istio.io", Kind: "AuthorizationPolicy"}
	b.Mark(kind, snapshot.Knowledge{State: snapshot.Hidden, Reason: "listing is forbidden"})
	m := mesh.Build(b.Build(), mesh.Assume{})
	for _, w := range m.Workloads {
		if !slices.Contains(w.Unknown, kind) {
			t.Errorf("%s does not list %s as unknown", w.Ref, kind)
		}
	}
	if a := answer(t, m, nil, "/"); a.Decision != authz.DecisionUnknown {
		t.Errorf("answer is %s, want unknown", a.Decision)
	}
}

// TestWorldOfHiddenPoliciesOfOneNamespace: only that namespace is in doubt.
func TestWorldOfHiddenPoliciesOfOneNamespace(t *testing.T) {
	broken := base + "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x, namespace: web}\nspec: {rules: 7}\n"
	m := mesh.Build(manifest.Load(manifest.Stream("x.yaml", strings.NewReader(broken))), mesh.Assume{})
	for _, w := range m.Workloads {
		if doubt := len(w.Unknown) > 0; doubt != (w.Namespace == "web") {
			t.Errorf("%s: unknown kinds %v", w.Ref, w.Unknown)
		}
	}
}

func TestDestinations(t *testing.T) {
	m := mesh.Build(meshtest.Load(t, base+"---\napiVersion: v1\nkind: Service\nmetadata: {name: peers, namespace: shop}\nspec: {clusterIP: None, selector: {app: cart}, ports: [{name: http, port: 7000}]}\n"), mesh.Assume{})
	for sentence, c := range map[string]struct {
		name string
		port uint16
		want string
	}{
		"a Service by its port":                {"cart", 80, "service shop/cart 80 to 8080; pod IP 80"},
		"a workload by its own port":           {"cart", 8080, "service shop/cart 80 to 8080; pod IP 8080"},
		"a headless Service":                   {"peers", 7000, "headless service shop/peers 7000 to 7000"},
		"every declared port":                  {"cart", 0, "service shop/cart 80 to 8080; headless service shop/peers 7000 to 7000; pod IP 8080"},
		"a workload without Service by its IP": {"client", 1, "pod IP 1"},
		"a name that is not there":             {"gone", 80, ""},
	} {
		var got []string
		for _, d := range m.Destinations("shop", c.name, c.port) {
			text := string(d.Addressing)
			if d.Service != "" {
				text += fmt.Sprintf(" %s %d to", d.Service, d.ServicePort)
			}
			got = append(got, fmt.Sprintf("%s %d", text, d.Port))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %q, want %q", sentence, text, c.want)
		}
	}
}

// TestWorldOfWaysRound: what takes calls past ztunnel or past a waypoint reaches package authz.
func TestWorldOfWaysRound(t *testing.T) {
	bypass := strings.Replace(base, "labels: {app: cart, version: v1}", `labels: {app: cart, version: v1}, annotations: {ambient.istio.io/bypass-inbound-capture: "true"}`, 1)
	canary := strings.Replace(base, "{name: cart, namespace: shop}\nspec: {clusterIP", "{name: cart, namespace: shop, labels: {istio.io/use-waypoint: w, istio.io/use-waypoint-canary: next}, annotations: {istio.io/use-waypoint-canary-weight: \"WEIGHT\"}}\nspec: {clusterIP", 1) +
		gateway("shop", "w", "", "", programmed) + gateway("shop", "next", "", "", programmed)
	cart := func(yaml string) (w authz.Workload, s authz.Service) {
		world := mesh.AuthzWorld(mesh.Build(meshtest.Load(t, yaml), mesh.Assume{}))
		for _, x := range world.Workloads {
			if x.Ref.Name == "cart" {
				w = x
			}
		}
		for _, x := range world.Services {
			if x.Name == "cart" {
				s = x
			}
		}
		return w, s
	}
	if w, _ := cart(bypass); !w.BypassInbound {
		t.Error("the annotation that bypasses inbound capture is lost")
	}
	if w, _ := cart(base); w.BypassInbound || w.Narrow {
		t.Errorf("without annotations or Sidecar: bypass %v, narrow %v", w.BypassInbound, w.Narrow)
	}
	egress := base + "---\n" + istio("networking.istio.io/v1", "Sidecar", "shop", "{egress: [{hosts: ['./*']}]}")
	if w, _ := cart(egress); !w.Narrow {
		t.Error("a Sidecar that names hosts is lost")
	}
	left := strings.Replace(base, "labels: {app: cart, version: v1}", `labels: {app: cart, version: v1}, annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: "5432"}`, 1)
	if w, _ := cart(left); !w.Narrow {
		t.Error("an annotation that leaves out calls is lost")
	}
	if _, s := cart(strings.Replace(canary, "WEIGHT", "10", 1)); s.Canary != "shop/next" {
		t.Errorf("canary is %q", s.Canary)
	}
	if _, s := cart(strings.Replace(canary, "WEIGHT", "0", 1)); s.Canary != "" {
		t.Errorf("a canary without weight is %q", s.Canary)
	}
}
