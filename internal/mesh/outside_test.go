package mesh_test

import (
	"strings"
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// TestWhatIsOutsideTheModelIsToldApart: a comparison says where something differs that it does not model, and only there.
func TestWhatIsOutsideTheModelIsToldApart(t *testing.T) {
	sidecar := func(spec string) string {
		return "---\n" + istio("networking.istio.io/v1", "Sidecar", "shop", spec)
	}
	canary := func(config string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'trustDomain: cluster.local'}\n" +
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-canary, namespace: istio-system, labels: {istio.io/rev: canary}}\ndata: {mesh: '" + config + "'}\n"
	}
	for sentence, c := range map[string]struct{ before, after, want string }{
		"an ingress listener's protocol": {
			sidecar("{ingress: [{port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:8080'}]}"),
			sidecar("{ingress: [{port: {number: 8080, protocol: TCP, name: tcp}, defaultEndpoint: '127.0.0.1:8080'}]}"), "ingress listeners of Sidecar"},
		"the same listeners": {
			sidecar("{ingress: [{port: {number: 8080, protocol: HTTP, name: http}}]}"), sidecar("{ingress: [{port: {name: http, number: 8080, protocol: HTTP}}]}"), ""},
		"revisions that say the same in other words": {canary("trustDomain: cluster.local"), canary("{\"trustDomain\": \"cluster.local\"}"), ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			before := mesh.AuthzWorld(mesh.Build(meshtest.Load(t, base+c.before), mesh.Assume{}))
			after := mesh.AuthzWorld(mesh.Build(meshtest.Load(t, base+c.after), mesh.Assume{}))
			for what := range before.Outside {
				if strings.Contains(what, "control plane") {
					t.Errorf("%s: one configuration, and it counts as two", what)
				}
			}
			got := strings.Join(authz.Diff(&before, &after, authz.Options{}).Omitted, "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("omitted %q, want %q", got, c.want)
			}
		})
	}
}
