package generate

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
	"github.com/sidestep-mesh/sidestep/internal/snapshot/manifest"
)

const sidecarCluster = `apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {pod-security.kubernetes.io/enforce: baseline}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: corp.example
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    defaultConfig: {proxyMetadata: {KEEP: "me"}}
    extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.opa.svc.cluster.local, port: 9191}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec:
  selector: {matchLabels: {app: istiod}}
  template:
    metadata: {labels: {app: istiod}}
    spec: {containers: [{name: discovery, image: "gcr.io/istio-release/pilot:1.28.3"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {eks.amazonaws.com/nodegroup: a}}
spec: {providerID: "aws:///eu-west-1a/i-1"}
status: {nodeInfo: {operatingSystem: windows}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: app, image: "registry.example.com/app:1"}]}
`

func meshOf(t *testing.T, text string) *mesh.Mesh {
	t.Helper()
	if text == "" {
		return mesh.Build(snapshot.NewBuilder().Build(), mesh.Assume{})
	}
	s := manifest.LoadWith(manifest.Options{}, manifest.Stream("mesh.yaml", strings.NewReader(text)))
	for _, p := range s.Problems() {
		t.Fatal(p)
	}
	return mesh.Build(s, mesh.Assume{})
}

func filesOf(t *testing.T, text string, o InstallOptions) map[string]string {
	t.Helper()
	i, err := NewInstall(meshOf(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	files, err := i.Files()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		out[f.Name] = f.Text
	}
	return out
}

func at(t *testing.T, text string, path ...string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	for _, k := range path {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func TestInstallKeepsTheClustersMeshConfig(t *testing.T) {
	files := filesOf(t, sidecarCluster, InstallOptions{Tracing: "otel.observability.svc.cluster.local:4317"})
	for _, name := range []string{"values-istiod.yaml", "istioctl.yaml"} {
		path := map[string][]string{"values-istiod.yaml": {"meshConfig"}, "istioctl.yaml": {"spec", "meshConfig"}}[name]
		for want, keys := range map[string][]string{
			"corp.example": {"trustDomain"}, "REGISTRY_ONLY": {"outboundTrafficPolicy", "mode"}, "true": {"defaultConfig", "proxyMetadata", "ISTIO_META_ENABLE_HBONE"}, "15s": {"hboneIdleTimeout"},
		} {
			if got := at(t, files[name], append(path, keys...)...); got != want {
				t.Errorf("%s: meshConfig %v is %v, want %s", name, keys, got, want)
			}
		}
		providers, _ := at(t, files[name], append(path, "extensionProviders")...).([]any)
		if len(providers) != 2 {
			t.Errorf("%s: providers %v", name, providers)
		}
	}
	// What a snapshot leaves out as a possible secret is not written back as if it were the value, and is said.
	if strings.Contains(files["values-istiod.yaml"], snapshot.HiddenValue) || !strings.Contains(files["INSTALL.md"], "leaves out as secrets") {
		t.Error("a hidden value is written back, or not said")
	}
	if !strings.Contains(files["telemetry.yaml"], "sidestep-tracing") {
		t.Error("no Telemetry names the tracing provider")
	}
	if strings.Contains(filesOf(t, sidecarCluster, InstallOptions{})["telemetry.yaml"], "tracing") {
		t.Error("tracing without a collector")
	}
}

func TestInstallSaysWhatWouldBreakOnThisCluster(t *testing.T) {
	steps := filesOf(t, sidecarCluster, InstallOptions{})["INSTALL.md"]
	for _, want := range []string{"on eks", "POD_SECURITY_GROUP_ENFORCING_MODE", "pod-security.kubernetes.io/enforce: baseline", "istiod is 1.28 and these files are for 1.31.1", "Node n1 runs Windows",
		"gcr.io/istio-release", "kubectl rollout restart -n shop statefulset/db"} {
		if !strings.Contains(steps, want) {
			t.Errorf("INSTALL.md does not say %q\n%s", want, steps)
		}
	}
	if steps := filesOf(t, sidecarCluster, InstallOptions{Platform: "gke", Version: "1.29.2"})["INSTALL.md"]; !strings.Contains(steps, "look like eks") || strings.Contains(steps, "istiod is 1.28") {
		t.Error("the wrong platform is not said, or an upgrade by one minor is")
	}
	if steps := filesOf(t, "", InstallOptions{})["INSTALL.md"]; !strings.Contains(steps, "nothing was checked") {
		t.Error("an empty input reads as a checked one")
	}
}

func TestInstallRefusesWhatCannotBe(t *testing.T) {
	for want, o := range map[string]InstallOptions{
		"want a full one": {Version: "1.31"}, "first whose do": {Version: "1.22.0"}, "use one of plain, eks": {Platform: "openshit"}, "want HOST:PORT": {Tracing: "otel"},
	} {
		if _, err := NewInstall(meshOf(t, ""), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

func TestHiddenValuesAreNotWrittenBack(t *testing.T) {
	config := map[string]any{"a": "(hidden)", "b": []any{map[string]any{"c": "x (hidden)", "d": 1}}}
	if !removeHidden(config) || len(config) != 1 || removeHidden(config) {
		t.Errorf("%v", config)
	}
}
