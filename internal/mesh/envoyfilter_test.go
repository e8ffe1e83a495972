package mesh_test

import (
	"testing"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/meshtest"
)

// TestPatchesOfAccessControl: taking a filter away is a patch of access control as much as adding one is.
func TestPatchesOfAccessControl(t *testing.T) {
	filter := func(name, sub string) string {
		text := "{listener: {filterChain: {filter: {name: " + name
		if sub != "" {
			text += ", subFilter: {name: " + sub + "}"
		}
		return text + "}}}}"
	}
	const hcm, rbac = "envoy.filters.network.http_connection_manager", "envoy.filters.http.rbac"
	for name, c := range map[string]struct {
		patch string
		want  bool
	}{
		"a filter of access control is added":        {"applyTo: HTTP_FILTER, patch: {operation: INSERT_FIRST, value: {name: " + rbac + "}}", true},
		"it is removed by its name":                  {"applyTo: HTTP_FILTER, match: " + filter(hcm, rbac) + ", patch: {operation: REMOVE}", true},
		"it is merged into":                          {"applyTo: HTTP_FILTER, match: " + filter(hcm, rbac) + ", patch: {operation: MERGE, value: {disabled: true}}", true},
		"it is replaced":                             {"applyTo: HTTP_FILTER, match: " + filter(hcm, "envoy.filters.http.jwt_authn") + ", patch: {operation: REPLACE, value: {name: x}}", true},
		"the TCP form is removed":                    {"applyTo: NETWORK_FILTER, match: " + filter("envoy.filters.network.rbac", "") + ", patch: {operation: REMOVE}", true},
		"every HTTP filter is removed":               {"applyTo: HTTP_FILTER, match: " + filter(hcm, "") + ", patch: {operation: REMOVE}", true},
		"what holds the HTTP filters is removed":     {"applyTo: NETWORK_FILTER, match: " + filter(hcm, "") + ", patch: {operation: REMOVE}", true},
		"the listener is removed":                    {"applyTo: LISTENER, match: {context: SIDECAR_INBOUND}, patch: {operation: REMOVE}", true},
		"another filter is removed":                  {"applyTo: HTTP_FILTER, match: " + filter(hcm, "envoy.filters.http.cors") + ", patch: {operation: REMOVE}", false},
		"another filter goes before it":              {"applyTo: HTTP_FILTER, match: " + filter(hcm, rbac) + ", patch: {operation: INSERT_BEFORE, value: {name: example}}", false},
		"it is removed from what the workload calls": {"applyTo: HTTP_FILTER, match: {context: SIDECAR_OUTBOUND, listener: {filterChain: {filter: {name: " + hcm + ", subFilter: {name: " + rbac + "}}}}}, patch: {operation: REMOVE}", false},
		"it is removed from gateways":                {"applyTo: HTTP_FILTER, match: {context: GATEWAY, listener: {filterChain: {filter: {name: " + hcm + ", subFilter: {name: " + rbac + "}}}}}, patch: {operation: REMOVE}", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := mesh.Build(meshtest.Load(t, `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patch, namespace: shop}
spec: {configPatches: [{`+c.patch+`}]}
`), mesh.Assume{})
			if len(m.Policies) != 1 || m.Policies[0].PatchesAuthz != c.want {
				t.Errorf("PatchesAuthz %v, want %v", !c.want, c.want)
			}
		})
	}
}
