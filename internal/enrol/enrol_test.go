package enrol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/enrol"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
	"github.com/sidestep-mesh/sidestep/internal/object"
)

// shop is a caller, a workload behind two Services with other port numbers, and one that only its own peers call.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: shop}
spec: {selector: {matchLabels: {app: front}}, template: {metadata: {labels: {app: front}}, spec: {serviceAccountName: front, containers: [{name: app, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {serviceAccountName: cart, EXTRA containers: [{name: app, image: a}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: basket, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 8081, targetPort: 8080}, {name: http-admin, port: 8080, targetPort: 9090}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: shop}
spec: {selector: {matchLabels: {app: store}}, template: {metadata: {labels: {app: store}}, spec: {serviceAccountName: store, containers: [{name: app, image: a, ports: [{containerPort: 5000}]}]}}}
`

func policy(name, spec string) string {
	return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name + ", namespace: shop}\nspec: " + spec + "\n"
}

var front, cart, store = object.Ref{Kind: "Deployment", Namespace: "shop", Name: "front"}, object.Ref{Kind: "Deployment", Namespace: "shop", Name: "cart"}, object.Ref{Kind: "StatefulSet", Namespace: "shop", Name: "store"}

// TestEnd: what a person would do keeps every decision but those of calls that pass the waypoint by. (By pod address a sidecar
// calls without identity, so that where a policy asks for one nothing was admitted that way.)
func TestEnd(t *testing.T) {
	const selects = "selector: {matchLabels: {app: cart}}, "
	denyPath := policy("p", "{action: DENY, "+selects+"rules: [{to: [{operation: {paths: [/admin]}}]}]}")
	everybody := map[object.Ref]enrol.Target{front: enrol.Ambient, cart: enrol.Waypoint, store: enrol.Ambient}
	for sentence, c := range map[string]struct {
		policies string
		to       map[object.Ref]enrol.Target
		differ   string // sorts of differences at cart or store that are left
	}{
		"no policy, no waypoint":                            {"", map[object.Ref]enrol.Target{front: enrol.Ambient, cart: enrol.Ambient, store: enrol.Ambient}, ""},
		"an L7 DENY without a waypoint is lost":             {denyPath, map[object.Ref]enrol.Target{front: enrol.Ambient, cart: enrol.Ambient}, "weaker"},
		"an L7 DENY at every Service":                       {denyPath, everybody, "stricter past the waypoint"},
		"an L7 ALLOW at every Service":                      {policy("p", "{"+selects+"rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}], to: [{operation: {methods: [GET]}}]}]}"), everybody, ""},
		"a port of the pods is another port of a Service":   {policy("p", "{action: DENY, "+selects+"rules: [{to: [{operation: {ports: ['8080'], methods: [PUT]}}]}]}"), everybody, "stricter past the waypoint"},
		"a port by condition":                               {policy("p", "{action: DENY, "+selects+"rules: [{to: [{operation: {methods: [PUT]}}], when: [{key: destination.port, values: ['9090']}]}]}"), everybody, "stricter past the waypoint"},
		"ports left out":                                    {policy("p", "{action: DENY, "+selects+"rules: [{to: [{operation: {notPorts: ['8080'], methods: [PUT]}}]}]}"), everybody, "stricter past the waypoint"},
		"an identity judged at L4 behind a waypoint":        {policy("p", "{action: DENY, "+selects+"rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/front]}}]}]}"), everybody, ""},
		"a namespace's policy, for all behind a waypoint":   {policy("p", "{action: DENY, rules: [{to: [{operation: {methods: [PUT]}}]}]}"), map[object.Ref]enrol.Target{front: enrol.Waypoint, cart: enrol.Waypoint, store: enrol.Waypoint}, "stricter past the waypoint"},
		"a namespace's L4 ALLOW admits the waypoint of one": {policy("p", "{rules: [{from: [{source: {namespaces: [shop]}}]}]}"), everybody, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, strings.Replace(shop, "EXTRA", "", 1)+c.policies), mesh.Assume{})
			end, err := enrol.End(m, c.to, true)
			if err != nil {
				t.Fatal(err)
			}
			after, err := end.Build(m)
			if err != nil {
				t.Fatal(err)
			}
			for ref, target := range c.to {
				if err := enrol.Arrived(after, ref, target.Mode()); err != nil {
					t.Error(err)
				}
			}
			a, b := mesh.AuthzWorld(m), mesh.AuthzWorld(after)
			var got []string
			for _, d := range authz.Diff(&a, &b, authz.Options{}).Divergences {
				if d.Kind != authz.Weaker && d.Kind != authz.Stricter {
					continue
				}
				what := string(d.Kind)
				if end.Guarded(d) {
					what += " past the waypoint"
				} else {
					t.Logf("%+v\nbefore %+v\nafter %+v", d.Request, d.Before, d.After)
				}
				if !slices.Contains(got, what) {
					got = append(got, what)
				}
			}
			if slices.Sort(got); strings.Join(got, ", ") != c.differ {
				t.Errorf("differences: %s; want %s", strings.Join(got, ", "), c.differ)
			}
		})
	}
}

// TestRefused: what no label can do is said before anything is compared.
func TestRefused(t *testing.T) {
	vm := "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: shop}\nspec: {address: 10.9.9.9, serviceAccount: vm}\n"
	byHand := "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: hand, namespace: shop}\nspec: {selector: {matchLabels: {app: hand}}, template: {metadata: {labels: {app: hand}, annotations: {sidecar.istio.io/status: '{}'}}, spec: {containers: [{name: app, image: a}, {name: istio-proxy, image: p, args: [proxy, sidecar]}]}}}\n"
	for sentence, c := range map[string]struct {
		extra, more string
		ref         object.Ref
		to          enrol.Target
		why         string
	}{
		"the host's network":               {"hostNetwork: true,", "", cart, enrol.Ambient, "host's network"},
		"Windows":                          {"nodeSelector: {kubernetes.io/os: windows},", "", cart, enrol.Ambient, "Windows"},
		"a virtual machine":                {"", vm, object.Ref{Kind: "WorkloadEntry", Namespace: "shop", Name: "vm"}, enrol.Ambient, "virtual machine"},
		"a sidecar in the template":        {"", byHand, object.Ref{Kind: "Deployment", Namespace: "shop", Name: "hand"}, enrol.Ambient, "the template already holds a sidecar"},
		"to stay is never impossible":      {"hostNetwork: true,", "", cart, enrol.None, ""},
		"out of the mesh is possible":      {"", "", cart, enrol.None, ""},
		"a waypoint on the host's network": {"hostNetwork: true,", "", cart, enrol.Waypoint, "host's network"},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, strings.Replace(shop, "EXTRA", c.extra, 1)+c.more), mesh.Assume{})
			end, err := enrol.End(m, map[object.Ref]enrol.Target{c.ref: c.to}, false)
			if err == nil {
				after, builds := end.Build(m)
				if builds != nil {
					t.Fatal(builds)
				}
				err = enrol.Arrived(after, c.ref, c.to.Mode())
			}
			if got := fmt.Sprint(err); (err == nil) != (c.why == "") || !strings.Contains(got, c.why) && c.why != "" {
				t.Errorf("%v, want %q", err, c.why)
			}
		})
	}
}
