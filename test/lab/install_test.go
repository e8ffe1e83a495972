package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sidestep-mesh/sidestep/internal/generate"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// What generate install writes for each platform istioctl renders, with what it promises in the result; and each Helm value is one that the chart
// has.
func TestGeneratedInstallFilesAreAccepted(t *testing.T) {
	builder, err := NewBuilder(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if builder.Source, err = os.Getwd(); err != nil { // the compiler may have trimmed where the source is
		t.Fatal(err)
	}
	bin, err := builder.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := moduleDir(t.Context(), filepath.Join(builder.Source, "parts", "istio"), "istio.io/istio")
	if err != nil {
		t.Fatal(err)
	}
	for _, platform := range generate.PlatformNames() {
		t.Run(platform, func(t *testing.T) {
			install, err := generate.NewInstall(mesh.Build(snapshot.NewBuilder().Build(), mesh.Assume{}), generate.InstallOptions{Platform: platform, Tracing: "otel.observability.svc.cluster.local:4317"})
			if err != nil {
				t.Fatal(err)
			}
			files, err := install.Files()
			if err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			for _, f := range files {
				if err := os.WriteFile(filepath.Join(folder, f.Name), []byte(f.Text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			render := exec.Command(bin.Path("istio", "istioctl"), "manifest", "generate", "-f", filepath.Join(folder, "istioctl.yaml")) //nolint:gosec // built by the lab
			var out, errs bytes.Buffer
			render.Stdout, render.Stderr = &out, &errs
			if err := render.Run(); err != nil {
				t.Fatalf("istioctl refuses it: %v\n%s", err, errs.String())
			}
			agents := "istio-system"
			if platform == "openshift" {
				agents = "kube-system"
			}
			rendered(t, out.String(), agents)
			for file, chart := range map[string]string{"values-istiod.yaml": "istio-control/istio-discovery", "values-cni.yaml": "istio-cni", "values-ztunnel.yaml": "ztunnel"} {
				chartHas(t, filepath.Join(folder, file), filepath.Join(dir, "manifests", "charts", chart, "values.yaml"))
			}
		})
	}
}

// rendered looks at what istioctl made: the agents where they belong, trusted there, and images from the host that stays.
func rendered(t *testing.T, text, agents string) {
	t.Helper()
	daemonSets := 0
	for document := range strings.SplitSeq(text, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		switch {
		case o.Kind == "DaemonSet":
			daemonSets++
			if o.Metadata.Namespace != agents {
				t.Errorf("%s is in %s, want %s", o.Metadata.Name, o.Metadata.Namespace, agents)
			}
			if !strings.Contains(document, "docker.io/istio/") || !strings.Contains(document, ":1.31.1") {
				t.Errorf("%s does not run docker.io/istio at 1.31.1", o.Metadata.Name)
			}
		case o.Kind == "Deployment" && o.Metadata.Name == "istiod":
			if !strings.Contains(document, "value: "+agents+"/ztunnel") {
				t.Errorf("istiod does not trust %s/ztunnel", agents)
			}
		case o.Kind == "ConfigMap" && o.Metadata.Name == "istio":
			for _, want := range []string{"ISTIO_META_ENABLE_HBONE", "hboneIdleTimeout: 15s", "sidestep-tracing"} {
				if !strings.Contains(document, want) {
					t.Errorf("the mesh configuration lacks %s", want)
				}
			}
		}
	}
	if daemonSets != 2 {
		t.Errorf("%d DaemonSets, want istio-cni and ztunnel", daemonSets)
	}
}

// free are values below which a chart takes anything; profile and platform are read by the charts' templates and have no default.
var free = []string{"meshConfig", "pilot.env", "pilot.resources", "resources", "profile", "global.platform", "global.waypoint.topologySpreadConstraints"}

// chartHas holds that every value of a file has a default in its chart: Helm takes a name that no template reads without a word.
func chartHas(t *testing.T, file, chart string) {
	t.Helper()
	read := func(name string) map[string]any {
		text, err := os.ReadFile(name) //nolint:gosec // of the test
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := yaml.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	defaults, _ := read(chart)["_internal_defaults_do_not_set"].(map[string]any)
	var walk func(path string, value any)
	walk = func(path string, value any) {
		for _, f := range free {
			if path == f || strings.HasPrefix(path, f+".") {
				return
			}
		}
		if m, ok := value.(map[string]any); ok {
			for k, v := range m {
				walk(strings.TrimPrefix(path+"."+k, "."), v)
			}
			return
		}
		// pilot.* is the former spelling of istiod's own values, which the chart folds into them.
		var at any = defaults
		for k := range strings.SplitSeq(strings.TrimPrefix(path, "pilot."), ".") {
			m, _ := at.(map[string]any)
			next, ok := m[k]
			if !ok {
				t.Errorf("%s: the chart has no value %s", filepath.Base(file), path)
				return
			}
			at = next
		}
	}
	walk("", read(file))
}
