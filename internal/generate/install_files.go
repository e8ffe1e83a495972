package generate

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// File is one generated file.
type File struct{ Name, Text string }

// Files are the values of each chart, the same for istioctl, what makes logs and traces flow, and the steps.
func (i *Install) Files() ([]File, error) {
	global := i.global()
	values := func(extra map[string]any) map[string]any {
		out := map[string]any{"profile": "ambient", "global": global}
		for k, v := range extra {
			out[k] = v
		}
		return out
	}
	agents := map[string]any{}
	if i.platform.agents != istioSystem {
		agents["istioNamespace"] = istioSystem
	}
	ztunnel := map[string]any{"profile": "ambient", "hub": imageHub, "tag": i.version, "resources": i.ztunnel()}
	if i.platform.value != "" {
		ztunnel["global"] = map[string]any{"platform": i.platform.value}
	}
	for k, v := range agents {
		ztunnel[k] = v
	}
	istiod := map[string]any{"meshConfig": i.meshConfig(), "pilot": i.pilot()}
	operatorValues := values(map[string]any{"pilot": i.pilot(), "ztunnel": map[string]any{"resources": i.ztunnel()}})
	if i.revision != "" {
		istiod["revision"], ztunnel["revision"], operatorValues["revision"] = i.revision, i.revision, i.revision
	}
	component := map[string]any{"enabled": true, "namespace": i.platform.agents}
	operator := map[string]any{"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": map[string]any{
		"profile": i.profile(), "hub": imageHub, "tag": i.version, "meshConfig": i.meshConfig(), "values": operatorValues,
		"components": map[string]any{"cni": component, "ztunnel": component}}}
	cni := map[string]any{"profile": "ambient", "global": map[string]any{"hub": imageHub, "tag": i.version}}
	if i.platform.value != "" {
		section(cni, "global")["platform"] = i.platform.value
	}
	var out []File
	for _, f := range []struct {
		name, head string
		value      map[string]any
	}{
		{"istioctl.yaml", "For istioctl install -f; it is no object for kubectl apply. The Helm values beside it say the same.", operator},
		{"values-istiod.yaml", "For the chart istiod. meshConfig is what the cluster has, with what the hybrid needs; resources are Istio's own up to 2,000 proxies and nodes, doubled beyond.", values(istiod)},
		{"values-cni.yaml", "For the chart cni.", cni},
		{"values-ztunnel.yaml", "For the chart ztunnel. No limit: a ztunnel that is killed ends every connection of its node. Istio's 512Mi are for 200,000 pods or 100,000 connections; up to 10,000 pods half of it is requested.", ztunnel},
		{"telemetry.yaml", "For kubectl apply: a provider alone sends nothing, this names it. Waypoints and sidecars log what fails; ztunnel logs by itself.", i.telemetry()},
	} {
		text, err := yaml.Marshal(f.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		out = append(out, File{f.name, "# " + f.head + "\n# Istio " + i.version + " on " + i.platform.name + "; written by sidestep generate install.\n" + string(text)})
	}
	return append(out, File{"INSTALL.md", i.steps()}), nil
}

func (i *Install) profile() string {
	if i.platform.name == "openshift" {
		return "openshift-ambient"
	}
	return "ambient"
}

// telemetry turns on what the providers can do, for the whole mesh.
func (i *Install) telemetry() map[string]any {
	spec := map[string]any{"accessLogging": []any{map[string]any{"providers": []any{map[string]any{"name": "envoy"}}, "filter": map[string]any{"expression": "response.code >= 400 || response.code == 0"}}}}
	if i.tracing[0] != "" {
		spec["tracing"] = []any{map[string]any{"providers": []any{map[string]any{"name": tracingProvider}}, "randomSamplingPercentage": 1}}
	}
	return map[string]any{"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": map[string]any{"name": "mesh-default", "namespace": i.root()}, "spec": spec}
}

// root is the namespace whose objects are for the whole mesh.
func (i *Install) root() string {
	if root, ok := i.config["rootNamespace"].(string); ok && root != "" {
		return root
	}
	return istioSystem
}

// steps is the way from where the cluster is to the hybrid, with what would break on it.
func (i *Install) steps() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Installing Istio %s for the hybrid, on %s", i.version, i.platform.name)
	line("\nSized for %d pods of the mesh (%d with a sidecar or as a gateway) on %d nodes. Nothing here moves a workload: sidecars stay until a plan says so.", i.Pods, i.Proxies, i.Nodes)
	line("\n## Before\n")
	for _, p := range i.preflight {
		line("- [ ] %s", p)
	}
	for _, n := range i.platform.notes {
		line("- [ ] %s", n)
	}
	line("- [ ] Keep what stands: `sidestep snapshot --out before.snapshot`, and `helm get values -n %s istiod` or your istioctl file.", istioSystem)
	if i.config != nil && len(i.config) > 0 {
		line("- [ ] meshConfig in the files is the cluster's own with additions. Other values that you set in the chart (env, injector templates, gateways) are in no object that can be read back whole: merge them.")
	}
	chart := func(name, namespace, release, file string) string {
		values := ""
		if file != "" {
			values = " -f " + file
		}
		return fmt.Sprintf("helm upgrade --install %s %s/%s --version %s -n %s%s --wait", release, chartRepo, name, i.version, namespace, values)
	}
	line("\n## Control plane and agents\n\nWith Helm:\n\n```sh")
	line("%s", chart("base", istioSystem, "istio-base", "")+" --create-namespace")
	line("%s", chart("istiod", istioSystem, "istiod", "values-istiod.yaml"))
	line("%s", chart("cni", i.platform.agents, "istio-cni", "values-cni.yaml"))
	line("%s", chart("ztunnel", i.platform.agents, "ztunnel", "values-ztunnel.yaml"))
	line("kubectl apply -f telemetry.yaml\n```\n\nOr with istioctl %s, never with both:\n\n```sh\nistioctl install -f istioctl.yaml\nkubectl apply -f telemetry.yaml\n```", i.version)
	line("\nThen `sidestep doctor --symptom startup` should find nothing.")
	line("\n## Sidecars learn HBONE\n\nA sidecar that was injected before cannot be called by an ambient workload but in plaintext. Restart them, one after the other:\n")
	if len(i.restarts) == 0 {
		line("Every sidecar that was seen speaks HBONE already, or none was seen. `sidestep doctor --check hbone-sidecars` tells.")
	} else {
		line("```sh\n%s\n```", strings.Join(i.restarts, "\n"))
	}
	line("\n## After\n\n- [ ] `sidestep doctor --check hbone-sidecars,ztunnel-everywhere,images-reachable`\n- [ ] `sidestep plan`: who moves, in which order, and what comes first")
	return b.String()
}
